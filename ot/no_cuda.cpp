#include "monge/ot/core/backend.h"
#include "monge/ot/core/doctor.h"
#include "monge/ot/core/error.h"

namespace monge::ot {

bool cuda_available() noexcept { return false; }

std::unique_ptr<Backend> make_cuda_backend(int) {
  throw Error(Errc::backend_unavailable, "cuda: monge was built without CUDA (configure with -DMONGE_CUDA=ON)");
}

CudaReport cuda_report() {
  CudaReport report;
  report.why_not = "monge was built without CUDA (configure with -DMONGE_CUDA=ON)";
  return report;
}

}  // namespace monge::ot
