// Blocks of threads, as fibers.
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "emulator_machine.h"

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

Machine machine;
Here here;

[[noreturn]] void fail(const char* what, const char* detail) {
  std::fprintf(stderr, "emulator: %s%s\n", what, detail);
  std::abort();
}

namespace {

constexpr std::size_t stack_bytes = 256 * 1024;
Order order = Order::rising;
Index kernels = 0;

void enter() {
  (*machine.body)();
  machine.current->done = true;
  ++machine.progress;
  machine.yield();
  fail("a thread went on after its end");
}

}  // namespace

void Machine::yield() {
  Fiber* const fiber = current;
  monge_switch_fiber(&fiber->top, scheduler);
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

namespace {

template <class T>
void shuffle(std::vector<T>& some) {
  for (std::size_t t = some.size(); t > 1 && order == Order::shuffled; --t) {
    const std::uint64_t other = uniform_below(Rng{static_cast<std::uint64_t>(machine.progress)}, t, t);
    std::swap(some[t - 1], some[static_cast<std::size_t>(other)]);
  }
}

}  // namespace

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
void cluster_barrier() { emulator::wait_for(emulator::machine.barriers.size() - 1); }

}  // namespace monge::ot::cuda
