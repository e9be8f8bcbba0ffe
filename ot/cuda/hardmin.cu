#include <algorithm>

#include "monge/ot/cuda/passes.h"
#include "monge/ot/cuda/prepare.h"
#include "monge/ot/cuda/reduction_top.h"

namespace monge::ot::cuda {
namespace {

template <class T>
struct FinishLargest {
  const Scored<T>* scored;
  Index rows, parts;
  Scored<T>* out;

  MONGE_HOST_DEVICE void operator()(Index i) const {
    Scored<T> best;
    for (Index part = 0; part < parts; ++part) {
      if (scored[part * rows + i].before(best)) best = scored[part * rows + i];
    }
    out[i] = best;
  }
};

template <class T>
struct WriteLargest {
  const Scored<T>* scored;
  const T* u;
  MatrixView<T> values;
  MatrixView<std::int32_t> columns;

  MONGE_HOST_DEVICE void operator()(Index i) const {
    values.data[i * values.stride] = u ? scored[i].value + u[i] : scored[i].value;
    columns.data[i * columns.stride] = scored[i].column;
  }
};

}  // namespace

template <class T>
void largest_into(Call& call, Problem<T> p, Scored<T>* out) {
  const Index parts = share_columns(p);
  Scored<T>* scored = call.scratch<Scored<T>>(parts * p.rows);
  run_pass<LargestReduction<T>>(call, p, parts, {scored});
  for_each(call, p.rows, FinishLargest<T>{scored, p.rows, parts, out});
}

// More than a warp's list holds takes several passes, each for what comes behind the last.
template <class T>
void hardmin(const Room& room, const Scores<T>& s, MatrixView<T> values, MatrixView<std::int32_t> columns,
             const Context& context) {
  const Index k = values.cols;
  require(k <= s.cols(), "hardmin: ", k, " largest of ", s.cols(), " scores");
  if (k == 0 || s.rows() == 0) return;
  Call call("hardmin", room.device, room.stream, context);
  const MatrixView<T> to_values = call.out(values);
  const MatrixView<std::int32_t> to_columns = call.out(columns);
  Problem<T> p = read_scores(call, s, context.products);
  if (k == 1) {
    Scored<T>* best = call.scratch<Scored<T>>(p.rows);
    largest_into(call, p, best);
    for_each(call, p.rows, WriteLargest<T>{best, p.row_bias, to_values, to_columns});
    return call.finish();
  }
  const Index parts = share_columns(p, 8);
  const Index width = std::min<Index>(k, list_places);
  Scored<T>* lists = call.scratch<Scored<T>>(parts * p.rows * list_places);
  Scored<T>* last = call.scratch<Scored<T>>(p.rows);
  for (Index done = 0; done < k; done += width) {
    const int places = static_cast<int>(std::min(width, k - done));
    run_pass<TopReduction<T>>(call, p, parts, {places, done > 0 ? last : nullptr, lists});
    call.run(merge_lists_kernel<T>, blocks_for(p.rows, block_warps), 1, 0, p.rows, lists, parts, places, p.row_bias,
             to_values.data + done, to_values.stride, to_columns.data + done, to_columns.stride, last);
  }
  call.finish();
}

template void hardmin(const Room&, const Scores<float>&, MatrixView<float>, MatrixView<std::int32_t>, const Context&);
template void hardmin(const Room&, const Scores<double>&, MatrixView<double>, MatrixView<std::int32_t>, const Context&);
template void largest_into(Call&, Problem<float>, Scored<float>*);
template void largest_into(Call&, Problem<double>, Scored<double>*);

}  // namespace monge::ot::cuda
