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
  Turn turn;
  Scored<T>* out;

  MONGE_HOST_DEVICE void operator()(Index i) const {
    Scored<T> best;
    if (!turn.first) best = out[i];
    for (Index part = 0; part < parts; ++part) {
      if (scored[part * rows + i].before(best)) best = scored[part * rows + i];
    }
    out[i] = best;
  }
};

template <class V>
struct CopyEach {
  const V* from;
  V* to;
  MONGE_HOST_DEVICE void operator()(Index i) const { to[i] = from[i]; }
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
  for_slabs(call, p, [&](Problem<T> slab, Turn turn) {
    const Index parts = share_columns(slab);
    Scored<T>* scored = call.scratch<Scored<T>>(parts * p.rows);
    run_pass<LargestReduction>(call, slab, parts, LargestArgs<T>{scored});
    for_each(call, p.rows, FinishLargest<T>{scored, p.rows, parts, turn, out});
  });
}

template <class T>
void best_into(Call& call, Problem<T> p, MatrixView<T> values, MatrixView<std::int32_t> columns, Scored<T>* after,
               bool started) {
  const int k = static_cast<int>(values.cols);
  // Each slab is looked through for what is behind the last of an earlier pass, not of this one.
  Scored<T>* last = p.streamed && after ? call.scratch<Scored<T>>(p.rows) : after;
  Scored<T>* best = p.streamed ? call.scratch<Scored<T>>(p.rows * list_places) : nullptr;
  for_slabs(call, p, [&](Problem<T> slab, Turn turn) {
    const Index parts = share_columns(slab, 8);
    Scored<T>* lists = call.scratch<Scored<T>>(parts * p.rows * list_places);
    run_pass<TopReduction>(call, slab, parts, TopArgs<T>{k, started ? after : nullptr, lists});
    merge_lists(call, p.rows, lists, parts, k, p.row_bias, values, columns, last, best, turn);
  });
  if (last != after) for_each(call, p.rows, CopyEach<Scored<T>>{last, after});
}

// More than a warp's list holds takes several passes, each for what comes behind the last.
template <class T>
void hardmin(const Room& room, const Scores<T>& s, MatrixView<T> values, MatrixView<std::int32_t> columns,
             const Context& context) {
  const Index k = values.cols;
  require(k <= s.cols(), "hardmin: ", k, " largest of ", s.cols(), " scores");
  if (k == 0 || s.rows() == 0) return;
  Call call("hardmin", room, context);
  const MatrixView<T> to_values = call.out(values);
  const MatrixView<std::int32_t> to_columns = call.out(columns);
  const Problem<T> p = read_scores(call, s, context.products);
  Scored<T>* last = call.scratch<Scored<T>>(p.rows);
  if (k == 1) {
    largest_into(call, p, last);
    for_each(call, p.rows, WriteLargest<T>{last, p.row_bias, to_values, to_columns});
    return call.finish();
  }
  for (Index done = 0; done < k; done += list_places) {
    const Index places = std::min<Index>(list_places, k - done);
    best_into(call, p, MatrixView<T>{to_values.data + done, p.rows, places, to_values.stride},
              MatrixView<std::int32_t>{to_columns.data + done, p.rows, places, to_columns.stride}, last, done > 0);
  }
  call.finish();
}

template void hardmin(const Room&, const Scores<float>&, MatrixView<float>, MatrixView<std::int32_t>, const Context&);
template void hardmin(const Room&, const Scores<double>&, MatrixView<double>, MatrixView<std::int32_t>, const Context&);
template void best_into(Call&, Problem<float>, MatrixView<float>, MatrixView<std::int32_t>, Scored<float>*, bool);
template void best_into(Call&, Problem<double>, MatrixView<double>, MatrixView<std::int32_t>, Scored<double>*, bool);
template void largest_into(Call&, Problem<float>, Scored<float>*);
template void largest_into(Call&, Problem<double>, Scored<double>*);

}  // namespace monge::ot::cuda
