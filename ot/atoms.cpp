#include "monge/ot/atoms.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "monge/ot/blocks.h"
#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/cpu/gemm.h"
#include "monge/ot/equal_points.h"
#include "monge/ot/finite.h"
#include "monge/ot/kd_tree.h"
#include "monge/ot/moments.h"
#include "monge/ot/semidiscrete.h"

namespace monge::ot {
namespace {

using detail::LabelledCloud;
using detail::point_hash;

// The rows of y that are named, less the centre.
template <class T>
Matrix<T> centred_rows(MatrixView<const float> y, const std::vector<Index>& rows, const std::vector<double>& centre,
                       const Context& context) {
  Matrix<T> centred(static_cast<Index>(rows.size()), y.cols);
  constexpr Index block = 1024;
  parallel_for(context.threads, (centred.rows() + block - 1) / block, [&](Index task, int) {
    for (Index j = task * block; j < std::min(centred.rows(), (task + 1) * block); ++j) {
      const float* row = y.row(rows[static_cast<std::size_t>(j)]);
      for (Index k = 0; k < y.cols; ++k) {
        centred(j, k) = static_cast<T>(static_cast<double>(row[k]) - centre[static_cast<std::size_t>(k)]);
      }
    }
  });
  return centred;
}

std::vector<double> squares_of(MatrixView<const float> y, const std::vector<Index>& rows, const Context& context) {
  std::vector<double> squares(rows.size());
  constexpr Index block = 1024;
  const Index n = static_cast<Index>(rows.size());
  parallel_for(context.threads, (n + block - 1) / block, [&](Index task, int) {
    for (Index j = task * block; j < std::min(n, (task + 1) * block); ++j) {
      const float* row = y.row(rows[static_cast<std::size_t>(j)]);
      squares[static_cast<std::size_t>(j)] = dot(row, row, y.cols);
    }
  });
  return squares;
}

// Points seen along the directions of a basis, and how far from the centre they were.
struct Projections {
  Matrix<float> z;
  std::vector<double> sizes;
};

// Of the rows of y that are named, less the centre; in double, so that equal ones come out next to equal.
Projections project_rows(const Pca& pca, MatrixView<const float> y, const std::vector<Index>& rows,
                         const std::vector<double>& centre, const Context& context) {
  const Index n = static_cast<Index>(rows.size()), d = y.cols, k = pca.dimensions();
  Projections out{Matrix<float>(n, k), std::vector<double>(rows.size())};
  Matrix<double> basis(k, d);
  std::copy_n(pca.basis.data(), k * d, basis.data());
  constexpr Index block = 256;
  parallel_for(context.threads, (n + block - 1) / block, [&](Index task, int) {
    const Index first = task * block, count = std::min(block, n - first);
    Matrix<double> points(count, d), z(count, k);
    for (Index i = 0; i < count; ++i) {
      double* point = points.view().row(i);
      const float* row = y.row(rows[static_cast<std::size_t>(first + i)]);
      for (Index c = 0; c < d; ++c) point[c] = static_cast<double>(row[c]) - centre[static_cast<std::size_t>(c)];
      out.sizes[static_cast<std::size_t>(first + i)] = std::sqrt(dot(point, point, d));
    }
    cpu::gemm(1.0, points.view(), basis.view(), z.data(), k);
    std::transform(z.data(), z.data() + count * k, out.z.view().row(first),
                   [](double v) { return static_cast<float>(v); });
  });
  return out;
}

// For each projection z_j the first one of its label that it is the same as, up to what rounding makes of points that
// differ in other directions alone: u |y| of the points as they were given, u |y_i - y_j| of the directions, u |z| of
// the result. Next to a point near the centre the others are of the size of most.
std::vector<Index> coinciding(const LabelledCloud<float>& projected, const std::vector<double>& sizes, double centre) {
  const MatrixView<const float> z = projected.x;
  std::vector<double> sorted(sizes);
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  const double typical = *middle;
  std::vector<Index> order(static_cast<std::size_t>(z.rows)), first(order.size());
  std::iota(order.begin(), order.end(), Index{0});
  first = order;
  std::sort(order.begin(), order.end(),
            [&](Index i, Index j) { return z(i, 0) != z(j, 0) ? z(i, 0) < z(j, 0) : i < j; });
  std::vector<Index> seen;  // those that are the same as none before, by their first coordinate
  for (const Index j : order) {
    const double tolerance = 0x1p-23 * centre + 0x1p-22 * (typical + sizes[static_cast<std::size_t>(j)]);
    for (auto i = seen.rbegin(); i != seen.rend(); ++i) {
      const auto near = [&](Index k) { return std::abs(static_cast<double>(z(*i, k)) - z(j, k)) <= tolerance; };
      if (!near(0)) break;
      Index k = projected.label(*i) == projected.label(j) ? 1 : 0;
      while (k > 0 && k < z.cols && near(k)) ++k;
      if (k < z.cols) continue;
      first[static_cast<std::size_t>(j)] = *i;
      break;
    }
    if (first[static_cast<std::size_t>(j)] == j) seen.push_back(j);
  }
  return first;
}

// Projects the rows of y that are named, with these labels, and the centre, merges what coincides then, and says which
// atom each row became.
std::vector<Index> project_atoms(const Pca& pca, MatrixView<const float> y, const std::vector<Index>& rows,
                                 VectorView<const std::int32_t> labels, AtomSet& atoms, const Context& context) {
  const Index d = y.cols, k = pca.dimensions();
  const auto [z, sizes] = project_rows(pca, y, rows, atoms.centre, context);
  const double distance = std::sqrt(dot(atoms.centre.data(), atoms.centre.data(), d));
  std::vector<double> centre(static_cast<std::size_t>(k));
  for (Index i = 0; i < k; ++i)
    centre[static_cast<std::size_t>(i)] = dot(pca.basis.view().row(i), atoms.centre.data(), d);
  const std::vector<Index> first = coinciding({z.view(), labels}, sizes, distance);
  std::vector<Index> atom(first.size(), -1);
  Index count = 0;
  for (Index j = 0; j < z.rows(); ++j) {
    Index& place = atom[static_cast<std::size_t>(first[static_cast<std::size_t>(j)])];
    if (place < 0) place = count++;
    atom[static_cast<std::size_t>(j)] = place;
  }
  atoms.y = Matrix<float>(count, k);
  for (Index j = z.rows() - 1; j >= 0; --j) {  // of those that coincide the lowest is kept
    std::copy_n(z.view().row(j), k, atoms.y.view().row(atom[static_cast<std::size_t>(j)]));
  }
  atoms.centre = std::move(centre);
  return atom;
}

// Sorts original points by their atoms, and adds up weights.
void collect_members(const std::vector<Index>& kept, const std::vector<Index>& of_kept,
                     const std::vector<double>& weights, AtomSet& atoms) {
  const auto count = static_cast<std::size_t>(atoms.y.rows());
  atoms.b.assign(count, 0.0);
  atoms.first_member.assign(count + 1, 0);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const auto j = static_cast<std::size_t>(of_kept[i]);
    atoms.b[j] += weights[static_cast<std::size_t>(kept[i])];
    ++atoms.first_member[j + 1];
  }
  std::partial_sum(atoms.first_member.begin(), atoms.first_member.end(), atoms.first_member.begin());
  atoms.members.resize(kept.size());
  atoms.member_weight.resize(kept.size());
  std::vector<Index> next(atoms.first_member.begin(), atoms.first_member.end() - 1);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const auto j = static_cast<std::size_t>(of_kept[i]), place = static_cast<std::size_t>(next[j]++);
    atoms.members[place] = static_cast<std::int32_t>(kept[i]);
    atoms.member_weight[place] = weights[static_cast<std::size_t>(kept[i])] / atoms.b[j];
  }
}

}  // namespace

std::vector<double> normalised_weights(const char* caller, VectorView<const double> b, Index n) {
  std::vector<double> weights(static_cast<std::size_t>(n), 1.0 / static_cast<double>(n));
  if (b.empty()) return weights;
  require(b.size == n, caller, ": ", b.size, " weights for ", n, " atoms");
  double largest = 0;
  for (Index j = 0; j < n; ++j) {
    if (!std::isfinite(b[j])) throw Error(Errc::not_finite, concat(caller, ": weight ", j, " is ", b[j]));
    require(b[j] >= 0, caller, ": weight ", j, " is negative (", b[j], ")");
    largest = std::max(largest, b[j]);
  }
  require(largest > 0, caller, ": all weights are zero");
  double total = 0;  // of weights scaled by the largest, so that no sum overflows
  for (Index j = 0; j < n; ++j) total += b[j] / largest;
  for (Index j = 0; j < n; ++j) weights[static_cast<std::size_t>(j)] = b[j] / largest / total;
  return weights;
}

double AtomSet::squared_norm(Index j) const {
  if (!squares.empty()) return squares[static_cast<std::size_t>(j)];
  double norm = 0;
  for (Index k = 0; k < dimensions(); ++k) {
    const double value = static_cast<double>(y(j, k)) + centre[static_cast<std::size_t>(k)];
    norm += value * value;
  }
  return norm;
}

std::int32_t AtomSet::member(Index j, double u) const {
  const Index begin = first_member[static_cast<std::size_t>(j)], end = first_member[static_cast<std::size_t>(j) + 1];
  Index i = begin;
  for (; i + 1 < end; ++i) {
    u -= member_weight[static_cast<std::size_t>(i)];
    if (u < 0) break;
  }
  return members[static_cast<std::size_t>(i)];
}

void AtomSet::keep_ready(MatrixView<const float> given, const Context& context) {
  std::vector<std::int32_t> rows;
  for (Index j = 0; j < size(); ++j)
    rows.push_back(members[static_cast<std::size_t>(first_member[static_cast<std::size_t>(j)])]);
  Uncentred before;
  if (!is_projected) before = {given, rows, centre};
  ready = backend_for(context.device).prepare(y.view(), context, before);
}

AtomSet make_atoms(const char* caller, MatrixView<const float> y, VectorView<const double> b,
                   const std::optional<Pca>& pca, const Context& context, VectorView<const std::int32_t> labels) {
  require(!y.empty(), caller, ": the cloud is empty (", y.rows, " x ", y.cols, ")");
  require(y.rows < (Index{1} << 31), caller, ": more than 2^31 atoms");
  require_finite(y, concat(caller, ": y").c_str());
  require(labels.empty() || labels.size == y.rows, caller, ": ", labels.size, " labels for ", y.rows, " atoms");
  const std::vector<double> weights = normalised_weights(caller, b, y.rows);
  std::vector<Index> kept;
  for (Index j = 0; j < y.rows; ++j) {
    if (weights[static_cast<std::size_t>(j)] > 0) kept.push_back(j);
  }
  const std::vector<Index> representative = detail::representatives<float>({y, labels}, kept, context);
  std::vector<Index> slot(static_cast<std::size_t>(y.rows), -1);  // original index of a representative -> distinct
  std::vector<Index> distinct;
  std::vector<std::int32_t> distinct_labels;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (representative[i] != kept[i]) continue;
    slot[static_cast<std::size_t>(kept[i])] = static_cast<Index>(distinct.size());
    distinct.push_back(kept[i]);
    if (!labels.empty()) distinct_labels.push_back(labels[kept[i]]);
  }

  AtomSet atoms;
  atoms.original = y.rows;
  atoms.centre = cloud_mean(y, weights, context);
  std::vector<Index> atom(distinct.size());  // of each distinct point
  atoms.is_projected = pca.has_value();
  if (pca) {
    atom = project_atoms(*pca, y, distinct, distinct_labels, atoms, context);
    if (atoms.y.cols() <= detail::KdTree::most_dims) {
      atoms.exact = Matrix<double>(atoms.y.rows(), atoms.y.cols());
      std::copy_n(atoms.y.data(), atoms.y.rows() * atoms.y.cols(), atoms.exact.data());
    }
  } else {
    atoms.y = centred_rows<float>(y, distinct, atoms.centre, context);
    if (y.cols <= detail::KdTree::most_dims) atoms.exact = centred_rows<double>(y, distinct, atoms.centre, context);
    atoms.squares = squares_of(y, distinct, context);
    std::iota(atom.begin(), atom.end(), Index{0});
  }
  std::vector<Index> of_kept(kept.size());
  for (std::size_t i = 0; i < kept.size(); ++i) {
    of_kept[i] = atom[static_cast<std::size_t>(slot[static_cast<std::size_t>(representative[i])])];
  }
  collect_members(kept, of_kept, weights, atoms);
  atoms.labels.resize(labels.empty() ? 0 : atoms.b.size());
  for (std::size_t j = 0; j < distinct_labels.size(); ++j)
    atoms.labels[static_cast<std::size_t>(atom[j])] = distinct_labels[j];
  return atoms;
}

std::vector<std::int32_t> origin_of(MatrixView<const float> y, MatrixView<const float> before) {
  require(y.cols == before.cols, "origin_of: the atoms have ", y.cols, " dimensions, those before had ", before.cols);
  std::vector<std::pair<std::uint64_t, std::int32_t>> known;
  for (Index i = 0; i < before.rows; ++i)
    known.emplace_back(point_hash<float>({before}, i), static_cast<std::int32_t>(i));
  std::sort(known.begin(), known.end());
  std::vector<std::int32_t> origin(static_cast<std::size_t>(y.rows), -1);
  for (Index j = 0; j < y.rows; ++j) {
    const std::pair<std::uint64_t, std::int32_t> sought{point_hash<float>({y}, j), 0};
    for (auto at = std::lower_bound(known.begin(), known.end(), sought); at != known.end() && at->first == sought.first;
         ++at) {
      if (!std::equal(y.row(j), y.row(j) + y.cols, before.row(at->second))) continue;
      origin[static_cast<std::size_t>(j)] = at->second;
      break;
    }
  }
  return origin;
}

std::vector<double> to_potentials(const AtomSet& atoms, const std::vector<double>& v, Cost cost) {
  std::vector<double> g(static_cast<std::size_t>(atoms.original), -std::numeric_limits<double>::infinity());
  for (Index j = 0; j < atoms.size(); ++j) {
    double value = v[static_cast<std::size_t>(j)];
    if (cost == Cost::squared_euclidean) value = 2 * value + atoms.squared_norm(j);
    for (Index i = atoms.first_member[static_cast<std::size_t>(j)];
         i < atoms.first_member[static_cast<std::size_t>(j) + 1]; ++i) {
      g[static_cast<std::size_t>(atoms.members[static_cast<std::size_t>(i)])] = value;
    }
  }
  return g;
}

std::vector<double> to_biases(const AtomSet& atoms, const std::vector<double>& g, Cost cost) {
  std::vector<double> v(static_cast<std::size_t>(atoms.size()));
  for (Index j = 0; j < atoms.size(); ++j) {
    const Index first = atoms.first_member[static_cast<std::size_t>(j)];
    double& value = v[static_cast<std::size_t>(j)];
    value = g[static_cast<std::size_t>(atoms.members[static_cast<std::size_t>(first)])];
    if (cost == Cost::squared_euclidean) value = (value - atoms.squared_norm(j)) / 2;
  }
  return v;
}

}  // namespace monge::ot
