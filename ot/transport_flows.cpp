#include "monge/ot/transport_flows.h"

#include <algorithm>
#include <cmath>

namespace monge::ot::detail {
namespace {

bool before(const Flow& a, const Flow& b) {
  return a.arc.row != b.arc.row ? a.arc.row < b.arc.row : a.arc.column < b.arc.column;
}

// Of each group its first point's.
template <class T>
Matrix<T> first_points(MatrixView<const T> x, const EqualPoints& points) {
  Matrix<T> out(points.groups(), x.cols);
  for (Index g = 0; g < points.groups(); ++g) std::copy_n(x.row(points.first[g]), x.cols, out.view().row(g));
  return out;
}

std::vector<std::int32_t> first_labels(VectorView<const std::int32_t> labels, const EqualPoints& points) {
  std::vector<std::int32_t> out;
  for (Index g = 0; !labels.empty() && g < points.groups(); ++g) out.push_back(labels[points.first[g]]);
  return out;
}

template <class T>
Matrix<T> first_costs(MatrixView<const T> cost, const EqualPoints& rows, const EqualPoints& cols) {
  Matrix<T> out(rows.groups(), cols.groups());
  for (Index i = 0; i < out.rows(); ++i)
    for (Index j = 0; j < out.cols(); ++j) out(i, j) = cost(rows.first[i], cols.first[j]);
  return out;
}

// Replaces points that take part, and their masses, by groups; and says what groups weigh, all told.
std::vector<double> add_up(const EqualPoints& points, const TransportMasses& masses, std::vector<std::int32_t>& part,
                           std::vector<Int128>& of_part) {
  std::vector<Int128> sums(points.first.size(), 0);
  for (std::size_t p = 0; p < part.size(); ++p) sums[points.group[part[p]]] += of_part[p];
  part.clear(), of_part.clear();
  std::vector<double> weights;
  for (std::size_t g = 0; g < sums.size(); ++g) {
    weights.push_back(masses.in_units(sums[g]));
    if (sums[g] == 0) continue;
    part.push_back(static_cast<std::int32_t>(g));
    of_part.push_back(sums[g]);
  }
  return weights;
}

// The points of each group that take part, in their order, and what is left of their masses.
class Purses {
 public:
  Purses(const EqualPoints& points, const std::vector<std::int32_t>& part, const std::vector<Int128>& masses)
      : next_(points.first.size() + 1, 0), points_(part.size()), left_(part.size()) {
    for (const std::int32_t p : part) ++next_[points.group[p] + 1];
    for (std::size_t g = 1; g < next_.size(); ++g) next_[g] += next_[g - 1];
    std::vector<std::size_t> end(next_);
    for (std::size_t p = 0; p < part.size(); ++p) {
      const std::size_t place = end[points.group[part[p]]]++;
      points_[place] = part[p], left_[place] = masses[p];
    }
  }
  std::int32_t point(std::int32_t group) const { return points_[next_[group]]; }
  Int128 left(std::int32_t group) const { return left_[next_[group]]; }
  void take(std::int32_t group, Int128 mass) {
    if ((left_[next_[group]] -= mass) == 0) ++next_[group];
  }

 private:
  std::vector<std::size_t> next_;
  std::vector<std::int32_t> points_;
  std::vector<Int128> left_;
};

}  // namespace

std::vector<Flow> flows_of(const Basis& basis, const TransportMasses& masses) {
  std::vector<Flow> flows;
  for (const Basis::Link& link : basis.links) {
    if (link.parent < 0 || link.mass == 0) continue;
    const Arc& arc = link.arc;
    flows.push_back({{masses.rows[arc.row], masses.cols[arc.column], arc.cost}, link.mass});
  }
  std::sort(flows.begin(), flows.end(), before);
  return flows;
}

template <class T>
DistinctProblem<T>::DistinctProblem(const Problem<T>& given, const TransportMasses& masses, const Context& context)
    : all_(masses),
      rows_(equal_points<T>({given.is_dense() ? given.cost_matrix : given.x, given.x_labels}, context)),
      cols_(
          equal_points<T>({given.is_dense() ? given.cost_matrix : given.y, given.y_labels, given.is_dense()}, context)),
      as_given_(rows_.all_differ() && cols_.all_differ()),
      masses_(masses),
      problem_(given) {
  if (as_given_) return;
  if (given.is_dense()) {
    cost_ = first_costs(given.cost_matrix, rows_, cols_);
    problem_.cost_matrix = cost_.view();
  } else {
    x_ = first_points(given.x, rows_), y_ = first_points(given.y, cols_);
    problem_.x = x_.view(), problem_.y = y_.view();
  }
  x_labels_ = first_labels(given.x_labels, rows_), y_labels_ = first_labels(given.y_labels, cols_);
  a_ = add_up(rows_, masses, masses_.rows, masses_.supply);
  b_ = add_up(cols_, masses, masses_.cols, masses_.demand);
  problem_.a = a_, problem_.b = b_;
  problem_.x_labels = x_labels_, problem_.y_labels = y_labels_;
}

template <class T>
std::vector<Flow> DistinctProblem<T>::flows_of_all(std::vector<Flow> flows) const {
  if (as_given_) return flows;
  Purses from(rows_, all_.rows, all_.supply), to(cols_, all_.cols, all_.demand);
  std::vector<Flow> out;
  for (const Flow& flow : flows) {
    const auto [row, column, cost] = flow.arc;
    for (Int128 mass = flow.mass; mass > 0;) {
      const Int128 moved = std::min({mass, from.left(row), to.left(column)});
      out.push_back({{from.point(row), to.point(column), cost}, moved});
      from.take(row, moved), to.take(column, moved);
      mass -= moved;
    }
  }
  std::sort(out.begin(), out.end(), before);
  return out;
}

template <class T>
std::vector<double> DistinctProblem<T>::of_all(const EqualPoints& points, std::vector<double> values) {
  if (points.all_differ()) return values;
  std::vector<double> out;
  for (const std::int32_t g : points.group) out.push_back(values[g]);
  return out;
}

template class DistinctProblem<float>;
template class DistinctProblem<double>;

SparsePlan plan_of(const std::vector<Flow>& flows, const TransportMasses& masses, Index rows, Index cols) {
  SparsePlan plan{.rows = rows, .cols = cols, .offsets = std::vector<std::int64_t>(static_cast<std::size_t>(rows) + 1)};
  for (const Flow& flow : flows) {
    ++plan.offsets[flow.arc.row + 1];
    plan.columns.push_back(flow.arc.column);
    plan.values.push_back(masses.in_units(flow.mass));
  }
  for (Index i = 0; i < rows; ++i) plan.offsets[i + 1] += plan.offsets[i];
  return plan;
}

double marginal_error(const TransportMasses& masses, const SparsePlan& plan) {
  std::vector<double> rows(plan.rows), cols(plan.cols);
  for (std::size_t r = 0; r < masses.rows.size(); ++r) rows[masses.rows[r]] = -masses.in_units(masses.supply[r]);
  for (std::size_t c = 0; c < masses.cols.size(); ++c) cols[masses.cols[c]] = -masses.in_units(masses.demand[c]);
  for (Index i = 0; i < plan.rows; ++i)
    for (auto k = plan.offsets[i]; k < plan.offsets[i + 1]; ++k)
      rows[i] += plan.values[k], cols[plan.columns[k]] += plan.values[k];
  double error = 0;
  for (const auto* sums : {&rows, &cols})
    for (const double e : *sums) error += std::abs(e);
  return error;
}

}  // namespace monge::ot::detail
