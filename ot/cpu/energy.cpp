#include "monge/ot/cpu/passes.h"
#include "monge/ot/cpu/sweep.h"
#include "monge/ot/cpu/temperature.h"

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // baseline, AVX2 and AVX-512 are enough
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "monge/ot/cpu/energy.cpp"
#include "hwy/foreach_target.h"
#include "monge/ot/cpu/score_row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace monge::ot::cpu::HWY_NAMESPACE {

// For each row of a tile adds sum_j p_ij c_ij, sum_j p_ij w_j and sum_j p_ij w_j c_ij to its three sums, where
// p_ij = exp2((s_ij + base_i) rate) and c_ij = bias_j - s_ij.
template <class T>
void add_energy(const Tile<T>& tile, T rate, const T* base, const T* w, const T* bias, double* sums) {
  using D = hn::ScalableTag<T>;
  const D d;
  constexpr T largest_exponent = sizeof(T) == 4 ? 127 : 1023;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const auto by = hn::Set(d, rate), most = hn::Set(d, largest_exponent);
  for (Index i = 0; i < tile.rows; ++i) {
    const ScoreRow<D> row(tile, i);
    const auto shift = hn::Set(d, base[i]);
    auto energy = hn::Zero(d), kept_mass = hn::Zero(d), kept_energy = hn::Zero(d);
    for (Index j = 0; j < tile.padded; j += lanes) {
      const auto score = row.at(j), kept = hn::LoadU(d, w + j);
      const auto p = exp2(d, hn::Min(hn::Mul(hn::Add(score, shift), by), most));
      // Where nothing is sent the score may be -infinity.
      const auto cost = hn::IfThenElseZero(hn::Gt(p, hn::Zero(d)), hn::Sub(hn::LoadU(d, bias + j), score));
      const auto spent = hn::Mul(p, cost);
      energy = hn::Add(energy, spent);
      kept_mass = hn::MulAdd(p, kept, kept_mass);
      kept_energy = hn::MulAdd(spent, kept, kept_energy);
    }
    sums[3 * i] += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, energy)));
    sums[3 * i + 1] += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, kept_mass)));
    sums[3 * i + 2] += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, kept_energy)));
  }
}

void add_energy_float(const Tile<float>& tile, float rate, const float* base, const float* w, const float* bias,
                      double* sums) {
  add_energy(tile, rate, base, w, bias, sums);
}
void add_energy_double(const Tile<double>& tile, double rate, const double* base, const double* w, const double* bias,
                       double* sums) {
  add_energy(tile, rate, base, w, bias, sums);
}

}  // namespace monge::ot::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace monge::ot::cpu {
namespace {

HWY_EXPORT(add_energy_float);
HWY_EXPORT(add_energy_double);

void add_energy(const Tile<float>& tile, float rate, const float* base, const float* w, const float* bias,
                double* sums) {
  HWY_DYNAMIC_DISPATCH(add_energy_float)(tile, rate, base, w, bias, sums);
}
void add_energy(const Tile<double>& tile, double rate, const double* base, const double* w, const double* bias,
                double* sums) {
  HWY_DYNAMIC_DISPATCH(add_energy_double)(tile, rate, base, w, bias, sums);
}

// To whole tiles, so that vectors may read past the end.
template <class T>
std::vector<T> padded(VectorView<const T> v, Index cols, T empty) {
  std::vector<T> out(static_cast<std::size_t>(round_up(cols, tile_cols)), T(0));
  if (v.empty()) std::fill_n(out.begin(), cols, empty);
  std::copy(v.begin(), v.end(), out.begin());
  return out;
}

}  // namespace

template <class T>
void energy(const Scores<T>& s, T epsilon, VectorView<const double> f, VectorView<const T> w, VectorView<const T> bias,
            MatrixView<double> out, const Context& context) {
  const T rate = Temperature<T>(epsilon, s.cols()).rate;
  const Index n = s.rows();
  std::vector<T> base(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i) {
    const double b = f[i] + (s.u.empty() ? 0.0 : static_cast<double>(s.u[i]));
    // An empty row sends nothing.
    base[static_cast<std::size_t>(i)] = std::isfinite(b) ? static_cast<T>(b) : -std::numeric_limits<T>::infinity();
  }
  const std::vector<T> all_w = padded(w, s.cols(), T(1)), all_bias = padded(bias, s.cols(), T(0));
  const Cut cut = Cut::along_rows(n, s.cols());
  std::vector<double> sums(static_cast<std::size_t>(3 * n * cut.col_parts()), 0.0);
  sweep(s, cut, context, [&](const Part& part, TileSource<T>& source, int) {
    for_tiles(source, part, [&](const Tile<T>& tile) {
      add_energy(tile, rate, base.data() + tile.first_row, all_w.data() + tile.first_col,
                 all_bias.data() + tile.first_col, sums.data() + 3 * (part.col_part * n + tile.first_row));
    });
  });
  for (Index i = 0; i < n; ++i) {
    for (Index k = 0; k < 3; ++k) {
      out(i, k) = 0;
      for (Index p = 0; p < cut.col_parts(); ++p) out(i, k) += sums[static_cast<std::size_t>(3 * (p * n + i) + k)];
    }
  }
}

template void energy(const Scores<float>&, float, VectorView<const double>, VectorView<const float>,
                     VectorView<const float>, MatrixView<double>, const Context&);
template void energy(const Scores<double>&, double, VectorView<const double>, VectorView<const double>,
                     VectorView<const double>, MatrixView<double>, const Context&);

}  // namespace monge::ot::cpu
#endif
