#include <algorithm>

#include "monge/ot/assignment_cloud.h"
#include "monge/ot/assignment_rows.h"
#include "monge/ot/assignment_search.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/cpu/passes.h"

namespace monge::ot::cpu {

// Each on its dense matrix. (ot/assignment.h has what is faster where few pairs matter.)
template <class T>
void assign(MatrixView<const T> x, MatrixView<const T> y, Index n, VectorView<std::int32_t> columns,
            VectorView<double> f, VectorView<double> g, const Context& context) {
  parallel_for(context.threads, x.rows / n, [&](Index b, int) {
    AssignmentOptions options;
    options.context = context;
    detail::Monitor monitor(options, n, "assign");
    Matrix<double> cost(n, n);
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < n; ++j)
        cost(i, j) = detail::squared_distance(x.row(b * n + i), y.row(b * n + j), x.cols, 0);
    const MatrixView<const double> c = std::as_const(cost).view();
    const detail::Assignment a = detail::search(c, {}, monitor);
    if (context.stop) context.stop->look();
    std::copy(a.column_of.begin(), a.column_of.end(), columns.data + b * n);
    std::copy(a.v.begin(), a.v.end(), g.data + b * n);
    for (Index i = 0; i < n; ++i) f[b * n + i] = detail::two_smallest(c.row(i), a.v.data(), n).first;
  });
}

template void assign(MatrixView<const float>, MatrixView<const float>, Index, VectorView<std::int32_t>,
                     VectorView<double>, VectorView<double>, const Context&);
template void assign(MatrixView<const double>, MatrixView<const double>, Index, VectorView<std::int32_t>,
                     VectorView<double>, VectorView<double>, const Context&);

}  // namespace monge::ot::cpu
