#include "monge/ot/radix_sort.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <vector>

namespace monge::ot::detail {
namespace {

TEST(RadixSort, AgreesWithStdSort) {
  std::mt19937 random(1);
  for (const Index n : {0, 1, 2, 100, 511, 20000}) {
    std::vector<float> values(n);
    for (float& v : values) v = static_cast<float>(std::normal_distribution<double>()(random));
    const std::vector<float> corners{0.0f,
                                     -1.0f,
                                     1e-42f,
                                     -1e-42f,
                                     3e38f,
                                     -3e38f,
                                     std::numeric_limits<float>::infinity(),
                                     0.25f,
                                     -0.25f,
                                     0.25f,
                                     -std::numeric_limits<float>::infinity()};
    if (n > 100) std::copy(corners.begin(), corners.end(), values.begin() + 50);
    std::vector<float> expected = values;
    std::sort(expected.begin(), expected.end());
    std::vector<std::uint32_t> scratch(2 * n);
    radix_sort(VectorView<float>(values), VectorView<std::uint32_t>(scratch));
    EXPECT_EQ(values, expected) << n;
  }
}

}  // namespace
}  // namespace monge::ot::detail
