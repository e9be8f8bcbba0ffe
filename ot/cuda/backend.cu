#include "monge/ot/cuda/backend.h"

#include <cuda_runtime.h>

#include "monge/ot/core/doctor.h"
#include "monge/ot/core/error.h"
#include "monge/ot/cuda/ops.h"

namespace monge::ot {
namespace {

int device_count(cudaError_t* status = nullptr) noexcept {
  int count = 0;
  const cudaError_t said = cudaGetDeviceCount(&count);
  if (said != cudaSuccess) cudaGetLastError();
  if (status) *status = said;
  return said == cudaSuccess ? count : 0;
}

// Why kernels do not run there; empty if they do.
std::string why_not(const cudaDeviceProp& device) {
  if (device.major < 8) return "older than compute capability 8.0";
  const auto bytes = static_cast<int>(device.sharedMemPerBlockOptin);
  if (bytes >= cuda::shared_of_80) return "";
  return concat("a block has ", bytes / 1024, " KB of shared memory there, kernels need ", cuda::shared_of_80 / 1024);
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
  cudaDeviceProp properties;
  if (cudaGetDeviceProperties(&properties, index) != cudaSuccess) {
    cudaGetLastError();
    throw Error(Errc::backend_unavailable, concat("cuda: device ", index, " does not answer"));
  }
  const std::string reason = why_not(properties);
  if (!reason.empty())
    throw Error(Errc::backend_unavailable, concat("cuda: device ", index, ", ", properties.name, ": ", reason));
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
    device.why_not = why_not(properties);
    report.devices.push_back(device);
  }
  return report;
}

}  // namespace monge::ot
