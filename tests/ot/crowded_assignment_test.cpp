// Assignments between clouds where many points are equal, and the groups these are put in.
#include "monge/ot/crowded_assignment.h"

#include "assignment_truth.h"
#include "monge/ot/equal_points.h"
#include "monge/ot/exact.h"

namespace monge::ot::exact_test {
namespace {

TEST(EqualPoints, AreGroupedByCoordinatesAndLabels) {
  const std::vector<float> x{1, 0, 2, 5, 1, -0.0f, 2, 5, 1, 0, 7, 7};
  const std::vector<std::int32_t> labels{0, 0, 0, 0, 1, 0};
  const detail::EqualPoints plain = detail::equal_points<float>({{x.data(), 6, 2}}, {});
  EXPECT_EQ(plain.first, (std::vector<std::int32_t>{0, 1, 5}));
  EXPECT_EQ(plain.group, (std::vector<std::int32_t>{0, 1, 0, 1, 0, 2}));
  EXPECT_DOUBLE_EQ(plain.crowding(), (3 * 3 + 2 * 2 + 1) / 6.0);
  const detail::EqualPoints labelled = detail::equal_points<float>({{x.data(), 6, 2}, labels}, {});
  EXPECT_EQ(labelled.first, (std::vector<std::int32_t>{0, 1, 4, 5}));
  EXPECT_EQ(labelled.group, (std::vector<std::int32_t>{0, 1, 0, 1, 2, 3}));
  const std::vector<double> apart{1, 1 + 0x1p-52, 1};
  EXPECT_EQ(detail::equal_points<double>({{apart.data(), 3, 1}}, {}).group, (std::vector<std::int32_t>{0, 1, 0}));
}

// `share` of the points are one, the rest normal.
Cloud<double> half_equal(Index n, Index d, unsigned seed, double share) {
  Cloud<double> c = gaussian<double>(n, d, seed);
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform;
  for (Index i = 1; i < n; ++i)
    if (uniform(random) < share) std::copy_n(c.values.begin(), d, c.values.begin() + i * d);
  return c;
}

// Each of `places` points as often as it comes.
Cloud<double> drawn(Index n, Index d, unsigned seed, unsigned places) {
  const Cloud<double> from = gaussian<double>(places, d, seed);
  std::mt19937 random(seed);
  Cloud<double> c{std::vector<double>(n * d), n, d};
  for (Index i = 0; i < n; ++i)
    std::copy_n(from.values.begin() + static_cast<Index>(random() % places) * d, d, c.values.begin() + i * d);
  return c;
}

TEST(CrowdedAssignment, IsOptimalAndOneToOne) {
  constexpr Index n = 800;
  for (const Index d : {1, 2, 10}) {
    const std::pair<Cloud<double>, Cloud<double>> cases[] = {
        {half_equal(n, d, 1, 0.5), half_equal(n, d, 2, 0.5)}, {half_equal(n, d, 3, 0.3), gaussian<double>(n, d, 4)},
        {gaussian<double>(n, d, 5), drawn(n, d, 6, 7)},       {drawn(n, d, 7, 40), drawn(n, d, 8, 90)},
        {half_equal(n, d, 9, 1), half_equal(n, d, 10, 1)},
    };
    for (const auto& [x, y] : cases) {
      ASSERT_TRUE(detail::assign_crowded(x.view(), y.view(), {"", detail::AssignmentMethod::automatic, {}}));
      const AssignmentResult r = assign(x.view(), y.view());
      expect_sound(r, x.view(), y.view());
      EXPECT_NEAR(r.cost, hungarian(x.view(), y.view()).cost, 1e-12 * r.cost);
    }
  }
}

TEST(CrowdedAssignment, MatricesWithEqualRowsOrColumns) {
  constexpr Index n = 600;
  const std::pair<Cloud<double>, Cloud<double>> cases[] = {
      {half_equal(n, 2, 1, 0.5), half_equal(n, 2, 2, 0.5)},
      {half_equal(n, 5, 3, 0.3), gaussian<double>(n, 5, 4)},
      {gaussian<double>(n, 5, 5), drawn(n, 5, 6, 7)},
  };
  for (const auto& [x, y] : cases) {
    std::vector<double> c = naive_matrix(x.view(), y.view());
    const MatrixView<const double> cost(c.data(), n, n);
    ASSERT_TRUE(detail::assign_crowded(cost, {"", detail::AssignmentMethod::automatic, {}}));
    expect_sound(assign(cost), n, n, [&](Index i, Index j) { return cost(i, j); });
    for (Index i = 0; i < n; ++i) c[i * n] = kInfinity;  // nobody may go to the first column ...
    EXPECT_EQ(code_of([&] { assign(cost); }), Errc::infeasible);
    c[5 * n] = 3;  // ... but row 5, which is then like no other
    const AssignmentResult r = assign(cost);
    expect_sound(r, n, n, [&](Index i, Index j) { return cost(i, j); });
    EXPECT_EQ(r.columns[5], 0);
  }
}

TEST(CrowdedAssignment, LeavesCloudsOfFewEqualsAlone) {
  const auto x = half_equal(800, 2, 1, 0.02), y = drawn(800, 2, 2, 700);
  const detail::AssignmentCall call{"", detail::AssignmentMethod::automatic, {}};
  EXPECT_FALSE(detail::assign_crowded(x.view(), y.view(), call));
  const std::vector<double> cost = naive_matrix(x.view(), y.view());
  EXPECT_FALSE(detail::assign_crowded(MatrixView<const double>(cost.data(), 800, 800), call));
}

TEST(CrowdedAssignment, IsWhatExactMakesOfProducts) {
  const auto x = drawn(700, 4, 1, 30), y = gaussian<double>(700, 4, 2);
  const ExactResult r = exact(Problem<double>{.x = x.view(), .y = y.view(), .cost = Cost::negative_dot});
  const AssignmentResult squares = assign(x.view(), y.view());
  double mean = 0;
  for (Index i = 0; i < 700; ++i)
    for (Index k = 0; k < 4; ++k) mean -= x.view()(i, k) * y.view()(r.columns[i], k) / 700;
  EXPECT_NEAR(r.cost, mean, 1e-12);
  double norms = 0;
  for (const auto* c : {&x, &y})
    for (const double v : c->values) norms += v * v / 700;
  EXPECT_NEAR(2 * r.cost, squares.cost - norms, 1e-10);
  EXPECT_LE(r.certificate.lower, r.cost);
  EXPECT_GE(r.certificate.upper, r.cost);
}

TEST(CrowdedAssignment, SameBitsAtAnyThreadCount) {
  const auto x = half_equal(1500, 5, 1, 0.5), y = drawn(1500, 5, 2, 300);
  AssignmentOptions one, two;
  one.context.threads = 1, two.context.threads = 2;
  const AssignmentResult a = assign(x.view(), y.view(), one), b = assign(x.view(), y.view(), two);
  EXPECT_EQ(a.columns, b.columns);
  EXPECT_EQ(a.f, b.f);
  EXPECT_EQ(a.g, b.g);
  EXPECT_EQ(a.certificate.lower, b.certificate.lower);
}

TEST(CrowdedAssignment, StopsWithAnAssignmentAndABracket) {
  const auto x = half_equal(1500, 3, 1, 0.5), y = half_equal(1500, 3, 2, 0.5);
  AssignmentOptions options;
  options.progress = [](const AssignmentProgress& now) {
    EXPECT_EQ(now.rows, 1500);
    return false;
  };
  const AssignmentResult r = assign(x.view(), y.view(), options);
  EXPECT_EQ(r.status, Status::stopped_by_caller);
  std::vector<std::int32_t> columns = r.columns;
  std::sort(columns.begin(), columns.end());
  for (Index i = 0; i < 1500; ++i) ASSERT_EQ(columns[i], i);
  const double optimum = assign(x.view(), y.view()).cost;
  EXPECT_LE(r.certificate.lower, optimum);
  EXPECT_GE(r.cost, optimum * (1 - 1e-12));
  EXPECT_GE(r.certificate.upper, r.cost);
}

}  // namespace
}  // namespace monge::ot::exact_test
