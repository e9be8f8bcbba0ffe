#include "monge/ot/cpu/passes.h"
#include "monge/ot/cpu/sweep.h"
#include "monge/ot/cpu/temperature.h"
#include "monge/ot/cpu/weight_unit.h"

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // baseline, AVX2 and AVX-512 are enough
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "monge/ot/cpu/histogram.cpp"
#include "hwy/foreach_target.h"
#include "monge/ot/cpu/score_row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace monge::ot::cpu::HWY_NAMESPACE {

// mass_j += sum_i weights_i exp2((s_ij + shift_i) rate) over the rows of a tile. Short runs of rows are added in T, the
// runs in double.
template <class T>
void add_columns(const Tile<T>& tile, T rate, const T* shift, const T* weights, double* mass) {
  const hn::ScalableTag<T> d;
  constexpr Index run = 16;
  constexpr T largest_exponent = sizeof(T) == 4 ? 127 : 1023;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  HWY_ALIGN T lane[HWY_MAX_BYTES / sizeof(T)];
  const auto by = hn::Set(d, rate), scale = hn::Set(d, tile.scale), most = hn::Set(d, largest_exponent);
  for (Index first = 0; first < tile.rows; first += run) {
    const Index end = HWY_MIN(first + run, tile.rows);
    for (Index j = 0; j < tile.padded; j += lanes) {
      const auto v = hn::Load(d, tile.v + j);
      auto sum = hn::Zero(d);
      for (Index i = first; i < end; ++i) {
        const auto s = hn::MulAdd(scale, hn::LoadU(d, tile.data + i * tile.stride + j), v);
        const auto t = hn::Mul(hn::Add(s, hn::Set(d, shift[i])), by);
        sum = hn::MulAdd(hn::Set(d, weights[i]), exp2(d, hn::Min(t, most)), sum);
      }
      hn::Store(sum, d, lane);
      for (Index l = 0; l < lanes; ++l) mass[j + l] += static_cast<double>(lane[l]);
    }
  }
}

void add_columns_float(const Tile<float>& tile, float rate, const float* shift, const float* weights, double* mass) {
  add_columns(tile, rate, shift, weights, mass);
}
void add_columns_double(const Tile<double>& tile, double rate, const double* shift, const double* weights,
                        double* mass) {
  add_columns(tile, rate, shift, weights, mass);
}

}  // namespace monge::ot::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace monge::ot::cpu {
namespace {

HWY_EXPORT(add_columns_float);
HWY_EXPORT(add_columns_double);

void add_columns(const Tile<float>& tile, float rate, const float* shift, const float* weights, double* mass) {
  HWY_DYNAMIC_DISPATCH(add_columns_float)(tile, rate, shift, weights, mass);
}
void add_columns(const Tile<double>& tile, double rate, const double* shift, const double* weights, double* mass) {
  HWY_DYNAMIC_DISPATCH(add_columns_double)(tile, rate, shift, weights, mass);
}

// Each row's whole weight to the column of its largest score, if there is one.
template <class T>
void count_largest(const Scores<T>& s, VectorView<const T> weights, VectorView<double> mass, const Context& context) {
  Buffer<T> values(s.rows());
  Buffer<std::int32_t> columns(s.rows());
  hardmin<T>(s, {values.data(), s.rows(), 1}, {columns.data(), s.rows(), 1}, context);
  for (Index i = 0; i < s.rows(); ++i) {
    if (values[i] == -std::numeric_limits<T>::infinity()) continue;
    mass[columns[i]] += weights.empty() ? 1.0 : static_cast<double>(weights[i]);
  }
}

}  // namespace

template <class T>
void histogram(const Scores<T>& s, T epsilon, VectorView<const T> f, VectorView<const T> weights,
               VectorView<double> mass, const Context& context) {
  std::fill(mass.begin(), mass.end(), 0.0);
  if (epsilon == 0) return count_largest(s, weights, mass, context);

  const T rate = Temperature<T>(epsilon, s.cols()).rate;
  const double unit = weight_unit(weights);
  std::vector<T> shift(f.begin(), f.end()), row_weights(shift.size(), T(1));
  for (Index i = 0; i < weights.size; ++i)
    row_weights[static_cast<std::size_t>(i)] = static_cast<T>(static_cast<double>(weights[i]) / unit);
  for (Index i = 0; i < s.rows(); ++i) {
    T& shift_i = shift[static_cast<std::size_t>(i)];
    if (!s.u.empty()) shift_i += s.u[i];
    // A row that softmin found empty gives nothing, rather than infinity times 0.
    if (!std::isfinite(shift_i)) shift_i = -std::numeric_limits<T>::infinity();
  }

  const Cut cut = Cut::along_columns(s.rows(), s.cols());
  const Index padded = round_up(s.cols(), tile_cols);
  std::vector<double> part_mass(static_cast<std::size_t>(cut.row_parts() * padded), 0.0);
  sweep(s, cut, context, [&](const Part& part, TileSource<T>& source, int) {
    for_tiles(source, part, [&](const Tile<T>& tile) {
      add_columns(tile, rate, shift.data() + tile.first_row, row_weights.data() + tile.first_row,
                  part_mass.data() + part.row_part * padded + tile.first_col);
    });
  });
  for (Index r = 0; r < cut.row_parts(); ++r) {
    for (Index j = 0; j < s.cols(); ++j) mass[j] += unit * part_mass[static_cast<std::size_t>(r * padded + j)];
  }
}

template void histogram(const Scores<float>&, float, VectorView<const float>, VectorView<const float>,
                        VectorView<double>, const Context&);
template void histogram(const Scores<double>&, double, VectorView<const double>, VectorView<const double>,
                        VectorView<double>, const Context&);

}  // namespace monge::ot::cpu
#endif
