// Exact assignment on the CUDA room: batches of small problems, one a block, and shortlists of large ones.
#include <gtest/gtest.h>

#include <cmath>

#include "../ot/assignment_truth.h"
#include "monge/ot/assignment_cloud.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/room_pairs.h"
#include "rooms.h"

namespace monge::ot {
namespace {

using namespace exact_test;

const Device device = cuda_device();

template <class T>
class CudaAssignmentTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string why;
    if (!cuda_room(&why)) GTEST_SKIP() << why;
    options.context.device = device;
  }
  AssignmentOptions options;
};
using AssignmentTypes = testing::Types<float, double>;
TYPED_TEST_SUITE(CudaAssignmentTest, AssignmentTypes);

// Costs on the chip and beside it, one point, sizes around tiles of 64 and chunks of 8; far from the origin and tiny,
// too. Optimal potentials and assignments, as long double sees them, are their own proof.
TYPED_TEST(CudaAssignmentTest, BatchesAreSolvedAndProven) {
  using T = TypeParam;
  struct Setting {
    Index n, problems, d;
    double scale = 1, shift = 0;
  };
  for (const Setting& c : {Setting{1, 3, 2}, Setting{2, 2, 9}, Setting{13, 5, 3}, Setting{67, 1, 17, 1e-3, 100},
                           Setting{131, 1, 4, 1e-12}}) {
    if (sizeof(T) == 8 && c.n > 100 && is_emulated()) continue;  // takes seconds
    SCOPED_TRACE(concat("n=", c.n, " d=", c.d));
    const auto x = gaussian<T>(c.n * c.problems, c.d, 1, c.scale, c.shift),
               y = gaussian<T>(c.n * c.problems, c.d, 2, 2 * c.scale, c.shift);
    const auto results = assign_batch(x.view(), y.view(), c.n, this->options);
    ASSERT_EQ(static_cast<Index>(results.size()), c.problems);
    for (Index b = 0; b < c.problems; ++b)
      expect_sound(results[b], x.view().rows_from(b * c.n, c.n), y.view().rows_from(b * c.n, c.n));
    const auto there = assign_batch(x.view(), y.view(), c.n);
    for (Index b = 0; b < c.problems; ++b) EXPECT_EQ(results[b].columns, there[b].columns);  // there is but one optimum
  }
}

// Squares far outside of double's range: scaled by a power of two for each problem.
TEST(CudaAssignmentRange, DoublesOfAnySizeAreSolved) {
  if (!cuda_room()) GTEST_SKIP() << "no room";
  AssignmentOptions options;
  options.context.device = device;
  auto x = gaussian<double>(24, 3, 3), y = gaussian<double>(24, 3, 4);
  for (Index e = 0; e < 36; ++e) x.values[e] *= 1e-150, y.values[e] *= 1e-150;  // the first of two problems
  for (Index e = 36; e < 72; ++e) x.values[e] *= 1e150, y.values[e] *= 1e150;
  const auto here = assign_batch(x.view(), y.view(), 12, options), there = assign_batch(x.view(), y.view(), 12);
  for (int b = 0; b < 2; ++b) {
    EXPECT_EQ(here[b].columns, there[b].columns);
    EXPECT_NEAR(here[b].cost, there[b].cost, 1e-13 * there[b].cost);
    EXPECT_LE(here[b].certificate.lower, there[b].certificate.upper);
    EXPECT_LE(there[b].certificate.lower, here[b].certificate.upper);
  }
}

// Ties everywhere: points of a small grid, and points that are all the same.
TYPED_TEST(CudaAssignmentTest, TiesAreNoTrouble) {
  using T = TypeParam;
  const Index n = 40;
  auto x = gaussian<T>(n, 2, 5), y = gaussian<T>(n, 2, 6);
  for (T& v : x.values) v = std::round(v);
  for (T& v : y.values) v = std::round(v);
  const auto result = assign_batch(x.view(), y.view(), n, this->options);
  const double optimum = assign_batch(x.view(), y.view(), n)[0].cost;
  EXPECT_EQ(result[0].cost, optimum);  // integers
  EXPECT_NEAR(result[0].certificate.lower, optimum, 1e-12);
  std::fill(x.values.begin(), x.values.end(), T(3));
  const auto same = assign_batch(x.view(), x.view(), n, this->options);
  EXPECT_EQ(same[0].cost, 0);
}

// Of the rows of solved problems; what is left then is completed, as on the CPU.
TYPED_TEST(CudaAssignmentTest, BatchesTellOfProgressAndStopWhenAsked) {
  using T = TypeParam;
  const Index n = 64, problems = 9;
  const auto x = gaussian<T>(n * problems, 5, 10), y = gaussian<T>(n * problems, 5, 11);
  this->options.max_seconds = 0;
  EXPECT_EQ(assign_batch(x.view(), y.view(), n, this->options).back().status, Status::time_limit);
  this->options.max_seconds = HUGE_VAL;
  const Stop stop({});
  stop.request();
  this->options.context.stop = &stop;
  const AssignmentResult stopped = assign_batch(x.view(), y.view(), n, this->options).back();
  EXPECT_EQ(stopped.status, Status::stopped_by_caller);
  EXPECT_EQ(stopped.columns.size(), 64u);
  this->options.context.stop = nullptr;
  Index told = 0;
  this->options.progress = [&](const AssignmentProgress& p) {
    told = p.assigned;
    return true;
  };
  assign_batch(x.first(2 * n), y.first(2 * n), n, this->options);
  EXPECT_EQ(told, 2 * n);
}

// The same points many times over: the best costs of a row are equal, and the start makes epsilon ever smaller.
TYPED_TEST(CudaAssignmentTest, PointsManyTimesOver) {
  using T = TypeParam;
  constexpr Index few = 8, n = 20 * few, d = 5;
  const auto few_x = gaussian<T>(few, d, 21), few_y = gaussian<T>(few, d, 22, 1.5);
  Matrix<T> x(n, d), y(n, d);
  for (Index i = 0; i < n; ++i) {
    std::copy_n(few_x.view().row(i / 20), d, x.view().row(i));
    std::copy_n(few_y.view().row(i % few), d, y.view().row(i));
  }
  const AssignmentResult r = assign(std::as_const(x).view(), std::as_const(y).view(), this->options);
  expect_sound(r, std::as_const(x).view(), std::as_const(y).view());
  const double once = hungarian(few_x.view(), few_y.view()).cost;
  EXPECT_NEAR(r.cost, once, 1e-12 * once);
}

// Where its passes fail, the CPU's groups take over.
TYPED_TEST(CudaAssignmentTest, ClustersOfUnequalNumbersAreSolved) {
  const auto x = clustered<TypeParam>(200, 10, 1, 7, 0.1), y = clustered<TypeParam>(200, 10, 3, 7, 0.05);
  const AssignmentResult r = assign(x.view(), y.view(), this->options);
  expect_sound(r, x.view(), y.view());
  EXPECT_NEAR(hungarian(x.view(), y.view()).cost, r.cost, 1e-11 * r.cost);
}

// Both ways of making products, more columns than rows, and far from the origin.
TYPED_TEST(CudaAssignmentTest, ShortlistsOfTheRoomLeadToTheOptimum) {
  using T = TypeParam;
  struct Setting {
    Index n, m, d;
    double shift = 0;
  };
  for (const Setting& c :
       {Setting{40, 40, 3}, Setting{50, 50, 20, 10}, Setting{20, 45, 12}, Setting{1, 1, 9}, Setting{2, 3, 2}}) {
    SCOPED_TRACE(concat(c.n, " x ", c.m, " d=", c.d));
    const auto x = gaussian<T>(c.n, c.d, 9, 1, c.shift), y = gaussian<T>(c.m, c.d, 10, 1.5);
    expect_sound(assign(x.view(), y.view(), this->options), x.view(), y.view());
    if (c.n == 40) expect_sound(auction(x.view(), y.view(), this->options), x.view(), y.view());
  }
}

// What a list says of the pairs outside of it holds in long double, from the room's scores, from what was laid aside,
// and from a row that is looked at again.
TEST(CudaShortlists, BoundsTheRest) {
  if (!cuda_room()) GTEST_SKIP() << "no room";
  for (const Index d : {3, 24}) {
    const Index n = 64;
    const auto x = gaussian<double>(n, d, 11), y = gaussian<double>(n, d, 12, 0.3);
    const auto clouds = detail::centred_clouds(x.view(), y.view(), {});
    detail::RoomPairs pairs(clouds, {.device = device});
    std::vector<double> v = pairs.start();
    const detail::Shortlists lists = pairs.shortlists(8, v);
    const auto expect_bound = [&](Index i, const auto& list, double rest) {
      std::vector<bool> listed(static_cast<std::size_t>(n), false);
      double worst = -kInfinity;  // of those listed
      for (const detail::Pair& pair : list) {
        const double exact = static_cast<double>(naive_distance(clouds.x.view(), i, clouds.y.view(), pair.column));
        EXPECT_NEAR(pair.cost, exact, 1e-13 * exact);
        worst = std::max(worst, pair.cost - v[pair.column]);
        listed[static_cast<std::size_t>(pair.column)] = true;
      }
      for (Index j = 0; j < n; ++j) {
        if (listed[static_cast<std::size_t>(j)]) continue;
        const long double reduced = naive_distance(clouds.x.view(), i, clouds.y.view(), j) - v[j];
        EXPECT_LE(rest, reduced) << i << " " << j;
      }
      // And little less than it might say: halves may be wrong by 2 (484 + d / 64) 2^-24 of |x||y|, which is below 36.
      EXPECT_GE(rest, worst - 36 * 2e-4);
    };
    for (Index i = 0; i < n; ++i) {
      ASSERT_EQ(lists[i].count, 8);
      expect_bound(i, lists[i], lists[i].rest);
    }
    for (Index j = 0; j < n; j += 3) v[j] -= 0.5;  // potentials only fall
    std::vector<detail::Pair> again;
    for (Index i = 0; i < n; i += 9) {
      const double rest = pairs.shortlist(i, 12, v, again);  // from what was laid aside
      EXPECT_EQ(again.size(), 12u);
      expect_bound(i, again, rest);
      EXPECT_EQ(pairs.shortlist(i, n, v, again), kInfinity);  // the room again
      EXPECT_EQ(static_cast<Index>(again.size()), n);
    }
  }
}

TYPED_TEST(CudaAssignmentTest, MatricesAreRefused) {
  using T = TypeParam;
  const auto cost = gaussian<T>(5, 5, 13);
  EXPECT_EQ(code_of([&] { assign(cost.view(), this->options); }), Errc::backend_unavailable);
  EXPECT_EQ(code_of([&] { hungarian(cost.view(), cost.view(), this->options); }), Errc::backend_unavailable);
}

}  // namespace
}  // namespace monge::ot
