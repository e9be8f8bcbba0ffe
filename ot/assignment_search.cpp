#include "monge/ot/assignment_search.h"

#include <algorithm>
#include <limits>
#include <random>
#include <utility>

#include "monge/ot/assignment_rows.h"
#include "monge/ot/clipped_mean.h"
#include "monge/ot/core/error.h"

namespace monge::ot::detail {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr Index kBidsPerRow = 32;           // where more stop paying, on clouds of 2 to 784 dimensions
constexpr Index kPhasesFrom = 32;           // rows; fewer are assigned at once
constexpr double kPhases[] = {4, 1, 0.25};  // epsilons of the bids, over what a row's two best columns differ by

template <class T>
class Search {
 public:
  Search(MatrixView<const T> cost, std::vector<double> v, Monitor& monitor)
      : cost_(cost), n_(cost.rows), m_(cost.cols), monitor_(monitor), v_(std::move(v)) {
    if (v_.empty() || n_ < m_) v_.assign(m_, 0.0);
    column_of_.assign(n_, -1);
    row_of_.assign(m_, -1);
    key_.resize(m_);
    from_.resize(m_);
  }

  Assignment run() {
    if (n_ == m_) {
      reduce_columns();
      const double gap = n_ < kPhasesFrom ? 0 : usual_gap();
      for (const double phase : kPhases) {
        if (!(gap > 0) || monitor_.status() != Status::converged) break;
        release_beyond(phase * gap);
        bid(phase * gap);
      }
      if (gap > 0) release_beyond(0);
    }
    bid(0);
    open_ = v_;
    for (Index i = 0; i < n_; ++i) {
      if (column_of_[i] >= 0) continue;
      if (monitor_.stop(assigned_)) break;
      augment(i);
    }
    return {std::move(column_of_), std::move(row_of_), std::move(v_)};
  }

 private:
  struct Closed {
    Index column;
    double key;
  };

  void assign(Index i, Index j) {
    column_of_[i] = j;
    row_of_[j] = i;
    ++assigned_;
  }

  [[noreturn]] void infeasible(Index i) const {
    throw Error(Errc::infeasible,
                concat(monitor_.who(), ": infeasible: the forbidden pairs leave no complete assignment (row ", i,
                       " is one too many)"));
  }

  // v_j = min_i c_ij - u_i, u the row minima under the starting v; then each column goes to the row where its minimum
  // is, if nobody took it before.
  void reduce_columns() {
    std::fill(key_.begin(), key_.end(), kInfinity);
    const std::vector<double> zeros(m_, 0.0);
    for (Index i = 0; i < n_; ++i) {
      const TwoSmallest best = two_smallest(cost_.row(i), v_.data(), m_);
      relax(cost_.row(i), zeros.data(), -best.first, i, key_.data(), from_.data(), m_);
    }
    for (Index j = 0; j < m_; ++j) {
      if (key_[j] == kInfinity)
        throw Error(Errc::infeasible,
                    concat(monitor_.who(), ": infeasible: all pairs of column ", j, " are forbidden"));
      v_[j] = key_[j];
      if (column_of_[from_[j]] < 0) assign(from_[j], j);
    }
  }

  // By how much the best column of a row is better than its second best; a few rows with nothing but one column in
  // reach must not spoil the others' prices.
  double usual_gap() const {
    std::vector<double> gaps;
    for (Index i = 0; i < n_; ++i) {
      const TwoSmallest best = two_smallest(cost_.row(i), v_.data(), m_);
      if (best.second > best.first && best.second < kInfinity) gaps.push_back(best.second - best.first);
    }
    const double share = static_cast<double>(gaps.size()) / static_cast<double>(n_);  // of rows without a tie
    return share * clipped_mean(std::move(gaps));
  }

  // Frees the rows whose own column is worse than their best by more than epsilon.
  void release_beyond(double epsilon) {
    for (Index i = 0; i < n_; ++i) {
      const Index j = column_of_[i];
      if (j < 0) continue;
      const double best = two_smallest(cost_.row(i), v_.data(), m_).first;
      if (static_cast<double>(cost_(i, j)) - v_[j] <= best + epsilon) continue;
      row_of_[j] = column_of_[i] = -1;
      --assigned_;
    }
  }

  // A free row takes its best column and lowers it until its second best is better by epsilon; the row put out goes
  // next. Epsilon 0 is augmenting row reduction, which leaves a taken column alone if it would not be lowered. Between
  // points of low dimension, or with rounded costs, such price wars can go on (nearly) for ever, so the bids are
  // counted, and what they leave is left to augment().
  void bid(double epsilon) {
    std::vector<Index> free;
    for (Index i = 0; i < n_; ++i)
      if (column_of_[i] < 0) free.push_back(i);
    if (free.empty()) return;
    std::mt19937_64 random(static_cast<std::uint64_t>(n_));  // neighbours in turn would drive each other's prices
    for (Index i = static_cast<Index>(free.size()); i-- > 1;)
      std::swap(free[i], free[random() % static_cast<std::uint64_t>(i + 1)]);
    for (Index bids = kBidsPerRow * n_; !free.empty() && bids > 0; --bids) {
      if (bids % 64 == 0 && monitor_.stop(assigned_)) return;
      const Index i = free.back();
      free.pop_back();
      const TwoSmallest best = two_smallest(cost_.row(i), v_.data(), m_);
      const Index j = best.column, owner = row_of_[j];
      const double lowered = v_[j] - (best.second - best.first) - epsilon;
      const bool lowers = lowered < v_[j] && best.second < kInfinity;
      if (owner >= 0) {
        if (!lowers) continue;
        column_of_[owner] = -1;
        --assigned_;
        free.push_back(owner);
      }
      if (lowers) v_[j] = lowered;
      assign(i, j);
    }
  }

  // Dijkstra's from row `source` over reduced costs to the nearest free column, and the swap along the path there.
  void augment(Index source) {
    std::fill(key_.begin(), key_.end(), kInfinity);
    closed_.clear();
    double low = relax(cost_.row(source), open_.data(), 0.0, source, key_.data(), from_.data(), m_);
    double level = -kInfinity;
    Index sink = -1;
    for (std::size_t next = 0; sink < 0; ++next) {
      if (next == closed_.size() || low <= level) {
        level = std::max(level, low);
        if (low == kInfinity) infeasible(source);
        sink = close_columns(level);
        if (sink >= 0) break;
      }
      const Index j = closed_[next].column, i = row_of_[j];
      const double shift = level - (static_cast<double>(cost_(i, j)) - v_[j]);
      low = relax(cost_.row(i), open_.data(), shift, i, key_.data(), from_.data(), m_);
    }
    for (const Closed& c : closed_) {
      v_[c.column] += c.key - level;
      open_[c.column] = v_[c.column];
    }
    for (Index j = sink, i = -1; i != source;) {
      i = from_[j];
      row_of_[j] = i;
      std::swap(j, column_of_[i]);
    }
    ++assigned_;
  }

  // Closes the columns no farther than `level`; returns a free one among them, if any.
  Index close_columns(double level) {
    for (Index j = next_within(key_.data(), level, 0, m_); j < m_; j = next_within(key_.data(), level, j + 1, m_)) {
      if (row_of_[j] < 0) return j;
      closed_.push_back({j, key_[j]});
      key_[j] = kInfinity;
      open_[j] = -kInfinity;
    }
    return -1;
  }

  MatrixView<const T> cost_;
  Index n_, m_;
  Monitor& monitor_;
  Index assigned_ = 0;
  std::vector<double> v_, open_, key_;  // open: v, -infinity where a column is closed
  std::vector<Index> column_of_, row_of_, from_;
  std::vector<Closed> closed_;
};

}  // namespace

Monitor::Monitor(const AssignmentOptions& options, Index rows, const char* who)
    : options_(options),
      rows_(rows),
      who_(who),
      in_passes_([this] { return !stop(0); }, Stop::after(start_, options.max_seconds)) {
  require(options.max_seconds >= 0, who, ": max_seconds is ", options.max_seconds);
  require(options.stored_bytes >= 0, who, ": stored_bytes is ", options.stored_bytes, ", should not be negative");
}

bool Monitor::stop(Index assigned) {
  if (status_ != Status::converged) return true;
  const double seconds = std::chrono::duration<double>(Stop::Clock::now() - start_).count();
  const bool told = options_.context.stop && options_.context.stop->requested();
  if (told || (options_.progress && !options_.progress({assigned, rows_, seconds}))) {
    status_ = Status::stopped_by_caller;
  } else if (seconds >= options_.max_seconds) {
    status_ = Status::time_limit;
  }
  return status_ != Status::converged;
}

template <class T>
Assignment search(MatrixView<const T> cost, std::vector<double> v, Monitor& monitor) {
  return Search<T>(cost, std::move(v), monitor).run();
}

template <class T>
bool complete(MatrixView<const T> cost, Assignment& a) {
  bool all = true;
  for (Index i = 0; i < cost.rows; ++i) {
    if (a.column_of[i] >= 0) continue;
    Index best = -1;
    double lowest = kInfinity;
    for (Index j = 0; j < cost.cols; ++j) {
      const double reduced = static_cast<double>(cost(i, j)) - a.v[j];
      if (a.row_of[j] < 0 && reduced < lowest) lowest = reduced, best = j;
    }
    if (best < 0) {
      all = false;
      continue;
    }
    a.column_of[i] = best;
    a.row_of[best] = i;
  }
  return all;
}

template Assignment search(MatrixView<const float>, std::vector<double>, Monitor&);
template Assignment search(MatrixView<const double>, std::vector<double>, Monitor&);
template bool complete(MatrixView<const float>, Assignment&);
template bool complete(MatrixView<const double>, Assignment&);

}  // namespace monge::ot::detail
