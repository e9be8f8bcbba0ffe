#include "monge/ot/source.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "monge/ot/core/error.h"
#include "monge/ot/label_law.h"

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

// By label: rows of the label asked for alone, as often as their weights say.
TEST(SourceOfPoints, DrawsRowsOfTheirLabels) {
  constexpr Index points = 7, samples = 70000;
  Matrix<float> x(points, 1);
  for (Index i = 0; i < points; ++i) x(i, 0) = static_cast<float>(i);
  const std::vector<double> weights{0, 3, 1, 0, 2, 5, 3};
  const std::vector<std::int32_t> labels{4, 4, -1, -1, 4, -1, 4};
  std::vector<std::int32_t> asked(samples);
  for (std::size_t s = 0; s < samples; ++s) asked[s] = s % 3 == 0 ? -1 : 4;
  for (const bool weighted : {false, true}) {
    const SourceLaw law =
        source_of_points(x.view(), labels, weighted ? VectorView<const double>(weights) : VectorView<const double>());
    EXPECT_TRUE(law.is_by_label());
    Matrix<float> out(samples, 1), part(100, 1);
    draw(law, Rng{11}, 0, asked, out.view(), {.threads = 2});
    draw(law, Rng{11}, 4321, {asked.data() + 4321, 100}, part.view(), {.threads = 1});
    std::vector<double> count(points, 0.0);
    for (std::size_t s = 0; s < samples; ++s) {
      const auto row = static_cast<std::size_t>(out(static_cast<Index>(s), 0));
      ASSERT_EQ(labels[row], asked[s]);
      count[row] += 1;
    }
    for (Index s = 0; s < 100; ++s) EXPECT_EQ(part(s, 0), out(4321 + s, 0));
    for (std::size_t i = 0; i < points; ++i) {
      double own = 0;
      for (std::size_t k = 0; k < points; ++k) own += labels[k] == labels[i] ? (weighted ? weights[k] : 1) : 0;
      const double share = (weighted ? weights[i] : 1) / own * (labels[i] == 4 ? 2 : 1) / 3;
      EXPECT_NEAR(count[i] / samples, share, 4.5 * std::sqrt(share * (1 - share) / samples)) << i;
    }
  }
}

TEST(SourceOfPoints, RefusesLabelsWithoutRows) {
  const Matrix<float> x(3, 1);
  Matrix<float> out(2, 1);
  const std::vector<std::int32_t> labels{1, 1, 2}, asked{1, 2}, others{1, 5};
  const std::vector<double> weights{1, 1, 0};
  EXPECT_THROW(source_of_points(x.view(), asked, {}), Error);  // two for three rows
  const SourceLaw law = source_of_points(x.view(), labels, {});
  EXPECT_NO_THROW(draw(law, Rng{}, 0, asked, out.view(), {}));
  EXPECT_THROW(draw(law, Rng{}, 0, others, out.view(), {}), Error);
  EXPECT_THROW(draw(law, Rng{}, 0, out.view(), {}), Error);  // no labels
  EXPECT_THROW(draw(source_of_points(x.view(), labels, weights), Rng{}, 0, asked, out.view(), {}), Error);
}

TEST(LabelShares, AreSumsOfWeights) {
  const std::vector<std::int32_t> labels{7, -4, 7, 9};
  const std::vector<double> weights{0.5, 1, 0.25, 0};
  std::vector<LabelShare> shares = label_shares(labels, weights);
  ASSERT_EQ(shares.size(), 2u);  // 9 weighs nothing
  EXPECT_EQ(shares[0].label, -4);
  EXPECT_EQ(shares[1].share, 0.75);
  shares = label_shares(labels);
  ASSERT_EQ(shares.size(), 3u);
  EXPECT_EQ(shares[1].share, 2);
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
