#include "monge/ot/geometry.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "monge/ot/blocks.h"
#include "monge/ot/core/backend.h"

namespace monge::ot::detail {

template <class T>
Geometry<T>::Geometry(const Problem<T>& problem)
    : rows_(problem.rows()),
      cols_(problem.cols()),
      cost_(problem.cost),
      dense_(problem.is_dense()),
      given_(problem.cost_matrix),
      x_labels_(problem.x_labels),
      y_labels_(problem.y_labels),
      row_own_(static_cast<std::size_t>(rows_), 0.0),
      col_own_(static_cast<std::size_t>(cols_), 0.0) {
  if (dense_) {
    row_largest_.assign(static_cast<std::size_t>(rows_), 0.0);
    for (Index i = 0; i < rows_; ++i) {
      for (Index j = 0; j < cols_; ++j) {
        row_largest_[i] = std::max(row_largest_[i], std::abs(static_cast<double>(given_(i, j))));
        signs_ = signs_ || given_(i, j) < 0;
      }
      largest_ = std::max(largest_, row_largest_[i]);
    }
    exponent_ = largest_ > 0 ? std::max(std::ilogb(largest_), std::numeric_limits<T>::min_exponent) : 0;
    largest_ = std::ldexp(largest_, -exponent_);
    for (double& e : row_largest_) e = std::ldexp(e, -exponent_);
  } else if (cost_ == Cost::cosine) {
    read_directions(problem);
  } else {
    read_points(problem);
  }
  if (!x_labels_.empty()) {
    const bool forbids = std::isinf(problem.label_penalty);  // pairs, whose costs count for nothing
    const bool alone = largest_ == 0 && problem.label_penalty > 0;
    if (alone && !forbids && !dense_) exponent_ = std::ilogb(problem.label_penalty);
    label_penalty_ = std::ldexp(problem.label_penalty, -exponent_);
    if (!forbids) largest_ += label_penalty_;
    rounding_ += 2 * std::numeric_limits<T>::epsilon() * largest_ + std::numeric_limits<T>::min();
  }
}

template <class T>
double Geometry<T>::product_scale() const {
  switch (cost_) {
    case Cost::squared_euclidean:
      return 2;
    case Cost::negative_dot:
    case Cost::cosine:
      return 1;
    default:
      return 0;
  }
}

template <class T>
double Geometry<T>::unit() const {
  return std::ldexp(1.0, exponent_);
}

template <class T>
Scores<T> Geometry<T>::scores(VectorView<const T> v) const {
  if (stored_.rows() > 0) return {.stored = stored(), .v = v};
  Scores<T> s = scores_here(v);
  if (x_there_.rows() > 0) s.x = x_there_.view(), s.y = y_there_.view();
  return s;
}

template <class T>
Scores<T> Geometry<T>::scores_here(VectorView<const T> v) const {
  if (stored_here()) return {.stored = stored(), .v = v};
  Scores<T> s{.v = v};
  if (dense_) {
    s.stored = given_;
    s.scale = static_cast<T>(-std::ldexp(1.0, -exponent_));
  } else {
    s.x = x_.view();
    s.y = y_.view();
    s.metric = cost_ == Cost::euclidean ? Metric::euclidean : cost_ == Cost::l1 ? Metric::l1 : Metric::dot;
    s.scale = static_cast<T>(s.metric == Metric::dot ? product_scale() : -1);
  }
  s.row_labels = x_labels_;
  s.col_labels = y_labels_;
  s.label_penalty = static_cast<T>(label_penalty_);
  return s;
}

template <class T>
GatheredRows<T> Geometry<T>::gather(const std::vector<std::int32_t>& rows) const {
  const MatrixView<const T> from = stored_here() ? stored() : dense_ ? given_ : x_.view();
  GatheredRows<T> some{Matrix<T>(static_cast<Index>(rows.size()), from.cols), {}};
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::copy_n(from.row(rows[r]), from.cols, some.points.view().row(static_cast<Index>(r)));
    if (!x_labels_.empty()) some.labels.push_back(x_labels_[rows[r]]);
  }
  return some;
}

template <class T>
Scores<T> Geometry<T>::scores_of(const GatheredRows<T>& rows, VectorView<const T> v) const {
  Scores<T> s = scores_here(v);
  (s.is_stored() ? s.stored : s.x) = rows.points.view();
  if (y_there_.rows() > 0) s.y = y_there_.view();
  if (!s.row_labels.empty()) s.row_labels = VectorView<const std::int32_t>(rows.labels);
  return s;
}

template <class T>
std::vector<T> Geometry<T>::softmin_across(const std::vector<std::int32_t>& rows, VectorView<const T> v, T epsilon,
                                           const Context& context) const {
  std::vector<T> out(static_cast<std::size_t>(cols_));
  Scores<T> s = scores_here(v);
  std::vector<std::int32_t> labels;
  for (std::size_t r = 0; s.is_labelled() && r < rows.size(); ++r) labels.push_back(x_labels_[rows[r]]);
  std::swap(s.row_labels, s.col_labels);
  if (s.is_labelled()) s.col_labels = VectorView<const std::int32_t>(labels);
  Passes<T>& passes = passes_for<T>(context.device);
  if (!s.is_stored()) {
    const GatheredRows<T> some = gather(rows);
    s.x = y_there_.rows() > 0 ? y_there_.view() : y_.view();
    s.y = some.points.view();
    passes.softmin(s, epsilon, out, context);
    return out;
  }
  // The stored rows are turned, some columns at a time.
  const MatrixView<const T> stored = s.stored;
  const VectorView<const std::int32_t> all_labels = s.row_labels;
  const Index most = std::min<Index>(cols_, 4096);
  Matrix<T> turned(most, static_cast<Index>(rows.size()));
  for (Index first = 0; first < cols_; first += most) {
    const Index count = std::min(most, cols_ - first);
    for_blocks(count, turned.cols(), [&](Index, Index begin, Index end) {
      for (Index r = 0; r < turned.cols(); ++r) {
        const T* row = stored.row(rows[r]) + first;
        for (Index j = begin; j < end; ++j) turned(j, r) = row[j];
      }
    });
    s.stored = turned.view().rows_from(0, count);
    if (!all_labels.empty()) s.row_labels = {all_labels.data + first, count, all_labels.device};
    passes.softmin(s, epsilon, {out.data() + first, count}, context);
  }
  return out;
}

template <class T>
Geometry<T> Geometry<T>::transposed() const {
  const auto copy = [](const Matrix<T>& x) {
    Matrix<T> out(x.rows(), x.cols());
    std::copy_n(x.data(), x.rows() * x.cols(), out.data());
    return out;
  };
  Geometry g;
  g.rows_ = cols_, g.cols_ = rows_;
  g.cost_ = cost_, g.exponent_ = exponent_, g.label_penalty_ = label_penalty_;
  g.x_ = copy(y_), g.y_ = copy(x_);
  g.x_labels_ = y_labels_, g.y_labels_ = x_labels_;
  g.row_own_ = col_own_, g.col_own_ = row_own_;
  g.row_square_ = col_square_, g.col_square_ = row_square_;
  g.largest_ = largest_, g.rounding_ = rounding_, g.signs_ = signs_;
  if (dense_) {
    g.stored_ = Matrix<T>(cols_, rows_);
    for (Index i = 0; i < rows_; ++i) {
      for (Index j = 0; j < cols_; ++j) g.stored_(j, i) = static_cast<T>(-cost(i, j));
    }
  }
  return g;
}

template <class T>
void Geometry<T>::store(const Context& context) {
  constexpr Index line = 64 / sizeof(T);
  Matrix<T> out(rows_, (cols_ + line - 1) / line * line, context.device);
  passes_for<T>(context.device).store(scores({}), {out.data(), rows_, cols_, out.cols(), context.device}, context);
  stored_ = std::move(out);
}

// Products of halves on tensor cores (docs/cuda.md) are off by at most (480 + d / 32) u |x||y|, more than products of T
// in any order when d is small.
template <class T>
void Geometry<T>::keep_on(Device device) {
  if (dense_ || x_there_.rows() > 0) return;
  x_there_ = Matrix<T>(x_.rows(), x_.cols(), device);
  y_there_ = Matrix<T>(y_.rows(), y_.cols(), device);
  copy(x_.view(), x_there_.view());
  copy(y_.view(), y_there_.view());
  if (product_scale() == 0 || std::is_same_v<T, double>) return;
  const double x = *std::max_element(row_square_.begin(), row_square_.end());
  const double y = *std::max_element(col_square_.begin(), col_square_.end());
  const double u = 0.5 * std::numeric_limits<T>::epsilon(), d = static_cast<double>(x_.cols());
  rounding_ += 1.02 * u * product_scale() * (480 + d / 32) * std::sqrt(x * y);
}

template <class T>
double Geometry<T>::cost(Index i, Index j) const {
  double c = labels_differ(i, j) ? label_penalty_ : 0;
  if (dense_) return c + std::ldexp(static_cast<double>(given_(i, j)), -exponent_);
  const T *x = x_.view().row(i), *y = y_.view().row(j);
  const Index d = x_.cols();
  if (product_scale() != 0) return c + row_own_[i] + col_own_[j] - product_scale() * dot(x, y, d);
  double sum = 0;
  for (Index k = 0; k < d; ++k) {
    const double e = std::abs(static_cast<double>(x[k]) - static_cast<double>(y[k]));
    sum += cost_ == Cost::l1 ? e : e * e;
  }
  return c + (cost_ == Cost::l1 ? sum : std::sqrt(sum));
}

template <class T>
double Geometry<T>::row_reach(Index i) const {
  if (dense_) return row_largest_[i] + label_penalty_;
  double own = std::abs(row_own_[i]) + label_penalty_, sum = 0;
  if (product_scale() != 0) return own + 0.5 * product_scale() * row_square_[i];
  const T* x = x_.view().row(i);
  const Index d = x_.cols();
  for (Index k = 0; k < d; ++k) sum += std::abs(static_cast<double>(x[k]));
  return own + (cost_ == Cost::l1 ? sum : std::sqrt(dot(x, x, d)));
}

template <class T>
double Geometry<T>::col_reach(Index j) const {
  if (dense_) return 0;
  if (product_scale() != 0) return std::abs(col_own_[j]) + 0.5 * product_scale() * col_square_[j];
  const T* y = y_.view().row(j);
  const Index d = y_.cols();
  double sum = 0;
  for (Index k = 0; k < d; ++k) sum += std::abs(static_cast<double>(y[k]));
  return cost_ == Cost::l1 ? sum : std::sqrt(dot(y, y, d));
}

template <class T>
double Geometry<T>::score_scale() const {
  if (dense_ || product_scale() == 0) return largest_;
  const auto longest = [](const std::vector<double>& squares) {
    return *std::max_element(squares.begin(), squares.end());
  };
  return product_scale() * std::sqrt(longest(row_square_) * longest(col_square_)) + label_penalty_;
}

template <class T>
double Geometry<T>::product_bound(const std::vector<double>& p, const std::vector<double>& q) const {
  double sum = 0, total = 0;
  const bool exact = product_scale() != 0 && !dense_;
  const Index d = x_.cols();
  for (Index i = 0; i < rows_; ++i) sum += p[i] * (exact ? row_own_[i] + label_penalty_ : row_reach(i));
  for (Index j = 0; j < cols_; ++j) {
    sum += q[j] * (exact ? col_own_[j] : col_reach(j));
    total += q[j];
  }
  const double roundings = static_cast<double>(rows_ + cols_ + 2 * d + 16) * 0x1p-51 * largest_;
  if (exact && total > 0) {
    const std::vector<double> x = weighted_sum(x_.view(), p), y = weighted_sum(y_.view(), q);
    sum -= product_scale() * dot(x.data(), y.data(), d) / total;
  }
  return sum + total * (rounding_ + roundings);
}

template <class T>
double Geometry<T>::mean_cost(const std::vector<double>& a, const std::vector<double>& b,
                              const Context& context) const {
  double all_a = 0, all_b = 0;
  for (const double w : a) all_a += w;
  for (const double w : b) all_b += w;
  if (product_scale() == 0 || dense_) {  // no closed form: all scores, some rows at a time
    const Index most = std::clamp<Index>((Index{1} << 22) / cols_, 1, rows_);
    Matrix<T> block(most, cols_);
    std::vector<double> of_row(static_cast<std::size_t>(rows_));
    for (Index first = 0; first < rows_; first += most) {
      const Index count = std::min(most, rows_ - first);
      passes_for<T>(context.device).store(rows_of(scores({}), first, count), block.view(), context);
      parallel_for(threads_worth(context.threads, count * cols_), count,
                   [&](Index r, int) { of_row[first + r] = -dot(block.view().row(r), b.data(), cols_); });
    }
    double mean = 0;
    for (Index i = 0; i < rows_; ++i) mean += a[i] / all_a * of_row[i] / all_b;
    return mean;
  }
  const Index d = x_.cols();
  std::map<std::int32_t, double> a_label, b_label;
  double mean = 0;
  for (Index i = 0; i < rows_; ++i) {
    mean += a[i] / all_a * row_own_[i];
    if (!x_labels_.empty()) a_label[x_labels_[i]] += a[i] / all_a;
  }
  for (Index j = 0; j < cols_; ++j) {
    mean += b[j] / all_b * col_own_[j];
    if (!y_labels_.empty()) b_label[y_labels_[j]] += b[j] / all_b;
  }
  double same = x_labels_.empty() ? 1 : 0;
  for (const auto& [label, share] : a_label) same += share * b_label[label];
  const std::vector<double> x = weighted_sum(x_.view(), a), y = weighted_sum(y_.view(), b);
  return mean - product_scale() * dot(x.data(), y.data(), d) / all_a / all_b + label_penalty_ * (1 - same);
}

template class Geometry<float>;
template class Geometry<double>;

}  // namespace monge::ot::detail
