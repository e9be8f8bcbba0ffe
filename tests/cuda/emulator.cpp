#include "emulator.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>

#include "monge/ot/cuda/half.h"

// Saves the callee's registers on the stack, leaves its top in *from, and goes on where `to` was left.
extern "C" void monge_switch_fiber(void** from, void* to);
asm(R"(
.text
.globl monge_switch_fiber
.type monge_switch_fiber, @function
monge_switch_fiber:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size monge_switch_fiber, .-monge_switch_fiber
)");

namespace monge::ot::cuda::emulator {
namespace {

constexpr std::size_t stack_bytes = 256 * 1024;

struct Copy {
  void* to;
  const void* from;
};

struct Fiber {
  unsigned char* stack = nullptr;
  void* top = nullptr;
  Here here;
  bool done = false;
  std::vector<std::vector<Copy>> groups;  // ended ones
  std::vector<Copy> started;
  std::vector<Arrival*> made;  // and not shown
};

constexpr int group_lanes = 128;

// The lanes of a warp or a warpgroup.
struct Crowd {
  const char* operation = nullptr;
  void* lanes[group_lanes] = {};
  int arrived = 0;
  Index times = 0;
};

// 64 x 16 times 16 x 128 on their way, of a warpgroup.
struct Product {
  float* sums[group_lanes];
  const unsigned char *a, *b;
  bool fresh;
  std::vector<std::uint16_t> left, right;  // what the operands were
};
struct Warpgroup {
  std::vector<std::vector<Product>> groups;  // ended ones
  std::vector<Product> started;
  std::map<float*, std::array<float, 64>> sums;  // of products on their way
};

struct Phases {
  int times = 0, missing = 0, ended = 0;
  long bytes = 0;  // that are yet to come
  bool shown = false;
};
struct BulkCopy {
  unsigned char* to;
  const unsigned char* from;
  int bytes;
  Arrival* arrival;
};

[[noreturn]] void fail(const char* what, const char* detail = "") {
  std::fprintf(stderr, "emulator: %s%s\n", what, detail);
  std::abort();
}

struct Machine {
  std::vector<Fiber> fibers;
  std::vector<Crowd> warps, crowds;  // of 32, of 128
  std::vector<Warpgroup> warpgroups;
  const std::function<void()>* body = nullptr;
  void* scheduler = nullptr;
  Fiber* current = nullptr;
  struct Barrier {
    int arrived = 0;
    Index times = 0;
  };
  std::vector<Barrier> barriers;  // of each block, then of all
  Index progress = 0;
  int threads = 0;  // of a block
  std::map<Arrival*, Phases> arrivals;
  std::vector<BulkCopy> bulk_copies;

  void run_blocks(const std::vector<Here>& blocks);
  bool run_once(const std::vector<int>& turn);
  int place() const { return here.rank * threads + here.thread; }  // among all that run
  void prepare(Fiber& fiber);
  void yield() {
    Fiber* const fiber = current;
    monge_switch_fiber(&fiber->top, scheduler);
  }
};

Machine machine;
Order order = Order::rising;
Index kernels = 0;

void enter() {
  (*machine.body)();
  machine.current->done = true;
  ++machine.progress;
  machine.yield();
  fail("a thread went on after its end");
}

void Machine::prepare(Fiber& fiber) {
  if (!fiber.stack) {
    void* memory = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("no memory for stacks");
    fiber.stack = static_cast<unsigned char*>(memory);
  }
  void** top = reinterpret_cast<void**>(fiber.stack + stack_bytes) - 1;
  *--top = reinterpret_cast<void*>(&enter);  // where the first switch returns to; then the stack is as after a call
  for (int r = 0; r < 6; ++r) *--top = nullptr;
  fiber.top = top;
  fiber.done = false;
  fiber.groups.clear();
  fiber.started.clear();
  fiber.made.clear();
}

template <class T>
void shuffle(std::vector<T>& some) {
  for (std::size_t t = some.size(); t > 1 && order == Order::shuffled; --t) {
    const std::uint64_t other = uniform_below(Rng{static_cast<std::uint64_t>(machine.progress)}, t, t);
    std::swap(some[t - 1], some[static_cast<std::size_t>(other)]);
  }
}

// Each of these threads that has not ended until it waits; whether there were any.
bool Machine::run_once(const std::vector<int>& turn) {
  bool left = false;
  for (const int t : turn) {
    Fiber& fiber = fibers[t];
    if (fiber.done) continue;
    current = &fiber;
    here = fiber.here;
    monge_switch_fiber(&scheduler, fiber.top);
    left = true;
  }
  return left;
}

void Machine::run_blocks(const std::vector<Here>& blocks) {
  const auto all = static_cast<int>(blocks.size()) * threads;
  fibers.resize(std::max(fibers.size(), static_cast<std::size_t>(all)));
  warps.assign(static_cast<std::size_t>(all / 32), {});
  crowds.assign(static_cast<std::size_t>(all / group_lanes), {});
  warpgroups.assign(crowds.size(), {});
  barriers.assign(blocks.size() + 1, {});
  arrivals.clear();
  std::vector<std::vector<int>> turns;  // of blocks, each of which goes as far as it can before the next
  for (const Here& block : blocks) {
    std::vector<int> turn;
    for (int t = 0; t < threads; ++t) {
      turn.push_back(block.rank * threads + (order == Order::falling ? threads - 1 - t : t));
      fibers[turn.back()].here = block;
      fibers[turn.back()].here.thread = turn.back() % threads;
      prepare(fibers[turn.back()]);
    }
    shuffle(turn);
    turns.push_back(std::move(turn));
  }
  if (order == Order::falling) std::reverse(turns.begin(), turns.end());
  for (bool left = true; left;) {
    left = false;
    const Index before = progress;
    for (const std::vector<int>& turn : turns) {
      for (Index at = -1; at != progress;) {
        at = progress;
        left = run_once(turn) || left;
      }
    }
    if (left && progress == before) fail("threads wait for ever");
    shuffle(turns);
  }
  if (!bulk_copies.empty()) fail("blocks ended before copies to their memory had come");
}

// Waits for all threads of a block, or of all blocks that run together.
void wait_for(std::size_t barrier) {
  ++machine.progress;
  const std::size_t first = barrier + 1 < machine.barriers.size() ? barrier * machine.threads : 0;
  const std::size_t count = barrier + 1 < machine.barriers.size() ? machine.threads : machine.warps.size() * 32;
  for (std::size_t t = first; t < first + count; ++t)
    if (machine.fibers[t].done) fail("a barrier that some threads will never reach");
  Machine::Barrier& own = machine.barriers[barrier];
  const Index times = own.times;
  if (++own.arrived == static_cast<int>(count)) {
    own.arrived = 0;
    ++own.times;
    return;
  }
  while (own.times == times) machine.yield();
}

// What is at this place of this block, in another.
template <class T>
T* in_block(T* shared, int rank) {
  const std::size_t first = static_cast<std::size_t>(rank) * machine.threads;
  bool runs = false;
  for (std::size_t t = first; t < first + machine.threads; ++t) runs = runs || !machine.fibers[t].done;
  if (!runs) fail("a block that has ended is told something");
  return reinterpret_cast<T*>(reinterpret_cast<unsigned char*>(shared) - here.shared +
                              machine.fibers[first].here.shared);
}

Phases& phases_of(Arrival* a) {
  const auto found = machine.arrivals.find(a);
  if (found == machine.arrivals.end() || !found->second.shown) fail("an arrival that was not made, or not shown");
  return found->second;
}
void end_phase(Phases& p) {
  if (p.missing > 0 || p.bytes != 0) return;
  p.missing = p.times;
  ++p.ended;
  ++machine.progress;
}

void finish(std::vector<Copy>& copies) {
  for (const Copy& c : copies) std::memcpy(c.to, c.from, 16);
  copies.clear();
}

}  // namespace

Here here;

void set_order(Order o) { order = o; }
Index kernels_run() { return kernels; }

void run_grid(Index blocks_x, Index blocks_y, int together, bool along_y, int threads, std::size_t shared_bytes,
              const std::function<void()>& body) {
  if (threads % 32 != 0) fail("no whole warps");
  if ((along_y ? blocks_y : blocks_x) % together != 0) fail("no whole clusters of blocks");
  ++kernels;
  machine.body = &body;
  machine.threads = threads;
  const std::size_t room = std::max<std::size_t>(1024, (shared_bytes + 1023) / 1024 * 1024);
  const Index step_x = along_y ? 1 : together, step_y = along_y ? together : 1;
  for (Index y = 0; y < blocks_y; y += step_y) {
    for (Index x = 0; x < blocks_x; x += step_x) {
      std::vector<std::unique_ptr<unsigned char, void (*)(void*)>> shared;
      std::vector<Here> blocks;
      for (int r = 0; r < together; ++r) {
        shared.emplace_back(static_cast<unsigned char*>(std::aligned_alloc(1024, room)), std::free);
        std::memset(shared.back().get(), 0xff, room);
        blocks.push_back({0, r, along_y ? x : x + r, along_y ? y + r : y, blocks_x, shared.back().get()});
      }
      machine.run_blocks(blocks);
    }
  }
}

void wait_for_block() { wait_for(static_cast<std::size_t>(here.rank)); }

void meet(const char* operation, void* mine, const std::function<void(void* const*)>& work, int lanes) {
  ++machine.progress;
  Crowd& crowd = (lanes == 32 ? machine.warps : machine.crowds)[static_cast<std::size_t>(machine.place() / lanes)];
  if (crowd.arrived == 0) crowd.operation = operation;
  if (std::strcmp(crowd.operation, operation) != 0) fail("lanes of one warp in different operations: ", operation);
  crowd.lanes[here.thread % lanes] = mine;
  if (++crowd.arrived == lanes) {
    work(crowd.lanes);
    crowd.arrived = 0;
    ++crowd.times;
    return;
  }
  const Index times = crowd.times;
  while (crowd.times == times) machine.yield();
}

void start_copy(void* to, const void* from) {
  if (reinterpret_cast<std::uintptr_t>(to) % 16 != 0 || reinterpret_cast<std::uintptr_t>(from) % 16 != 0)
    fail("a copy of 16 bytes that are not aligned");
  std::memset(to, 0xff, 16);  // what was there may be gone at any time from now on
  machine.current->started.push_back({to, from});
}
void end_group() {
  Fiber& fiber = *machine.current;
  fiber.groups.push_back(std::move(fiber.started));
  fiber.started = {};
}
void wait_groups(int pending) {
  auto& groups = machine.current->groups;
  while (groups.size() > static_cast<std::size_t>(pending)) {
    finish(groups.front());
    groups.erase(groups.begin());
  }
}

namespace {

Warpgroup& my_warpgroup() { return machine.warpgroups[static_cast<std::size_t>(machine.place() / group_lanes)]; }

// Rows of 128 bytes, whose pieces of 16 bytes are where the bits of the address that count rows, 7 to 9, change those
// that count pieces, 4 to 6.
std::vector<std::uint16_t> read_operand(const unsigned char* first, int rows) {
  std::vector<std::uint16_t> out;
  for (int r = 0; r < rows; ++r) {
    for (int k = 0; k < 16; ++k) {
      const auto place = reinterpret_cast<std::uintptr_t>(first + 128 * r + 2 * k);
      std::uint16_t half;
      std::memcpy(&half, reinterpret_cast<const void*>(place ^ (place >> 7 & 7) << 4), sizeof half);
      out.push_back(half);
    }
  }
  return out;
}

// The sum of a tensor core: exact, then cut off, not rounded, to a float.
float cut_off(double sum) {
  const auto cut = static_cast<float>(sum);
  return std::abs(static_cast<double>(cut)) > std::abs(sum) ? std::nextafter(cut, 0.0f) : cut;
}

void make(Warpgroup& group, const Product& p) {
  if (read_operand(p.a, 64) != p.left || read_operand(p.b, 128) != p.right)
    fail("points were overwritten while they were multiplied");
  std::vector<double> left, right;
  for (const std::uint16_t half : p.left) left.push_back(static_cast<double>(half_value(half)));
  for (const std::uint16_t half : p.right) right.push_back(static_cast<double>(half_value(half)));
  for (int t = 0; t < group_lanes; ++t) {
    std::array<float, 64>& c = group.sums[p.sums[t]];
    for (int i = 0; i < 64; ++i) {  // of PTX: the place of c[i] in a thread's share of wgmma.m64n128k16
      const int row = t / 32 * 16 + i % 4 / 2 * 8 + t % 32 / 4, column = i / 4 * 8 + t % 4 * 2 + i % 2;
      double sum = p.fresh ? 0.0 : static_cast<double>(c[i]);
      for (int k = 0; k < 16; ++k) sum += left[16 * row + k] * right[16 * column + k];
      c[i] = cut_off(sum);
    }
  }
}

}  // namespace

void multiply(float* sums, const unsigned char* a, const unsigned char* b, bool fresh) {
  struct Mine {
    float* sums;
    const unsigned char *a, *b;
  } mine{sums, a, b};
  meet(
      "multiply", &mine,
      [&](void* const* lanes) {
        Product product{{}, a, b, fresh, read_operand(a, 64), read_operand(b, 128)};
        Warpgroup& group = my_warpgroup();
        for (int t = 0; t < group_lanes; ++t) {
          const Mine& lane = *static_cast<Mine*>(lanes[t]);
          if (lane.a != a || lane.b != b) fail("a warpgroup's operands differ");
          product.sums[t] = lane.sums;
          const bool moving = group.sums.contains(lane.sums);
          std::array<float, 64>& known = group.sums[lane.sums];
          if (!moving) std::copy_n(lane.sums, 64, known.begin());
          std::fill_n(lane.sums, 64, NAN);
        }
        group.started.push_back(std::move(product));
      },
      group_lanes);
}

void wait_products(int pending) {
  meet(
      "wait_products", nullptr,
      [&](void* const*) {
        Warpgroup& group = my_warpgroup();
        while (group.groups.size() > static_cast<std::size_t>(pending)) {
          for (const Product& p : group.groups.front()) make(group, p);
          group.groups.erase(group.groups.begin());
        }
        const auto moves = [&](float* sums) {
          const auto writes = [&](const Product& p) { return std::ranges::find(p.sums, sums) != std::end(p.sums); };
          return std::ranges::any_of(group.started, writes) ||
                 std::ranges::any_of(group.groups, [&](const auto& some) { return std::ranges::any_of(some, writes); });
        };
        std::erase_if(group.sums, [&](const auto& entry) {
          if (moves(entry.first)) return false;
          std::copy(entry.second.begin(), entry.second.end(), entry.first);
          return true;
        });
      },
      group_lanes);
}

void start_bulk_copy(void* to, const void* from, int bytes, void* arrival, int blocks) {
  const auto aligned = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; };
  if (!aligned(to) || !aligned(from) || bytes % 16 != 0) fail("a copy of bytes that are not aligned");
  for (int r = 0; r < blocks; ++r) {
    const int rank = blocks == 1 ? here.rank : r;
    auto* const there = static_cast<unsigned char*>(in_block(to, rank));
    std::memset(there, 0xff, static_cast<std::size_t>(bytes));  // it may be gone at any time from now on
    Arrival* const known = in_block(static_cast<Arrival*>(arrival), rank);
    phases_of(known);
    machine.bulk_copies.push_back({there, static_cast<const unsigned char*>(from), bytes, known});
  }
}

}  // namespace monge::ot::cuda::emulator

namespace monge::ot::cuda {

std::uint32_t ballot(bool yes) {
  struct Mine {
    bool in;
    std::uint32_t out;
  } mine{yes, 0};
  emulator::meet("ballot", &mine, [](void* const* lanes) {
    std::uint32_t all = 0;
    for (int l = 0; l < 32; ++l) all |= std::uint32_t{static_cast<Mine*>(lanes[l])->in} << l;
    for (int l = 0; l < 32; ++l) static_cast<Mine*>(lanes[l])->out = all;
  });
  return mine.out;
}

void load_matrices(std::uint32_t (&out)[4], const void* row) {
  if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0) emulator::fail("a matrix row that is not aligned");
  struct Mine {
    const void* row;
    std::uint32_t* out;
  } mine{row, out};
  emulator::meet("load_matrices", &mine, [](void* const* lanes) {
    for (int l = 0; l < 32; ++l) {
      for (int i = 0; i < 4; ++i) {
        const auto* from = static_cast<const unsigned char*>(static_cast<Mine*>(lanes[8 * i + l / 4])->row);
        std::memcpy(&static_cast<Mine*>(lanes[l])->out[i], from + 4 * (l % 4), 4);
      }
    }
  });
}

void make_arrival(Arrival& a, int times) {
  emulator::machine.arrivals[&a] = {times, times};
  emulator::machine.current->made.push_back(&a);
}
void show_arrivals() {
  for (Arrival* a : emulator::machine.current->made) emulator::machine.arrivals[a].shown = true;
  emulator::machine.current->made.clear();
}
void expect(Arrival& a, int bytes) { emulator::phases_of(&a).bytes += bytes; }
void arrive(Arrival& a) {
  emulator::Phases& phases = emulator::phases_of(&a);
  if (--phases.missing < 0) emulator::fail("more arrivals than an arrival was made for");
  emulator::end_phase(phases);
}
void arrive_at(Arrival& a, int rank) { arrive(*emulator::in_block(&a, rank)); }
void wait(Arrival& a, std::uint32_t parity) {
  using emulator::machine;
  ++machine.progress;
  emulator::Phases& phases = emulator::phases_of(&a);
  while (static_cast<std::uint32_t>(phases.ended % 2) == parity) {
    std::erase_if(machine.bulk_copies, [&](const emulator::BulkCopy& copy) {
      if (copy.arrival != &a) return false;
      std::memcpy(copy.to, copy.from, static_cast<std::size_t>(copy.bytes));
      phases.bytes -= copy.bytes;
      ++machine.progress;
      return true;
    });
    emulator::end_phase(phases);
    if (static_cast<std::uint32_t>(phases.ended % 2) == parity) machine.yield();
  }
}
void cluster_barrier() { emulator::wait_for(emulator::machine.barriers.size() - 1); }

void end_products() {
  emulator::meet(
      "end_products", nullptr,
      [](void* const*) {
        emulator::Warpgroup& group = emulator::my_warpgroup();
        group.groups.push_back(std::move(group.started));
        group.started = {};
      },
      emulator::group_lanes);
}

void multiply_add(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  struct Mine {
    float* c;
    const std::uint32_t* a;
    std::uint32_t b[2];
  } mine{c, a, {b0, b1}};
  emulator::meet("multiply_add", &mine, [](void* const* lanes) {
    double left[16][16], right[16][8];
    const auto value = [](std::uint32_t pair, int second) {
      return static_cast<double>(half_value(static_cast<std::uint16_t>(pair >> (16 * second))));
    };
    // The layouts of PTX: registers of a are rows g and g + 8 by k 2t.. and 2t + 8.., of b the same k of column g.
    for (int l = 0; l < 32; ++l) {
      const Mine& lane = *static_cast<Mine*>(lanes[l]);
      const int g = l / 4, t = l % 4;
      for (int r = 0; r < 4; ++r) {
        for (int e = 0; e < 2; ++e) left[g + 8 * (r % 2)][2 * t + e + 8 * (r / 2)] = value(lane.a[r], e);
      }
      for (int r = 0; r < 2; ++r) {
        for (int e = 0; e < 2; ++e) right[2 * t + e + 8 * r][g] = value(lane.b[r], e);
      }
    }
    for (int l = 0; l < 32; ++l) {
      Mine& lane = *static_cast<Mine*>(lanes[l]);
      for (int q = 0; q < 4; ++q) {
        const int i = l / 4 + 8 * (q / 2), j = l % 4 * 2 + q % 2;
        double sum = static_cast<double>(lane.c[q]);
        for (int k = 0; k < 16; ++k) sum += left[i][k] * right[k][j];
        lane.c[q] = emulator::cut_off(sum);
      }
    }
  });
}

}  // namespace monge::ot::cuda
