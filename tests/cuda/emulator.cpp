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
  int thread = 0;
  bool done = false;
  std::vector<std::vector<Copy>> groups;  // ended ones
  std::vector<Copy> started;
  bool hidden_copies = false;  // some that products may not read yet
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
  int at_barrier = 0;
  Index barriers = 0, progress = 0;

  void run_block(int threads);
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
  fiber.hidden_copies = false;
}

void Machine::run_block(int threads) {
  fibers.resize(std::max(fibers.size(), static_cast<std::size_t>(threads)));
  warps.assign(static_cast<std::size_t>(threads / 32), {});
  crowds.assign(static_cast<std::size_t>(threads / group_lanes), {});
  warpgroups.assign(crowds.size(), {});
  at_barrier = 0;
  std::vector<int> turn(static_cast<std::size_t>(threads));
  for (int t = 0; t < threads; ++t) {
    turn[t] = order == Order::falling ? threads - 1 - t : t;
    fibers[t].thread = t;
    prepare(fibers[t]);
  }
  for (std::size_t t = turn.size(); t > 1 && order == Order::shuffled; --t) {
    const std::uint64_t other = uniform_below(Rng{static_cast<std::uint64_t>(progress)}, t, t);
    std::swap(turn[t - 1], turn[static_cast<std::size_t>(other)]);
  }
  for (bool left = true; left;) {
    left = false;
    const Index before = progress;
    for (const int t : turn) {
      Fiber& fiber = fibers[t];
      if (fiber.done) continue;
      current = &fiber;
      here.thread = t;
      monge_switch_fiber(&scheduler, fiber.top);
      left = left || !fiber.done;
    }
    if (left && progress == before) fail("threads wait for ever");
  }
}

int alive() {
  int count = 0;
  for (std::size_t t = 0; t < machine.warps.size() * 32; ++t) count += !machine.fibers[t].done;
  return count;
}

void finish(std::vector<Copy>& copies) {
  for (const Copy& c : copies) std::memcpy(c.to, c.from, 16);
  copies.clear();
}

}  // namespace

Here here;

void set_order(Order o) { order = o; }
Index kernels_run() { return kernels; }

void run_grid(Index blocks_x, Index blocks_y, int threads, std::size_t shared_bytes,
              const std::function<void()>& body) {
  if (threads % 32 != 0) fail("no whole warps");
  ++kernels;
  machine.body = &body;
  const std::size_t room = std::max<std::size_t>(1024, (shared_bytes + 1023) / 1024 * 1024);
  for (Index b = 0; b < blocks_x * blocks_y; ++b) {
    const std::unique_ptr<unsigned char, void (*)(void*)> shared(
        static_cast<unsigned char*>(std::aligned_alloc(1024, room)), std::free);
    std::memset(shared.get(), 0xff, room);
    here = {0, b % blocks_x, b / blocks_x, blocks_x, shared.get()};
    machine.run_block(threads);
  }
}

void wait_for_block() {
  ++machine.progress;
  const Index times = machine.barriers;
  if (++machine.at_barrier == alive()) {
    if (alive() != static_cast<int>(machine.warps.size()) * 32) fail("a barrier that some threads will never reach");
    machine.at_barrier = 0;
    ++machine.barriers;
    return;
  }
  const int thread = here.thread;
  while (machine.barriers == times) machine.yield();
  here.thread = thread;
}

void meet(const char* operation, void* mine, const std::function<void(void* const*)>& work, int lanes) {
  ++machine.progress;
  Crowd& crowd = (lanes == 32 ? machine.warps : machine.crowds)[static_cast<std::size_t>(here.thread / lanes)];
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
  const int thread = here.thread;
  while (crowd.times == times) machine.yield();
  here.thread = thread;
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
    machine.current->hidden_copies |= !groups.front().empty();
    finish(groups.front());
    groups.erase(groups.begin());
  }
}

namespace {

Warpgroup& my_warpgroup() { return machine.warpgroups[static_cast<std::size_t>(here.thread / group_lanes)]; }

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
        for (const Fiber& fiber : machine.fibers) {
          if (fiber.hidden_copies) fail("copies were not shown to products");
        }
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

void show_copies() { emulator::machine.current->hidden_copies = false; }

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
