#include "monge/ot/squared_distance.h"

#include <gtest/gtest.h>

#include "monge/ot/core/random.h"

namespace monge::ot::detail {
namespace {

// Whole vectors, and what is left over by them.
TEST(SquaredDistance, IsWithinItsRoundings) {
  Matrix<double> points(2, 100);
  fill_normal(Rng{7}, 0, VectorView<double>(points.data(), 200));
  for (Index d = 0; d <= 100; ++d) {
    long double exact = 0;
    for (Index k = 0; k < d; ++k) {
      const long double difference = static_cast<long double>(points(0, k)) - points(1, k);
      exact += difference * difference;
    }
    const double expected = static_cast<double>(exact);
    EXPECT_NEAR(squared_distance(points.view().row(0), points.view().row(1), d), expected,
                static_cast<double>(d + 3) * 0x1p-53 * expected)
        << d;
  }
}

}  // namespace
}  // namespace monge::ot::detail
