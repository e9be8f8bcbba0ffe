#include "monge/ot/sparse_pairs.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "monge/ot/core/error.h"

namespace monge::ot::detail {

double SparsePairs::cost(Index i, Index j) const {
  double least = std::numeric_limits<double>::infinity();
  for (Index p = offsets_[i]; p < offsets_[i + 1]; ++p)
    if (pairs_[p].column == j) least = std::min(least, pairs_[p].cost);
  return least;
}

Shortlists SparsePairs::shortlists(Index, const std::vector<double>&) {
  Shortlists lists(rows(), 0);
  for (Index i = 0; i < rows(); ++i)
    lists.set(i, pairs_.data() + offsets_[i], offsets_[i + 1] - offsets_[i], std::numeric_limits<double>::infinity());
  return lists;
}

double SparsePairs::shortlist(Index i, Index, const std::vector<double>&, std::vector<Pair>& pairs) {
  pairs.assign(pairs_.begin() + offsets_[i], pairs_.begin() + offsets_[i + 1]);
  return std::numeric_limits<double>::infinity();
}

template <class T>
SparsePairs sparse_pairs(const SparseCost<T>& cost, const char* who, Matching matching) {
  const bool one_to_one = matching == Matching::one_to_one;
  for (const Device device : {cost.offsets.device, cost.columns.device, cost.costs.device})
    if (device.type != DeviceType::cpu) throw Error(Errc::backend_unavailable, concat(who, ": runs on the CPU only"));
  require(cost.rows > 0, who, ": the graph has no rows");
  require(cost.cols > 0, who, ": the graph has no columns");
  require(cost.rows <= std::numeric_limits<std::int32_t>::max(), who, ": too many rows (", cost.rows, ")");
  require(!one_to_one || cost.cols >= cost.rows, who, ": the graph has fewer columns (", cost.cols, ") than rows (",
          cost.rows, ")");
  require(cost.cols <= std::numeric_limits<std::int32_t>::max(), who, ": too many columns (", cost.cols, ")");
  require(cost.offsets.size == cost.rows + 1, who, ": ", cost.offsets.size, " offsets for ", cost.rows, " rows");
  require(cost.columns.size == cost.costs.size, who, ": ", cost.columns.size, " columns, ", cost.costs.size, " costs");
  require(cost.offsets[0] == 0 && cost.offsets[cost.rows] == cost.columns.size, who, ": offsets run from ",
          cost.offsets[0], " to ", cost.offsets[cost.rows], ", not from 0 to ", cost.columns.size);
  for (Index i = 0; i < cost.rows; ++i)
    require(cost.offsets[i] <= cost.offsets[i + 1], who, ": offsets fall at row ", i);

  double largest = 0;
  for (const T c : cost.costs)
    if (std::isfinite(c)) largest = std::max(largest, std::abs(static_cast<double>(c)));
  const int size = largest > 0 ? std::ilogb(largest) : 0, exponent = std::abs(size) < 900 ? 0 : size;
  std::vector<Index> offsets{0};
  std::vector<Pair> pairs;
  pairs.reserve(static_cast<std::size_t>(cost.costs.size));
  for (Index i = 0; i < cost.rows; ++i) {
    for (Index p = cost.offsets[i]; p < cost.offsets[i + 1]; ++p) {
      const double c = static_cast<double>(cost.costs[p]);
      require(cost.columns[p] >= 0 && cost.columns[p] < cost.cols, who, ": row ", i, " has column ", cost.columns[p],
              " of ", cost.cols);
      if (!(c > -std::numeric_limits<double>::infinity()))
        throw Error(Errc::not_finite, concat(who, ": cost is ", c, " in row ", i, ", column ", cost.columns[p]));
      if (std::isfinite(c)) pairs.push_back({std::ldexp(c, -exponent), cost.columns[p]});
    }
    offsets.push_back(static_cast<Index>(pairs.size()));
    if (one_to_one && offsets[i] == offsets[i + 1])
      throw Error(Errc::infeasible, concat(who, ": infeasible: all pairs of row ", i, " are forbidden"));
  }
  return {cost.cols, std::move(offsets), std::move(pairs), exponent};
}

template SparsePairs sparse_pairs(const SparseCost<float>&, const char*, Matching);
template SparsePairs sparse_pairs(const SparseCost<double>&, const char*, Matching);

}  // namespace monge::ot::detail
