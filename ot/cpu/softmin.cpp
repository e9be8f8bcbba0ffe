#include "monge/ot/cpu/passes.h"
#include "monge/ot/cpu/running_sum.h"
#include "monge/ot/cpu/sweep.h"
#include "monge/ot/cpu/temperature.h"

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // baseline, AVX2 and AVX-512 are enough
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "monge/ot/cpu/softmin.cpp"
#include "hwy/foreach_target.h"
#include "monge/ot/cpu/score_row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace monge::ot::cpu::HWY_NAMESPACE {

// Adds a tile to the running sums of its rows.
template <class T>
void add_tile(const Tile<T>& tile, const Temperature<T>& temperature, RunningSum<T>* sums) {
  using D = hn::ScalableTag<T>;
  for (Index i = 0; i < tile.rows; ++i) {
    const ScoreRow<D> row(tile, i);
    RunningSum<T> sum = sums[i];
    T limit = temperature.limit(sum.best);
    for_granules_above(row, tile.padded, limit, [&](hn::Vec<D> top, Index begin, Index end) HWY_ATTR {
      if (!hn::AllFalse(D(), hn::Gt(top, hn::Set(D(), sum.best)))) {
        sum.raise(hn::GetLane(hn::MaxOfLanes(D(), top)), temperature.epsilon);
        limit = temperature.limit(sum.best);
      }
      sum.sum += sum_of_exp2(row, sum.best, temperature.rate, begin, end, IgnoreTerms());
    });
    sums[i] = sum;
  }
}

void add_tile_float(const Tile<float>& tile, const Temperature<float>& t, RunningSum<float>* sums) {
  add_tile(tile, t, sums);
}
void add_tile_double(const Tile<double>& tile, const Temperature<double>& t, RunningSum<double>* sums) {
  add_tile(tile, t, sums);
}

}  // namespace monge::ot::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace monge::ot::cpu {
namespace {

HWY_EXPORT(add_tile_float);
HWY_EXPORT(add_tile_double);

void add_tile(const Tile<float>& tile, const Temperature<float>& t, RunningSum<float>* sums) {
  HWY_DYNAMIC_DISPATCH(add_tile_float)(tile, t, sums);
}
void add_tile(const Tile<double>& tile, const Temperature<double>& t, RunningSum<double>* sums) {
  HWY_DYNAMIC_DISPATCH(add_tile_double)(tile, t, sums);
}

}  // namespace

template <class T>
void softmin(const Scores<T>& s, T epsilon, VectorView<T> out, const Context& context) {
  const Temperature<T> temperature(epsilon, s.cols());
  const Cut cut = Cut::along_rows(s.rows(), s.cols());
  std::vector<RunningSum<T>> sums(static_cast<std::size_t>(s.rows() * cut.col_parts()));
  sweep(s, cut, context, [&](const Part& part, TileSource<T>& source, int) {
    RunningSum<T>* part_sums = sums.data() + part.col_part * s.rows();
    for_tiles(source, part, [&](const Tile<T>& tile) { add_tile(tile, temperature, part_sums + tile.first_row); });
  });
  for_rows(s.rows(), context, [&](Index i) {
    RunningSum<T> total;
    for (Index p = 0; p < cut.col_parts(); ++p) {
      total.add(sums[static_cast<std::size_t>(p * s.rows() + i)], temperature.epsilon);
    }
    const double u = s.u.empty() ? 0.0 : static_cast<double>(s.u[i]);
    out[i] = static_cast<T>(-total.value(temperature.epsilon) - u);
  });
}

template void softmin(const Scores<float>&, float, VectorView<float>, const Context&);
template void softmin(const Scores<double>&, double, VectorView<double>, const Context&);

}  // namespace monge::ot::cpu
#endif
