// Semidiscrete transport with labels from sources whose points have labels, too.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <utility>

#include "coverage.h"
#include "monge/ot/exact.h"
#include "monge/ot/index_fit.h"
#include "monge/ot/matcher.h"
#include "monge/ot/semidiscrete_fit.h"
#include "semidiscrete_truth.h"

namespace monge::ot {
namespace {

using namespace truth;

constexpr double never = std::numeric_limits<double>::infinity();

// On the line: x = shift + scale u of the label's own, u ~ N(0, 1).
float shift_of(std::int32_t label) { return label == 7 ? 2.0f : -1.0f; }
float scale_of(std::int32_t label) { return label == 7 ? 0.5f : 1.5f; }
void draw_lines(const Rng& rng, std::uint64_t first, VectorView<const std::int32_t> labels, MatrixView<float> out) {
  for (Index i = 0; i < out.rows; ++i) {
    fill_normal(rng, first + static_cast<std::uint64_t>(i), {out.row(i), 1});
    out(i, 0) = shift_of(labels[i]) + scale_of(labels[i]) * out(i, 0);
  }
}
// As -E x y: the scale of a label's problem multiplies its cost and boundaries, the shift adds -shift sum b y.
double cost_of_lines(const TwoLines& p) {
  double cost = 0;
  for (const std::int32_t label : {7, -4}) cost += (label == 7 ? 0.4 : 0.6) * scale_of(label) * p.line(label).cost;
  for (std::size_t j = 0; j < p.y.size(); ++j) cost -= p.b[j] * shift_of(p.labels[j]) * p.y[j];
  return cost;
}

TEST(SemidiscreteClasses, EachLabelHasItsOwnSource) {
  const TwoLines p;
  const SemidiscreteResult r =
      semidiscrete(p.view(), p.b, {.tolerance = 1e-3, .labels = p.labels, .seed = 3}, draw_lines);
  ASSERT_EQ(r.status, Status::converged);
  for (const std::int32_t label : {7, -4}) {
    const Line exact = p.line(label);
    const std::vector<std::size_t> j = p.members(label);
    for (std::size_t k = 0; k + 1 < j.size(); ++k) {
      const double boundary = (r.potentials.g[j[k]] - r.potentials.g[j[k + 1]]) / (p.y[j[k + 1]] - p.y[j[k]]);
      // As without a source of its own (SemidiscreteLabels), in units of its scale.
      EXPECT_NEAR((boundary - shift_of(label)) / scale_of(label), exact.z[k], 0.2) << label << " " << k;
    }
  }
  const double cost = cost_of_lines(p);
  EXPECT_LE(r.certificate.lower, cost);
  EXPECT_GE(r.certificate.upper, cost);
  EXPECT_LT(r.certificate.upper - r.certificate.lower, 0.05 * std::abs(cost));
}

// As ConfidenceCertificate does without labels: either end misses in 2.5% of all checks at most.
TEST(SemidiscreteClasses, CertificatesMissAsSeldomAsTheySay) {
  const TwoLines p;
  const AtomSet atoms = make_atoms("test", p.view(), p.b, {}, {}, p.labels);
  const detail::SemidualProblem problem{
      .atoms = atoms, .source = draw_lines, .labels = LabelLaw("test", {{7, 0.4}, {-4, 0.6}}), .label_penalty = never};
  std::vector<double> v(p.y.size());
  for (const std::int32_t label : {7, -4}) {
    std::vector<float> points;
    const std::vector<std::size_t> j = p.members(label);
    for (const std::size_t k : j) points.push_back(p.y[k]);
    const std::vector<double> g = p.line(label).potentials(points);
    for (std::size_t k = 0; k < g.size(); ++k) v[j[k]] = scale_of(label) * g[k] - shift_of(label) * points[k];
  }
  expect_coverage(problem, v, cost_of_lines(p), 0.6);  // of a cost near three, in which the labels' means are far apart
}

// Points and atoms in the plane, in three classes of other places, shapes and sizes.
struct Classes {
  Matrix<float> x{6000, 2}, y{90, 2};
  std::vector<std::int32_t> x_labels, y_labels;

  Classes() {
    x = normal_cloud(x.rows(), 2, 1);
    y = normal_cloud(y.rows(), 2, 2);
    for (Index i = 0; i < x.rows(); ++i) {
      const std::int32_t z = i % 6 == 0 ? 0 : i % 6 < 3 ? 5 : -2;  // 1 : 2 : 3
      x_labels.push_back(z);
      x(i, 0) = static_cast<float>(z) + 0.5f * x(i, 0);
      x(i, 1) = z == 5 ? std::abs(x(i, 1)) : x(i, 1);
    }
    for (Index j = 0; j < y.rows(); ++j) {
      y_labels.push_back(j % 3 == 0 ? 0 : j % 3 == 1 ? 5 : -2);  // 1 : 1 : 1
      y(j, 1) = 2 * y(j, 1) - static_cast<float>(y_labels.back());
    }
  }
  static Matrix<float> members(const Matrix<float>& points, const std::vector<std::int32_t>& labels, std::int32_t z) {
    Matrix<float> out(std::count(labels.begin(), labels.end(), z), 2);
    Index k = 0;
    for (Index i = 0; i < points.rows(); ++i)
      if (labels[static_cast<std::size_t>(i)] == z) std::copy_n(points.view().row(i), 2, out.view().row(k++));
    return out;
  }
  Matrix<float> x_of(std::int32_t z) const { return members(x, x_labels, z); }
  Matrix<float> y_of(std::int32_t z) const { return members(y, y_labels, z); }
  SourceLaw source() const { return source_of_points(x.view(), x_labels, {}); }
};

// Mean over the points of min_j |x - y_j|^2 - g_j, plus the mean of g: below the cost of any plan.
double dual_value(const Matrix<float>& x, const Matrix<float>& y, const std::vector<double>& g) {
  double value = std::accumulate(g.begin(), g.end(), 0.0) / static_cast<double>(g.size());
  for (Index i = 0; i < x.rows(); ++i) {
    double least = HUGE_VAL;
    for (Index j = 0; j < y.rows(); ++j)
      least = std::min(least, std::pow(static_cast<double>(x(i, 0) - y(j, 0)), 2) +
                                  std::pow(static_cast<double>(x(i, 1) - y(j, 1)), 2) - g[static_cast<std::size_t>(j)]);
    value += least / static_cast<double>(x.rows());
  }
  return value;
}

// Nothing crosses: one fit is that of each class alone, whose optimum an exact solver knows.
TEST(SemidiscreteClasses, ForbiddenPairsMakeAProblemOfEachClass) {
  const Classes c;
  const SemidiscreteOptions options{
      .cost = Cost::squared_euclidean, .tolerance = 0.01, .labels = c.y_labels, .seed = 4};
  const SemidiscreteResult r = semidiscrete(c.y.view(), {}, options, c.source());
  ASSERT_EQ(r.status, Status::converged);
  double cost = 0;
  for (const std::int32_t z : {0, 5, -2}) {
    const Matrix<float> x = c.x_of(z), y = c.y_of(z);
    std::vector<double> g;
    for (std::size_t j = 0; j < c.y_labels.size(); ++j)
      if (c.y_labels[j] == z) g.push_back(r.potentials.g[j]);
    const SemidiscreteResult alone =
        semidiscrete(y.view(), {}, {.cost = Cost::squared_euclidean, .tolerance = 0.01}, source_of_points(x.view()));
    ASSERT_EQ(alone.status, Status::converged);
    const ExactResult exact = ot::exact(x.view(), y.view());
    cost += exact.cost / 3;
    // Concave, and flat at the top: what masses off by a tenth (root of 0.01) leave is of second order.
    EXPECT_LE(dual_value(x, y, g), exact.cost + 1e-9);
    EXPECT_GE(dual_value(x, y, g), exact.cost - 0.01);
    EXPECT_GE(dual_value(x, y, alone.potentials.g), exact.cost - 0.01);
    // The same but for one constant. Two fits whose masses are off by a tenth have borders that are off by a tenth of a
    // cell, of which there are some five from side to side of a class: 2% of what potentials span, each.
    const auto n = static_cast<double>(g.size());
    double mean = 0, off = 0, level = 0, span = 0;
    for (std::size_t j = 0; j < g.size(); ++j) mean += (g[j] - alone.potentials.g[j]) / n, level += g[j] / n;
    for (std::size_t j = 0; j < g.size(); ++j) {
      off += std::pow(g[j] - alone.potentials.g[j] - mean, 2) / n;
      span += std::pow(g[j] - level, 2) / n;
    }
    EXPECT_LT(std::sqrt(off), 0.04 * std::sqrt(span)) << z;
  }
  EXPECT_LE(r.certificate.lower, cost);
  EXPECT_GE(r.certificate.upper, cost);
  EXPECT_LT(r.certificate.upper - r.certificate.lower, 0.1 * cost);
  const MarginalError error = marginal_error(*pass_matcher(c.y.view(), r.potentials), 90, 2, 40000, 3, {}, c.source());
  EXPECT_LE(error.lower, 0.01);
}

TEST(SemidiscreteClasses, AreFittedInPrincipalDirectionsAndWithEntropy) {
  const Classes c;
  Matrix<float> x(c.x.rows(), 4), y(c.y.rows(), 4);
  for (const auto& [from, to] : {std::pair(&c.x, &x), std::pair(&c.y, &y)})
    for (Index i = 0; i < from->rows(); ++i)
      for (Index k = 0; k < 4; ++k) (*to)(i, k) = (*from)(i, k % 2);
  const SourceLaw source = source_of_points(std::as_const(x).view(), c.x_labels, {});
  for (const double epsilon : {0.0, 0.2, 30.0}) {  // few atoms share a row, and all do
    const SemidiscreteResult r =
        semidiscrete(y.view(), {}, {.epsilon = epsilon, .pca = 2, .labels = c.y_labels}, source);
    EXPECT_EQ(r.status, Status::converged) << epsilon;
    const MarginalError error = marginal_error(*pass_matcher(y.view(), r.potentials), 90, 4, 40000, 3, {}, source);
    EXPECT_LE(error.lower, 0.05) << epsilon;
  }
}

// The points are the law itself: the cheapest plan between clouds with labels is the optimum.
TEST(SemidiscreteClasses, AFinitePenaltyMeetsTheExactPlan) {
  const Classes c;
  for (const double penalty : {0.5, 6.0}) {
    const ExactResult exact = ot::exact(Problem<float>{
        .x = c.x.view(), .y = c.y.view(), .x_labels = c.x_labels, .y_labels = c.y_labels, .label_penalty = penalty});
    const SemidiscreteResult r = semidiscrete(c.y.view(), {},
                                              {.cost = Cost::squared_euclidean,
                                               .tolerance = 0.01,
                                               .labels = c.y_labels,
                                               .label_penalty = penalty,
                                               .noise_labels = label_shares(c.x_labels)},
                                              c.source());
    EXPECT_EQ(r.status, Status::converged) << penalty;
    EXPECT_LE(r.certificate.lower, exact.cost) << penalty;
    EXPECT_GE(r.certificate.upper, exact.cost) << penalty;
    EXPECT_LT(r.certificate.upper - r.certificate.lower, 0.05 * exact.cost) << penalty;
    // Masses that are off by a tenth save or cost as much of the potentials' size, some ten.
    EXPECT_NEAR(r.cost, exact.cost, 0.1 + r.cost_error) << penalty;
  }
}

TEST(SemidiscreteClasses, APenaltyOfZeroIsNoLabels) {
  const Classes c;
  SemidiscreteOptions options{.cost = Cost::squared_euclidean, .tolerance = 0.01};
  const SourceLaw plain = source_of_points(c.x.view());
  const SemidiscreteResult without = semidiscrete(c.y.view(), {}, options, plain);
  options.labels = c.y_labels;
  options.label_penalty = 0;
  options.noise_labels = label_shares(c.x_labels);
  const SemidiscreteResult with = semidiscrete(c.y.view(), {}, options, c.source());
  EXPECT_EQ(with.status, Status::converged);
  EXPECT_NEAR(with.cost, without.cost, 1.5 * (with.cost_error + without.cost_error) + 0.1);  // and the masses' part
  EXPECT_LE(with.certificate.lower, without.certificate.upper);
  EXPECT_GE(with.certificate.upper, without.certificate.lower);
  const auto matcher = pass_matcher(c.y.view(), with.potentials);
  EXPECT_TRUE(matcher->noise_labels().empty());
  EXPECT_LE(marginal_error(*matcher, 90, 2, 40000, 3, {}, plain).lower, 0.01);
}

TEST(SemidiscreteClasses, SameBitsAtAnyNumberOfThreads) {
  const Classes c;
  const auto fit = [&](double penalty, int threads) {
    return semidiscrete(c.y.view(), {},
                        {.labels = c.y_labels,
                         .label_penalty = penalty,
                         .noise_labels = std::isinf(penalty) ? std::vector<LabelShare>() : label_shares(c.x_labels),
                         .context = {.threads = threads}},
                        c.source());
  };
  for (const double penalty : {never, 2.0, 0.0}) {
    const SemidiscreteResult one = fit(penalty, 1), three = fit(penalty, 3);
    EXPECT_EQ(one.potentials.g, three.potentials.g) << penalty;
    EXPECT_EQ(one.certificate.upper, three.certificate.upper) << penalty;
    EXPECT_EQ(one.cost, three.cost) << penalty;
  }
}

TEST(SemidiscreteClasses, NonsenseIsRefused) {
  const Classes c;
  expect_error(Errc::invalid_argument, "by label, but no labels of the atoms",
               [&] { semidiscrete(c.y.view(), {}, {}, c.source()); });
  std::vector<std::int32_t> unknown(c.y_labels);
  for (std::int32_t& label : unknown) label = label == 5 ? 6 : label;
  expect_error(Errc::invalid_argument, "no point has label 6",
               [&] { semidiscrete(c.y.view(), {}, {.labels = unknown}, c.source()); });
  const SemidiscreteResult plain = semidiscrete(c.y.view(), {}, {.max_samples_per_atom = 1});
  const auto matcher = pass_matcher(c.y.view(), plain.potentials);
  expect_error(Errc::invalid_argument, "by label, 0 labels",
               [&] { marginal_error(*matcher, 90, 2, 100, 1, {}, c.source()); });
  expect_error(Errc::invalid_argument, "an index knows no labels",
               [&] { fit_to_index(c.y.view(), plain.potentials, {}, {}, c.source()); });
}

}  // namespace
}  // namespace monge::ot
