#include "monge/ot/cuda/passes.h"
#include "monge/ot/cuda/prepare.h"

namespace monge::ot::cuda {

// Two passes; the guess in f is not needed, since the largest score so far is cheap to keep.
template <class T>
void balance(const Room& room, const Scores<T>& s, T epsilon, VectorView<const double> weights, VectorView<double> f,
             VectorView<double> mass, const Context& context) {
  Call call("balance", room, context);
  double* potentials = call.out(f);
  double* target = call.out(mass);
  const double* row_weights = call.in(weights);
  const Problem<T> p = read_scores(call, s, context.products);
  softmin_into(call, p, epsilon, potentials);
  T* shift = call.scratch<T>(p.rows);
  T* factor = call.scratch<T>(p.rows);
  const double* unit = weight_unit(call, row_weights, p.rows);
  shift_rows(call, p.rows, potentials, p.row_bias, row_weights, unit, static_cast<double>(epsilon), shift, factor);
  mass_into(call, p, epsilon, shift, factor, unit, target);
  call.finish();
}

template void balance(const Room&, const Scores<float>&, float, VectorView<const double>, VectorView<double>,
                      VectorView<double>, const Context&);
template void balance(const Room&, const Scores<double>&, double, VectorView<const double>, VectorView<double>,
                      VectorView<double>, const Context&);

}  // namespace monge::ot::cuda
