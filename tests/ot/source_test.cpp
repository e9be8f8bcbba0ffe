#include "monge/ot/source.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "monge/ot/core/error.h"

namespace monge::ot {
namespace {

// Rows come as often as their weights say, and are what they are whatever is asked for with them.
TEST(SourceOfPoints, DrawsRowsByTheirWeights) {
  constexpr Index points = 7, samples = 70000;
  Matrix<float> x(points, 3);
  for (Index i = 0; i < points; ++i)
    for (Index k = 0; k < 3; ++k) x(i, k) = static_cast<float>(10 * i + k);
  const std::vector<double> weights{0, 3, 1, 0, 2, 5, 3};
  for (const bool weighted : {false, true}) {
    const SourceLaw law =
        source_of_points(x.view(), weighted ? VectorView<const double>(weights) : VectorView<const double>());
    const Rng rng{11};
    Matrix<float> out(samples, 3), part(100, 3);
    draw(law, rng, 0, out.view(), {.threads = 2});
    draw(law, rng, 4321, part.view(), {.threads = 1});
    std::vector<double> count(points, 0.0);
    for (Index s = 0; s < samples; ++s) {
      const auto row = static_cast<Index>(out(s, 0) / 10);
      for (Index k = 0; k < 3; ++k) ASSERT_EQ(out(s, k), x(row, k));
      count[static_cast<std::size_t>(row)] += 1;
    }
    for (Index s = 0; s < 100; ++s) EXPECT_EQ(part(s, 0), out(4321 + s, 0));
    for (std::size_t i = 0; i < points; ++i) {
      const double share = weighted ? weights[i] / 14 : 1.0 / points;
      EXPECT_NEAR(count[i] / samples, share, 4.5 * std::sqrt(share * (1 - share) / samples)) << i;
    }
  }
}

TEST(SourceOfPoints, RefusesWhatIsNoLaw) {
  const Matrix<float> x(2, 1);
  const auto refuses = [&](const std::vector<double>& weights) {
    EXPECT_THROW(source_of_points(x.view(), weights), Error) << weights[0];
  };
  refuses({1, -1});
  refuses({0, 0});
  refuses({NAN, 1});
  refuses({1, HUGE_VAL});
  refuses({1, 1, 1});
  EXPECT_THROW(source_of_points(MatrixView<const float>()), Error);
}

}  // namespace
}  // namespace monge::ot
