#include "emulator.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
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
};

struct Warp {
  const char* operation = nullptr;
  void* lanes[32] = {};
  int arrived = 0;
  Index times = 0;
};

[[noreturn]] void fail(const char* what, const char* detail = "") {
  std::fprintf(stderr, "emulator: %s%s\n", what, detail);
  std::abort();
}

struct Machine {
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
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
}

void Machine::run_block(int threads) {
  fibers.resize(std::max(fibers.size(), static_cast<std::size_t>(threads)));
  warps.assign(static_cast<std::size_t>(threads / 32), {});
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
  const std::size_t room = std::max<std::size_t>(128, (shared_bytes + 127) / 128 * 128);
  for (Index b = 0; b < blocks_x * blocks_y; ++b) {
    const std::unique_ptr<unsigned char, void (*)(void*)> shared(
        static_cast<unsigned char*>(std::aligned_alloc(128, room)), std::free);
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

void meet(const char* operation, void* mine, const std::function<void(void* const*)>& work) {
  ++machine.progress;
  Warp& warp = machine.warps[static_cast<std::size_t>(here.thread / 32)];
  if (warp.arrived == 0) warp.operation = operation;
  if (std::strcmp(warp.operation, operation) != 0) fail("lanes of one warp in different operations: ", operation);
  warp.lanes[here.thread % 32] = mine;
  if (++warp.arrived == 32) {
    work(warp.lanes);
    warp.arrived = 0;
    ++warp.times;
    return;
  }
  const Index times = warp.times;
  const int thread = here.thread;
  while (warp.times == times) machine.yield();
  here.thread = thread;
}

void start_copy(void* to, const void* from) {
  if (reinterpret_cast<std::uintptr_t>(to) % 16 != 0 || reinterpret_cast<std::uintptr_t>(from) % 16 != 0)
    fail("a copy of 16 bytes that are not aligned");
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
        float cut = static_cast<float>(sum);
        if (std::abs(static_cast<double>(cut)) > std::abs(sum)) cut = std::nextafter(cut, 0.0f);
        lane.c[q] = cut;
      }
    }
  });
}

}  // namespace monge::ot::cuda
