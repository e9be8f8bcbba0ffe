// How a geometry reads clouds: centred, scaled, costs split, errors bounded.
#include <algorithm>
#include <cmath>
#include <limits>

#include "monge/ot/blocks.h"
#include "monge/ot/core/error.h"
#include "monge/ot/geometry.h"

namespace monge::ot::detail {
namespace {

// The largest of what blocks say.
template <class Body>
double largest_of(Index rows, Index cols, const Body& body) {
  std::vector<double> of_block(static_cast<std::size_t>(blocks_of(rows)));
  for_blocks(rows, cols, [&](Index k, Index begin, Index end) { of_block[k] = body(begin, end); });
  return *std::max_element(of_block.begin(), of_block.end());
}

template <class T>
std::vector<double> mean_of(MatrixView<const T> x) {
  Matrix<double> sums(blocks_of(x.rows), x.cols);
  for_blocks(x.rows, x.cols, [&](Index block, Index begin, Index end) {
    double* sum = sums.view().row(block);
    std::fill_n(sum, x.cols, 0.0);
    for (Index i = begin; i < end; ++i) {
      const T* row = x.row(i);
      for (Index k = 0; k < x.cols; ++k) sum[k] += static_cast<double>(row[k]) / static_cast<double>(x.rows);
    }
  });
  std::vector<double> mean(static_cast<std::size_t>(x.cols), 0.0);
  for (Index block = 0; block < sums.rows(); ++block) {
    for (Index k = 0; k < x.cols; ++k) mean[k] += sums(block, k);
  }
  return mean;
}

template <class T>
double largest_offset(MatrixView<const T> x, const std::vector<double>& mean) {
  return largest_of(x.rows, x.cols, [&](Index begin, Index end) {
    double largest = 0;
    for (Index i = begin; i < end; ++i) {
      const T* row = x.row(i);
      for (Index k = 0; k < x.cols; ++k) largest = std::max(largest, std::abs(static_cast<double>(row[k]) - mean[k]));
    }
    return largest;
  });
}

template <class T>
Matrix<T> shifted(MatrixView<const T> x, const std::vector<double>& mean, int exponent) {
  Matrix<T> out(x.rows, x.cols);
  const double factor = std::ldexp(1.0, -exponent);
  for_blocks(x.rows, x.cols, [&](Index, Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const T* from = x.row(i);
      T* to = out.view().row(i);
      for (Index k = 0; k < x.cols; ++k) to[k] = static_cast<T>((static_cast<double>(from[k]) - mean[k]) * factor);
    }
  });
  return out;
}

double largest_in(const std::vector<double>& v) {
  double largest = 0;
  for (const double e : v) largest = std::max(largest, std::abs(e));
  return largest;
}

template <class T>
std::vector<double> squares_of(const Matrix<T>& x) {
  std::vector<double> squares(static_cast<std::size_t>(x.rows()));
  for_blocks(x.rows(), x.cols(), [&](Index, Index begin, Index end) {
    for (Index i = begin; i < end; ++i) squares[i] = dot(x.view().row(i), x.view().row(i), x.cols());
  });
  return squares;
}

template <class T>
double largest_coordinate(const Matrix<T>& x) {
  return largest_offset(x.view(), std::vector<double>(static_cast<std::size_t>(x.cols()), 0.0));
}

// The longest row by the sum of moduli.
template <class T>
double longest_l1(const Matrix<T>& x) {
  return largest_of(x.rows(), x.cols(), [&](Index begin, Index end) {
    double most = 0;
    for (Index i = begin; i < end; ++i) {
      const T* row = x.view().row(i);
      double sum = 0;
      for (Index k = 0; k < x.cols(); ++k) sum += std::abs(static_cast<double>(row[k]));
      most = std::max(most, sum);
    }
    return most;
  });
}

}  // namespace

// Of the clouds, in units of 2^(exponent of a coordinate).
template <class T>
struct Geometry<T>::Means {
  std::vector<double> x, y, gap;  // gap = x - y
};

template <class T>
void Geometry<T>::read_directions(const Problem<T>& problem) {
  const auto directions = [](MatrixView<const T> x, const char* name) {
    Matrix<T> out(x.rows, x.cols);
    for (Index i = 0; i < x.rows; ++i) {
      double largest = 0;
      for (Index k = 0; k < x.cols; ++k) largest = std::max(largest, std::abs(static_cast<double>(x(i, k))));
      require(largest > 0, "cosine cost: row ", i, " of ", name, " is zero and has no direction");
      double square = 0;
      for (Index k = 0; k < x.cols; ++k) square += std::pow(static_cast<double>(x(i, k)) / largest, 2);
      for (Index k = 0; k < x.cols; ++k) {
        out(i, k) = static_cast<T>(static_cast<double>(x(i, k)) / largest / std::sqrt(square));
      }
    }
    return out;
  };
  x_ = directions(problem.x, "x");
  y_ = directions(problem.y, "y");
  row_square_ = squares_of(x_);
  col_square_ = squares_of(y_);
  std::fill(row_own_.begin(), row_own_.end(), 1.0);
  largest_ = 2;
  rounding_ = (static_cast<double>(x_.cols()) + 16) * std::numeric_limits<T>::epsilon();
}

template <class T>
void Geometry<T>::read_points(const Problem<T>& problem) {
  Means means{mean_of(problem.x), mean_of(problem.y), {}};
  if (product_scale() == 0) {  // only a common shift leaves these distances alone
    for (std::size_t k = 0; k < means.x.size(); ++k) means.x[k] = means.y[k] = 0.5 * (means.x[k] + means.y[k]);
  }
  means.gap = means.x;
  for (std::size_t k = 0; k < means.y.size(); ++k) means.gap[k] -= means.y[k];
  double largest = std::max(largest_offset(problem.x, means.x), largest_offset(problem.y, means.y));
  // Squared distances know nothing of where both clouds are.
  if (cost_ == Cost::squared_euclidean) largest = std::max(largest, largest_in(means.gap));
  if (cost_ == Cost::negative_dot) largest = std::max({largest, largest_in(means.x), largest_in(means.y)});
  const int least = product_scale() != 0 ? -500 : -1000;  // the unit of costs is a normal number
  const int e = largest > 0 ? std::max(std::ilogb(largest), least) : 0;
  exponent_ = product_scale() != 0 ? 2 * e : e;
  x_ = shifted(problem.x, means.x, e);
  y_ = shifted(problem.y, means.y, e);
  row_square_ = squares_of(x_);
  col_square_ = squares_of(y_);
  for (std::vector<double>* mean : {&means.x, &means.y, &means.gap}) {
    for (double& m : *mean) m = std::ldexp(m, -e);
  }
  split_costs(means);
  bound_errors(means);
}

// |x - y|^2 and -<x, y> with x = x' + p, y = y' + q, D = p - q:
//   |x'|^2 + 2 <x', D> + |D|^2  +  |y'|^2 - 2 <y', D>  -  2 <x', y'>,
//   -<x', q> - <p, q>  -  <p, y'>  -  <x', y'>.
// What belongs to neither is shared, so that clouds exchanged have their parts exchanged.
template <class T>
void Geometry<T>::split_costs(const Means& means) {
  if (product_scale() == 0) return;
  const Index d = x_.cols();
  const std::vector<double>& gap = means.gap;
  const bool squared = cost_ == Cost::squared_euclidean;
  const double half = 0.5 * (squared ? dot(gap.data(), gap.data(), d) : -dot(means.x.data(), means.y.data(), d));
  for_blocks(rows_, d, [&](Index, Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const T* x = x_.view().row(i);
      row_own_[i] = half + (squared ? row_square_[i] + 2 * dot(x, gap.data(), d) : -dot(x, means.y.data(), d));
    }
  });
  for_blocks(cols_, d, [&](Index, Index begin, Index end) {
    for (Index j = begin; j < end; ++j) {
      const T* y = y_.view().row(j);
      col_own_[j] = half + (squared ? col_square_[j] - 2 * dot(y, gap.data(), d) : -dot(y, means.x.data(), d));
    }
  });
}

// First the points: each coordinate, at most 2, is rounded when its mean is taken off and again to T. Then the score: d
// products added in any order, in T, or products of digits (cpu/digits.h), a rounding of the sum and one of what is
// stored. Then the parts that belong to points alone, in double.
template <class T>
void Geometry<T>::bound_errors(const Means& means) {
  const double u = 0.5 * std::numeric_limits<T>::epsilon(), d = static_cast<double>(x_.cols());
  const int p = cost_ == Cost::l1 ? 1 : 2;
  const double x = p == 1 ? longest_l1(x_) : std::sqrt(largest_in(row_square_));
  const double y = p == 1 ? longest_l1(y_) : std::sqrt(largest_in(col_square_)), reach = x + y;
  const double moved = u * reach + (p == 1 ? d : std::sqrt(d)) * 0x1p-51;
  if (product_scale() == 0) {
    largest_ = reach;
    rounding_ = (d + 6) * u * reach + moved;
  } else {
    const auto length = [](const std::vector<double>& v) {
      return std::sqrt(dot(v.data(), v.data(), static_cast<Index>(v.size())));
    };
    const double means_reach = cost_ == Cost::squared_euclidean ? length(means.gap) : length(means.x) + length(means.y);
    const double whole = reach + means_reach;
    largest_ = whole * whole;
    const double widest_x = largest_coordinate(x_), widest_y = largest_coordinate(y_);
    const double in_order = (d + 4) * x * y;
    const double by_digits =
        2.1 * std::sqrt(d) * (widest_x * y + x * widest_y) + 0.1 * d * widest_x * widest_y + 8 * x * y;
    const double product = std::is_same_v<T, float> ? std::max(in_order, by_digits) : in_order;
    rounding_ = d * std::numeric_limits<T>::min() + u * product_scale() * product + 2.5 * whole * moved +
                (d + 16) * 0x1p-52 * largest_;
  }
  rounding_ *= d * u < 0.01 ? 1.02 : HUGE_VAL;  // that many dimensions are too many to add up in T
  largest_ *= 1.02;
}

template void Geometry<float>::read_directions(const Problem<float>&);
template void Geometry<double>::read_directions(const Problem<double>&);
template void Geometry<float>::read_points(const Problem<float>&);
template void Geometry<double>::read_points(const Problem<double>&);

}  // namespace monge::ot::detail
