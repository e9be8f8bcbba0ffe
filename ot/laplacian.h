#pragma once  // private: never installed
#include <cstdint>
#include <vector>

#include "monge/ot/core/array.h"

namespace monge::ot::detail {

// An edge between j < k.
struct Link {
  std::int32_t j, k;
  double weight;
};

// Of n vertices: sorted by j, then k, and those of one pair added up.
void merge_links(std::vector<Link>& links, Index n);

// The matrix of a weighted graph: (A x)_j = own_j x_j + sum_k w_jk (x_j - x_k).
struct Laplacian {
  std::vector<double> diagonal;
  std::vector<Index> first;  // n + 1: where each row starts in `column` and `weight`
  std::vector<std::int32_t> column;
  std::vector<double> weight;

  Laplacian() = default;
  Laplacian(const std::vector<double>& own, const std::vector<Link>& merged);
  Index size() const { return static_cast<Index>(diagonal.size()); }
  void multiply(const std::vector<double>& x, std::vector<double>& out) const;
};

// Solves A x = b by conjugate gradients, preconditioned by a cycle over grids: groups of four vertices with numbers
// next to each other, which should lie close (kd_order), are a vertex of the next.
class Multigrid {
 public:
  Multigrid() = default;
  // own: positive.
  Multigrid(std::vector<double> own, std::vector<Link> merged);

  // To this share of b, in the norm that the preconditioner makes, or as far as `most` iterations go.
  std::vector<double> solve(const std::vector<double>& b, double tolerance, int most = 200) const;

  // One cycle: nearly A^-1 b, and as symmetric.
  void precondition(const std::vector<double>& b, std::vector<double>& x) const { cycle(0, b, x); }

 private:
  void cycle(std::size_t level, const std::vector<double>& b, std::vector<double>& x) const;

  std::vector<Laplacian> levels_;
};

}  // namespace monge::ot::detail
