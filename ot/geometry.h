#pragma once  // private: never installed
#include <vector>

#include "monge/ot/core/scores.h"
#include "monge/ot/problem.h"

namespace monge::ot::detail {

// Some rows of a geometry.
template <class T>
struct GatheredRows {
  Matrix<T> points;  // or rows of a dense cost
  std::vector<std::int32_t> labels;
};

// A problem as passes see it: clouds centred and scaled by a power of two, so that squares neither overflow nor
// cancel, and costs split into what belongs to the pair and what to either point alone,
//   c_ij = 2^exponent (row_own_i + col_own_j - s_ij),  s_ij = scale k(x_i, y_j) - label penalty.
template <class T>
class Geometry {
 public:
  explicit Geometry(const Problem<T>& problem);

  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  double unit() const;  // 2^exponent
  const std::vector<double>& row_own() const { return row_own_; }
  const std::vector<double>& col_own() const { return col_own_; }

  // Scores with v_j added to each column; v is borrowed.
  Scores<T> scores(VectorView<const T> v) const;
  GatheredRows<T> gather(const std::vector<std::int32_t>& rows) const;
  Scores<T> scores_of(const GatheredRows<T>& rows, VectorView<const T> v) const;
  // Softmins of all columns over some rows, to which v_r is added.
  std::vector<T> softmin_across(const std::vector<std::int32_t>& rows, VectorView<const T> v, T epsilon,
                                const Context& context) const;
  // With the roles of rows and columns exchanged. A dense cost is copied.
  Geometry transposed() const;
  // Keeps the n x m scores from now on, where the passes of `context` run.
  void store(const Context& context);
  // Keeps a copy of the points where passes run from now on; allows for the rounding of products there.
  void keep_on(Device device);
  bool is_dense() const { return dense_; }
  bool is_made_of_products() const { return !dense_ && product_scale() != 0; }
  bool is_stored() const { return dense_ || stored_.rows() > 0; }

  // Of one pair, in double, units of 2^exponent.
  double cost(Index i, Index j) const;
  // Bounds, units of 2^exponent: |c_ij| <= row_reach_i + col_reach_j, and no c_ij whose score a pass computed is
  // further off than `rounding`, that of the points included.
  double row_reach(Index i) const;
  double col_reach(Index j) const;
  double largest_cost() const { return largest_; }
  double score_scale() const;  // the size of what scores are made of, units of 2^exponent
  // sum_ij a_i b_j c_ij / (sum a sum b), units of 2^exponent.
  double mean_cost(const std::vector<double>& a, const std::vector<double>& b, const Context& context) const;
  double rounding() const { return rounding_; }
  bool has_signs() const { return dense_ ? signs_ : cost_ == Cost::negative_dot; }  // costs may be negative
  // A bound on sum_ij p_i q_j c_ij / sum q, for p, q >= 0 of equal sums.
  double product_bound(const std::vector<double>& p, const std::vector<double>& q) const;

 private:
  struct Means;
  Geometry() = default;
  void read_points(const Problem<T>& problem);
  void read_directions(const Problem<T>& problem);
  void split_costs(const Means& means);
  void bound_errors(const Means& means);
  double product_scale() const;  // of <x_i, y_j> in s_ij; 0 if the cost is of another kind
  bool stored_here() const { return stored_.rows() > 0 && stored_.view().device == Device{}; }
  Scores<T> scores_here(VectorView<const T> v) const;  // of what the CPU's memory holds
  MatrixView<const T> stored() const { return {stored_.data(), rows_, cols_, stored_.cols(), stored_.view().device}; }
  bool labels_differ(Index i, Index j) const { return !x_labels_.empty() && x_labels_[i] != y_labels_[j]; }

  Index rows_ = 0, cols_ = 0;
  Cost cost_ = Cost::squared_euclidean;
  bool dense_ = false, signs_ = false;
  int exponent_ = 0;
  Matrix<T> x_, y_;
  Matrix<T> x_there_, y_there_;  // on another device
  Matrix<T> stored_;             // where passes run; its rows padded to whole cache lines
  MatrixView<const T> given_;
  VectorView<const std::int32_t> x_labels_, y_labels_;
  double label_penalty_ = 0;  // units of 2^exponent
  std::vector<double> row_own_, col_own_;
  std::vector<double> row_square_, col_square_;  // |x'|^2 and |y'|^2 where costs are made of products
  std::vector<double> row_largest_;              // of a dense cost
  double largest_ = 0, rounding_ = 0;
};

}  // namespace monge::ot::detail
