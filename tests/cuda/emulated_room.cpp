// Stands in for ot/no_cuda.cpp: two devices, the emulator's.
#include "monge/ot/core/doctor.h"
#include "monge/ot/cuda/backend.h"
#include "rooms.h"

namespace monge::ot {

bool is_emulated() { return true; }

bool cuda_available() noexcept { return true; }

std::unique_ptr<Backend> make_cuda_backend(int index) {
  if (index != 0 && index != 1) throw Error(Errc::backend_unavailable, "emulator: there are two devices");
  return cuda::make_room(index);
}

CudaReport cuda_report() {
  CudaReport report;
  report.compiled_in = true;
  report.devices.emplace_back().name = "emulator of compute capability 9.0";
  report.devices.emplace_back().name = "emulator of compute capability 8.0";
  return report;
}

}  // namespace monge::ot
