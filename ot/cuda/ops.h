#pragma once  // private: never installed
#include <cstdint>

#include "monge/ot/core/random.h"

// What kernels ask of the hardware, one function each. tests/cuda/emulator.h has the same functions for the host, so
// that the kernels themselves run in tests without a GPU; it is included before this file there.
namespace monge::ot::cuda {

inline constexpr int block_threads = 256, warp_threads = 32, block_warps = block_threads / warp_threads;

}  // namespace monge::ot::cuda

#ifdef __CUDACC__

#define MONGE_DEVICE __device__ __forceinline__
// A kernel of block_threads threads, at least `blocks` of its blocks at a time on a multiprocessor.
#define MONGE_KERNEL(blocks) __global__ void __launch_bounds__(::monge::ot::cuda::block_threads, blocks)

namespace monge::ot::cuda {

MONGE_DEVICE int thread() { return static_cast<int>(threadIdx.x); }
MONGE_DEVICE Index block_x() { return static_cast<Index>(blockIdx.x); }
MONGE_DEVICE Index block_y() { return static_cast<Index>(blockIdx.y); }
MONGE_DEVICE Index blocks_x() { return static_cast<Index>(gridDim.x); }
MONGE_DEVICE void barrier() { __syncthreads(); }
MONGE_DEVICE void warp_barrier() { __syncwarp(); }

// The block's shared memory, 128-byte aligned.
MONGE_DEVICE unsigned char* shared_memory() {
  extern __shared__ __align__(128) unsigned char monge_shared_memory[];
  return monge_shared_memory;
}

// All lanes of a warp take part in each of these.
template <class T>
MONGE_DEVICE T shuffle_xor(T value, int mask) {
  return __shfl_xor_sync(0xffffffffu, value, mask);
}
template <class T>
MONGE_DEVICE T shuffle_up(T value, int lanes) {
  return __shfl_up_sync(0xffffffffu, value, static_cast<unsigned>(lanes));
}
template <class T>
MONGE_DEVICE T shuffle(T value, int lane) {
  return __shfl_sync(0xffffffffu, value, lane);
}
MONGE_DEVICE std::uint32_t ballot(bool yes) { return __ballot_sync(0xffffffffu, yes); }
MONGE_DEVICE int bits_set(std::uint32_t mask) { return __popc(mask); }
MONGE_DEVICE int leading_zeros(std::uint32_t mask) { return __clz(static_cast<int>(mask)); }
MONGE_DEVICE int lowest_bit(std::uint32_t mask) { return __ffs(static_cast<int>(mask)) - 1; }

// Four 8 x 8 matrices of 16-bit numbers from shared memory: lane l names row l % 8 of matrix l / 8 (16 bytes, aligned),
// and gets of each matrix the elements 2 (l % 4) and 2 (l % 4) + 1 of row l / 4.
MONGE_DEVICE void load_matrices(std::uint32_t (&out)[4], const void* row) {
  const std::uint32_t address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address)
               : "memory");
}

// c += a b for a 16 x 16, b 16 x 8 of fp16 and c 16 x 8 of fp32, spread over a warp as PTX says of mma.m16n8k16.
MONGE_DEVICE void multiply_add(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};\n"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Starts a copy of 16 aligned bytes to shared memory.
MONGE_DEVICE void start_copy(void* shared, const void* global) {
  const std::uint32_t address = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;\n" ::"r"(address), "l"(global) : "memory");
}
// Copies started since the last call are one group; waits until at most `pending` of this thread's groups are not done.
MONGE_DEVICE void end_group() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }
template <int pending>
MONGE_DEVICE void wait_groups() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(pending) : "memory");
}

// 2^t, 0 where it would be subnormal; float: within 2 units of the last place.
MONGE_DEVICE float exp2_of(float t) {
  float out;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(out) : "f"(t));
  return out;
}
MONGE_DEVICE double exp2_of(double t) { return exp2(t); }

MONGE_DEVICE void raise_atomically(std::int32_t* to, std::int32_t value) { atomicMax(to, value); }
MONGE_DEVICE void add_atomically(unsigned long long* to, unsigned long long value) { atomicAdd(to, value); }

}  // namespace monge::ot::cuda

#elif !defined(MONGE_CUDA_EMULATED)
#error "kernels are compiled by nvcc, or in tests after tests/cuda/emulator.h"
#endif
