// Shapes, data and a fixture for the tests of the passes.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "monge/ot/core/backend.h"
#include "reference.h"

namespace monge::ot {

enum class Source { points, strided, stored };

struct Case {
  Index n, m, d;
  Source source = Source::points;
  Metric metric = Metric::dot;
  bool labelled = false;
};

inline std::string describe(const Case& c) {
  const char* names[] = {"points", "strided points", "stored"};
  const char* metrics[] = {"", " euclidean", " l1"};
  return concat(names[static_cast<int>(c.source)], metrics[static_cast<int>(c.metric)], " n=", c.n, " m=", c.m,
                " d=", c.d, c.labelled ? " labelled" : "");
}

// Every shape at which something changes: one row or column, the direct products (d <= 8) and the GEMM, sizes around a
// vector, a granule and a tile, several tiles, shares of columns, ragged edges.
inline const std::vector<Case> shapes = {
    {1, 1, 1},
    {1, 1, 64},
    {1, 777, 3},
    {300, 1, 2},
    {5, 17, 8},
    {33, 129, 9},
    {257, 255, 1},
    {64, 256, 33},
    {100, 1001, 2},
    {513, 300, 3},
    {300, 700, 64},
    {13, 519, 784},
    {2, 9000, 16},
    {3, 5122, 2},
    {70, 600, 7, Source::strided},
    {70, 600, 40, Source::strided},
    {1, 1, 0, Source::stored},
    {3, 1000, 0, Source::stored},
    {259, 512, 0, Source::stored},
    {300, 530, 0, Source::stored},
};

// Around the blocks of four rows, two vectors and 64 coordinates that distances are made in.
inline std::vector<Case> all_cases() {
  std::vector<Case> all = shapes;
  for (const Metric metric : {Metric::dot, Metric::euclidean, Metric::l1}) {
    for (const bool labelled : {false, true}) {
      if (metric == Metric::dot && !labelled) continue;
      for (const Index d : {1, 3, 8, 9, 64, 131}) all.push_back({37 + d, 290 + d, d, Source::points, metric, labelled});
      all.push_back({1, 1, 2, Source::points, metric, labelled});
      all.push_back({3, 5140, 3, Source::points, metric, labelled});
      all.push_back({519, 33, 5, Source::points, metric, labelled});
      all.push_back({70, 600, 70, Source::strided, metric, labelled});
    }
  }
  for (const Case& c : {Case{1, 1, 0}, Case{3, 1000, 0}, Case{259, 512, 0}, Case{300, 530, 0}}) {
    all.push_back({c.n, c.m, 0, Source::stored, Metric::dot, true});
  }
  return all;
}

inline const std::vector<Case> cases = all_cases();

// Those whose scores are exact for small integers.
inline std::vector<Case> exact_cases() {
  std::vector<Case> exact = cases;
  std::erase_if(exact, [](const Case& c) { return c.metric == Metric::euclidean; });
  return exact;
}

// Owns what a Scores borrows. Values are drawn by make(rng) -> T.
template <class T>
struct PassProblem {
  Matrix<T> x, y, stored;
  std::vector<T> u, v;
  std::vector<std::int32_t> row_labels, col_labels;
  T scale = 1, label_penalty = T(1.5);
  Metric metric = Metric::dot;
  Index d = 0, n = 0, m = 0;

  template <class Make>
  PassProblem(const Case& c, Make make) : metric(c.metric), d(c.d), n(c.n), m(c.m) {
    const Index gap = c.source == Source::strided ? 5 : 0;
    if (c.source == Source::stored) {
      stored = Matrix<T>(n, m + 3);
      for (Index i = 0; i < n * (m + 3); ++i) stored.data()[i] = make();
    } else {
      x = Matrix<T>(n, d + gap);
      y = Matrix<T>(m, d + gap);
      for (Index i = 0; i < n * (d + gap); ++i) x.data()[i] = make();
      for (Index i = 0; i < m * (d + gap); ++i) y.data()[i] = make();
    }
    for (Index i = 0; i < n; ++i) u.push_back(make());
    for (Index j = 0; j < m; ++j) v.push_back(make());
    if (!c.labelled) return;
    const Rng rng{99};
    for (Index i = 0; i < n; ++i) row_labels.push_back(label(rng, static_cast<std::uint64_t>(i)));
    for (Index j = 0; j < m; ++j) col_labels.push_back(label(rng.substream(1), static_cast<std::uint64_t>(j)));
  }

  // One of a few, the largest and the smallest int among them.
  static std::int32_t label(const Rng& rng, std::uint64_t i) {
    const std::int32_t labels[] = {0, 7, std::numeric_limits<std::int32_t>::max(),
                                   std::numeric_limits<std::int32_t>::min()};
    return labels[uniform_below(rng, i, 4)];
  }

  Scores<T> scores() const {
    Scores<T> s{.scale = scale, .u = u, .v = v, .metric = metric};
    s.row_labels = row_labels;
    s.col_labels = col_labels;
    s.label_penalty = label_penalty;
    if (stored.rows() > 0) {
      s.stored = {stored.data(), n, m, m + 3};
    } else {
      s.x = {x.data(), n, d, x.cols()};
      s.y = {y.data(), m, d, y.cols()};
    }
    return s;
  }
};

// Normal numbers, one after the other.
template <class T>
auto normal(std::uint64_t seed) {
  return [rng = Rng{seed}, i = std::uint64_t{0}]() mutable {
    T z;
    fill_normal(rng, i++, {&z, 1});
    return z;
  };
}

// Small integers: products and sums are exact, and ties are everywhere.
template <class T>
auto integers(std::uint64_t seed) {
  return [rng = Rng{seed}, i = std::uint64_t{0}]() mutable {
    return static_cast<T>(static_cast<int>(uniform_below(rng, i++, 5)) - 2);
  };
}

// Rounding that any sensible order of operations may show, in units of the scores.
template <class T>
double rounding(const reference::DenseScores& s, Index d) {
  return std::numeric_limits<T>::epsilon() * s.magnitude * (4 + std::sqrt(static_cast<double>(d)));
}

template <class T>
class PassesFixture : public testing::Test {
 protected:
  Passes<T>& passes = passes_for<T>({});

  Buffer<T> softmin(const Scores<T>& s, T epsilon, int threads = 0) {
    Buffer<T> f(s.rows());
    passes.softmin(s, epsilon, f.view(), {.threads = threads});
    return f;
  }
};

using PassesTypes = testing::Types<float, double>;

}  // namespace monge::ot
