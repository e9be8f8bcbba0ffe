#include "monge/ot/transport_masses.h"

#include <algorithm>
#include <cmath>

#include "monge/ot/core/error.h"
#include "monge/ot/weights.h"

namespace monge::ot::detail {
namespace {

constexpr int total_bits = 118;  // of a sum

Int128 sum_of(const std::vector<Int128>& masses) {
  Int128 sum = 0;
  for (const Int128 mass : masses) sum += mass;
  return sum;
}

// floor(w 2^shift).
Int128 fixed(double w, int shift) {
  int exponent;
  const Int128 digits = static_cast<std::int64_t>(std::frexp(w, &exponent) * 0x1p53);
  exponent += shift - 53;
  return exponent >= 0 ? digits << exponent : exponent > -64 ? digits >> -exponent : 0;
}

void read(const std::vector<double>& weights, int shift, std::vector<std::int32_t>& points,
          std::vector<Int128>& masses) {
  for (std::size_t k = 0; k < weights.size(); ++k) {
    const Int128 mass = fixed(weights[k], shift);
    if (mass == 0) continue;
    points.push_back(static_cast<std::int32_t>(k));
    masses.push_back(mass);
  }
}

// Brings the sum to `total`, each mass by its share.
void scale(std::vector<Int128>& masses, Int128 total) {
  const Int128 sum = sum_of(masses);
  const long double gap = static_cast<long double>(total - sum), all = static_cast<long double>(sum);
  for (Int128& mass : masses) mass += static_cast<Int128>(gap * (static_cast<long double>(mass) / all));
  *std::max_element(masses.begin(), masses.end()) += total - sum_of(masses);
}

}  // namespace

TransportMasses::TransportMasses(VectorView<const double> a, Index n, VectorView<const double> b, Index m,
                                 const char* who) {
  if (a.empty() && b.empty()) {
    for (Index i = 0; i < n; ++i) rows.push_back(static_cast<std::int32_t>(i));
    for (Index j = 0; j < m; ++j) cols.push_back(static_cast<std::int32_t>(j));
    supply.assign(rows.size(), m);
    demand.assign(cols.size(), n);
    unit = 1 / (static_cast<double>(n) * static_cast<double>(m));
    return;
  }
  const std::vector<double> of_rows = weights_of(a, n), of_cols = weights_of(b, m);
  const double all_a = detail::sum_of(of_rows), all_b = detail::sum_of(of_cols);
  require(std::min(all_a, all_b) >= least_total, who, ": weights sum to ", std::min(all_a, all_b), ", less than ",
          least_total, ": scale them up");
  require(balanced(all_a, all_b), who, ": a sums to ", all_a, " and b to ", all_b,
          ": a balanced problem needs equal sums");
  const int shift = total_bits - std::ilogb(std::max(all_a, all_b)) - 1;
  exponent = -shift;
  read(of_rows, shift, rows, supply);
  read(of_cols, shift, cols, demand);
  const bool equal = sum_of(supply) == sum_of(demand);
  if (!equal) scale(demand, sum_of(supply));
  off = (equal ? 0 : 0x1p-56) + static_cast<double>(n + m) * 0x1p-110;
}

double TransportMasses::total() const { return in_units(sum_of(supply)); }

}  // namespace monge::ot::detail
