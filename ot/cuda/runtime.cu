#include "monge/ot/cuda/runtime.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <mutex>
#include <vector>

namespace monge::ot::cuda {
namespace {

// A failed call leaves an error behind that later calls would report; it is taken away here. (One that has broken the
// device stays, whatever anyone does.)
void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  const Errc code = status == cudaErrorMemoryAllocation ? Errc::out_of_memory : Errc::device_failure;
  throw Error(code, concat("cuda: ", what, ": ", cudaGetErrorString(status)));
}

cudaStream_t native(Stream stream) { return static_cast<cudaStream_t>(stream); }

// A pool of our own for each device, so that nobody else's is kept from giving memory back.
cudaMemPool_t pool_of_this_device() {
  static std::mutex mutex;
  static std::vector<cudaMemPool_t> pools;
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  const std::lock_guard lock(mutex);
  pools.resize(std::max(pools.size(), static_cast<std::size_t>(device) + 1), nullptr);
  cudaMemPool_t& pool = pools[static_cast<std::size_t>(device)];
  if (!pool) {
    cudaMemPoolProps properties = {};
    properties.allocType = cudaMemAllocationTypePinned;
    properties.location = {cudaMemLocationTypeDevice, device};
    check(cudaMemPoolCreate(&pool, &properties), "cudaMemPoolCreate");
    std::uint64_t keep = UINT64_MAX;
    check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep), "cudaMemPoolSetAttribute");
  }
  return pool;
}

}  // namespace

DeviceScope::DeviceScope(int device) {
  check(cudaGetDevice(&before_), "cudaGetDevice");
  if (device != before_) check(cudaSetDevice(device), "cudaSetDevice");
  own_ = device;
}
DeviceScope::~DeviceScope() {
  if (own_ != before_) cudaSetDevice(before_);  // which would wake up a device that nobody has used yet
}

bool multiplies_by_warpgroups(int device) {
  constexpr int compiled[] = {__CUDA_ARCH_LIST__};  // without 900 a device compiles kernels of another for itself
  if (std::find(std::begin(compiled), std::end(compiled), 900) == std::end(compiled)) return false;
  int major = 0, minor = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "cudaDeviceGetAttribute");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "cudaDeviceGetAttribute");
  return major == 9 && minor == 0;
}

Stream make_stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  return stream;
}
void destroy_stream(Stream stream) noexcept { cudaStreamDestroy(native(stream)); }

void* allocate(std::size_t bytes) {
  void* memory = nullptr;
  cudaError_t status = cudaMalloc(&memory, bytes);
  if (status == cudaErrorMemoryAllocation) {  // the pool may be holding what is missing
    cudaGetLastError();
    check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    check(cudaMemPoolTrimTo(pool_of_this_device(), 0), "cudaMemPoolTrimTo");
    status = cudaMalloc(&memory, bytes);
  }
  check(status, concat("no memory for ", bytes, " bytes").c_str());
  return memory;
}
void deallocate(void* memory) noexcept { cudaFree(memory); }

void* allocate_on(Stream stream, std::size_t bytes) {
  if (bytes == 0) return nullptr;
  const cudaMemPool_t pool = pool_of_this_device();
  void* memory = nullptr;
  cudaError_t status = cudaMallocFromPoolAsync(&memory, bytes, pool, native(stream));
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");  // other streams may be about to give some back
    check(cudaMemPoolTrimTo(pool, 0), "cudaMemPoolTrimTo");
    status = cudaMallocFromPoolAsync(&memory, bytes, pool, native(stream));
  }
  check(status, concat("no memory for ", bytes, " bytes").c_str());
  return memory;
}
void deallocate_on(Stream stream, void* memory) noexcept {
  if (memory) cudaFreeAsync(memory, native(stream));
}

void copy_on(Stream stream, void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t width,
             std::size_t rows) {
  if (width == 0 || rows == 0) return;
  // cudaMemcpy2D refuses pitches beyond some GB of single rows.
  if (rows == 1 || (to_pitch == width && from_pitch == width)) {
    check(cudaMemcpyAsync(to, from, width * rows, cudaMemcpyDefault, native(stream)), "cudaMemcpyAsync");
  } else {
    check(cudaMemcpy2DAsync(to, to_pitch, from, from_pitch, width, rows, cudaMemcpyDefault, native(stream)),
          "cudaMemcpy2DAsync");
  }
}

void zero_on(Stream stream, void* memory, std::size_t bytes) {
  if (bytes > 0) check(cudaMemsetAsync(memory, 0, bytes, native(stream)), "cudaMemsetAsync");
}

void synchronize_all() { check(cudaDeviceSynchronize(), "cudaDeviceSynchronize"); }
void synchronize(Stream stream) { check(cudaStreamSynchronize(native(stream)), "cudaStreamSynchronize"); }

std::size_t free_memory() {
  check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  check(cudaMemPoolTrimTo(pool_of_this_device(), 0), "cudaMemPoolTrimTo");
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return free;
}

Event make_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  return event;
}
void destroy_event(Event event) noexcept { cudaEventDestroy(static_cast<cudaEvent_t>(event)); }
void record(Event event, Stream stream) {
  check(cudaEventRecord(static_cast<cudaEvent_t>(event), native(stream)), "cudaEventRecord");
}
void wait(Stream stream, Event event) {
  check(cudaStreamWaitEvent(native(stream), static_cast<cudaEvent_t>(event)), "cudaStreamWaitEvent");
}

const void* pin(const void* memory, std::size_t bytes) noexcept {
  const cudaError_t status = cudaHostRegister(const_cast<void*>(memory), bytes, cudaHostRegisterPortable);
  if (status != cudaSuccess) cudaGetLastError();
  return status == cudaSuccess ? memory : nullptr;
}
void unpin(const void* memory) noexcept {
  if (memory && cudaHostUnregister(const_cast<void*>(memory)) != cudaSuccess) cudaGetLastError();
}

void check_launch(const char* what) { check(cudaGetLastError(), what); }

void allow_shared(const void* kernel, std::size_t bytes) {
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
        concat("a kernel needs ", bytes, " bytes of shared memory").c_str());
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared),
        "cudaFuncSetAttribute");
}

}  // namespace monge::ot::cuda
