#include "monge/ot/line_cells.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

#include "monge/ot/normal_law.h"

namespace monge::ot::detail {

// The upper envelope of lines of rising slope: a line that is overtaken before it has overtaken another is never on
// top.
std::vector<Interval> line_cells(const AtomSet& atoms, const std::vector<double>& v) {
  const double* y = atoms.exact.data();
  std::vector<std::size_t> order(v.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto label = [&](std::size_t j) { return atoms.labels.empty() ? 0 : atoms.labels[j]; };
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) {
    return std::tuple(label(i), y[i], v[i]) < std::tuple(label(j), y[j], v[j]);
  });
  std::vector<Interval> cells(v.size(), Interval{HUGE_VAL, -HUGE_VAL});
  std::vector<std::size_t> top;  // of one label so far
  for (std::size_t at = 0; at < order.size(); ++at) {
    const std::size_t j = order[at];
    if (at > 0 && label(order[at - 1]) != label(j)) top.clear();
    double low = -HUGE_VAL;
    while (!top.empty()) {
      const std::size_t before = top.back();
      low = (v[before] - v[j]) / (y[j] - y[before]);  // -infinity or NaN where they are in one place: j is above
      if (low > cells[before].low) break;
      cells[before] = {HUGE_VAL, -HUGE_VAL};
      top.pop_back();
      low = -HUGE_VAL;
    }
    if (!top.empty()) cells[top.back()].high = low;
    cells[j] = {low, HUGE_VAL};
    top.push_back(j);
  }
  return cells;
}

double draw_between(const Interval& cell, double u) {
  if (cell.low + cell.high < 0) return -draw_between({-cell.high, -cell.low}, u);
  const double low = cell.low, width = cell.high - low;
  const auto tail = [](double x) { return 0.5 * std::erfc(x * M_SQRT1_2); };
  double x = 0;
  if (low < 30 && width > 1e-4) {
    const double above = tail(cell.high);
    x = upper_quantile(above + (1 - u) * (tail(low) - above));
  } else {  // far out and in narrow cells the density is an exponential
    const double rate = std::isfinite(cell.high) ? low + 0.5 * std::min(width, 1 / std::max(1.0, low)) : low;
    const double share = -std::expm1(-rate * width);
    x = rate * width < 1e-12 ? low + u * width : low - std::log1p(-u * share) / rate;
  }
  return std::clamp(x, low, cell.high);
}

}  // namespace monge::ot::detail
