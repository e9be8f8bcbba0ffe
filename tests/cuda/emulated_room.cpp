// Stands in for ot/no_cuda.cpp: one device, the emulator.
#include "monge/ot/core/doctor.h"
#include "monge/ot/cuda/backend.h"
#include "rooms.h"

namespace monge::ot {

bool is_emulated() { return true; }

bool cuda_available() noexcept { return true; }

std::unique_ptr<Backend> make_cuda_backend(int index) {
  if (index != 0) throw Error(Errc::backend_unavailable, "emulator: there is one device");
  return cuda::make_room(0);
}

CudaReport cuda_report() {
  CudaReport report;
  report.compiled_in = true;
  report.devices.emplace_back().name = "emulator";
  return report;
}

}  // namespace monge::ot
