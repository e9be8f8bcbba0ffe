#include "monge/ot/semidiscrete_start.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "monge/ot/blocks.h"
#include "monge/ot/core/backend.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/cpu/gemm.h"
#include "monge/ot/moments.h"
#include "monge/ot/normal_law.h"
#include "monge/ot/pca.h"

namespace monge::ot::detail {
namespace {

// Where v is pulled to by the price of straying: a mass moves as exp((v - level of balance) / step), what it should be
// as exp(-(v + level) / tau); these meet in between.
void pull(const SemidualProblem& problem, const std::vector<double>& step, std::vector<double>& v) {
  for (std::size_t j = 0; j < v.size() && problem.is_unbalanced(); ++j) {
    const double share = problem.tau / (problem.tau + step[j]);
    v[j] = share * v[j] - (1 - share) * (problem.level.empty() ? 0.0 : problem.level[j]);
  }
  recentre(v, problem.atoms.b);
}

// Whether atoms compete for noise of their own label alone.
bool are_apart(const SemidualProblem& problem, const ScoreScale& scale) {
  return problem.is_labelled() && problem.label_penalty > root_mean_square(scale.deviation);
}

// The atoms, or those of each label where labels keep apart.
std::vector<std::vector<std::size_t>> competitors(const SemidualProblem& problem, const ScoreScale& scale) {
  std::vector<std::vector<std::size_t>> parts(are_apart(problem, scale) ? problem.labels.shares().size() : 1);
  for (std::size_t j = 0; j < problem.atoms.b.size(); ++j) {
    const Index place = parts.size() > 1 ? problem.labels.place(problem.atoms.labels[j]) : 0;
    if (place >= 0) parts[static_cast<std::size_t>(place)].push_back(j);
  }
  return parts;
}

// Noise that one of these parts competes for: where the source is by label and labels keep apart, of its own label.
Matrix<float> noise_of(const SemidualProblem& problem, std::size_t part, std::size_t parts, Index rows, const Rng& rng,
                       const Context& context) {
  std::vector<std::int32_t> labels = problem.draw_labels(label_stream(rng), 0, rows);
  if (parts > 1) labels.assign(labels.size(), problem.labels.shares()[part].label);
  Matrix<float> x(rows, problem.atoms.dimensions());
  draw(problem.source, rng, 0, labels, x.view(), context);
  return x;
}

// The optimal plan from N(0, 1) to N(0, w) at temperature epsilon has covariance c = w a and correlation rho, rho^2 =
// w a^2; its potential is -a y^2 / 2.
double slope(double w, double epsilon) { return 1 / (std::sqrt(w + 0.25 * epsilon * epsilon) + 0.5 * epsilon); }

// The temperature at which the plan from N(0, I) to a Gaussian of these variances has mutual information `nats`.
double freezing_temperature(const std::vector<double>& variance, double nats) {
  const auto information = [&](double epsilon) {
    double sum = 0;
    for (const double w : variance) sum -= 0.5 * std::log1p(-std::min(1 - 1e-15, w * std::pow(slope(w, epsilon), 2)));
    return sum;
  };
  double low = -60, high = 60;  // of log(epsilon / largest deviation)
  const double unit = std::sqrt(variance.front());
  for (int i = 0; i < 60; ++i) {
    const double middle = 0.5 * (low + high);
    (information(unit * std::exp(middle)) > nats ? low : high) = middle;
  }
  return unit * std::exp(high);
}

// The levels of atoms that compete with each other. With q the quadratic potential of the plan at the freezing
// temperature, split into what is resolved and what is not, the latter grows as its root only: as the extreme value of
// independent scores, whose level it has at the mean.
void freeze(const SemidualProblem& problem, const std::vector<std::size_t>& members, std::vector<double>& v,
            const Context& context) {
  const Index n = static_cast<Index>(members.size()), d = problem.atoms.dimensions();
  Matrix<float> y(n, d), z(n, d);
  std::vector<double> b(members.size());
  double total = 0, entropy = 0;
  for (Index i = 0; i < n; ++i) {
    const std::size_t j = members[static_cast<std::size_t>(i)];
    std::copy_n(problem.atoms.y.view().row(static_cast<Index>(j)), d, y.view().row(i));
    total += b[static_cast<std::size_t>(i)] = problem.atoms.b[j];
  }
  for (double& weight : b) {
    weight /= total;
    entropy -= weight * std::log(weight);
  }
  const Pca pca = fit_pca(y.view(), d, b, context);
  if (!(pca.variance.front() > 0)) return;
  for (Index i = 0; i < n; ++i)
    for (Index k = 0; k < d; ++k) y(i, k) -= pca.mean[static_cast<std::size_t>(k)];
  project(pca, y.view(), z.view(), context);

  const double freezing = freezing_temperature(pca.variance, entropy);
  const double epsilon = std::max(freezing, problem.epsilon);
  std::vector<double> resolved, open;  // parts of the slope
  for (const double w : pca.variance) {
    const double a = slope(w, epsilon), rho2 = problem.epsilon > freezing ? 1 : w * a * a;
    resolved.push_back(a * rho2);
    open.push_back(a * (1 - rho2));
  }
  double mean_open = 0;
  for (std::size_t k = 0; k < open.size(); ++k) mean_open += open[k] * pca.variance[k];
  for (Index i = 0; i < n; ++i) {
    double q = 0, loose = 0;
    for (Index k = 0; k < d; ++k) {
      const double square = static_cast<double>(z(i, k)) * static_cast<double>(z(i, k));
      q += resolved[static_cast<std::size_t>(k)] * square;
      loose += open[static_cast<std::size_t>(k)] * square;
    }
    const double share = std::min(b[static_cast<std::size_t>(i)], 1 - 1e-9),
                 level = upper_quantile(share) / std::sqrt(2 * entropy);
    double& value = v[members[static_cast<std::size_t>(i)]];
    value = -0.5 * q - level * std::sqrt(loose * mean_open);
    if (problem.epsilon > 0 && problem.epsilon <= freezing) value -= problem.epsilon * std::log(share);
  }
}

// Of the scores of some atoms under noise x, or N(0, I) where there is none. Their spread is about `centre`, an atom
// that all of them share.
void measure_scores(const AtomSet& atoms, const std::vector<std::size_t>& members, const std::vector<double>& centre,
                    const Matrix<float>& x, ScoreScale& scale, const Context& context) {
  const Index n = static_cast<Index>(members.size()), d = atoms.dimensions();
  const bool given = x.rows() > 0;
  Moments moments;
  if (given) moments = cloud_moments(x.view(), {}, {.threads = context.threads});  // little work: not to be stopped
  const std::vector<float> covariance(moments.covariance.begin(), moments.covariance.end());
  constexpr Index block = 256;
  parallel_for(context.threads, (n + block - 1) / block, [&](Index k, int) {
    const Index first = k * block, count = std::min(block, n - first);
    Matrix<float> y(count, d), spread(count, d);  // about the centre; times the covariance
    for (Index i = 0; i < count; ++i) {
      const float* row = atoms.y.view().row(static_cast<Index>(members[static_cast<std::size_t>(first + i)]));
      for (Index c = 0; c < d; ++c)
        y(i, c) = static_cast<float>(static_cast<double>(row[c]) - centre[static_cast<std::size_t>(c)]);
    }
    if (given) cpu::gemm(1.0f, std::as_const(y).view(), {covariance.data(), d, d}, spread.data(), d);
    for (Index i = 0; i < count; ++i) {
      const std::size_t j = members[static_cast<std::size_t>(first + i)];
      if (given) scale.mean[j] = dot(atoms.y.view().row(static_cast<Index>(j)), moments.mean.data(), d);
      const double variance = dot(y.view().row(i), (given ? spread : y).view().row(i), d);
      scale.deviation[j] = std::sqrt(std::max(0.0, variance));
    }
  });
}

std::vector<double> mean_of(const AtomSet& atoms, const std::vector<std::size_t>& members) {
  std::vector<double> mean(static_cast<std::size_t>(atoms.dimensions()), 0.0);
  double total = 0;
  for (const std::size_t j : members) {
    const float* row = atoms.y.view().row(static_cast<Index>(j));
    for (std::size_t c = 0; c < mean.size(); ++c) mean[c] += atoms.b[j] * static_cast<double>(row[c]);
    total += atoms.b[j];
  }
  for (double& value : mean) value /= total;
  return mean;
}

}  // namespace

ScoreScale score_scale(const SemidualProblem& problem, const Rng& rng, const Context& context) {
  constexpr std::size_t looks = 4096, least_looks = 256;
  const AtomSet& atoms = problem.atoms;
  const std::size_t n = atoms.b.size();
  ScoreScale scale{std::vector<double>(n, 0.0), std::vector<double>(n)};
  std::vector<std::size_t> all(n);
  std::iota(all.begin(), all.end(), std::size_t{0});
  const auto noise = [&](std::size_t part, std::size_t parts) {
    const auto rows = static_cast<Index>(std::max(least_looks, looks / parts));
    return problem.source ? noise_of(problem, part, parts, rows, rng, context) : Matrix<float>();
  };
  measure_scores(atoms, all, std::vector<double>(static_cast<std::size_t>(atoms.dimensions()), 0.0), noise(0, 1), scale,
                 context);
  if (!problem.source.is_by_label()) return scale;
  const std::vector<std::vector<std::size_t>> parts = competitors(problem, scale);
  for (std::size_t k = 0; k < parts.size() && parts.size() > 1; ++k)
    if (!parts[k].empty())
      measure_scores(atoms, parts[k], mean_of(atoms, parts[k]), noise(k, parts.size()), scale, context);
  return scale;
}

double root_mean_square(const std::vector<double>& values) {
  double sum = 0;
  for (double value : values) sum += value * value;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

void recentre(std::vector<double>& v, const std::vector<double>& b) {
  double mean = 0;
  for (std::size_t j = 0; j < v.size(); ++j) mean += b[j] * v[j];
  for (double& value : v) value -= mean;
}

std::vector<double> local_shares(const SemidualProblem& problem, const ScoreScale& scale) {
  std::vector<double> shares(problem.atoms.b);
  for (std::size_t j = 0; j < shares.size() && are_apart(problem, scale); ++j) {
    const double share = problem.labels.share(problem.atoms.labels[j]);
    if (share > 0) shares[j] = std::min(1.0, shares[j] / share);
  }
  return shares;
}

std::vector<double> natural_steps(const SemidualProblem& problem, const ScoreScale& scale) {
  const double floor = 0.1 * root_mean_square(scale.deviation);
  std::vector<double> step = local_shares(problem, scale);
  for (std::size_t j = 0; j < step.size(); ++j)
    step[j] = std::max(scale.deviation[j], floor) / std::sqrt(std::max(1.0, 2 * std::log(1 / step[j])));
  return step;
}

std::vector<double> extreme_start(const SemidualProblem& problem, const ScoreScale& scale) {
  const double epsilon = problem.epsilon;
  std::vector<double> v = local_shares(problem, scale);
  for (std::size_t j = 0; j < v.size(); ++j) {
    // A lone atom of its label takes what there is, at any level.
    const double share = std::min(v[j], 1 - 1e-9), deviation = scale.deviation[j];
    const double freezing = std::sqrt(std::max(1e-12, 2 * std::log(1 / share)));
    v[j] = epsilon > deviation / freezing ? -0.5 * deviation * deviation / epsilon
                                          : -deviation * upper_quantile(share) - epsilon * std::log(problem.atoms.b[j]);
    v[j] -= scale.mean[j];
  }
  pull(problem, natural_steps(problem, scale), v);
  return v;
}

std::vector<double> quadratic_start(const SemidualProblem& problem, const ScoreScale& scale) {
  std::vector<double> v(scale.mean.size(), 0.0);
  for (const std::vector<std::size_t>& members : competitors(problem, scale)) {
    std::vector<double> deviation;
    for (const std::size_t j : members) deviation.push_back(scale.deviation[j]);
    const double spread = root_mean_square(deviation) / std::sqrt(static_cast<double>(problem.atoms.dimensions()));
    for (const std::size_t j : members)
      v[j] = -0.5 * scale.deviation[j] * scale.deviation[j] / std::max(spread, 1e-300) - scale.mean[j];
  }
  pull(problem, natural_steps(problem, scale), v);
  return v;
}

std::vector<double> frozen_start(const SemidualProblem& problem, const ScoreScale& scale, const Context& context) {
  const AtomSet& atoms = problem.atoms;
  const double d = static_cast<double>(atoms.dimensions());
  const std::vector<std::vector<std::size_t>> parts = competitors(problem, scale);
  if (problem.source || d > most_frozen || static_cast<double>(parts.size()) * d * d * d > 2e9) return {};
  std::vector<double> v = extreme_start(problem, scale);
  for (const std::vector<std::size_t>& members : parts)
    if (members.size() > 1) freeze(problem, members, v, context);
  pull(problem, natural_steps(problem, scale), v);
  return v;
}

namespace {

// The direction of the line on which the atoms lie, all but a ten-thousandth of their variance; empty if they do not.
std::vector<double> line_of(const AtomSet& atoms) {
  const MatrixView<const double> y = atoms.exact.view();
  const auto length = [&](Index j) { return std::sqrt(dot(y.row(j), y.row(j), y.cols)); };
  Index farthest = 0;
  for (Index j = 1; j < y.rows; ++j)
    if (length(j) > length(farthest)) farthest = j;
  if (y.rows == 0 || length(farthest) == 0) return {};
  std::vector<double> direction(y.row(farthest), y.row(farthest) + y.cols);
  for (double& coordinate : direction) coordinate /= length(farthest);
  double all = 0, on_line = 0;
  for (Index j = 0; j < y.rows; ++j) {
    const double b = atoms.b[static_cast<std::size_t>(j)];
    all += b * dot(y.row(j), y.row(j), y.cols);
    on_line += b * std::pow(dot(y.row(j), direction.data(), y.cols), 2);
  }
  return on_line >= (1 - 1e-4) * all ? direction : std::vector<double>();
}

}  // namespace

std::vector<double> quantile_start(const SemidualProblem& problem, const ScoreScale& scale, const Rng& rng,
                                   const Context& context) {
  const std::vector<double> direction = line_of(problem.atoms);
  if (direction.empty()) return {};
  const MatrixView<const double> exact = problem.atoms.exact.view();
  std::vector<double> y;
  for (Index j = 0; j < exact.rows; ++j) y.push_back(dot(exact.row(j), direction.data(), exact.cols));
  constexpr Index looks = 64, most = 1 << 22;
  std::vector<double> v(problem.atoms.b.size(), 0.0);
  std::vector<std::vector<std::size_t>> parts = competitors(problem, scale);
  for (std::size_t part = 0; part < parts.size(); ++part) {
    std::vector<std::size_t>& members = parts[part];
    std::vector<double> x;
    if (problem.source) {
      const Index rows = std::min(most, looks * static_cast<Index>(members.size()));
      const Matrix<float> noise = noise_of(problem, part, parts.size(), rows, rng, context);
      for (Index i = 0; i < rows; ++i) x.push_back(dot(noise.view().row(i), direction.data(), exact.cols));
    }
    std::sort(x.begin(), x.end());
    // The quantile that leaves this share of the noise above it.
    const auto quantile = [&](double share) {
      if (!problem.source) return upper_quantile(std::clamp(share, 1e-300, 1 - 1e-16));
      const auto place = static_cast<Index>((1 - share) * static_cast<double>(x.size()));
      return x[static_cast<std::size_t>(std::clamp<Index>(place, 0, static_cast<Index>(x.size()) - 1))];
    };
    std::sort(members.begin(), members.end(), [&](std::size_t i, std::size_t j) { return y[i] < y[j]; });
    double total = 0, below = 0;
    for (const std::size_t j : members) total += problem.atoms.b[j];
    for (std::size_t i = 0; i + 1 < members.size(); ++i) {
      const std::size_t j = members[i], next = members[i + 1];
      below += problem.atoms.b[j];
      v[next] = v[j] - quantile(1 - below / total) * (y[next] - y[j]);
    }
  }
  for (std::size_t j = 0; j < v.size(); ++j) v[j] -= problem.epsilon * std::log(problem.atoms.b[j]);
  pull(problem, natural_steps(problem, scale), v);
  return v;
}

std::vector<double> carried_start(const SemidualProblem& problem, const ScoreScale& scale,
                                  const std::vector<double>& known, const Context& context) {
  constexpr Index looks = 8;
  std::vector<double> guess = frozen_start(problem, scale, context);
  if (guess.empty()) guess = extreme_start(problem, scale);
  std::vector<Index> old, fresh;
  for (std::size_t j = 0; j < known.size(); ++j) (std::isnan(known[j]) ? fresh : old).push_back(static_cast<Index>(j));
  std::vector<double> v(known);
  if (!fresh.empty() && !old.empty()) {
    const Index d = problem.atoms.dimensions(), k = std::min<Index>(looks, static_cast<Index>(old.size()));
    const auto rows = [&](const std::vector<Index>& which) {
      Matrix<float> out(static_cast<Index>(which.size()), d);
      for (Index i = 0; i < out.rows(); ++i)
        std::copy_n(problem.atoms.y.view().row(which[static_cast<std::size_t>(i)]), d, out.view().row(i));
      return out;
    };
    const Matrix<float> from = rows(fresh), to = rows(old);
    std::vector<float> norms(old.size());
    for (Index i = 0; i < to.rows(); ++i)
      norms[static_cast<std::size_t>(i)] = static_cast<float>(-0.5 * dot(to.view().row(i), to.view().row(i), d));
    Matrix<float> scores(from.rows(), k);
    Matrix<std::int32_t> nearest(from.rows(), k);
    passes_for<float>(context.device)
        .hardmin({.x = from.view(), .y = to.view(), .v = norms}, scores.view(), nearest.view(), context);
    for (Index i = 0; i < from.rows(); ++i) {
      double off = 0;
      for (Index l = 0; l < k; ++l) {
        const auto j = static_cast<std::size_t>(old[static_cast<std::size_t>(nearest(i, l))]);
        off += (known[j] - guess[j]) / static_cast<double>(k);
      }
      const auto j = static_cast<std::size_t>(fresh[static_cast<std::size_t>(i)]);
      v[j] = guess[j] + off;
    }
  }
  if (old.empty()) return guess;
  recentre(v, problem.atoms.b);
  return v;
}

}  // namespace monge::ot::detail
