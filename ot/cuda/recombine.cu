#include "monge/ot/recombine.h"

#include <algorithm>

#include "monge/ot/cuda/passes.h"
#include "monge/ot/cuda/prepare.h"
#include "monge/ot/cuda/reduction_recombine.h"
#include "monge/ot/cuda/reduction_top.h"

namespace monge::ot::cuda {
namespace {

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

// Bytes that lists of candidates may take, and a row takes in each part of the columns.
constexpr Index most_bytes = Index{1} << 30;
constexpr Index row_bytes = lists_of_row * list_places * sizeof(Scored<float>);

// The candidates of all sets of some groups, before the window is cut. Of points in slabs `best` has those so far.
void best_of_sets(Call& call, Problem<float> p, const RecombineArgs& given, MatrixView<float> scores,
                  MatrixView<std::int32_t> columns, Scored<float>* best, Turn turn) {
  RecombineArgs args = given;
  args.bias = p.col_bias;  // comes after mixing
  p.col_bias = nullptr;
  p.scale = 0.125f;
  const Index parts = share_columns(p, 8, 1), rows = scores.rows, lists = parts * lists_of_row;
  args.limits = call.scratch<std::int32_t>(parts * rows);
  args.lists = call.scratch<Scored<float>>(lists * rows * list_places);
  for (args.first_set = 0; args.first_set < args.all_sets; args.first_set += most_sets) {
    args.sets = static_cast<int>(std::min<Index>(most_sets, args.all_sets - args.first_set));
    run_pass<RecombineReduction>(call, p, parts, args);
  }
  const float* no_bias = nullptr;
  Scored<float>* nowhere = nullptr;
  merge_lists(call, rows, args.lists, lists, args.keep, no_bias, scores, columns, nowhere, best, turn);
}

// Some groups' rows, whole pairs of tiles but for the last, as points are padded.
Problem<float> groups_of(Problem<float> p, Index first, Index count) {
  const Index row = first * group_rows;
  p.rows = count * group_rows;
  p.x += row * p.x_stride;
  p.x_chunks = p.x_chunks ? p.x_chunks + row / chunk_points * p.chunks : nullptr;
  p.x_unit = p.x_unit ? p.x_unit + row : nullptr;
  return p;
}

}  // namespace

void recombine(const Room& room, const Recombination& r, MatrixView<float> scores, MatrixView<std::int32_t> columns,
               const Context& context) {
  const Index keep = scores.cols, sets = r.sets();
  if (r.x.rows == 0 || keep == 0) return;
  Call call("recombined_candidates", room, context);
  const MatrixView<float> to_scores = call.out(scores);
  const MatrixView<std::int32_t> to_columns = call.out(columns);
  const Problem<float> all =
      read_scores(call, Scores<float>{.x = r.x, .y = r.y, .v = r.v, .y_ready = r.y_ready}, context.products);
  const std::int32_t* row_labels = r.is_labelled() ? call.in(r.row_labels) : nullptr;
  const std::int32_t* col_labels = r.is_labelled() ? call.in(r.col_labels) : nullptr;

  if (r.rounds == 0) {
    Problem<float> p = all;
    p.row_labels = row_labels;
    p.col_labels = col_labels;
    p.label_penalty = r.label_penalty;
    Scored<float>* nowhere = nullptr;
    best_into(call, p, to_scores, to_columns, nowhere, false);
  } else {
    const Index in_cache = rows_in_cache(chunks_for(std::max<Index>(r.x.cols, 1))) / group_rows;
    const Index fitting = most_bytes / (group_rows * sets * row_bytes);
    const Index at_once = std::max<Index>(4, std::min(fitting, in_cache) / 4 * 4);  // whole pairs of tiles
    Scored<float>* best = all.streamed ? call.scratch<Scored<float>>(r.rows() * list_places) : nullptr;
    for_slabs(call, all, [&](const Problem<float>& slab, Turn turn) {
      for (Index first = 0; first < r.groups(); first += at_once) {
        const std::size_t mark = call.mark();
        const Index groups = std::min(at_once, r.groups() - first), first_row = first * group_rows * sets,
                    rows = groups * group_rows * sets;
        RecombineArgs args{};
        args.all_sets = sets;
        args.signs = r.signs;
        args.first_block = (r.first_group + static_cast<std::uint64_t>(first)) * static_cast<std::uint64_t>(sets);
        args.row_labels = row_labels ? row_labels + first_row : nullptr;
        args.col_labels = col_labels;
        args.penalty = r.label_penalty;
        args.window = r.window;
        args.keep = static_cast<int>(keep);
        best_of_sets(call, groups_of(slab, first, groups), args, to_scores.rows_from(first_row, rows),
                     to_columns.rows_from(first_row, rows), best ? best + first_row * list_places : nullptr, turn);
        call.give_back(mark);
      }
    });
  }
  for_each(call, r.rows(), CutWindow{to_scores, to_columns, r.window});
  call.finish();
}

}  // namespace monge::ot::cuda
