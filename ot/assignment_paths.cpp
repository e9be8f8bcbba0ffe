#include "monge/ot/assignment_paths.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

#include "monge/ot/core/error.h"

namespace monge::ot::detail {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr Index kNever = std::numeric_limits<Index>::max();
constexpr Index kSightsInTrees = 2048;  // of a look there, about
constexpr Index kRegion = 256;          // columns closed by a search that looks beyond them
constexpr Index kAsked = 64;            // rows that do so at a time
constexpr Index kOpen = 4;              // pairs of each
constexpr double kHorizon = 4;  // times as far as the search has come they look; beyond, only once it comes to that

class ListSearch {
 public:
  ListSearch(PairCosts& costs, Shortlists& lists, std::vector<double> v, Monitor& monitor,
             const ListSearchOptions& options)
      : costs_(costs),
        lists_(lists),
        n_(costs.rows()),
        m_(costs.cols()),
        listed_(lists[0].count),
        monitor_(monitor),
        options_(options),
        v_(std::move(v)),
        cost_of_(n_),
        column_of_(n_, -1),
        row_of_(m_, -1),
        key_(m_, kInfinity),
        from_(m_) {}

  std::optional<Assignment> run() {
    for (const double epsilon : options_.epsilons) {
      release_beyond(epsilon);
      if (!bid(epsilon)) return std::nullopt;
      if (!costs_.can_close())
        move_regions(epsilon);
      else if (!augment_all())
        return std::nullopt;
    }
    if (!options_.epsilons.empty()) release_beyond(0);
    bid(0);
    if (!augment_all()) return std::nullopt;
    return Assignment{std::move(column_of_), std::move(row_of_), std::move(v_)};
  }

 private:
  // An open column, or (column < 0) the pairs outside the list of row -1 - column.
  struct Node {
    double key;
    std::int32_t column;
  };
  static bool later(const Node& a, const Node& b) {
    return a.key > b.key || (a.key == b.key && a.column < b.column);  // columns before what is outside lists
  }

  void assign(Index i, const Pair& pair) {
    column_of_[i] = pair.column;
    row_of_[pair.column] = i;
    cost_of_[i] = pair.cost;
    ++assigned_;
  }

  // Makes the list of a row anew, and longer until more than `reach` bounds what it leaves out.
  void look_again(Index i, double reach) {
    for (Index k = std::max<Index>(1, lists_[i].count);; k *= 2) {
      const double rest = costs_.shortlist(i, k, v_, fresh_);
      if (rest <= reach && static_cast<Index>(fresh_.size()) < m_) continue;
      lists_.set(i, fresh_.data(), static_cast<Index>(fresh_.size()), rest);
      return;
    }
  }

  struct Best {
    const Pair* pair;
    double first, second;
  };
  Best best_of(Index i) const {
    Best best{nullptr, kInfinity, kInfinity};
    for (const Pair& pair : lists_[i]) {
      const double reduced = pair.cost - v_[pair.column];
      if (reduced < best.first) {
        best = {&pair, reduced, best.first};
      } else if (reduced < best.second) {
        if (reduced == best.first && row_of_[best.pair->column] >= 0 && row_of_[pair.column] < 0) best.pair = &pair;
        best.second = reduced;
      }
    }
    best.second = std::min(best.second, lists_[i].rest);
    return best;
  }

  std::vector<Index> free_rows() const {
    std::vector<Index> free;
    for (Index i = 0; i < n_; ++i)
      if (column_of_[i] < 0) free.push_back(i);
    return free;
  }

  // Frees the rows whose own column is worse than their best by more than epsilon.
  void release_beyond(double epsilon) {
    for (Index i = 0; i < n_; ++i) {
      const Index j = column_of_[i];
      if (j < 0 || cost_of_[i] - v_[j] <= std::min(best_of(i).first, lists_[i].rest) + epsilon) continue;
      row_of_[j] = column_of_[i] = -1;
      --assigned_;
    }
  }

  // A free row takes its best column and lowers it until its second best is better by epsilon; the row put out goes
  // next. Epsilon 0 is augmenting row reduction, which leaves a taken column alone if it would not be lowered. Bids are
  // counted, as such price wars can go on (nearly) for ever. Where a search can look beyond regions, a row too many in
  // one is left to it once its war has had many rows look again. Returns false if the search should be given up.
  bool bid(double epsilon) {
    std::vector<Index> free = free_rows();
    std::mt19937_64 random(static_cast<std::uint64_t>(n_));  // neighbours in turn would drive each other's prices
    for (Index i = static_cast<Index>(free.size()); i-- > 1;)
      std::swap(free[i], free[random() % static_cast<std::uint64_t>(i + 1)]);
    const Index most = epsilon > 0 ? options_.bids_per_row : options_.reductions_per_row;
    const Index patience = costs_.can_close() && epsilon > 0 ? n_ / 64 + 100 : most * n_;
    const Index most_looks =
        epsilon > 0 && options_.limits.looks_per_row > 0 ? options_.limits.looks_per_row * n_ : kNever;
    for (Index left = most * n_, looks = 0, all_looks = 0; !free.empty() && left > 0; --left) {
      if (left % 1024 == 0 && monitor_.stop(assigned_)) return true;
      const Index i = free.back();
      free.pop_back();
      Best best = best_of(i);
      if (best.first > lists_[i].rest) {
        look_again(i, lists_[i].rest);
        ++looks;
        if (++all_looks > most_looks) return false;
        best = best_of(i);
      }
      if (best.pair == nullptr || best.first > lists_[i].rest) continue;
      const Index j = best.pair->column, owner = row_of_[j];
      const double lowered = v_[j] - (best.second - best.first) - epsilon;
      const bool lowers = lowered < v_[j] && best.second < kInfinity;
      if (owner >= 0) {
        if (!lowers) continue;
        column_of_[owner] = -1;
        --assigned_;
        if (looks < patience) {
          free.push_back(owner);
        } else {
          looks = 0;
        }
      } else {
        looks = 0;
      }
      if (lowers) v_[j] = lowered;
      assign(i, *best.pair);
    }
    return true;
  }

  // Rows that bids leave over would have long paths: prices of whole regions have to move. Coarser bids move them, and
  // finer ones put right what these do.
  void move_regions(double epsilon) {
    constexpr int most_coarser = 5;
    double coarse = epsilon;
    for (int k = 0; k < most_coarser && assigned_ < n_; ++k) bid(coarse *= 4);
    while (coarse > epsilon && !monitor_.stop(assigned_)) {
      coarse /= 4;
      release_beyond(coarse);
      bid(coarse);
    }
  }

  // False if the search should be given up.
  bool augment_all() {
    looked_beyond_ = false;
    const Index most = options_.limits.sights_per_pair > 0 ? options_.limits.sights_per_pair * n_ * m_ : kNever;
    for (Index i = 0; i < n_; ++i) {
      if (column_of_[i] >= 0) continue;
      if (monitor_.stop(assigned_)) break;
      if (sights_ > most) return false;
      augment(i);
    }
    if (looked_beyond_) renew_lists();
    return true;
  }

  // Where regions have fallen, what rows have may be no better than the bounds on what they do not list.
  void renew_lists() {
    constexpr Index few = 16;  // of so many rows one at most: then these alone
    std::vector<Index> weak;
    for (Index i = 0; i < n_; ++i)
      if (column_of_[i] >= 0 && lists_[i].rest < cost_of_[i] - v_[column_of_[i]]) weak.push_back(i);
    if (few * static_cast<Index>(weak.size()) <= n_) {
      for (const Index i : weak) look_again(i, -kInfinity);
      return;
    }
    lists_ = Shortlists();
    lists_ = costs_.shortlists(listed_, v_);
  }

  // Dijkstra's over reduced costs from a row to the nearest free column, and the swap along the path there. A list is
  // left once its pairs can no longer be the nearest: then the row is looked at again.
  void augment(Index source) {
    source_ = source;
    touched_.clear();
    closed_.clear();
    heap_.clear();
    nearest_free_ = kInfinity;
    Best best = best_of(source);
    if (best.pair == nullptr || best.first > lists_[source].rest) {
      look_again(source, -kInfinity);
      best = best_of(source);
    }
    start_ = std::min(best.first, lists_[source].rest);
    level_ = 0;
    scan(source, -start_);
    Index sink = -1;
    while (sink < 0) {
      if (heap_.empty()) infeasible(source);
      const Node node = pop();
      if (node.column < 0) {
        const Index i = -1 - node.column;
        level_ = std::max(level_, node.key);
        if (costs_.can_close() && static_cast<Index>(closed_.size()) > kRegion) {
          look_beyond(i);
          continue;
        }
        const double shift = shift_of(i);
        look_again(i, lists_[i].rest);
        sights_ += costs_.can_close() ? kSightsInTrees : m_;
        scan(i, shift);
        continue;
      }
      const Index j = node.column;
      if (node.key > key_[j]) continue;
      level_ = std::max(level_, node.key);
      if (row_of_[j] < 0) {
        sink = j;
        break;
      }
      closed_.push_back(j);
      scan(row_of_[j], shift_of(row_of_[j]));
    }
    for (; told_ > 0; --told_) costs_.open(closed_[told_ - 1]);
    for (const Index j : closed_) v_[j] += std::min(0.0, key_[j] - level_);
    for (const Index j : touched_) key_[j] = kInfinity;
    for (Index j = sink, i = -1; i != source;) {
      const Pair pair = from_[j].pair;
      i = from_[j].row;
      row_of_[j] = i;
      cost_of_[i] = pair.cost;
      std::swap(j, column_of_[i]);
    }
    ++assigned_;
  }

  // What turns c_ij - v_j into the distance of column j by way of row i.
  double shift_of(Index i) const {
    if (i == source_) return -start_;
    const Index own = column_of_[i];
    return key_[own] - (cost_of_[i] - v_[own]);
  }

  void scan(Index i, double shift) {
    for (const Pair& pair : lists_[i]) reach(i, pair, shift);
    sights_ += lists_[i].count;
    leave(i, shift + lists_[i].rest);
  }
  void reach(Index i, const Pair& pair, double shift) {
    const Index j = pair.column;
    const double key = std::max(level_, shift + (pair.cost - v_[j]));  // rounding must not reopen what is closed
    if (key >= key_[j] || key >= nearest_free_) return;
    if (key_[j] == kInfinity) touched_.push_back(j);
    key_[j] = key;
    from_[j] = {pair, i};
    if (row_of_[j] < 0) nearest_free_ = key;
    push({key, pair.column});
  }
  void leave(Index i, double key) {
    if (key < nearest_free_) push({std::max(level_, key), static_cast<std::int32_t>(-1 - i)});
  }

  // The nearest columns of a row that has closed a whole region around it are few of many: only open ones are asked
  // for, together with those of the rows that come next.
  void look_beyond(Index i) {
    looked_beyond_ = true;
    for (; told_ < closed_.size(); ++told_) costs_.close(closed_[told_]);
    const double farthest = level_ > 0 ? std::min(nearest_free_, kHorizon * level_) : nearest_free_;
    asked_.assign(1, {i, farthest - shift_of(i)});
    while (static_cast<Index>(asked_.size()) < kAsked && !heap_.empty() && heap_.front().column < 0 &&
           heap_.front().key < farthest) {
      const Index next = -1 - pop().column;
      asked_.push_back({next, farthest - shift_of(next)});
    }
    costs_.find_open(kOpen, v_, asked_);
    sights_ += kSightsInTrees * static_cast<Index>(asked_.size());
    for (const OpenList& list : asked_) {
      const double shift = shift_of(list.row);
      for (const Pair& pair : list.pairs) reach(list.row, pair, shift);
      leave(list.row, std::min(farthest, shift + list.rest));
    }
  }

  void push(Node node) {
    heap_.push_back(node);
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  Node pop() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const Node node = heap_.back();
    heap_.pop_back();
    return node;
  }

  [[noreturn]] void infeasible(Index i) const {
    throw Error(Errc::infeasible,
                concat(monitor_.who(), ": infeasible: the forbidden pairs leave no complete assignment (row ", i,
                       " is one too many)"));
  }

  struct Step {
    Pair pair;
    Index row;
  };

  PairCosts& costs_;
  Shortlists& lists_;
  Index n_, m_, listed_;  // listed: pairs of a row, to begin with
  Monitor& monitor_;
  const ListSearchOptions& options_;
  Index assigned_ = 0;
  std::vector<double> v_, cost_of_;  // of each row's own pair
  std::vector<Index> column_of_, row_of_;
  std::vector<double> key_;
  std::vector<Step> from_;
  std::vector<Index> touched_, closed_;
  std::vector<Node> heap_;
  std::vector<Pair> fresh_;
  std::vector<OpenList> asked_;
  Index source_ = 0;
  Index sights_ = 0;      // of pairs, by paths
  std::size_t told_ = 0;  // closed columns that costs_ knows of
  bool looked_beyond_ = false;
  double start_ = 0, level_ = 0, nearest_free_ = kInfinity;
};

}  // namespace

std::optional<Assignment> search(PairCosts& costs, Shortlists& lists, std::vector<double> v, Monitor& monitor,
                                 const ListSearchOptions& options) {
  return ListSearch(costs, lists, std::move(v), monitor, options).run();
}

bool complete_listed(const Shortlists& lists, Assignment& a) {
  bool all = true;
  for (Index i = 0; i < static_cast<Index>(a.column_of.size()); ++i) {
    for (const Pair& pair : lists[i]) {
      if (a.column_of[i] >= 0) break;
      if (a.row_of[pair.column] >= 0) continue;
      a.column_of[i] = pair.column;
      a.row_of[pair.column] = i;
    }
    all = all && a.column_of[i] >= 0;
  }
  return all;
}

void complete(const Shortlists& lists, Assignment& a) {
  if (complete_listed(lists, a)) return;
  for (Index i = 0, j = 0; i < static_cast<Index>(a.column_of.size()); ++i) {
    if (a.column_of[i] >= 0) continue;
    while (a.row_of[j] >= 0) ++j;
    a.column_of[i] = j;
    a.row_of[j] = i;
  }
}

}  // namespace monge::ot::detail
