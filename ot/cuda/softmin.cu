#include "monge/ot/cuda/passes.h"
#include "monge/ot/cuda/prepare.h"
#include "monge/ot/cuda/slabs.h"

namespace monge::ot::cuda {
namespace {

template <class T, class Write>
struct FinishSums {
  const LogSum<T>* sums;
  Index rows, parts;
  LogSum<T>* all;  // of the slabs so far
  Turn turn;
  double epsilon;
  Write write;

  MONGE_HOST_DEVICE void operator()(Index i) const {
    LogSum<T> all_of_row;
    if (!turn.first) all_of_row = all[i];
    for (Index part = 0; part < parts; ++part) all_of_row.add(sums[part * rows + i], epsilon);
    if (turn.last)
      write(i, all_of_row);
    else
      all[i] = all_of_row;
  }
};

template <class T, class U>
struct WritePotential {
  const T* u;
  double epsilon;
  U* out;

  MONGE_HOST_DEVICE void operator()(Index i, const LogSum<T>& sum) const {
    out[i] = static_cast<U>(-sum.value(epsilon) - (u ? static_cast<double>(u[i]) : 0.0));
  }
};

// The potential, in T, as the shift, so that exponentials are about shares; the factor has what it lacks.
template <class T>
struct WriteShares {
  const T* u;
  double epsilon;
  T* shift;
  T* factor;

  MONGE_HOST_DEVICE void operator()(Index i, const LogSum<T>& sum) const {
    if (sum.sum == 0 || (u && u[i] == minus_infinity<T>())) {
      shift[i] = minus_infinity<T>(), factor[i] = 0;
      return;
    }
    const double best = static_cast<double>(sum.best), rest = log(sum.sum);
    const T potential = static_cast<T>(-best - epsilon * rest);
    shift[i] = isfinite(potential) ? potential : -sum.best;
    factor[i] = static_cast<T>(exp(-(static_cast<double>(shift[i]) + best) / epsilon - rest));
  }
};

// write(i, sum_j exp(s_ij / epsilon)) for each row.
template <class T, class Write>
void add_up(Call& call, const Problem<T>& p, T epsilon, const Write& write) {
  const Rate<T> rate = rate_of(epsilon, p.cols);
  LogSum<T>* all = p.streamed ? call.scratch<LogSum<T>>(p.rows) : nullptr;
  for_slabs(call, p, [&](Problem<T> slab, Turn turn) {
    const Index parts = share_columns(slab);
    LogSum<T>* sums = call.scratch<LogSum<T>>(parts * p.rows);
    run_pass<SoftminReduction>(call, slab, parts, SoftminArgs<T>{rate, sums});
    for_each(call, p.rows, FinishSums<T, Write>{sums, p.rows, parts, all, turn, rate.epsilon, write});
  });
}

}  // namespace

template <class T, class U>
void softmin_into(Call& call, const Problem<T>& p, T epsilon, U* out) {
  add_up(call, p, epsilon, WritePotential<T, U>{p.row_bias, static_cast<double>(epsilon), out});
}
template <class T>
void shares_into(Call& call, const Problem<T>& p, T epsilon, T* shift, T* factor) {
  add_up(call, p, epsilon, WriteShares<T>{p.row_bias, static_cast<double>(epsilon), shift, factor});
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
template void softmin_into(Call&, const Problem<float>&, float, double*);
template void softmin_into(Call&, const Problem<double>&, double, double*);
template void shares_into(Call&, const Problem<float>&, float, float*, float*);
template void shares_into(Call&, const Problem<double>&, double, double*, double*);

}  // namespace monge::ot::cuda
