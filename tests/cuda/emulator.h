// A GPU made of the host, for kernels to run in tests without one: what ot/cuda/ops.h has, with threads of a block as
// fibers. A fiber runs until it waits for others, so any order of them is possible; copies that a thread starts are
// done when it waits for them and no sooner, and leave NaN until then; shared memory starts as NaN. What goes wrong
// (lanes of a warp in different operations, threads that wait for ever, sums read or points overwritten while
// warpgroups multiply) ends the program.
#pragma once
#define MONGE_CUDA_EMULATED

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

#include "monge/ot/core/random.h"

#define MONGE_DEVICE inline
#define MONGE_KERNEL(blocks) void

namespace monge::ot::cuda {

namespace emulator {

// In which order the threads of a block get to run.
enum class Order { rising, falling, shuffled };
void set_order(Order order);

// Runs body() once for each thread of each block, `together` successive blocks along an axis at the same time.
void run_grid(Index blocks_x, Index blocks_y, int together, bool along_y, int threads, std::size_t shared_bytes,
              const std::function<void()>& body);
Index kernels_run();
void do_later(void* stream, std::function<void()> work);  // when the stream is waited for

// The next so many allocations succeed, the one after that fails once. -1: none fails.
void fail_allocation_after(int allocations);
std::size_t bytes_in_use();

struct Here {
  int thread = 0, rank = 0;  // in its block; the block's among those that run together
  Index block_x = 0, block_y = 0, blocks_x = 1;
  unsigned char* shared = nullptr;
};
extern Here here;

void wait_for_block();

// The last lane of a warp, or of a warpgroup, to come here runs work(all lanes' arguments); all go on after that.
void meet(const char* operation, void* mine, const std::function<void(void* const*)>& work, int lanes = 32);

void start_copy(void* to, const void* from);
void end_group();
void wait_groups(int pending);
void multiply(float* sums, const unsigned char* a, const unsigned char* b, bool fresh);
void wait_products(int pending);
void start_bulk_copy(void* to, const void* from, int bytes, void* arrival, int blocks);

}  // namespace emulator

inline int thread() { return emulator::here.thread; }
inline Index block_x() { return emulator::here.block_x; }
inline Index block_y() { return emulator::here.block_y; }
inline Index blocks_x() { return emulator::here.blocks_x; }
inline unsigned char* shared_memory() { return emulator::here.shared; }
inline void barrier() { emulator::wait_for_block(); }
inline void warp_barrier() {
  emulator::meet("barrier", nullptr, [](void* const*) {});
}

namespace emulator {
template <class T, class From>
T exchange(const char* operation, T value, From from) {
  struct Mine {
    T in, out;
    int from;
  } mine{value, value, from(here.thread % 32)};
  meet(operation, &mine, [](void* const* lanes) {
    for (int l = 0; l < 32; ++l) {
      Mine& lane = *static_cast<Mine*>(lanes[l]);
      lane.out = static_cast<Mine*>(lanes[lane.from])->in;
    }
  });
  return mine.out;
}
}  // namespace emulator

template <class T>
T shuffle_xor(T value, int mask) {
  return emulator::exchange("shuffle_xor", value, [&](int lane) { return lane ^ mask; });
}
template <class T>
T shuffle_up(T value, int lanes) {
  return emulator::exchange("shuffle_up", value, [&](int lane) { return lane < lanes ? lane : lane - lanes; });
}
template <class T>
T shuffle(T value, int lane) {
  return emulator::exchange("shuffle", value, [&](int) { return lane & 31; });
}
std::uint32_t ballot(bool yes);
inline int bits_set(std::uint32_t mask) { return __builtin_popcount(mask); }
inline int leading_zeros(std::uint32_t mask) { return mask == 0 ? 32 : __builtin_clz(mask); }
inline int lowest_bit(std::uint32_t mask) { return __builtin_ffs(static_cast<int>(mask)) - 1; }
void load_matrices(std::uint32_t (&out)[4], const void* row);
// Products are added up exactly, and the sum cut off, not rounded, to a float, as tensor cores may do.
void multiply_add(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1);

// Products of warpgroups are made when they are waited for and no sooner; until then their sums are NaN.
struct Operand {
  const unsigned char* first;
};
inline Operand operand_at(const void* first) { return {static_cast<const unsigned char*>(first)}; }
inline Operand moved(Operand o, int bytes) { return {o.first + bytes}; }
inline void begin_products() {}
inline void multiply(float (&c)[64], Operand a, Operand b) { emulator::multiply(c, a.first, b.first, true); }
inline void multiply_add(float (&c)[64], Operand a, Operand b) { emulator::multiply(c, a.first, b.first, false); }
void end_products();
template <int pending>
void wait_products(float (&)[64]) {
  emulator::wait_products(pending);
}

inline void start_copy(void* shared, const void* global) { emulator::start_copy(shared, global); }
inline void end_group() { emulator::end_group(); }
template <int pending>
void wait_groups() {
  emulator::wait_groups(pending);
}

// Copies by the copy engine are made when somebody waits for them and no sooner; until then NaN is where they go to.
struct Arrival {
  std::uint64_t state;
};
void make_arrival(Arrival& a, int times);
void show_arrivals();
void expect(Arrival& a, int bytes);
void arrive(Arrival& a);
void arrive_at(Arrival& a, int rank);
void wait(Arrival& a, std::uint32_t parity);
inline void start_bulk_copy(void* shared, const void* global, int bytes, Arrival& a) {
  emulator::start_bulk_copy(shared, global, bytes, &a, 1);
}
template <int blocks>
void start_cluster_copy(void* shared, const void* global, int bytes, Arrival& a) {
  emulator::start_bulk_copy(shared, global, bytes, &a, blocks);
}
inline int cluster_rank() { return emulator::here.rank; }
void cluster_barrier();

inline float copied(float x) { return x; }
inline void forget(Index&) {}
inline float exp2_of(float t) { return t < -126 ? 0.0f : std::exp2(t); }
inline double exp2_of(double t) { return t < -1022 ? 0.0 : std::exp2(t); }
inline float larger(float a, float b) { return std::fmax(a, b); }
inline double larger(double a, double b) { return std::fmax(a, b); }
inline void raise_atomically(std::int32_t* to, std::int32_t value) {
  if (value > *to) *to = value;
}
inline void add_atomically(unsigned long long* to, unsigned long long value) { *to += value; }

}  // namespace monge::ot::cuda
