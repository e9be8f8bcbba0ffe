#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "monge/ot/core/random.h"
#include "monge/ot/sinkhorn.h"

namespace monge::ot {

namespace detail {
class PlanBody;
}

struct PlanEntry {
  std::int32_t row = 0;
  std::int32_t column = 0;
};

// Rows in compressed form (CSR): entries offsets[i] to offsets[i + 1] are those of row i, columns ascending.
struct SparsePlan {
  Index rows = 0, cols = 0;
  std::vector<std::int64_t> offsets = {};  // rows + 1
  std::vector<std::int32_t> columns = {};
  std::vector<double> values = {};
  double left_out = 0;  // mass of the entries that are not here
};

struct SparseOptions {
  double share = 1e-4;            // leaves out entries of less than this share of their row's mass; 0 keeps all
  std::int64_t most = 100000000;  // entries; throws out_of_memory when there are more
};

// A feasible plan close to P: row and column sums are the weights (of a partial problem: at most these, with the mass
// asked for), up to a few roundings in double.
//   F_ij = row_shares_i P_ij col_shares_j + p_i q_j / sum q
// Altschuler, Weed and Rigollet, Near-linear time approximation algorithms for optimal transport, NeurIPS 2017.
struct Rounding {
  std::vector<double> row_shares;  // n, in [0, 1]
  std::vector<double> col_shares;  // m, in [0, 1]
  std::vector<double> p;           // n, what is still to be sent
  std::vector<double> q;           // m, what is still to be received; sum q = sum p
};

// The plan of a result, P_ij = a_i b_j exp((f_i + g_j - c_ij) / epsilon), as an operator: whatever is asked of it takes
// passes over the costs, and no n x m array is made but by those whose result is one. Computes as the solver did: in
// the type of the problem, in double if epsilon is too small for float.
//
// Borrows what the problem borrows. Throws Error: invalid_argument when shapes do not match.
class Plan {
 public:
  Plan(const Problem<float>& problem, const SinkhornResult& result, const Context& context = {});
  Plan(const Problem<double>& problem, const SinkhornResult& result, const Context& context = {});
  Plan(Plan&&) noexcept;
  Plan& operator=(Plan&&) noexcept;
  ~Plan();

  Index rows() const;  // n
  Index cols() const;  // m

  const std::vector<double>& row_masses() const;  // n, P 1
  std::vector<double> col_masses() const;         // m, P^T 1; one pass
  double mass() const;                            // sum P
  double entropy() const;                         // of P / mass: -sum p log p, in nats
  // 2 H(P) / (H(a) + H(b)) - 1 with a and b scaled to sum to one: 1 when rows and columns are independent, 0 when
  // either determines the other. NaN if there is but one point on each side.
  double renormalised_entropy() const;

  // out = P values (m x p to n x p) and out = P^T values (n x p to m x p).
  void apply(MatrixView<const float> values, MatrixView<float> out) const;
  void apply(MatrixView<const double> values, MatrixView<double> out) const;
  void apply_transposed(MatrixView<const float> values, MatrixView<float> out) const;
  void apply_transposed(MatrixView<const double> values, MatrixView<double> out) const;

  // The barycentric map: row i of out (n x d) is the mean of the y_j that x_i is coupled with. Not for a dense cost.
  void map(MatrixView<float> out) const;
  void map(MatrixView<double> out) const;

  // The column of the largest entry of each row; the lower column wins ties. columns: n.
  void argmax(VectorView<std::int32_t> columns) const;

  // A partner for each row, drawn from it: columns_i ~ P_i. columns: n.
  void sample_partners(const Rng& rng, VectorView<std::int32_t> columns) const;
  // `count` entries drawn from P, independently.
  std::vector<PlanEntry> sample(const Rng& rng, Index count) const;
  // `count` different entries: drawn one after another, each from what is left of P. One pass, n m random numbers.
  // Throws invalid_argument if P has fewer positive entries.
  std::vector<PlanEntry> sample_distinct(const Rng& rng, Index count) const;

  SparsePlan to_sparse(const SparseOptions& options = {}) const;
  // out: n x m.
  void to_dense(MatrixView<float> out) const;
  void to_dense(MatrixView<double> out) const;

  // `moved`: the mass that a partial problem asks for; 0 = all of it. An unbalanced plan needs no rounding.
  Rounding rounding(double moved = 0) const;
  void to_dense(const Rounding& rounding, MatrixView<double> out) const;

 private:
  std::unique_ptr<detail::PlanBody> body_;
};

}  // namespace monge::ot
