#include "monge/ot/cuda/backend.h"

#include <cuda_runtime.h>

#include "monge/ot/core/doctor.h"
#include "monge/ot/core/error.h"

namespace monge::ot {
namespace {

int device_count(cudaError_t* status = nullptr) noexcept {
  int count = 0;
  const cudaError_t said = cudaGetDeviceCount(&count);
  if (said != cudaSuccess) cudaGetLastError();
  if (status) *status = said;
  return said == cudaSuccess ? count : 0;
}

}  // namespace

bool cuda_available() noexcept { return device_count() > 0; }

std::unique_ptr<Backend> make_cuda_backend(int index) {
  cudaError_t status;
  const int count = device_count(&status);
  if (status != cudaSuccess) {
    throw Error(Errc::backend_unavailable, concat("cuda: no device: ", cudaGetErrorString(status)));
  }
  if (index < 0 || index >= count) {
    throw Error(Errc::backend_unavailable, concat("cuda: there is no device ", index, ", only ", count));
  }
  return cuda::make_room(index);
}

CudaReport cuda_report() {
  CudaReport report;
  report.compiled_in = true;
  report.toolkit = CUDART_VERSION;
  if (cudaDriverGetVersion(&report.driver) != cudaSuccess) cudaGetLastError();
  cudaError_t status;
  const int count = device_count(&status);
  if (status != cudaSuccess) report.why_not = cudaGetErrorString(status);
  for (int index = 0; index < count; ++index) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, index) != cudaSuccess) {
      cudaGetLastError();
      continue;
    }
    CudaDevice device{index,
                      properties.name,
                      properties.major,
                      properties.minor,
                      properties.totalGlobalMem,
                      properties.multiProcessorCount,
                      properties.sharedMemPerBlockOptin,
                      {}};
    if (properties.major < 8) device.why_not = "older than compute capability 8.0";
    report.devices.push_back(device);
  }
  return report;
}

}  // namespace monge::ot
