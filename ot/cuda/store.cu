#include "monge/ot/cuda/passes.h"
#include "monge/ot/cuda/prepare.h"
#include "monge/ot/cuda/slabs.h"

namespace monge::ot::cuda {

template <class T>
void store(const Room& room, const Scores<T>& s, MatrixView<T> out, const Context& context) {
  Call call("store", room, context);
  const MatrixView<T> target = call.out(MatrixView<T>{out.data, s.rows(), s.cols(), out.stride, out.device});
  for_slabs(call, read_scores(call, s, context.products), [&](Problem<T> slab, Turn) {
    const Index parts = share_columns(slab);
    run_pass<StoreReduction>(call, slab, parts, StoreArgs<T>{target.data, target.stride});
  });
  call.finish();
}

// Tensor cores add the three products of halves in an order that depends on who is left and who is right.
template <class T>
bool repeats(const Scores<T>& s) {
  return sizeof(T) == 8 || s.is_stored() || s.metric != Metric::dot || s.x.cols <= direct_dims;
}

template void store(const Room&, const Scores<float>&, MatrixView<float>, const Context&);
template void store(const Room&, const Scores<double>&, MatrixView<double>, const Context&);
template bool repeats(const Scores<float>&);
template bool repeats(const Scores<double>&);

}  // namespace monge::ot::cuda
