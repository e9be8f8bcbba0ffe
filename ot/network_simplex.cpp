#include "monge/ot/network_simplex.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "monge/ot/bounded_sum.h"
#include "monge/ot/core/error.h"
#include "monge/ot/transport_start.h"

namespace monge::ot::detail {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double unit_roundoff = 0x1p-53;
constexpr Index first_listed = 12, listed = 6;  // pairs of a row: to begin with, and in the rounds that follow
constexpr Index all_pairs = 1 << 15;            // so many are listed at once
constexpr Index pivots_between_checks = 256;

class Solver {
 public:
  Solver(const TransportCosts& costs, const TransportMasses& masses, ExactMonitor& monitor)
      : costs_(costs),
        masses_(masses),
        monitor_(monitor),
        row_of_(costs.pairs.rows(), -1),
        col_of_(costs.pairs.cols(), -1) {
    for (std::size_t r = 0; r < masses.rows.size(); ++r) row_of_[masses.rows[r]] = static_cast<std::int32_t>(r);
    for (std::size_t c = 0; c < masses.cols.size(); ++c) col_of_[masses.cols[c]] = static_cast<std::int32_t>(c);
  }

  TransportSolution solve(const std::function<std::vector<double>()>& start, const std::vector<MassOnArc>& known) {
    std::vector<double> v(col_of_.size(), -infinity);
    for (const std::int32_t j : masses_.cols) v[j] = 0;
    Draft draft{masses_.supply, masses_.demand, {}, {}};
    bool whole = finishes([&] {
      if (!known.empty()) return take(known, draft);
      const std::vector<double> found = start();
      for (const std::int32_t j : masses_.cols) v[j] = found[j];
      relax(v, draft);
    });
    std::vector<Arc>& arcs = draft.arcs;
    out_.basis = first_basis(draft);
    whole = whole && tell(arcs);
    while (whole && !arcs.empty()) {
      whole = optimise(arcs);
      std::vector<Arc> more;
      if (whole) whole = finishes([&] { more = improving(); });
      if (more.empty()) break;
      arcs.insert(arcs.end(), more.begin(), more.end());
      whole = tell(arcs);
    }
    if (!whole) end_early(v);
    return std::move(out_);
  }

 private:
  bool tell(const std::vector<Arc>& arcs, Index pivots = 0) {
    return monitor_.go_on({out_.pivots + pivots, static_cast<Index>(arcs.size()), 0});
  }
  bool takes_part(const Pair& pair) const { return col_of_[pair.column] >= 0; }
  // Certainly at most the cost, as it is without rounding, minus v.
  double below(double cost, double v) const {
    const double off = costs_.share * std::abs(cost) + costs_.most;
    return cost - v - off - 2 * unit_roundoff * (std::abs(cost) + std::abs(v));
  }

  // Lists under v, from which follow the potentials f of rows and what they prove.
  Shortlists look(Index k, const std::vector<double>& v) {
    const Index pairs = costs_.pairs.rows() * costs_.pairs.cols();
    Shortlists lists = costs_.pairs.shortlists(pairs <= all_pairs ? costs_.pairs.cols() : k, v);
    std::vector<double> f(row_of_.size());
    BoundedSum sum;
    for (std::size_t i = 0; i < f.size(); ++i) {
      f[i] = lists[i].rest;
      for (const Pair& p : lists[i])
        if (takes_part(p)) f[i] = std::min(f[i], below(p.cost, v[p.column]));
      if (std::isinf(f[i])) f[i] = 0;  // all its pairs are forbidden
    }
    for (std::size_t r = 0; r < masses_.rows.size(); ++r)
      sum.add(masses_.in_units(masses_.supply[r]) * f[masses_.rows[r]]);
    for (std::size_t c = 0; c < masses_.cols.size(); ++c)
      sum.add(masses_.in_units(masses_.demand[c]) * v[masses_.cols[c]]);
    sum.widen(static_cast<double>(masses_.rows.size() + masses_.cols.size()) * std::numeric_limits<double>::min());
    if (const double lower = sum.lower(); lower > out_.lower || out_.f.empty()) {
      out_.lower = lower;
      out_.f = f;
      out_.g = v;
    }
    f_ = std::move(f);
    return lists;
  }

  std::vector<Arc> first_arcs(const std::vector<double>& v) {
    struct Candidate {
      double rest;
      Arc arc;
    };
    std::vector<Candidate> found;
    const Shortlists lists = look(first_listed, v);
    for (std::size_t r = 0; r < masses_.rows.size(); ++r) {
      const std::int32_t i = masses_.rows[r];
      for (const Pair& p : lists[i])
        if (takes_part(p))
          found.push_back({p.cost - f_[i] - v[p.column], {static_cast<std::int32_t>(r), col_of_[p.column], p.cost}});
    }
    if (costs_.turned) {
      std::vector<double> f(f_.size(), -infinity);
      for (const std::int32_t i : masses_.rows) f[i] = f_[i];
      const Shortlists turned = costs_.turned->shortlists(first_listed, f);
      for (std::size_t c = 0; c < masses_.cols.size(); ++c) {
        const std::int32_t j = masses_.cols[c];
        for (const Pair& p : turned[j])
          if (row_of_[p.column] >= 0)
            found.push_back({p.cost - f_[p.column] - v[j], {row_of_[p.column], static_cast<std::int32_t>(c), p.cost}});
      }
    }
    const auto before = [](const Candidate& a, const Candidate& b) {
      if (a.rest != b.rest) return a.rest < b.rest;
      return a.arc.row != b.arc.row ? a.arc.row < b.arc.row : a.arc.column < b.arc.column;
    };
    std::sort(found.begin(), found.end(), before);
    std::vector<Arc> arcs;
    for (const Candidate& c : found) {
      if (!arcs.empty() && arcs.back().row == c.arc.row && arcs.back().column == c.arc.column) continue;
      arcs.push_back(c.arc);
    }
    return arcs;
  }

  // A plan as it comes together, and the arcs it may use, best first.
  struct Draft {
    std::vector<Int128> supply, demand;  // not yet placed
    std::vector<MassOnArc> plan;
    std::vector<Arc> arcs;
  };

  // Improves potentials and a plan in turn: arcs of small reduced cost, epsilon relaxation on these, again with the
  // potentials it leaves. Epsilon falls when nearly all found its place; the rest is not worth waiting for.
  void relax(std::vector<double>& v, Draft& draft) {
    constexpr Index most_rounds = 20, most_idle = 3;
    constexpr double enough = 1e-3;  // share of the mass
    double epsilon = 0, last = 0, before = HUGE_VAL;
    Index idle = 0;
    for (Index round = 0; round < most_rounds && idle < most_idle; ++round) {
      draft.arcs = first_arcs(v);
      std::vector<double> prices;
      for (const std::int32_t j : masses_.cols) prices.push_back(v[j]);
      Relaxation relaxation(draft.supply, draft.demand, prices, merged(draft));
      if (round == 0) epsilon = 2 * relaxation.spacing(), last = epsilon / 10;
      if (!(epsilon > 0)) return;
      relaxation.relax(epsilon);
      draft.plan = relaxation.plan();
      for (std::size_t c = 0; c < prices.size(); ++c) v[masses_.cols[c]] = prices[c];
      if (!tell(draft.arcs)) throw Error(Errc::stopped, "stopped");
      const double open = not_placed(draft);
      if (open > 0.9 * before && open > enough) ++idle;
      before = open;
      if (open > enough) continue;
      if (epsilon <= last) return;
      epsilon /= 4;
    }
  }

  void take(const std::vector<MassOnArc>& known, Draft& draft) const {
    for (const MassOnArc& used : known) {
      draft.arcs.push_back(used.arc);
      if (used.mass == 0) continue;
      draft.plan.push_back(used);
      draft.supply[used.arc.row] -= used.mass, draft.demand[used.arc.column] -= used.mass;
    }
  }

  // Share of the mass.
  double not_placed(const Draft& draft) const {
    double open = 0;
    for (const Int128 mass : draft.supply) open += masses_.in_units(mass);
    for (const Int128 mass : draft.demand) open += masses_.in_units(mass < 0 ? -mass : 0);
    return open / masses_.total();
  }

  // The arcs, with their masses, and those of the plan.
  static std::vector<MassOnArc> merged(const Draft& draft) {
    std::vector<MassOnArc> arcs = draft.plan;
    for (const Arc& arc : draft.arcs) arcs.push_back({arc, 0});
    const auto key = [](const MassOnArc& a) { return std::pair(a.arc.row, a.arc.column); };
    std::stable_sort(arcs.begin(), arcs.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
    arcs.erase(std::unique(arcs.begin(), arcs.end(), [&](const auto& a, const auto& b) { return key(a) == key(b); }),
               arcs.end());
    return arcs;
  }

  Basis first_basis(Draft& draft) const {
    const auto cost = [&](Index r, Index c) { return costs_.pairs.cost(masses_.rows[r], masses_.cols[c]); };
    place_rest(std::move(draft.supply), std::move(draft.demand), draft.arcs, cost, draft.plan);
    return basis_of(static_cast<Index>(masses_.rows.size()), static_cast<Index>(masses_.cols.size()), draft.plan,
                    draft.arcs, cost);
  }

  // False if it was stopped.
  bool optimise(const std::vector<Arc>& arcs) {
    double largest = 0;
    const auto see = [&](double cost) { largest = std::isfinite(cost) ? std::max(largest, std::abs(cost)) : largest; };
    for (const Arc& arc : arcs) see(arc.cost);
    for (const Basis::Link& link : out_.basis.links) see(link.arc.cost);
    TransportTree tree(static_cast<Index>(masses_.rows.size()), out_.basis, largest);
    tree.add(arcs);
    bool optimal = false, go_on = true;
    while (!optimal && go_on) {
      optimal = tree.optimise(pivots_between_checks);
      go_on = tell(arcs, tree.pivots());
    }
    pivots_in_round_ = tree.pivots();
    out_.pivots += pivots_in_round_;
    out_.basis = tree.basis();
    parts_ = tree.potentials(2 * std::max(largest, costs_.largest), u_, v_);
    if (parts_) tree.potentials(largest, proof_u_, proof_v_);
    return go_on;
  }

  // With what is certain in any case, if there was no time for more.
  void end_early(const std::vector<double>& v) {
    out_.status = monitor_.why();
    if (!out_.f.empty()) return;
    monitor_.grant();
    if (finishes([&] { look(1, v); })) return;
    out_.f.assign(row_of_.size(), costs_.least);
    out_.g.assign(col_of_.size(), -infinity);
    for (const std::int32_t j : masses_.cols) out_.g[j] = 0;
    out_.lower = costs_.least * masses_.total() * (1 + 0x1p-50 * (costs_.least < 0 ? 1 : -1));
  }

  // Pairs that improve on the basis; none if it is optimal, but for rounding.
  std::vector<Arc> improving() {
    if (rounds_++ > 0 && pivots_in_round_ == 0) return {};
    std::vector<Arc> arcs = improving(u_, v_);
    // Parts of the basis that only forbidden pairs connect were far apart to find all others; closer, they prove more.
    if (arcs.empty() && parts_) arcs = improving(proof_u_, proof_v_);
    return arcs;
  }

  std::vector<Arc> improving(const std::vector<double>& u, const std::vector<double>& of_cols) {
    std::vector<double> v(col_of_.size(), -infinity);
    for (std::size_t c = 0; c < masses_.cols.size(); ++c) v[masses_.cols[c]] = of_cols[c];
    const Shortlists lists = look(listed, v);
    std::vector<Arc> arcs;
    for (std::size_t r = 0; r < masses_.rows.size(); ++r) {
      for (const Pair& p : lists[masses_.rows[r]]) {
        if (!takes_part(p)) continue;
        const double rest = p.cost - u[r] - v[p.column];
        if (rest < -8 * unit_roundoff * (std::abs(p.cost) + std::abs(u[r]) + std::abs(v[p.column])))
          arcs.push_back({static_cast<std::int32_t>(r), col_of_[p.column], p.cost});
      }
    }
    return arcs;
  }

  const TransportCosts& costs_;
  const TransportMasses& masses_;
  ExactMonitor& monitor_;
  std::vector<std::int32_t> row_of_, col_of_;  // place of a point among those that take part; -1
  std::vector<double> f_;                      // n: of the last look
  std::vector<double> u_, v_;                  // of the basis, of the points that take part
  std::vector<double> proof_u_, proof_v_;      // the same, if it has parts
  bool parts_ = false;
  Index rounds_ = 0, pivots_in_round_ = 0;
  TransportSolution out_;
};

}  // namespace

ExactMonitor::ExactMonitor(const ExactOptions& options)
    : options_(options), stop_([this] { return refused_ || ask(); }, Stop::after(start_, options.max_seconds)) {}

double ExactMonitor::seconds() const { return std::chrono::duration<double>(Stop::Clock::now() - start_).count(); }

bool ExactMonitor::ask() {
  last_.seconds = seconds();
  refused_ = refused_ || (options_.context.stop && options_.context.stop->requested()) ||
             (options_.progress && !options_.progress(last_));
  return !refused_;
}

bool ExactMonitor::go_on(const ExactProgress& now) {
  last_ = now;
  if (!ask()) stop_.request();
  return !refused_ && !stop_.requested();
}

void ExactMonitor::grant() {
  constexpr double least = 0.5;
  const double limit = refused_ ? seconds() : 1.1 * options_.max_seconds;
  stop_.rearm(Stop::after(start_, limit + least));
}

TransportSolution network_simplex(const TransportCosts& costs, const TransportMasses& masses, ExactMonitor& monitor,
                                  const std::function<std::vector<double>()>& start,
                                  const std::vector<MassOnArc>& known) {
  return Solver(costs, masses, monitor).solve(start, known);
}

}  // namespace monge::ot::detail
