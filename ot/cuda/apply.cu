#include <algorithm>

#include "monge/ot/cuda/passes.h"
#include "monge/ot/cuda/prepare.h"
#include "monge/ot/cuda/reduction_apply.h"
#include "monge/ot/cuda/slabs.h"

namespace monge::ot::cuda {
namespace {

// Adds up the parts of `count` of `width` results of each row.
template <class T>
struct FinishApply {
  const double* sums;
  Index rows, parts;
  int width, count;
  const T* factor;
  MatrixView<T> out;
  Index first;
  Turn turn;

  MONGE_HOST_DEVICE void operator()(Index item) const {
    const Index i = item / count, k = item % count;
    T& target = out.data[i * out.stride + first + k];
    double all = 0;
    for (Index part = 0; part < parts; ++part) all += sums[(part * rows + i) * width + k];
    all *= static_cast<double>(factor[i]);
    target = static_cast<T>(turn.first ? all : static_cast<double>(target) + all);
  }
};

}  // namespace

// Sums first, so that exponentials are shares; then a pass for so many values at a time.
template <class T>
void apply(const Room& room, const Scores<T>& s, T epsilon, MatrixView<const T> values, MatrixView<T> out,
           const Context& context) {
  if (s.rows() == 0 || values.cols == 0) return;
  Call call("apply", room, context);
  const MatrixView<T> target = call.out(out);
  const MatrixView<const T> from = call.in(values);
  const Problem<T> p = read_scores(call, s, context.products);
  T* shift = call.scratch<T>(p.rows);
  T* factor = call.scratch<T>(p.rows);
  shares_into(call, p, epsilon, shift, factor);
  const T rate = rate_of(epsilon, p.cols).rate;
  const int width = values.cols <= few_values ? few_values : many_values;
  for (Index first = 0; first < values.cols; first += width) {
    const int count = static_cast<int>(std::min<Index>(width, values.cols - first));
    const T* some = from.data + first;
    for_slabs(call, p, [&](Problem<T> slab, Turn turn) {
      const Index parts = share_columns(slab);
      double* sums = call.scratch<double>(parts * p.rows * width);
      if (width == few_values) {
        auto* few = reinterpret_cast<Sums<few_values>*>(sums);
        run_pass<FewValuesReduction>(call, slab, parts, FewValuesArgs<T>{rate, shift, some, from.stride, count, few});
      } else {
        run_pass<ManyValuesReduction>(call, slab, parts,
                                      ManyValuesArgs<T>{rate, shift, some, from.stride, count, sums});
      }
      for_each(call, p.rows * count, FinishApply<T>{sums, p.rows, parts, width, count, factor, target, first, turn});
    });
  }
  call.finish();
}

template void apply(const Room&, const Scores<float>&, float, MatrixView<const float>, MatrixView<float>,
                    const Context&);
template void apply(const Room&, const Scores<double>&, double, MatrixView<const double>, MatrixView<double>,
                    const Context&);

}  // namespace monge::ot::cuda
