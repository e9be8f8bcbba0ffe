#include "monge/ot/cuda/prepare.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "monge/ot/compact_points.h"
#include "monge/ot/cuda/half.h"
#include "monge/ot/cuda/passes.h"
#include "monge/ot/cuda/slabs.h"
#include "monge/ot/cuda/split_kernel.h"

namespace monge::ot::cuda {
namespace {

struct Split {
  const Chunk* chunks;
  const float* unit;
};

Split split_points(Call& call, MatrixView<const float> x) {
  auto* chunks = call.scratch<Chunk>(chunks_for(x.rows, x.cols));
  float* unit = call.scratch<float>(padded_points(x.rows));
  split_with(call, FloatReader{x.data, x.stride}, x.rows, x.cols, chunks, unit);
  return {chunks, unit};
}

// What was kept of y, if on this device; else null.
template <class Kept>
const Kept* kept_here(const Call& call, const PreparedPoints* ready) {
  const auto* kept = dynamic_cast<const Kept*>(ready);
  return kept && kept->device == call.device() ? kept : nullptr;
}

// The power of two at the largest of positive finite weights, of each block's share; of a single block's, where there
// are none, 1.
inline constexpr Index weights_of_block = 1 << 13;
template <class W>
MONGE_KERNEL(4)
unit_kernel(const W* weights, Index count, double* units) {
  double* const shared = reinterpret_cast<double*>(shared_memory());
  const Index first = block_x() * weights_of_block, left = count - first;
  double largest = 0;
  for (Index i = thread(); i < left && i < weights_of_block; i += block_threads) {
    const double w = static_cast<double>(weights[first + i]);
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
  const bool usual = largest > 0 && isfinite(largest);
  units[block_x()] = usual ? ldexp(1.0, ilogb(largest)) : blocks_x() == 1 ? 1.0 : largest;
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
  const MatrixView<const T> x = call.in(s.x);
  p.dims = s.x.cols;
  p.x = x.data;
  p.x_stride = x.stride;
  p.maker = s.metric == Metric::euclidean ? Maker::euclidean : s.metric == Metric::l1 ? Maker::l1 : Maker::dot;
  const SplitPoints* kept = nullptr;
  if constexpr (sizeof(T) == 4) {
    kept = kept_here<SplitPoints>(call, s.y_ready);
    if (p.maker == Maker::dot && p.dims > direct_dims && p.rows > 0 && p.cols > 0) {
      const Split xs = split_points(call, x);
      p.maker = Maker::halves;
      p.by_warpgroups = call.by_warpgroups();
      p.x_chunks = xs.chunks, p.x_unit = xs.unit;
      p.chunks = static_cast<std::int32_t>(chunks_for(p.dims));
      p.single_product = products == Products::single;
      p.streamed = kept_here<StreamedPoints>(call, s.y_ready);
      if (p.streamed) return p;
      const Split ys = kept ? Split{kept->chunks.data(), kept->unit.data()} : split_points(call, call.in(s.y));
      p.y_chunks = ys.chunks, p.y_unit = ys.unit;
      return p;
    }
    if (kept && kept->points.rows() > 0) {
      p.y = kept->points.data();
      p.y_stride = kept->points.cols();
      return p;
    }
  }
  const MatrixView<const T> y = call.in(s.y);
  p.y = y.data;
  p.y_stride = y.stride;
  return p;
}

namespace {

// Points of a slab: their halves and, if they come from the host, twice what is copied take an eighth of the memory
// that is free, but no more than is of use.
Index slab_of(Index rows, Index dims, std::size_t free, std::size_t asked) {
  const std::size_t most = std::min(asked, std::size_t{1} << 30);
  const std::size_t of_pair = 2 * chunk_points * static_cast<std::size_t>(dims + chunk_dims) * 3 * sizeof(float);
  const auto pairs = static_cast<Index>(std::min(most, free / 8) / of_pair);
  return std::min(padded_points(rows), std::max<Index>(1, pairs) * 2 * chunk_points);
}

// In as few bytes as may be, on the device if they fit.
std::shared_ptr<const PreparedPoints> prepare_slabs(const Call& call, MatrixView<const float> y,
                                                    const Uncentred& before, std::size_t free,
                                                    const PreparedBytes& most, const Context& context) {
  auto kept = std::make_shared<StreamedPoints>();
  kept->device = call.device();
  kept->floats = y;
  kept->slab = slab_of(y.rows, y.cols, free, most.slab);
  detail::CompactPoints c = detail::compact(before, context.threads);
  kept->bytes = c.bytes;
  if (c.bytes < 4) {
    kept->centre = Buffer<double>(y.cols, kept->device);
    copy(before.centre, kept->centre.view());
    if (c.bytes == 1) {
      kept->table = Buffer<float>(static_cast<Index>(c.table.size()), kept->device);
      copy(VectorView<const float>(c.table), kept->table.view());
    }
    if (static_cast<std::size_t>(c.data.size()) <= std::min(free, most.kept) / 2) {
      kept->data = Buffer<std::uint8_t>(c.data.size(), kept->device);
      copy(std::as_const(c.data).view(), kept->data.view());
      return kept;
    }
    kept->data = std::move(c.data);
    kept->pinned = {pin(kept->data.data(), static_cast<std::size_t>(kept->data.size())), unpin};
  } else if (y.device.type == DeviceType::cpu) {
    kept->pinned = {pin(y.data, sizeof(float) * static_cast<std::size_t>(y.stride * (y.rows - 1) + y.cols)), unpin};
  }
  return kept;
}

}  // namespace

std::shared_ptr<const PreparedPoints> prepare(const Room& room, MatrixView<const float> y, const Context& context,
                                              const Uncentred& before, const PreparedBytes& most) {
  Call call("prepare", room, context);
  auto kept = std::make_shared<SplitPoints>();
  kept->device = call.device();
  if (y.cols <= direct_dims || y.empty()) {
    kept->points = Matrix<float>(y.rows, y.cols, kept->device);
    copy(y, kept->points.view());
    return kept;
  }
  // An eighth is for what passes need.
  const std::size_t free = free_memory(), bytes = sizeof(Chunk) * static_cast<std::size_t>(chunks_for(y.rows, y.cols));
  if (bytes > std::min(free, most.kept) / 8 * 7) return prepare_slabs(call, y, before, free, most, context);
  kept->chunks = Buffer<Chunk>(chunks_for(y.rows, y.cols), kept->device);
  kept->unit = Buffer<float>(padded_points(y.rows), kept->device);
  // Some rows at a time, so that there need not be memory for all as floats.
  const Index at_once = std::max<Index>(1, (Index{1} << 28) / y.cols / (2 * chunk_points)) * 2 * chunk_points;
  for (Index first = 0; first < y.rows; first += at_once) {
    const std::size_t mark = call.mark();
    const MatrixView<const float> some = call.in(y.rows_from(first, std::min(at_once, y.rows - first)));
    split_with(call, FloatReader{some.data, some.stride}, some.rows, some.cols,
               kept->chunks.data() + first / chunk_points * chunks_for(y.cols), kept->unit.data() + first);
    call.give_back(mark);
  }
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
  const Index blocks = std::max<Index>(1, tiles_of<WarpTile<T>::tile_rows>(p.rows) - p.first_block);
  const Index tiles = std::max<Index>(1, tiles_of<WarpTile<T>::tile_cols>(p.cols) - p.first_tile);
  constexpr Index square = 12, most_y = 65534;  // even, for pairs
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
  const Index blocks = std::max<Index>(1, blocks_for(count, weights_of_block));
  double* const units = call.scratch<double>(blocks);
  call.run(unit_kernel<W>, blocks, 1, block_warps * sizeof(double), weights, count, units);
  return blocks > 1 ? weight_unit<double>(call, units, blocks) : units;
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
