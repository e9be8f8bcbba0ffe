#pragma once  // private: never installed
#include "monge/ot/cuda/engine.h"
#include "monge/ot/cuda/reductions.h"

namespace monge::ot::cuda {

inline constexpr int group_cols = 256;  // columns that run as one in the race of a draw, as on the CPU

// The words of a draw (docs/passes.md): group t takes word t % 4 of substream t / 4 for its time.
MONGE_HOST_DEVICE inline double arrival_uniform(const Rng& rng, std::uint64_t block, std::int64_t group) {
  const Rng::Block words = rng.substream(static_cast<std::uint64_t>(group / 4)).bits(block);
  return (static_cast<double>(words.w[group % 4]) + 0.5) * 0x1p-32;
}
// The column within group t: 53 bits of substream 2^32 + t.
MONGE_HOST_DEVICE inline double column_uniform(const Rng& rng, std::uint64_t block, std::int64_t group) {
  const Rng::Block words = rng.substream((std::uint64_t{1} << 32) + static_cast<std::uint64_t>(group)).bits(block);
  return Rng::uniform(words.w[0], words.w[1]);
}

template <class T>
struct SampleArgs {
  Rate<T> rate;
  Rng rng;
  std::uint64_t first;
  Race<T>* out;  // parts x rows
};

// Lets groups of columns race; which column of the winner is drawn is found afterwards. A row's race is kept by one
// thread.
template <class Tile_>
struct SampleReduction {
  using Tile = Tile_;
  using T = typename Tile::T;
  using Args = SampleArgs<T>;
  static constexpr int shared_bytes = Tile::tile_rows * Tile::warp_columns * sizeof(LogSum<T>), blocks = 2;
  static_assert(Tile::tile_rows <= block_threads && group_cols % Tile::tile_cols == 0);

  MONGE_DEVICE SampleReduction(const Problem<T>& p, const Args& args, RowBlock block, unsigned char* memory)
      : p_(p), args_(args), block_(block), memory_(memory) {}

  MONGE_DEVICE void add(const T (&s)[Tile::rows][Tile::cols], Index first_col) {
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) take_scores(known_[r], s[r], args_.rate);
    const Index end = first_col + Tile::tile_cols;
    if (end % group_cols == 0 || end >= p_.cols) run(first_col / group_cols);
  }

  MONGE_DEVICE void finish() {
    const Index i = block_.first_row + thread();
    if (thread() < Tile::tile_rows && i < p_.rows) args_.out[block_.part * p_.rows + i] = race_;
  }

 private:
  MONGE_DEVICE void run(Index group) {
    const T rate = args_.rate.rate;
    combine_rows<Tile>(
        known_, memory_,
        [&](LogSum<T>& all, const LogSum<T>& one) {
          if (one.sum == 0) return;
          const T best = all.best > one.best ? all.best : one.best;
          all.sum = all.sum * static_cast<double>(exp2_of((all.best - best) * rate)) +
                    one.sum * static_cast<double>(exp2_of((one.best - best) * rate));
          all.best = best;
        },
        [&](int row, const LogSum<T>& all) { let_run(block_.first_row + row, group, all); });
#pragma unroll
    for (int r = 0; r < Tile::rows; ++r) known_[r].sum = 0;
  }

  MONGE_DEVICE void let_run(Index i, Index group, const LogSum<T>& all) {
    if (all.sum == 0) return;
    race_.raise(all.best, args_.rate.epsilon);
    const double weight = all.sum * static_cast<double>(exp2_of((all.best - race_.best) * args_.rate.rate));
    const std::uint64_t block = args_.first + static_cast<std::uint64_t>(i);
    const double time = -log(arrival_uniform(args_.rng, block, group)) / weight;
    if (!(time < race_.time)) return;
    race_.time = time;
    race_.group = group;
    race_.drawn_from = race_.best;
    race_.left = weight * column_uniform(args_.rng, block, group);
  }

  const Problem<T>& p_;
  const Args& args_;
  RowBlock block_;
  unsigned char* memory_;
  LogSum<T> known_[Tile::rows];
  Race<T> race_;
};

// A warp's 32 scores of row i from column `first` on, one a lane, of those before p.cols. Of split points, of which
// there may be nothing else, eight lanes have a column between them: their loads lie together.
template <class T>
MONGE_DEVICE T score_of_lane(const Problem<T>& p, Index i, Index first, int lane) {
  const Index own = first + lane < p.cols ? first + lane : p.cols - 1;
  if (p.maker != Maker::halves) return score_of(p, i, own);
  constexpr int sharing = 8, at_once = warp_threads / sharing;
  const T* x = p.x + i * p.x_stride;
  T mine = 0;
  for (int q = 0; q < sharing; ++q) {
    const Index column = first + q * at_once + lane / sharing, j = column < p.cols ? column : p.cols - 1;
    T k = 0;
    for (Index e = lane % sharing; e < p.dims; e += sharing)
      k = fma(x[e], static_cast<T>(coordinate(p.y_chunks, p.chunks, p.y_unit, j, e)), k);
    for (int mask = 1; mask < sharing; mask *= 2) k += shuffle_xor(k, mask);
    const T of_lane = shuffle(k, lane % at_once * sharing);
    if (lane / at_once == q) mine = of_lane;
  }
  return score_from(p, mine, i, own);
}

// Ends the races: a warp for each row looks for the column in the winner's group at which the running sum passes what
// is left. Of points in slabs the rows whose winner is in this one.
template <class T>
MONGE_KERNEL(4)
draw_kernel(Problem<T> p, Rate<T> rate, const Race<T>* winners, std::int32_t* columns) {
  const Index i = block_x() * block_warps + thread() / warp_threads;
  const int lane = thread() % warp_threads;
  if (i >= p.rows) return;
  const Race<T> winner = winners[i];
  const Index start = winner.group * group_cols;
  if (winner.group >= 0 && (start < p.first_tile * WarpTile<T>::tile_cols || start >= p.cols)) return;
  std::int32_t drawn = -1;
  Scored<T> best;  // of this lane
  double left = winner.left;
  bool found = winner.group < 0;
  for (int step = 0; step < group_cols && !found; step += warp_threads) {
    const T score = score_of_lane(p, i, start + step, lane);
    const double term =
        start + step + lane < p.cols ? static_cast<double>(exp2_of((score - winner.drawn_from) * rate.rate)) : 0.0;
    if (start + step + lane < p.cols && score > best.value)
      best = {score, static_cast<std::int32_t>(start + step + lane)};
    double sum = term;  // of this and all lower lanes
    for (int by = 1; by < warp_threads; by *= 2) {
      const double lower = shuffle_up(sum, by);
      if (lane >= by) sum += lower;
    }
    const std::uint32_t some = ballot(term > 0), past = ballot(term > 0 && sum > left);
    if (past != 0) {
      drawn = static_cast<std::int32_t>(start + step + lowest_bit(past));
      found = true;
    } else if (some != 0) {  // in case rounding leaves a rest
      drawn = static_cast<std::int32_t>(start + step + 31 - leading_zeros(some));
    }
    left -= shuffle(sum, warp_threads - 1);
  }
  if (winner.group >= 0 && drawn < 0) {  // epsilon is below the rounding of scores, and all terms are 0
    for (int mask = 1; mask < warp_threads; mask *= 2) {
      const Scored<T> other = shuffle_whole(best, mask);
      if (other.before(best)) best = other;
    }
    if (best.column != no_column) drawn = best.column;
  }
  if (p.row_bias && p.row_bias[i] == minus_infinity<T>()) drawn = -1;
  if (lane == 0) columns[i] = drawn;
}

}  // namespace monge::ot::cuda
