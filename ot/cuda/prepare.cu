#include "monge/ot/cuda/prepare.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "monge/ot/cuda/half.h"
#include "monge/ot/cuda/passes.h"
#include "monge/ot/cuda/split_points.h"

namespace monge::ot::cuda {
namespace {

// One warp for each row: its exponent, then its halves, zeros up to the end of its last chunk. Rows from x.rows on are
// padding, all zeros.
MONGE_KERNEL(4)
split_kernel(const float* x, Index rows, Index cols, Index stride, Index padded_rows, Chunk* chunks, float* unit) {
  const Index i = block_x() * block_warps + thread() / warp_threads;
  const int lane = thread() % warp_threads, row_of_chunk = static_cast<int>(i % chunk_points);
  if (i >= padded_rows) return;
  const float* row = x + i * stride;
  float largest = 0;
  for (Index k = lane; k < cols && i < rows; k += warp_threads) largest = fmaxf(largest, fabsf(row[k]));
  for (int mask = 1; mask < warp_threads; mask *= 2) largest = fmaxf(largest, shuffle_xor(largest, mask));
  const int exponent = split_exponent(largest);
  const Index all = chunks_for(cols);
  Chunk* const own = chunks + i / chunk_points * all;
  static_assert(chunk_dims == warp_threads);
  for (Index c = 0; c < all; ++c) {
    const Index k = c * chunk_dims + lane;
    const Halves both = split(k < cols && i < rows ? row[k] : 0.0f, exponent);
    own[c].halves[place_of(row_of_chunk, lane)] = both.high;
    own[c].halves[place_of(row_of_chunk, chunk_dims + lane)] = both.low;
  }
  // Below 2^-126 the unit is subnormal, below 2^-149 it is 0.
  if (lane == 0) unit[i] = exponent < -126 ? power_of_two(-126) * power_of_two(exponent + 126) : power_of_two(exponent);
}

struct Split {
  const Chunk* chunks;
  const float* unit;
};

void split_into(Call& call, MatrixView<const float> x, Chunk* chunks, float* unit) {
  const Index rows = padded_points(x.rows);
  call.run(split_kernel, blocks_for(rows, block_warps), 1, 0, x.data, x.rows, x.cols, x.stride, rows, chunks, unit);
}

Split split_points(Call& call, MatrixView<const float> x) {
  auto* chunks = call.scratch<Chunk>(chunks_for(x.rows, x.cols));
  float* unit = call.scratch<float>(padded_points(x.rows));
  split_into(call, x, chunks, unit);
  return {chunks, unit};
}

// What was kept of y, if on this device; else null.
const SplitPoints* kept_points(const Call& call, const PreparedPoints* ready) {
  const auto* kept = dynamic_cast<const SplitPoints*>(ready);
  return kept && kept->points.view().device == call.device() ? kept : nullptr;
}
MatrixView<const float> points_of(Call& call, MatrixView<const float> y, const SplitPoints* kept) {
  return kept ? kept->points.view() : call.in(y);
}
MatrixView<const double> points_of(Call& call, MatrixView<const double> y, const SplitPoints*) { return call.in(y); }

// The largest of positive finite weights, in one block; then the power of two below it.
template <class W>
MONGE_KERNEL(1)
unit_kernel(const W* weights, Index count, double* unit) {
  double* const shared = reinterpret_cast<double*>(shared_memory());
  double largest = 0;
  for (Index i = thread(); i < count; i += block_threads) {
    const double w = static_cast<double>(weights[i]);
    if (w > largest) largest = w;
  }
  for (int mask = 1; mask < warp_threads; mask *= 2) {
    const double other = shuffle_xor(largest, mask);
    if (other > largest) largest = other;
  }
  if (thread() % warp_threads == 0) shared[thread() / warp_threads] = largest;
  barrier();
  if (thread() != 0) return;
  for (int w = 1; w < block_warps; ++w) {
    if (shared[w] > largest) largest = shared[w];
  }
  *unit = largest > 0 && isfinite(largest) ? ldexp(1.0, ilogb(largest)) : 1.0;
}

template <class T, class F, class W>
struct ShiftRow {
  const F* f;
  const T* u;
  const W* weights;
  const double* unit;
  double rate;
  T* shift;
  T* factor;

  MONGE_HOST_DEVICE void operator()(Index i) const {
    const double exact = static_cast<double>(f[i]) + (u ? static_cast<double>(u[i]) : 0.0);
    const double weight = (weights ? static_cast<double>(weights[i]) : 1.0) / (unit ? *unit : 1.0);
    const T rounded = static_cast<T>(exact);
    const bool sends = isfinite(rounded) && weight > 0;
    shift[i] = sends ? rounded : minus_infinity<T>();
    factor[i] = sends ? static_cast<T>(weight * exp2((exact - static_cast<double>(rounded)) * rate)) : T(0);
  }
};

}  // namespace

template <class T>
Rate<T> rate_of(T epsilon, Index cols) {
  const double most = std::numeric_limits<T>::max();
  return {static_cast<T>(std::min(std::numbers::log2e / static_cast<double>(epsilon), most)),
          static_cast<T>(static_cast<double>(epsilon) * (std::log(static_cast<double>(std::max<Index>(cols, 1))) +
                                                         std::numbers::ln2 * (std::numeric_limits<T>::digits + 2))),
          static_cast<double>(epsilon)};
}

template <class T>
Problem<T> read_scores(Call& call, const Scores<T>& s, Products products) {
  Problem<T> p;
  p.rows = s.rows();
  p.cols = s.cols();
  p.scale = s.scale;
  p.row_bias = call.in(s.u);
  p.col_bias = call.in(s.v);
  if (s.is_labelled()) {
    p.row_labels = call.in(s.row_labels);
    p.col_labels = call.in(s.col_labels);
    p.label_penalty = s.label_penalty;
  }
  if (s.is_stored()) {
    const MatrixView<const T> stored = call.in(s.stored);
    p.maker = Maker::stored;
    p.stored = stored.data;
    p.stored_row = stored.stride;
    p.stored_col = 1;
    return p;
  }
  const SplitPoints* const kept = kept_points(call, s.y_ready);
  const MatrixView<const T> x = call.in(s.x), y = points_of(call, s.y, kept);
  p.dims = s.x.cols;
  p.x = x.data;
  p.y = y.data;
  p.x_stride = x.stride;
  p.y_stride = y.stride;
  p.maker = s.metric == Metric::euclidean ? Maker::euclidean : s.metric == Metric::l1 ? Maker::l1 : Maker::dot;
  if constexpr (sizeof(T) == 4) {
    if (p.maker == Maker::dot && p.dims > direct_dims && p.rows > 0 && p.cols > 0) {
      const Split xs = split_points(call, x);
      const Split ys = kept ? Split{kept->chunks.data(), kept->unit.data()} : split_points(call, y);
      p.maker = Maker::halves;
      p.by_warpgroups = call.by_warpgroups();
      p.x_chunks = xs.chunks, p.x_unit = xs.unit;
      p.y_chunks = ys.chunks, p.y_unit = ys.unit;
      p.chunks = static_cast<std::int32_t>(chunks_for(p.dims));
      p.single_product = products == Products::single;
    }
  }
  return p;
}

std::shared_ptr<const PreparedPoints> prepare(const Room& room, MatrixView<const float> y, const Context& context) {
  const Device here{DeviceType::cuda, room.device};
  auto kept = std::make_shared<SplitPoints>();
  kept->points = Matrix<float>(y.rows, y.cols, here);
  copy(y, kept->points.view());
  if (y.cols <= direct_dims || y.empty()) return kept;
  kept->chunks = Buffer<Chunk>(chunks_for(y.rows, y.cols), here);
  kept->unit = Buffer<float>(padded_points(y.rows), here);
  Call call("prepare", room, context);
  split_into(call, std::as_const(kept->points).view(), kept->chunks.data(), kept->unit.data());
  synchronize(call.stream());  // whatever stream will use it
  return kept;
}

Index rows_in_cache(Index chunks) {
  constexpr Index bytes = Index{24} << 20;  // about half of the cache of large chips
  return bytes / (chunks * Index{chunk_halves * sizeof(std::uint16_t)});
}

// Blocks are done in waves of as many as the chip takes, and a block takes about a tile's time to begin: the width
// whose waves take least, of some that fill them. Where the points of a wave's rows would not stay in the cache, a wave
// is made of few rows and, to be about square, `square` parts.
template <class T>
Index share_columns(Problem<T>& p, Index least, Index most_waves) {
  constexpr Index wave = 264, most_parts = 65535;  // two blocks for each multiprocessor of the largest chips
  const Index blocks = std::max<Index>(1, (p.rows + WarpTile<T>::tile_rows - 1) / WarpTile<T>::tile_rows);
  const Index tiles = std::max<Index>(1, (p.cols + WarpTile<T>::tile_cols - 1) / WarpTile<T>::tile_cols);
  constexpr Index square = 12, most_y = 65535;
  p.parts_first = p.maker == Maker::halves && most_waves > 1 && blocks <= most_y &&
                  std::min(blocks, wave) * WarpTile<T>::tile_rows > rows_in_cache(p.chunks);
  const Index fewest = p.parts_first ? square : 1;
  Index best_width = 0, best_cost = 0;
  for (Index waves = 1; waves <= most_waves; ++waves) {
    const Index wanted = std::clamp<Index>(std::max(waves * wave / blocks, fewest), 1, std::min(most_parts, tiles));
    const Index width = ((tiles + wanted - 1) / wanted + least - 1) / least * least;
    const Index parts = (tiles + width - 1) / width;
    const Index cost = (blocks * parts + wave - 1) / wave * (width + 1);
    if (best_width == 0 || cost < best_cost) best_width = width, best_cost = cost;
  }
  p.tiles_per_part = static_cast<std::int32_t>(best_width);
  return (tiles + best_width - 1) / best_width;
}

template <class T, class F, class W>
void shift_rows(Call& call, Index rows, const F* f, const T* u, const W* weights, const double* unit, double epsilon,
                T* shift, T* factor) {
  const double rate = std::min(std::numbers::log2e / epsilon, 1e300);  // finite, so that 0 x rate is 0
  for_each(call, rows, ShiftRow<T, F, W>{f, u, weights, unit, rate, shift, factor});
}

template <class W>
const double* weight_unit(Call& call, const W* weights, Index count) {
  if (!weights) return nullptr;
  double* unit = call.scratch<double>(1);
  call.run(unit_kernel<W>, 1, 1, block_warps * sizeof(double), weights, count, unit);
  return unit;
}

template Rate<float> rate_of(float, Index);
template Rate<double> rate_of(double, Index);
template Problem<float> read_scores(Call&, const Scores<float>&, Products);
template Problem<double> read_scores(Call&, const Scores<double>&, Products);
template Index share_columns(Problem<float>&, Index, Index);
template Index share_columns(Problem<double>&, Index, Index);
template void shift_rows(Call&, Index, const float*, const float*, const float*, const double*, double, float*, float*);
template void shift_rows(Call&, Index, const double*, const float*, const double*, const double*, double, float*,
                         float*);
template void shift_rows(Call&, Index, const double*, const double*, const double*, const double*, double, double*,
                         double*);
template const double* weight_unit(Call&, const float*, Index);
template const double* weight_unit(Call&, const double*, Index);

}  // namespace monge::ot::cuda
