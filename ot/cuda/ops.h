#pragma once  // private: never installed
#include <cstdint>

#include "monge/ot/core/random.h"

// What kernels ask of the hardware, one function each. tests/cuda/emulator.h has the same functions for the host, so
// that the kernels themselves run in tests without a GPU; it is included before this file there.
namespace monge::ot::cuda {

inline constexpr int block_threads = 256, warp_threads = 32, block_warps = block_threads / warp_threads;

// Bytes of shared memory that a block may have, of compute capability 8.0 and 9.0.
inline constexpr int shared_of_80 = 163 * 1024, shared_of_90 = 227 * 1024;

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

// The block's shared memory, 1024-byte aligned.
MONGE_DEVICE unsigned char* shared_memory() {
  extern __shared__ __align__(1024) unsigned char monge_shared_memory[];
  return monge_shared_memory;
}

// As instructions name it.
MONGE_DEVICE std::uint32_t shared_address(const void* shared) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
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
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(shared_address(row))
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
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;\n" ::"r"(shared_address(shared)), "l"(global) : "memory");
}
// Copies started since the last call are one group; waits until at most `pending` of this thread's groups are not done.
MONGE_DEVICE void end_group() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }
template <int pending>
MONGE_DEVICE void wait_groups() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(pending) : "memory");
}

// Products of whole warpgroups (4 warps), on devices of compute capability 9.0: asynchronous, from operands in shared
// memory. An operand is 16 columns of a matrix of fp16 whose rows are 128 bytes, from 1024 aligned bytes on: `first` is
// where its first row would begin, were the rows not swizzled (source_halves.h).
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 900 && !defined(__CUDA_ARCH_FEAT_SM90_ALL)
#error "compile for 90a: 90 has no products of warpgroups"
#endif
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define MONGE_ONLY_WARPGROUPS(...) __VA_ARGS__
#else
#define MONGE_ONLY_WARPGROUPS(...) __trap()  // never launched: Room::warpgroups
#endif

struct Operand {
  std::uint32_t low;  // of what PTX calls a matrix descriptor

  MONGE_DEVICE std::uint64_t bits() const {
    constexpr std::uint64_t eight_rows = 1024, swizzle_128 = 1;
    return low | (eight_rows >> 4) << 32 | swizzle_128 << 62;
  }
};
MONGE_DEVICE Operand operand_at(const void* first) {
  return {(shared_address(first) & 0x3ffffu) >> 4 |
          1u << 16};  // the upper half is a stride that swizzled rows have no use for
}
MONGE_DEVICE Operand moved(Operand o, int bytes) { return {o.low + static_cast<std::uint32_t>(bytes / 16)}; }
// Before products, when sums were touched.
MONGE_DEVICE void begin_products() { MONGE_ONLY_WARPGROUPS(asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory")); }

// c = a b', or c += a b', for a 64 x 16, b 128 x 16, and c 64 x 128 of fp32 as PTX spreads it over a warpgroup: c[4 j +
// 2 r + e] is in row 16 w + 8 r + l / 4 of warp w, lane l, and column 8 j + 2 (l % 4) + e.
#define MONGE_64(of)                                                                                                  \
  of(0), of(1), of(2), of(3), of(4), of(5), of(6), of(7), of(8), of(9), of(10), of(11), of(12), of(13), of(14),       \
      of(15), of(16), of(17), of(18), of(19), of(20), of(21), of(22), of(23), of(24), of(25), of(26), of(27), of(28), \
      of(29), of(30), of(31), of(32), of(33), of(34), of(35), of(36), of(37), of(38), of(39), of(40), of(41), of(42), \
      of(43), of(44), of(45), of(46), of(47), of(48), of(49), of(50), of(51), of(52), of(53), of(54), of(55), of(56), \
      of(57), of(58), of(59), of(60), of(61), of(62), of(63)
#define MONGE_WGMMA(add)                                                                                       \
  "{\n.reg .pred add;\nsetp.ne.b32 add, " add                                                                  \
  ", 0;\nwgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 "                                                 \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, "      \
  "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, "  \
  "%43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, " \
  "%64, %65, add, 1, 1, 0, 0;\n}\n"
#define MONGE_WRITTEN(i) "=f"(c[i])
#define MONGE_ADDED_TO(i) "+f"(c[i])
MONGE_DEVICE void multiply(float (&c)[64], Operand a, Operand b) {
  MONGE_ONLY_WARPGROUPS(asm volatile(MONGE_WGMMA("0") : MONGE_64(MONGE_WRITTEN) : "l"(a.bits()), "l"(b.bits())));
}
MONGE_DEVICE void multiply_add(float (&c)[64], Operand a, Operand b) {
  MONGE_ONLY_WARPGROUPS(asm volatile(MONGE_WGMMA("1") : MONGE_64(MONGE_ADDED_TO) : "l"(a.bits()), "l"(b.bits())));
}
#undef MONGE_WRITTEN
#undef MONGE_ADDED_TO
#undef MONGE_WGMMA
#undef MONGE_64
// Products since the last call are one group; waits until at most `pending` groups are not done. The sums c of those
// that are done may be read then, and none before.
MONGE_DEVICE void end_products() {
  MONGE_ONLY_WARPGROUPS(asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory"));
}
template <int pending>
MONGE_DEVICE void wait_products(float (&c)[64]) {
  MONGE_ONLY_WARPGROUPS(asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(pending) : "memory"));
#pragma unroll
  for (int i = 0; i < 64; ++i) asm volatile("" : "+f"(c[i])::"memory");  // not to be read earlier
}

// Copies by the copy engine, on devices of compute capability 9.0, and what says when they are there, in shared memory:
// an Arrival's phase ends when it has been arrived at `times` times and all bytes that were expected have come. Phases
// are 0, 1, 0, 1 ...
struct Arrival {
  std::uint64_t state;
};
MONGE_DEVICE void make_arrival(Arrival& a, int times) {
  MONGE_ONLY_WARPGROUPS(asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(shared_address(&a)), "r"(times)
                                     : "memory"));
}
// Those that this thread has made may be used by all, the copy engine too, after the next barrier.
MONGE_DEVICE void show_arrivals() {
  MONGE_ONLY_WARPGROUPS(asm volatile("fence.mbarrier_init.release.cluster;\nfence.proxy.async;\n" ::: "memory"));
}
MONGE_DEVICE void expect(Arrival& a, int bytes) {
  MONGE_ONLY_WARPGROUPS(
      asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;\n" ::"r"(shared_address(&a)), "r"(bytes)
                   : "memory"));
}
MONGE_DEVICE void arrive(Arrival& a) {
  MONGE_ONLY_WARPGROUPS(asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];\n" ::"r"(shared_address(&a))
                                     : "memory"));
}
// Until the phase of this parity has ended; it is the last one or the next.
MONGE_DEVICE void wait(Arrival& a, std::uint32_t parity) {
  std::uint32_t over = 0;
  while (!over) {
    MONGE_ONLY_WARPGROUPS(
        asm volatile("{\n.reg .pred over;\n"
                     "mbarrier.try_wait.parity.shared::cta.b64 over, [%1], %2;\n"
                     "selp.u32 %0, 1, 0, over;\n}\n"
                     : "=r"(over)
                     : "r"(shared_address(&a)), "r"(parity)
                     : "memory"));
  }
}
// Starts a copy to shared memory, of whole 16 aligned bytes.
MONGE_DEVICE void start_bulk_copy(void* shared, const void* global, int bytes, Arrival& a) {
  MONGE_ONLY_WARPGROUPS(
      asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];\n" ::"r"(
                       shared_address(shared)),
                   "l"(global), "r"(bytes), "r"(shared_address(&a))
                   : "memory"));
}
// Blocks that run together (Grid in runtime.h): this one's number, and a barrier of all their threads.
MONGE_DEVICE int cluster_rank() {
  std::uint32_t rank = 0;
  MONGE_ONLY_WARPGROUPS(asm volatile("mov.u32 %0, %%cluster_ctarank;\n" : "=r"(rank)));
  return static_cast<int>(rank);
}
MONGE_DEVICE void cluster_barrier() {
  MONGE_ONLY_WARPGROUPS(
      asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;\n" ::
                       : "memory"));
}
// Arrives at another block's, which is where this one is in this block.
MONGE_DEVICE void arrive_at(Arrival& a, int rank) {
  MONGE_ONLY_WARPGROUPS(
      asm volatile("{\n.reg .b32 there;\nmapa.shared::cluster.u32 there, %0, %1;\n"
                   "mbarrier.arrive.shared::cluster.b64 _, [there];\n}\n" ::"r"(shared_address(&a)),
                   "r"(rank)
                   : "memory"));
}
// To the same place in each of these blocks, whose own arrivals get to know.
template <int blocks>
MONGE_DEVICE void start_cluster_copy(void* shared, const void* global, int bytes, Arrival& a) {
  MONGE_ONLY_WARPGROUPS(asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1], %2, [%3], "
      "%4;\n" ::"r"(shared_address(shared)),
      "l"(global), "r"(bytes), "r"(shared_address(&a)), "h"(static_cast<std::uint16_t>((1u << blocks) - 1))
      : "memory"));
}

// x in another register, read here and not later.
MONGE_DEVICE float copied(float x) {
  float out;
  asm volatile("mov.f32 %0, %1;\n" : "=f"(out) : "f"(x));
  return out;
}

// From here on the compiler knows nothing of x: what follows from it is found where it is used, not kept in registers.
MONGE_DEVICE void forget(Index& x) { asm volatile("" : "+l"(x)); }

// 2^t, 0 where it would be subnormal; float: within 2 units of the last place.
MONGE_DEVICE float exp2_of(float t) {
  float out;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(out) : "f"(t));
  return out;
}
MONGE_DEVICE double exp2_of(double t) { return exp2(t); }
MONGE_DEVICE float larger(float a, float b) { return fmaxf(a, b); }
MONGE_DEVICE double larger(double a, double b) { return fmax(a, b); }

MONGE_DEVICE void raise_atomically(std::int32_t* to, std::int32_t value) { atomicMax(to, value); }
MONGE_DEVICE void add_atomically(unsigned long long* to, unsigned long long value) { atomicAdd(to, value); }

}  // namespace monge::ot::cuda

#elif !defined(MONGE_CUDA_EMULATED)
#error "kernels are compiled by nvcc, or in tests after tests/cuda/emulator.h"
#endif
