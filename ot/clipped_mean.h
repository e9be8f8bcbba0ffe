#pragma once  // private: never installed
#include <algorithm>
#include <cstddef>
#include <vector>

namespace monge::ot::detail {

// The mean of values that are not negative, none counted above sixteen medians, so that a few far ones do not decide;
// 0 if there are none.
inline double clipped_mean(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  const double most = 16 * *middle;
  double sum = 0;
  for (const double value : values) sum += std::min(value, most);
  return sum / static_cast<double>(values.size());
}

}  // namespace monge::ot::detail
