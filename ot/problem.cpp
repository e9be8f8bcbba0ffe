#include "monge/ot/problem.h"

#include <cmath>
#include <limits>
#include <string>

#include "monge/ot/core/error.h"
#include "monge/ot/finite.h"

namespace monge::ot {
namespace {

template <class T>
void check_on_cpu(MatrixView<const T> m, const char* who) {
  if (m.device.type != DeviceType::cpu) throw Error(Errc::backend_unavailable, concat(who, ": runs on the CPU only"));
}

}  // namespace

const char* to_string(Cost cost) {
  switch (cost) {
    case Cost::negative_dot:
      return "negative_dot";
    case Cost::squared_euclidean:
      return "squared_euclidean";
    case Cost::cosine:
      return "cosine";
    case Cost::euclidean:
      return "euclidean";
    case Cost::l1:
      return "l1";
  }
  return "unknown";
}

void check_weights(VectorView<const double> w, Index size, const char* who, const char* name) {
  if (w.empty()) return;
  require(w.size == size, who, ": ", name, " has ", w.size, " weights for ", size, " points");
  double total = 0;
  for (Index i = 0; i < size; ++i) {
    if (!std::isfinite(w[i])) throw Error(Errc::not_finite, concat(who, ": ", name, " is ", w[i], " at ", i));
    require(w[i] >= 0, who, ": ", name, " is negative (", w[i], ") at ", i);
    total += w[i];
  }
  require(total > 0, who, ": all weights of ", name, " are zero");
  require(std::isfinite(total), who, ": the sum of ", name, " overflows");
}

template <class T>
void check(const Problem<T>& p, const char* who, Forbidden forbidden) {
  const std::string name = who;
  if (p.is_dense()) {
    require(p.x.data == nullptr && p.y.data == nullptr, who, ": points and a cost matrix were given, one will do");
    require(p.rows() > 0 && p.cols() > 0, who, ": the cost matrix is empty (", p.rows(), " x ", p.cols(), ")");
    check_on_cpu(p.cost_matrix, who);
    if (forbidden == Forbidden::allowed)
      require_costs(p.cost_matrix, (name + ": cost").c_str());
    else
      require_finite(p.cost_matrix, (name + ": cost").c_str());
  } else {
    require(!p.x.empty(), who, ": x is empty (", p.x.rows, " x ", p.x.cols, ")");
    require(!p.y.empty(), who, ": y is empty (", p.y.rows, " x ", p.y.cols, ")");
    require(p.x.cols == p.y.cols, who, ": x has ", p.x.cols, " dimensions, y has ", p.y.cols);
    check_on_cpu(p.x, who);
    check_on_cpu(p.y, who);
    require_finite(p.x, (name + ": x").c_str());
    require_finite(p.y, (name + ": y").c_str());
  }
  constexpr Index most = std::numeric_limits<std::int32_t>::max();
  require(p.rows() <= most && p.cols() <= most, who, ": more than ", most, " points");
  check_weights(p.a, p.rows(), who, "a");
  check_weights(p.b, p.cols(), who, "b");
  require(p.x_labels.empty() == p.y_labels.empty(), who, ": labels are given for one side only");
  require(p.x_labels.empty() || (p.x_labels.size == p.rows() && p.y_labels.size == p.cols()), who, ": ",
          p.x_labels.size, " and ", p.y_labels.size, " labels for ", p.rows(), " and ", p.cols(), " points");
  const bool forbids = p.label_penalty == std::numeric_limits<double>::infinity();
  require(p.label_penalty >= 0, who, ": label_penalty is ", p.label_penalty);
  require(!forbids || forbidden == Forbidden::allowed, who,
          ": label_penalty is infinite: exact solvers alone know pairs that are forbidden");
}

template void check(const Problem<float>&, const char*, Forbidden);
template void check(const Problem<double>&, const char*, Forbidden);

}  // namespace monge::ot
