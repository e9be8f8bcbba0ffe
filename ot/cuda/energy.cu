#include "monge/ot/cuda/passes.h"
#include "monge/ot/cuda/prepare.h"
#include "monge/ot/cuda/slabs.h"

namespace monge::ot::cuda {
namespace {

template <class T>
struct FinishEnergy {
  const Sums<3>* sums;
  Index rows, parts;
  const T* factor;
  MatrixView<double> out;
  Turn turn;

  MONGE_HOST_DEVICE void operator()(Index i) const {
    for (int k = 0; k < 3; ++k) {
      double& target = out.data[i * out.stride + k];
      double all = 0;
      for (Index part = 0; part < parts; ++part) all += sums[part * rows + i].v[k];
      target = (turn.first ? 0.0 : target) + all * static_cast<double>(factor[i]);
    }
  }
};

}  // namespace

template <class T>
void energy(const Room& room, const Scores<T>& s, T epsilon, VectorView<const double> f, VectorView<const T> w,
            VectorView<const T> bias, MatrixView<double> out, const Context& context) {
  Call call("energy", room, context);
  const MatrixView<double> target = call.out(out);
  const Problem<T> p = read_scores(call, s, context.products);
  T* shift = call.scratch<T>(p.rows);
  T* factor = call.scratch<T>(p.rows);
  shift_rows<T, double, double>(call, p.rows, call.in(f), p.row_bias, nullptr, nullptr, static_cast<double>(epsilon),
                                shift, factor);
  const T* shares = call.in(w);
  const T* biases = call.in(bias);
  for_slabs(call, p, [&](Problem<T> slab, Turn turn) {
    const Index parts = share_columns(slab);
    Sums<3>* sums = call.scratch<Sums<3>>(parts * p.rows);
    run_pass<EnergyReduction>(call, slab, parts,
                              EnergyArgs<T>{rate_of(epsilon, p.cols).rate, shift, shares, biases, sums});
    for_each(call, p.rows, FinishEnergy<T>{sums, p.rows, parts, factor, target, turn});
  });
  call.finish();
}

template void energy(const Room&, const Scores<float>&, float, VectorView<const double>, VectorView<const float>,
                     VectorView<const float>, MatrixView<double>, const Context&);
template void energy(const Room&, const Scores<double>&, double, VectorView<const double>, VectorView<const double>,
                     VectorView<const double>, MatrixView<double>, const Context&);

}  // namespace monge::ot::cuda
