#include <algorithm>
#include <cmath>

#include "monge/ot/semidiscrete_fit.h"

namespace monge::ot::detail {
namespace {

// Quantiles of chi-square with `degrees` of freedom at a normal score z: Wilson and Hilferty, PNAS 17, 1931. At 97.5%
// within 1% from two degrees on; at 2.5% it errs on the low side.
double chi_square_quantile(double degrees, double z) {
  const double spread = 2 / (9 * degrees), root = std::max(0.0, 1 - spread + z * std::sqrt(spread));
  return degrees * root * root * root;
}

// Counts and masses with all atoms of next to no mass as one: a single sample there would say nothing.
void pool_small(std::vector<double>& counts, std::vector<double>& masses) {
  const double limit = 1e-4 / static_cast<double>(masses.size());
  double count = 0, mass = 0;
  std::size_t kept = 0;
  for (std::size_t j = 0; j < masses.size(); ++j) {
    if (masses[j] < limit) {
      count += counts[j];
      mass += masses[j];
    } else {
      counts[kept] = counts[j];
      masses[kept++] = masses[j];
    }
  }
  counts.resize(kept);
  masses.resize(kept);
  if (mass < limit) {
    counts[0] += count, masses[0] += mass;
  } else {
    counts.push_back(count), masses.push_back(mass);
  }
}

}  // namespace

double samples_for_error(double n, double chi2, double error) {
  const double e2 = error * error;
  return (4 * chi2 + std::sqrt(16 * chi2 * chi2 + 8 * n * e2)) / (2 * e2);
}

// 1 + chi2 = sum_j m_j^2 / b_j is estimated by the pairs of samples that meet in one atom, 2 / (n (n - 1) b_j) for
// each. Meetings are rare events of these weights, so their sum has the limits of Fay and Feuer (Statistics in Medicine
// 16, 1997): of a gamma law with the sum's mean and variance, the upper one as if another of the largest weight had
// been seen. With equal weights these are the Poisson law's exact limits, with many meetings the normal ones. That
// pairs share samples adds to the variance: 4 Var(m_J / b_J) / n, estimated by the triples that meet. It grows about as
// the chi-square does, so at the upper limit, delta further up, it is larger by 4 delta / n.
MarginalError marginal_error(std::vector<double> counts, std::vector<double> b) {
  pool_small(counts, b);
  double n = 0, pairs = 0, pairs2 = 0, triples = 0, least = HUGE_VAL;
  for (std::size_t j = 0; j < counts.size(); ++j) {
    const double c = counts[j];
    n += c;
    least = std::min(least, b[j]);
    if (c == 0) continue;
    pairs += c * (c - 1) / b[j];
    pairs2 += c * (c - 1) / (b[j] * b[j]);
    triples += c * (c - 1) * (c - 2) / (b[j] * b[j]);
  }
  const double ordered = n * (n - 1), mean = pairs / ordered;
  const double shared = std::max(0.0, triples / (ordered * (n - 2)) - mean * mean);
  const double variance = 2 * pairs2 / (ordered * ordered) + 4 * (n - 2) / ordered * shared;
  const double one_more = 2 / (ordered * least);
  const double z2 = z95 * z95, delta = 2 * z2 / n + std::sqrt(4 * z2 * z2 / (n * n) + z2 * variance);
  const auto limit = [](double mean, double variance, double z) {
    return variance > 0 ? variance / (2 * mean) * chi_square_quantile(2 * mean * mean / variance, z) : 0.0;
  };
  return {.chi2 = mean - 1,
          .lower = limit(mean, variance, -z95) - 1,
          .upper = limit(mean + one_more, variance + 4 * delta / n + one_more * one_more, z95) - 1,
          .samples = n};
}

}  // namespace monge::ot::detail
