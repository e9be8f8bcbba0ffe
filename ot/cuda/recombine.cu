#include "monge/ot/recombine.h"

#include <algorithm>

#include "monge/ot/cuda/hadamard.h"
#include "monge/ot/cuda/passes.h"
#include "monge/ot/cuda/prepare.h"

namespace monge::ot::cuda {
namespace {

// The noise rows of all sets of some groups, H D x / 8, one thread for each coordinate of each set.
MONGE_KERNEL(1)
mix_kernel(const float* x, Index stride, Index dims, Index sets, Index count, Rng signs, std::uint64_t first_block,
           float* out) {
  const Index item = block_x() * block_threads + thread();
  if (item >= count) return;
  const Index set = item / dims, k = item % dims, group = set / sets;
  const Rng::Block words = signs.bits(first_block + static_cast<std::uint64_t>(set));
  float a[64];
#pragma unroll
  for (int i = 0; i < 64; ++i) {
    const float value = x[(group * 64 + i) * stride + k];
    a[i] = is_negative(words, i) ? -value : value;
  }
  hadamard64(a);
#pragma unroll
  for (int i = 0; i < 64; ++i) out[(set * 64 + i) * dims + k] = a[i] * 0.125f;
}

// What is not within the window of a row's best, or nobody took, becomes -infinity and -1.
struct CutWindow {
  MatrixView<float> scores;
  MatrixView<std::int32_t> columns;
  float window;

  MONGE_HOST_DEVICE void operator()(Index i) const {
    float* s = scores.data + i * scores.stride;
    std::int32_t* c = columns.data + i * columns.stride;
    const float least = s[0] - window;
    for (Index k = 0; k < scores.cols; ++k) {
      if (c[k] != no_column && (k == 0 || s[k] >= least)) continue;
      s[k] = minus_infinity<float>();
      c[k] = -1;
    }
  }
};

}  // namespace

// The rows are mixed and scored one by one: on tensor cores a product of some ten dimensions costs no more than mixing
// scores would.
void recombine(const Room& room, const Recombination& r, MatrixView<float> scores, MatrixView<std::int32_t> columns,
               const Context& context) {
  const Index keep = scores.cols, sets = r.sets(), dims = r.x.cols;
  if (r.x.rows == 0 || keep == 0) return;
  Call call("recombined_candidates", room.device, room.stream, context);
  const MatrixView<float> to_scores = call.out(scores);
  const MatrixView<std::int32_t> to_columns = call.out(columns);
  const MatrixView<const float> x = call.in(r.x);
  const Device here{DeviceType::cuda, room.device};
  Scores<float> s{.y = call.in(r.y)};
  s.v = {call.in(r.v), r.v.size, here};
  s.y.device = here;
  const std::int32_t* row_labels = r.is_labelled() ? call.in(r.row_labels) : nullptr;
  if (r.is_labelled()) {
    s.col_labels = {call.in(r.col_labels), r.col_labels.size, here};
    s.label_penalty = r.label_penalty;
  }

  constexpr Index most = Index{1} << 26;  // floats of mixed rows at a time
  const Index at_once = std::clamp<Index>(most / (group_rows * sets * std::max<Index>(dims, 1)), 1, r.groups());
  float* mixed = call.scratch<float>(r.rounds > 0 ? at_once * group_rows * sets * dims : 0);
  for (Index first = 0; first < r.groups(); first += at_once) {
    Call step("recombined_candidates", room.device, room.stream, context);  // its memory is free again after each
    const Index groups = std::min(at_once, r.groups() - first), rows = groups * group_rows * sets;
    s.x = x.rows_from(first * group_rows, groups * group_rows);
    s.x.device = here;
    if (r.rounds > 0) {
      const std::uint64_t block =
          (r.first_group + static_cast<std::uint64_t>(first)) * static_cast<std::uint64_t>(sets);
      step.run(mix_kernel, blocks_for(groups * sets * dims), 1, 0, s.x.data, s.x.stride, dims, sets,
               groups * sets * dims, r.signs, block, mixed);
      s.x = {mixed, rows, dims, dims, here};
    }
    if (row_labels) s.row_labels = {row_labels + first * group_rows * sets, rows, here};
    const MatrixView<float> row_scores = to_scores.rows_from(first * group_rows * sets, rows);
    const MatrixView<std::int32_t> row_columns = to_columns.rows_from(first * group_rows * sets, rows);
    Scored<float>* nowhere = nullptr;
    best_into(step, read_scores(step, s, context.products), row_scores, row_columns, nowhere, false);
    for_each(step, rows, CutWindow{row_scores, row_columns, r.window});
  }
  call.finish();
}

}  // namespace monge::ot::cuda
