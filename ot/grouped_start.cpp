#include "monge/ot/grouped_start.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "monge/ot/assignment_start.h"
#include "monge/ot/core/backend.h"
#include "monge/ot/group_balance.h"
#include "monge/ot/point_groups.h"
#include "monge/ot/score_blocks.h"

namespace monge::ot::detail {
namespace {

constexpr Index kSampled = 8192;     // points that take part while epsilon is large
constexpr Index kLeastOfGroup = 8;   // of them
constexpr double kFall = 0.5;        // of epsilon, from pass to pass
constexpr int kMostPasses = 30;      // where scores tie, their spacing says nothing
constexpr double kLast = 2.5;        // epsilon of the last pass, in units of the spacing of scores
constexpr double kLastOfSample = 5;  // where a sample still says what all would

// Points of each group, spread over it, and how many each stands for.
struct Sample {
  std::vector<std::int32_t> points;
  std::vector<double> weights;
  std::vector<Index> first = {0};  // of each group, as in PointGroups
};
Sample draw(const PointGroups& groups, Index most) {
  Sample sample;
  const Index all = static_cast<Index>(groups.order.size());
  for (Index g = 0; g < groups.count(); ++g) {
    const Index size = groups.size(g), share = all > most ? size * most / all : size;
    const Index taken = std::min(size, std::max(kLeastOfGroup, share));
    for (Index p = 0; p < taken; ++p) sample.points.push_back(groups.order[groups.first[g] + p * size / taken]);
    sample.weights.insert(sample.weights.end(), static_cast<std::size_t>(taken),
                          static_cast<double>(size) / static_cast<double>(taken));
    sample.first.push_back(static_cast<Index>(sample.points.size()));
  }
  return sample;
}

Matrix<float> points_of(MatrixView<const float> x, const std::vector<std::int32_t>& rows) {
  Matrix<float> out(static_cast<Index>(rows.size()), x.cols);
  for (Index i = 0; i < out.rows(); ++i) std::copy_n(x.row(rows[i]), x.cols, out.view().row(i));
  return out;
}

// Passes over scores whose columns come group by group; a, b: masses of rows and columns.
class GroupedPasses {
 public:
  GroupedPasses(ScoreBlocks& scores, const std::vector<double>& a, const std::vector<double>& b,
                const std::vector<Index>& first)
      : scores_(scores),
        a_(a),
        b_(b),
        first_(first),
        seen_(static_cast<Index>(a.size()), static_cast<Index>(first.size()) - 1),
        f_(a.size(), std::numeric_limits<double>::quiet_NaN()),
        mass_(b.size()),
        bias_(b.size()) {
    for (std::size_t g = 0; g + 1 < first.size(); ++g) b_of_group_.push_back(sum_of_group(g, b));
  }

  // From `epsilon` on, until it is at most `last` spacings; returns the last one.
  double run(double epsilon, double last, std::vector<double>& w) {
    for (int passes = 1;; ++passes, epsilon *= kFall) {
      const double spacing = look(w, static_cast<float>(epsilon));
      const std::vector<double> z = balance_groups(std::as_const(seen_).view(), a_, b_of_group_, epsilon, context());
      for (std::size_t g = 0; g < z.size(); ++g) {
        // Within a group a step of Sinkhorn's, which leaves the group's own mass to z.
        const double share = std::max(sum_of_group(g, mass_), 1e-30) / b_of_group_[g];
        for (Index j = first_[g]; j < first_[g + 1]; ++j)
          w[j] += z[g] - epsilon * std::log(std::max(mass_[j] / (b_[j] * share), 1e-30));
      }
      if (epsilon <= last * spacing || passes == kMostPasses) return epsilon;
    }
  }

 private:
  const Context& context() const { return scores_.context(); }

  double sum_of_group(std::size_t g, const std::vector<double>& values) const {
    double sum = 0;
    for (Index j = first_[g]; j < first_[g + 1]; ++j) sum += values[j];
    return sum;
  }

  // What rows see in groups, epsilon log sum_{j in g} exp((s_ij + w_j) / epsilon), and the masses of columns. Returns
  // the spacing of scores.
  double look(const std::vector<double>& w, float epsilon) {
    std::copy(w.begin(), w.end(), bias_.begin());
    std::fill(mass_.begin(), mass_.end(), 0.0);
    std::vector<double> part(mass_.size());
    std::vector<float> softmin;
    double spacing = 0;
    Passes<float>& passes = passes_for<float>({});
    scores_.each([&](Index row, MatrixView<const float> block) {
      softmin.resize(static_cast<std::size_t>(block.rows));
      for (Index g = 0; g < seen_.cols(); ++g) {
        const Index first = first_[g], count = first_[g + 1] - first;
        const MatrixView<const float> columns{block.data + first, block.rows, count, block.stride};
        passes.softmin({.stored = columns, .v = {bias_.data() + first, count}}, epsilon, softmin, context());
        for (Index i = 0; i < block.rows; ++i) seen_(row + i, g) = -softmin[i];
      }
      passes.balance({.stored = block, .v = bias_}, epsilon, {a_.data() + row, block.rows},
                     {f_.data() + row, block.rows}, part, context());
      for (std::size_t j = 0; j < mass_.size(); ++j) mass_[j] += part[j];
      if (row == 0) spacing = score_spacing(block, bias_);
    });
    return spacing;
  }

  ScoreBlocks& scores_;
  const std::vector<double>&a_, &b_;
  const std::vector<Index>& first_;
  Matrix<float> seen_;
  std::vector<double> b_of_group_, f_, mass_;
  std::vector<float> bias_;
};

// Biases of columns y that fit rows x of masses a, which share themselves out among columns `some` of biases v.
std::vector<double> extended(MatrixView<const float> x, const std::vector<double>& a, MatrixView<const float> some,
                             const std::vector<double>& v, MatrixView<const float> y, double epsilon,
                             const Context& context) {
  const std::vector<float> bias(v.begin(), v.end());
  std::vector<float> f(a.size()), out(static_cast<std::size_t>(y.rows));
  Passes<float>& passes = passes_for<float>({});
  passes.softmin({.x = x, .y = some, .scale = 2, .v = bias}, static_cast<float>(epsilon), f, context);
  for (std::size_t i = 0; i < f.size(); ++i) f[i] += static_cast<float>(epsilon * std::log(a[i]));
  passes.softmin({.x = y, .y = x, .scale = 2, .v = f}, static_cast<float>(epsilon), out, context);
  return {out.begin(), out.end()};
}

}  // namespace

std::vector<double> grouped_start(MatrixView<const float> x, MatrixView<const float> y,
                                  const std::vector<Index>& groups, ScoreBlocks& scores, double first,
                                  std::vector<double> w) {
  const Context& context = scores.context();
  PointGroups columns{std::vector<std::int32_t>(w.size()), groups};
  std::iota(columns.order.begin(), columns.order.end(), 0);
  const Sample xs = draw(group_points(x, column_groups, context), kSampled), ys = draw(columns, kSampled);
  const Matrix<float> some_x = points_of(x, xs.points), some_y = points_of(y, ys.points);
  ScoreBlocks some(some_x.view(), some_y.view(), std::numeric_limits<double>::infinity(), context);
  const bool all = some_x.rows() == x.rows;
  std::vector<double> v;
  for (const std::int32_t j : ys.points) v.push_back(w[j]);
  const double last = all ? kLast : kLastOfSample;
  const double epsilon = GroupedPasses(some, xs.weights, ys.weights, ys.first).run(first, last, v);
  if (all) return v;
  return grouped_start(groups, scores, epsilon,
                       extended(some_x.view(), xs.weights, some_y.view(), v, y, epsilon, context));
}

std::vector<double> grouped_start(const std::vector<Index>& groups, ScoreBlocks& scores, double first,
                                  std::vector<double> w) {
  const std::vector<double> ones(w.size(), 1.0);
  GroupedPasses(scores, ones, ones, groups).run(first, kLast, w);
  return w;
}

}  // namespace monge::ot::detail
