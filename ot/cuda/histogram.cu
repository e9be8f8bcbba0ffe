#include "monge/ot/cuda/passes.h"
#include "monge/ot/cuda/prepare.h"
#include "monge/ot/cuda/slabs.h"

namespace monge::ot::cuda {
namespace {

struct FinishMass {
  const Sums<1>* sums;
  Index first, cols, parts;
  const double* unit;
  double* mass;

  MONGE_HOST_DEVICE void operator()(Index k) const {
    const Index j = first + k;
    double all = 0;
    for (Index part = 0; part < parts; ++part) all += sums[part * cols + j].v[0];
    mass[j] = all * (unit ? *unit : 1.0);
  }
};

// Weights as integers, so that they may be added in any order: multiples of 2^-62 of a bound on their sum.
template <class T>
struct CountLargest {
  const Scored<T>* best;
  const T* u;  // null: 0
  const T* weights;
  const double* unit;  // of the weights, null: 1
  int power;           // of the bound on the sum, in units
  unsigned long long* counts;

  MONGE_DEVICE void operator()(Index i) const {
    const double weight = weights ? static_cast<double>(weights[i]) / *unit : 1.0;
    if (best[i].value > minus_infinity<T>() && !(u && u[i] == minus_infinity<T>())) {
      add_atomically(&counts[best[i].column], static_cast<unsigned long long>(rint(ldexp(weight, 62 - power))));
    }
  }
};

struct FinishCounts {
  const unsigned long long* counts;
  const double* unit;
  int power;
  double* mass;

  MONGE_HOST_DEVICE void operator()(Index j) const {
    mass[j] = ldexp(static_cast<double>(counts[j]), power - 62) * (unit ? *unit : 1.0);
  }
};

template <class T>
void count_largest(Call& call, const Problem<T>& p, const T* weights, double* mass) {
  Scored<T>* best = call.scratch<Scored<T>>(p.rows);
  unsigned long long* counts = call.scratch<unsigned long long>(p.cols);
  zero_on(call.stream(), counts, sizeof(unsigned long long) * static_cast<std::size_t>(p.cols));
  const double* unit = weight_unit(call, weights, p.rows);
  int power = 1;  // rows times less than 2 units each
  while ((Index{1} << power) < 2 * p.rows) ++power;
  largest_into(call, p, best);
  for_each(call, p.rows, CountLargest<T>{best, p.row_bias, weights, unit, power, counts});
  for_each(call, p.cols, FinishCounts{counts, unit, power, mass});
}

}  // namespace

template <class T>
void mass_into(Call& call, Problem<T> p, T epsilon, const T* shift, const T* factor, const double* unit, double* mass) {
  Problem<T> turned = transposed(p);
  turned.col_bias = shift;  // instead of u_i
  for_slabs(call, turned, [&](Problem<T> slab, Turn) {
    const Index parts = share_columns(slab), first = slab.first_block * WarpTile<T>::tile_rows;
    Sums<1>* sums = call.scratch<Sums<1>>(parts * slab.rows);
    run_pass<MassReduction>(call, slab, parts, MassArgs<T>{rate_of(epsilon, p.cols).rate, factor, sums});
    for_each(call, slab.rows - first, FinishMass{sums, first, slab.rows, parts, unit, mass});
  });
}

template <class T>
void histogram(const Room& room, const Scores<T>& s, T epsilon, VectorView<const T> f, VectorView<const T> weights,
               VectorView<double> mass, const Context& context) {
  Call call("histogram", room, context);
  double* target = call.out(mass);
  if (s.rows() == 0) {
    zero_on(call.stream(), target, sizeof(double) * static_cast<std::size_t>(mass.size));
    return call.finish();
  }
  const Problem<T> p = read_scores(call, s, context.products);
  const T* row_weights = call.in(weights);
  if (epsilon == 0) {
    count_largest(call, p, row_weights, target);
    return call.finish();
  }
  T* shift = call.scratch<T>(p.rows);
  T* factor = call.scratch<T>(p.rows);
  const double* unit = weight_unit(call, row_weights, p.rows);
  shift_rows(call, p.rows, call.in(f), p.row_bias, row_weights, unit, static_cast<double>(epsilon), shift, factor);
  mass_into(call, p, epsilon, shift, factor, unit, target);
  call.finish();
}

template void histogram(const Room&, const Scores<float>&, float, VectorView<const float>, VectorView<const float>,
                        VectorView<double>, const Context&);
template void histogram(const Room&, const Scores<double>&, double, VectorView<const double>, VectorView<const double>,
                        VectorView<double>, const Context&);
template void mass_into(Call&, Problem<float>, float, const float*, const float*, const double*, double*);
template void mass_into(Call&, Problem<double>, double, const double*, const double*, const double*, double*);

}  // namespace monge::ot::cuda
