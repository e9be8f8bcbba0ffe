#pragma once  // private: never installed
#include <cstdint>
#include <deque>
#include <vector>

#include "monge/ot/core/array.h"

// Lists of the few pairs of each row that an optimal assignment may well use.
namespace monge::ot::detail {

struct Pair {
  double cost;
  std::int32_t column;
};

// Some pairs of a row, and a bound on the others: c_ij - v_j >= rest for every pair that is not listed, under the
// column potentials the list was made for and all lower ones.
struct Shortlist {
  Pair* pairs = nullptr;
  Index count = 0, capacity = 0;
  double rest = 0;

  Pair* begin() const { return pairs; }
  Pair* end() const { return pairs + count; }
};

// Where the columns of row i begin for ties: rows that tie everywhere should list different ones.
inline Index spread(Index row, Index columns) {
  return static_cast<Index>((static_cast<std::uint64_t>(row) * 0x9E3779B97F4A7C15u >> 33) %
                            static_cast<std::uint64_t>(columns));
}

class Shortlists {
 public:
  Shortlists() = default;
  Shortlists(Index rows, Index capacity) : memory_(static_cast<std::size_t>(rows * capacity)), lists_(rows) {
    for (Index i = 0; i < rows; ++i) lists_[i] = {memory_.data() + i * capacity, 0, capacity, 0};
  }
  Shortlists(const Shortlists&) = delete;
  Shortlists& operator=(const Shortlists&) = delete;
  Shortlists(Shortlists&&) = default;
  Shortlists& operator=(Shortlists&&) = default;

  const Shortlist& operator[](Index row) const { return lists_[row]; }
  // Safe for several rows at a time, as long as they fit their capacity.
  void set(Index row, const Pair* pairs, Index count, double rest);

 private:
  std::vector<Pair> memory_;
  std::deque<std::vector<Pair>> more_;  // of lists that have outgrown their first place
  std::vector<Shortlist> lists_;
};

// The pairs of a row of least c_ij - v_j, at most `most`, among open columns; c_ij - v_j >= rest for all other such
// pairs.
struct OpenList {
  Index row;
  double most;
  std::vector<Pair> pairs = {};
  double rest = 0;
};

// The costs of an assignment problem, as a search on shortlists asks for them.
class PairCosts {
 public:
  virtual ~PairCosts() = default;
  virtual Index rows() const = 0;
  virtual Index cols() const = 0;
  virtual double cost(Index row, Index column) const = 0;
  // The k pairs of least c_ij - v_j of every row, and what bounds the rest.
  virtual Shortlists shortlists(Index k, const std::vector<double>& v) = 0;
  // The same for one row; returns the bound on the rest: +infinity if all allowed pairs are listed.
  virtual double shortlist(Index row, Index k, const std::vector<double>& v, std::vector<Pair>& pairs) = 0;

  // Where columns can be closed, k pairs at most of each list's row are found among those that are open. To begin with,
  // all are.
  virtual bool can_close() const { return false; }
  virtual void close(Index) {}
  virtual void open(Index) {}
  virtual void find_open(Index, const std::vector<double>& /*v*/, std::vector<OpenList>&) {}
};

}  // namespace monge::ot::detail
