#include "cuda_ceilings.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "monge/ot/cuda/ops.h"

namespace monge::bench {
namespace {

constexpr int rounds = 4096, lanes = 8;

void check(cudaError_t status) {
  if (status != cudaSuccess) throw std::runtime_error(std::string("ceilings: ") + cudaGetErrorString(status));
}

// Eight chains of each operation in every thread, long enough for latencies to be hidden; what comes of them is stored
// if it is a number that it never is, so that nothing is left out.
template <class T, class Step>
__device__ void chains(T* out, T start, const Step& step) {
  T value[lanes];
  for (int l = 0; l < lanes; ++l) value[l] = start + static_cast<T>(threadIdx.x + l) * static_cast<T>(1e-3);
  for (int r = 0; r < rounds; ++r) {
#pragma unroll
    for (int l = 0; l < lanes; ++l) value[l] = step(value[l]);
  }
  T sum = 0;
  for (int l = 0; l < lanes; ++l) sum += value[l];
  if (sum == static_cast<T>(-12345)) out[threadIdx.x] = sum;
}

__global__ void exp2_kernel(float* out) {
  chains<float>(out, 0.1f, [](float x) { return ot::cuda::exp2_of(x); });  // tends to overflow, which costs the same
}
template <class T>
__global__ void fma_kernel(T* out, T a, T b) {
  chains<T>(out, T(1), [=](T x) { return fma(x, a, b); });
}
__global__ void mma_kernel(float* out) {
  float sums[lanes][4] = {};
  // Random-looking operands near 1: zeros would run faster.
  std::uint32_t a[4], b[2];
  for (int r = 0; r < 4; ++r) a[r] = 0x3c003c00u + (threadIdx.x * 2654435761u + r * 40503u) % 0x200u;
  for (int r = 0; r < 2; ++r) b[r] = 0xbc003c00u + (threadIdx.x * 2246822519u + r * 30011u) % 0x200u;
  for (int r = 0; r < rounds; ++r) {
#pragma unroll
    for (int l = 0; l < lanes; ++l) ot::cuda::multiply_add(sums[l], a, b[0], b[1]);
  }
  float sum = 0;
  for (int l = 0; l < lanes; ++l) sum += sums[l][0] + sums[l][1] + sums[l][2] + sums[l][3];
  if (sum == -12345.0f) out[threadIdx.x] = sum;
}

// Two warpgroups, 64 x 64 times 64 x 128 of halves near 1 again and again.
constexpr int wgmma_bytes = (2 * 64 + 128) * 128, wgmma_rounds = rounds / 4;
MONGE_KERNEL(2) wgmma_kernel(float* out) {
  using namespace ot::cuda;
  unsigned char* const shared = shared_memory();
  auto* const words = reinterpret_cast<std::uint32_t*>(shared);
  for (int w = thread(); w < wgmma_bytes / 4; w += block_threads) words[w] = 0x3c003c00u + w * 2654435761u % 0x200u;
  MONGE_ONLY_WARPGROUPS(asm volatile("fence.proxy.async;\n" ::: "memory"));
  barrier();
  const Operand a = operand_at(shared + thread() / 128 * 64 * 128), b = operand_at(shared + 2 * 64 * 128);
  float sums[64];
#pragma unroll
  for (float& sum : sums) sum = 0;
  for (int r = 0; r < wgmma_rounds; ++r) {
    begin_products();
#pragma unroll
    for (int k = 0; k < 4; ++k) multiply_add(sums, moved(a, 32 * k), moved(b, 32 * k));
    end_products();
    wait_products<0>(sums);
  }
  float sum = 0;
#pragma unroll
  for (const float one : sums) sum += one;
  if (sum == -12345.0f) out[thread()] = sum;
}

}  // namespace

double device_seconds(int times, const std::function<void(void*)>& work) {
  cudaStream_t stream;
  cudaEvent_t start, end;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  check(cudaEventCreate(&start));
  check(cudaEventCreate(&end));
  std::vector<float> all;
  for (int t = 0; t <= times; ++t) {
    check(cudaEventRecord(start, stream));
    work(stream);
    check(cudaEventRecord(end, stream));
    check(cudaEventSynchronize(end));
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, start, end));
    if (t > 0) all.push_back(milliseconds);
  }
  check(cudaGetLastError());
  cudaEventDestroy(start);
  cudaEventDestroy(end);
  cudaStreamDestroy(stream);
  std::nth_element(all.begin(), all.begin() + all.size() / 2, all.end());
  return 1e-3 * all[all.size() / 2];
}

Ceilings measure_ceilings() {
  int device = 0, processors = 0;
  check(cudaGetDevice(&device));
  check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device));
  const int blocks = 8 * processors, threads = 256;
  const double steps = static_cast<double>(blocks) * threads * rounds * lanes;
  float* out = nullptr;
  check(cudaMalloc(&out, threads * sizeof(double)));
  Ceilings c;
  c.exp2 = steps / device_seconds(5, [&](void* s) { exp2_kernel<<<blocks, threads, 0, cudaStream_t(s)>>>(out); });
  c.fma = steps / device_seconds(5, [&](void* s) {
            fma_kernel<float><<<blocks, threads, 0, cudaStream_t(s)>>>(out, 0.999f, 1e-3f);
          });
  c.fma64 = steps / device_seconds(5, [&](void* s) {
              fma_kernel<double><<<blocks, threads, 0, cudaStream_t(s)>>>(reinterpret_cast<double*>(out), 0.999, 1e-3);
            });
  c.mma = steps / 32 * 16 * 8 * 16 /
          device_seconds(5, [&](void* s) { mma_kernel<<<blocks, threads, 0, cudaStream_t(s)>>>(out); });
  int major = 0, minor = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device));
  if (major == 9 && minor == 0) {
    c.wgmma = 2.0 * blocks * wgmma_rounds * 4 * 64 * 128 * 16 /
              device_seconds(5, [&](void* s) { wgmma_kernel<<<blocks, threads, wgmma_bytes, cudaStream_t(s)>>>(out); });
  }
  check(cudaFree(out));
  const std::size_t bytes = std::size_t{1} << 31;  // far beyond any L2
  void *from = nullptr, *to = nullptr;
  check(cudaMalloc(&from, bytes));
  check(cudaMalloc(&to, bytes));
  check(cudaMemset(from, 0x5a, bytes));
  c.copy = 2.0 * static_cast<double>(bytes) / device_seconds(5, [&](void* s) {
             check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, cudaStream_t(s)));
           });
  check(cudaFree(from));
  check(cudaFree(to));
  return c;
}

}  // namespace monge::bench
