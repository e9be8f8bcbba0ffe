#include "monge/ot/core/status.h"

namespace monge::ot {

const char* to_string(Status status) {
  switch (status) {
    case Status::converged:
      return "converged";
    case Status::iteration_limit:
      return "iteration_limit";
    case Status::time_limit:
      return "time_limit";
    case Status::stopped_by_caller:
      return "stopped_by_caller";
    case Status::numerical_failure:
      return "numerical_failure";
  }
  return "unknown";
}

const char* to_string(Certificate::Kind kind) {
  switch (kind) {
    case Certificate::Kind::none:
      return "none";
    case Certificate::Kind::proven:
      return "proven";
    case Certificate::Kind::confidence:
      return "confidence";
  }
  return "unknown";
}

}  // namespace monge::ot
