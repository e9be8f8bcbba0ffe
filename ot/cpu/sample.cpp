#include "monge/ot/cpu/passes.h"
#include "monge/ot/cpu/sweep.h"
#include "monge/ot/cpu/temperature.h"

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)  // baseline, AVX2 and AVX-512 are enough
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "monge/ot/cpu/sample.cpp"
#include "hwy/foreach_target.h"
#include "monge/ot/cpu/score_row-inl.h"

#ifndef MONGE_OT_CPU_SAMPLE_SHARED
#define MONGE_OT_CPU_SAMPLE_SHARED
namespace monge::ot::cpu {

// A row's draw is a race: tile t, of weight S_t = sum over its columns of exp(s_ij / epsilon), arrives after an
// exponential time of rate S_t, so it comes first with probability S_t / sum S. The winner draws among its columns. The
// words depend on the row and the tile alone, so any way of cutting the scores gives the same draw.
template <class T>
struct Race {
  T best = -std::numeric_limits<T>::infinity();  // weights are measured from here
  double time = std::numeric_limits<double>::infinity();
  std::int32_t column = -1;
  Rng::Block words = {};
  Index words_of = -1;

  // Measures weights from `score` if that is larger than best.
  void raise(T score, double epsilon) {
    if (!(score > best)) return;
    time *= std::exp((static_cast<double>(score) - static_cast<double>(best)) / epsilon);
    best = score;
  }
};

// The words of row i are those of block `first` + i. Tile t takes word t % 4 of substream t / 4 for its time; if it
// leads, substream 2^32 + t for the column.
struct TileWords {
  Rng time, column;
  Index group, word;

  TileWords(const Rng& rng, Index tile)
      : time(rng.substream(static_cast<std::uint64_t>(tile / 4))),
        column(rng.substream((std::uint64_t{1} << 32) + static_cast<std::uint64_t>(tile))),
        group(tile / 4),
        word(tile % 4) {}
};

}  // namespace monge::ot::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace monge::ot::cpu::HWY_NAMESPACE {

// The column at which the running sum of terms passes `left`: vector by vector, then within one.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE Index find_column(const ScoreRow<D>& row, T best, T rate, Index padded, double left) {
  const D d;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  HWY_ALIGN T terms[HWY_MAX_BYTES / sizeof(T)];
  Index last = 0;
  for (Index j = 0; j < padded; j += lanes) {
    const auto term = term_of(row, hn::Set(d, best), hn::Set(d, rate), j);
    const double sum = static_cast<double>(hn::GetLane(hn::SumOfLanes(d, term)));
    if (sum == 0) continue;
    hn::Store(term, d, terms);
    for (Index l = 0; l < lanes; ++l) last = terms[l] > 0 ? j + l : last;  // in case rounding leaves a rest
    if (left >= sum) {
      left -= sum;
      continue;
    }
    for (Index l = 0; l < lanes; ++l) {
      left -= static_cast<double>(terms[l]);
      if (left < 0) return j + l;
    }
    return last;
  }
  return last;
}

// Lets a tile run in the races of its rows, the first of which takes its words from `block`.
template <class T>
void run(const Tile<T>& tile, const Temperature<T>& temperature, const Rng& rng, std::uint64_t block, Race<T>* races) {
  using D = hn::ScalableTag<T>;
  const D d;
  const TileWords tile_words(rng, tile.first_col / tile_cols);
  for (Index i = 0; i < tile.rows; ++i, ++block) {
    const ScoreRow<D> row(tile, i);
    Race<T>& race = races[i];
    const auto top = largest(row, 0, tile.padded);
    if (hn::AllFalse(d, hn::Gt(top, hn::Set(d, temperature.limit(race.best))))) continue;
    race.raise(hn::GetLane(hn::MaxOfLanes(d, top)), temperature.epsilon);
    const double weight = sum_of_exp2(row, race.best, temperature.rate, 0, tile.padded, IgnoreTerms());
    if (race.words_of != tile_words.group) {
      race.words = tile_words.time.bits(block);
      race.words_of = tile_words.group;
    }
    const double uniform = (static_cast<double>(race.words.w[tile_words.word]) + 0.5) * 0x1p-32;
    const double time = -std::log(uniform) / weight;
    if (time >= race.time) continue;
    race.time = time;
    const Rng::Block b = tile_words.column.bits(block);
    const Index column =
        find_column(row, race.best, temperature.rate, tile.padded, weight * Rng::uniform(b.w[0], b.w[1]));
    race.column = static_cast<std::int32_t>(tile.first_col + column);
  }
}

void run_float(const Tile<float>& tile, const Temperature<float>& t, const Rng& rng, std::uint64_t block,
               Race<float>* races) {
  run(tile, t, rng, block, races);
}
void run_double(const Tile<double>& tile, const Temperature<double>& t, const Rng& rng, std::uint64_t block,
                Race<double>* races) {
  run(tile, t, rng, block, races);
}

}  // namespace monge::ot::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace monge::ot::cpu {
namespace {

HWY_EXPORT(run_float);
HWY_EXPORT(run_double);

void run(const Tile<float>& tile, const Temperature<float>& t, const Rng& rng, std::uint64_t block,
         Race<float>* races) {
  HWY_DYNAMIC_DISPATCH(run_float)(tile, t, rng, block, races);
}
void run(const Tile<double>& tile, const Temperature<double>& t, const Rng& rng, std::uint64_t block,
         Race<double>* races) {
  HWY_DYNAMIC_DISPATCH(run_double)(tile, t, rng, block, races);
}

}  // namespace

template <class T>
void sample(const Scores<T>& s, T epsilon, const Rng& rng, std::uint64_t first, VectorView<std::int32_t> columns,
            const Context& context) {
  const Index n = s.rows();
  const Temperature<T> temperature(epsilon, s.cols());
  const Cut cut = Cut::along_rows(n, s.cols(), 16 * tile_cols);
  std::vector<Race<T>> races(static_cast<std::size_t>(n * cut.col_parts()));
  sweep(s, cut, context, [&](const Part& part, TileSource<T>& source, int) {
    Race<T>* part_races = races.data() + part.col_part * n;
    for_tiles(source, part, [&](const Tile<T>& tile) {
      run(tile, temperature, rng, first + static_cast<std::uint64_t>(tile.first_row), part_races + tile.first_row);
    });
  });
  for_rows(n, context, [&](Index i) {
    Race<T> winner;
    for (Index p = 0; p < cut.col_parts(); ++p) {
      Race<T>& next = races[static_cast<std::size_t>(p * n + i)];
      winner.raise(next.best, temperature.epsilon);
      next.raise(winner.best, temperature.epsilon);
      if (next.time >= winner.time) continue;
      winner.time = next.time;
      winner.column = next.column;
    }
    const bool is_there = s.u.empty() || s.u[i] > -std::numeric_limits<T>::infinity();
    columns[i] = is_there ? winner.column : -1;
  });
}

template void sample(const Scores<float>&, float, const Rng&, std::uint64_t, VectorView<std::int32_t>, const Context&);
template void sample(const Scores<double>&, double, const Rng&, std::uint64_t, VectorView<std::int32_t>,
                     const Context&);

}  // namespace monge::ot::cpu
#endif
