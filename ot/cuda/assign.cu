#include <algorithm>

#include "monge/ot/cuda/assignment.h"
#include "monge/ot/cuda/passes.h"

namespace monge::ot::cuda {

template <class T>
void assign(const Room& room, MatrixView<const T> x, MatrixView<const T> y, Index n, VectorView<std::int32_t> columns,
            VectorView<double> f, VectorView<double> g, const Context& context) {
  require(n <= most_assigned, "assign: problems of ", n, " points, at most ", most_assigned);
  if (x.empty()) return;
  constexpr Index most_bytes = Index{1} << 32;  // of costs that do not fit on the chip
  Call call("assign", room, context);
  AssignmentBatch<T> batch{.x = call.in(x), .y = call.in(y), .n = static_cast<int>(n)};
  batch.columns = call.out(columns);
  batch.f = call.out(f);
  batch.g = call.out(g);
  const bool on_chip = n <= most_on_chip;
  const Index problems = x.rows / n, pairs = n * n;
  const Index at_once =
      on_chip ? problems : std::clamp<Index>(most_bytes / (pairs * Index{sizeof(double)}), 1, problems);
  if (!on_chip) batch.workspace = call.template scratch<double>(at_once * pairs);
  for (batch.first = 0; batch.first < problems; batch.first += at_once) {
    call.run(assign_kernel<T>, std::min(at_once, problems - batch.first), 1, AssignmentMemory::bytes(n), batch);
  }
  call.finish();
}

template void assign(const Room&, MatrixView<const float>, MatrixView<const float>, Index, VectorView<std::int32_t>,
                     VectorView<double>, VectorView<double>, const Context&);
template void assign(const Room&, MatrixView<const double>, MatrixView<const double>, Index, VectorView<std::int32_t>,
                     VectorView<double>, VectorView<double>, const Context&);

}  // namespace monge::ot::cuda
