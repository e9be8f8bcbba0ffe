#include "monge/ot/cuda/passes.h"
#include "monge/ot/cuda/prepare.h"
#include "monge/ot/cuda/slabs.h"

namespace monge::ot::cuda {
namespace {

template <class T, class U>
struct FinishSoftmin {
  const LogSum<T>* sums;
  Index rows, parts;
  LogSum<T>* all;  // of the slabs so far
  Turn turn;
  const T* u;
  double epsilon;
  U* out;

  MONGE_HOST_DEVICE void operator()(Index i) const {
    LogSum<T> all_of_row;
    if (!turn.first) all_of_row = all[i];
    for (Index part = 0; part < parts; ++part) all_of_row.add(sums[part * rows + i], epsilon);
    if (turn.last)
      finish(i, all_of_row);
    else
      all[i] = all_of_row;
  }

  MONGE_HOST_DEVICE void finish(Index i, const LogSum<T>& all_of_row) const {
    out[i] = static_cast<U>(-all_of_row.value(epsilon) - (u ? static_cast<double>(u[i]) : 0.0));
  }
};

}  // namespace

template <class T, class U>
void softmin_into(Call& call, Problem<T> p, T epsilon, U* out) {
  const Rate<T> rate = rate_of(epsilon, p.cols);
  LogSum<T>* all = p.streamed ? call.scratch<LogSum<T>>(p.rows) : nullptr;
  for_slabs(call, p, [&](Problem<T> slab, Turn turn) {
    const Index parts = share_columns(slab);
    LogSum<T>* sums = call.scratch<LogSum<T>>(parts * p.rows);
    run_pass<SoftminReduction>(call, slab, parts, SoftminArgs<T>{rate, sums});
    for_each(call, p.rows, FinishSoftmin<T, U>{sums, p.rows, parts, all, turn, p.row_bias, rate.epsilon, out});
  });
}

template <class T>
void softmin(const Room& room, const Scores<T>& s, T epsilon, VectorView<T> out, const Context& context) {
  Call call("softmin", room, context);
  T* target = call.out(out);
  softmin_into(call, read_scores(call, s, context.products), epsilon, target);
  call.finish();
}

template void softmin(const Room&, const Scores<float>&, float, VectorView<float>, const Context&);
template void softmin(const Room&, const Scores<double>&, double, VectorView<double>, const Context&);
template void softmin_into(Call&, Problem<float>, float, double*);
template void softmin_into(Call&, Problem<double>, double, double*);

}  // namespace monge::ot::cuda
