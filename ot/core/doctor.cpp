#include "monge/ot/core/doctor.h"

#include <hwy/targets.h>

#include <sstream>

#include "monge/ot/core/parallel.h"

namespace monge::ot {
namespace {

std::string version(int number) {
  std::ostringstream out;
  out << number / 1000 << '.' << number % 1000 / 10;
  return out.str();
}

void describe_cpu(std::ostream& out) {
  out << "cpu: " << resolve_threads(0) << " threads; instruction sets:";
  const std::int64_t targets = hwy::SupportedTargets();
  for (std::int64_t left = targets; left != 0; left &= left - 1) out << ' ' << hwy::TargetName(left & -left);
  out << '\n';
}

void describe_cuda(std::ostream& out) {
  const CudaReport report = cuda_report();
  if (report.compiled_in) {
    out << "cuda: compiled in, runtime " << version(report.toolkit) << "; driver "
        << (report.driver > 0 ? "for CUDA " + version(report.driver) : "not found") << '\n';
  }
  if (!report.why_not.empty()) out << "cuda: not used: " << report.why_not << '\n';
  for (const CudaDevice& d : report.devices) {
    out << "cuda:" << d.index << ": " << d.name << ", compute capability " << d.major << '.' << d.minor << ", "
        << (d.memory >> 20) << " MB, " << d.multiprocessors << " multiprocessors, " << (d.shared_memory >> 10)
        << " KB of shared memory a block" << (d.why_not.empty() ? "" : "; not used: " + d.why_not) << '\n';
  }
}

}  // namespace

std::string doctor() {
  std::ostringstream out;
  describe_cpu(out);
  describe_cuda(out);
  return out.str();
}

}  // namespace monge::ot
