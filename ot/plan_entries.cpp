// What takes a plan entry by entry, some rows at a time.
#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/plan.h"
#include "monge/ot/plan_body.h"

namespace monge::ot {
namespace {

// Calls use(first, logs) with log P_ij of some rows at a time.
template <class Use>
void for_blocks(const detail::PlanBody& body, Use use) {
  const Index n = static_cast<Index>(body.a.size()), m = static_cast<Index>(body.b.size());
  const Index most = std::clamp<Index>((Index{1} << 22) / m, 1, n);
  Matrix<double> logs(most, m);
  for (Index first = 0; first < n; first += most) {
    const MatrixView<double> some = logs.view().rows_from(0, std::min(most, n - first));
    body.logs(first, some.rows, some);
    use(first, MatrixView<const double>(some));
  }
}

template <class T>
void fill_dense(const detail::PlanBody& body, MatrixView<T> out) {
  require(out.rows == static_cast<Index>(body.a.size()) && out.cols == static_cast<Index>(body.b.size()),
          "plan: to_dense: out is ", out.rows, " x ", out.cols, ", expected ", body.a.size(), " x ", body.b.size());
  for_blocks(body, [&](Index first, MatrixView<const double> logs) {
    parallel_for(threads_worth(body.context.threads, logs.rows * logs.cols), logs.rows, [&](Index r, int) {
      for (Index j = 0; j < logs.cols; ++j) out(first + r, j) = static_cast<T>(std::exp(logs(r, j)));
    });
  });
}

// An entry in the race for the first places: log P_ij plus a Gumbel variable. The `count` largest keys are those of
// `count` entries drawn one after another without replacement (Yellott 1977; Kool, van Hoof and Welling, ICML 2019).
struct Racer {
  double key;
  PlanEntry entry;
  bool operator<(const Racer& o) const {
    return std::tie(o.key, entry.row, entry.column) < std::tie(key, o.entry.row, o.entry.column);
  }
};

constexpr double largest_gumbel = 37;  // -log(-log(1 - 2^-53)) = 36.7

double gumbel(std::uint32_t a, std::uint32_t b) {
  const double u = Rng::uniform(a, b) + 0x1p-54;  // in (0, 1)
  return -std::log(-std::log(u));
}

}  // namespace

void Plan::to_dense(MatrixView<float> out) const { fill_dense(*body_, out); }
void Plan::to_dense(MatrixView<double> out) const { fill_dense(*body_, out); }

void Plan::to_dense(const Rounding& rounding, MatrixView<double> out) const {
  fill_dense(*body_, out);
  double rest = 0;
  for (const double e : rounding.q) rest += e;
  for (Index i = 0; i < out.rows; ++i) {
    const double share = rest > 0 ? rounding.p[i] / rest : 0;
    for (Index j = 0; j < out.cols; ++j) {
      out(i, j) = rounding.row_shares[i] * out(i, j) * rounding.col_shares[j] + share * rounding.q[j];
    }
  }
}

SparsePlan Plan::to_sparse(const SparseOptions& options) const {
  require(options.share >= 0 && options.share <= 1, "plan: to_sparse: share is ", options.share, ", expected [0, 1]");
  SparsePlan sparse{rows(), cols(), {0}, {}, {}, 0};
  std::vector<double> left_out(row_masses().size(), 0.0);
  for_blocks(*body_, [&](Index first, MatrixView<const double> logs) {
    std::vector<std::vector<std::int32_t>> kept(static_cast<std::size_t>(logs.rows));
    parallel_for(threads_worth(body_->context.threads, logs.rows * logs.cols), logs.rows, [&](Index r, int) {
      const double mass = row_masses()[first + r], least = std::log(mass) + std::log(options.share);
      for (Index j = 0; j < logs.cols; ++j) {
        if (logs(r, j) >= least && mass > 0 && std::isfinite(logs(r, j)))
          kept[r].push_back(static_cast<std::int32_t>(j));
        else
          left_out[first + r] += std::exp(logs(r, j));
      }
    });
    for (Index r = 0; r < logs.rows; ++r) {
      const std::int64_t entries = sparse.offsets.back() + static_cast<std::int64_t>(kept[r].size());
      if (entries > options.most) {
        throw Error(Errc::out_of_memory, concat("plan: to_sparse: more than ", options.most, " entries after ",
                                                first + r + 1, " of ", rows(), " rows; raise share, or most"));
      }
      for (const std::int32_t j : kept[r]) {
        sparse.columns.push_back(j);
        sparse.values.push_back(std::exp(logs(r, j)));
      }
      sparse.offsets.push_back(entries);
    }
  });
  for (const double e : left_out) sparse.left_out += e;
  return sparse;
}

std::vector<PlanEntry> Plan::sample_distinct(const Rng& rng, Index count) const {
  require(count >= 0, "plan: sample_distinct: count is ", count);
  std::vector<Racer> leaders;
  double bar = -std::numeric_limits<double>::infinity();  // what an entry has to pass
  const std::size_t places = static_cast<std::size_t>(count);
  for_blocks(*body_, [&](Index first, MatrixView<const double> logs) {
    if (places == 0) return;
    std::vector<std::vector<Racer>> of_row(static_cast<std::size_t>(logs.rows));
    parallel_for(threads_worth(body_->context.threads, logs.rows * logs.cols), logs.rows, [&](Index r, int) {
      const Rng of_entries = rng.substream(static_cast<std::uint64_t>(first + r));
      for (Index j = 0; j < logs.cols; ++j) {
        if (!std::isfinite(logs(r, j)) || logs(r, j) + largest_gumbel < bar) continue;
        const Rng::Block w = of_entries.bits(static_cast<std::uint64_t>(j / 2));
        const double key = logs(r, j) + gumbel(w.w[2 * (j % 2)], w.w[2 * (j % 2) + 1]);
        if (key > bar) of_row[r].push_back({key, {static_cast<std::int32_t>(first + r), static_cast<std::int32_t>(j)}});
      }
    });
    for (const auto& racers : of_row) leaders.insert(leaders.end(), racers.begin(), racers.end());
    if (leaders.size() > places) {
      std::nth_element(leaders.begin(), leaders.begin() + count - 1, leaders.end());
      leaders.resize(places);
      bar = leaders.back().key;
    }
  });
  require(leaders.size() == places, "plan: sample_distinct: ", count, " entries wanted, ", leaders.size(),
          " are positive");
  std::sort(leaders.begin(), leaders.end());
  std::vector<PlanEntry> entries;
  for (const Racer& racer : leaders) entries.push_back(racer.entry);
  return entries;
}

}  // namespace monge::ot
