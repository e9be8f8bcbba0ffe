#include "monge/apps/coupling_cost/limit.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "monge/apps/common/fitted.h"
#include "monge/apps/common/interrupt.h"
#include "monge/apps/common/progress.h"
#include "monge/data/potentials.h"
#include "monge/ot/core/error.h"
#include "monge/ot/source.h"

namespace monge::apps {
namespace {

constexpr Index chunk = 2048;  // rows of noise at a time

double squared_distance(const float* x, const float* y, Index d) {
  double sum = 0;
  for (Index k = 0; k < d; ++k) {
    const double difference = static_cast<double>(x[k]) - static_cast<double>(y[k]);
    sum += difference * difference;
  }
  return sum;
}

// A mean and half the width of its 95% interval, from independent values.
class Mean {
 public:
  void add(double v) {
    ++n_;
    const double off = v - mean_;
    mean_ += off / n_;
    squares_ += off * (v - mean_);
  }
  double mean() const { return mean_; }
  double error() const { return 1.959963984540054 * std::sqrt(squares_ / (n_ - 1) / n_); }

 private:
  double n_ = 0, mean_ = 0, squares_ = 0;
};

}  // namespace

Limit::Limit(const Population& population, ot::SemidiscretePotentials potentials, const Context& context)
    : population_(population), g_(potentials.g), context_(context) {
  for (const double g : g_) mean_g_ += g / static_cast<double>(g_.size());
  matcher_ = ot::pass_matcher(population.y.view(), potentials, context);
}

std::vector<std::int32_t> Limit::match(MatrixView<const float> x, const Rng& rng, std::uint64_t first) const {
  std::vector<std::int32_t> partners(static_cast<std::size_t>(x.rows));
  matcher_->match(x, rng, first, partners);
  return partners;
}

std::vector<double> Limit::f(MatrixView<const float> x, const std::vector<std::int32_t>& partners) const {
  std::vector<double> f;
  for (Index i = 0; i < x.rows; ++i) {
    const std::int32_t j = partners[static_cast<std::size_t>(i)];
    f.push_back(squared_distance(x.row(i), population_.y.view().row(j), x.cols) - g_[static_cast<std::size_t>(j)]);
  }
  return f;
}

LimitFigures Limit::estimate(double samples, std::uint64_t seed, LimitFigures figures) const {
  const Index d = population_.y.cols();
  const Rng rng = Rng{seed}.substream(0x6C696D69);
  Mean dual, plan;
  Matrix<float> x(chunk, d);
  Progress progress("limit", "", samples);
  for (double done = 0; done < samples; done += static_cast<double>(chunk)) {
    const auto first = static_cast<std::uint64_t>(done);
    ot::draw({}, rng.substream(0), first, x.view(), context_);
    const std::vector<std::int32_t> partners = match(x.view(), rng.substream(1), first);
    const std::vector<double> f = this->f(x.view(), partners);
    for (Index i = 0; i < chunk && done + static_cast<double>(i) < samples; ++i) {
      double square = 0;
      for (Index k = 0; k < d; ++k) square += static_cast<double>(x(i, k)) * static_cast<double>(x(i, k));
      const auto row = static_cast<std::size_t>(i);
      const double centred = f[row] - square + static_cast<double>(d);
      dual.add(centred + mean_g_);
      plan.add(centred + g_[static_cast<std::size_t>(partners[row])]);
    }
    progress.update(std::min(samples, done + static_cast<double>(chunk)));
  }
  figures.cost = dual.mean();
  figures.error = dual.error();
  figures.plan_cost = plan.mean();
  figures.plan_error = plan.error();
  figures.samples = samples;
  return figures;
}

ot::SemidiscretePotentials fit_limit(const Population& population, double tolerance, std::uint64_t seed,
                                     const std::filesystem::path& path, const Context& context, LimitFigures& figures) {
  data::PotentialsFile file;
  if (std::filesystem::exists(path)) {
    file = data::load_potentials(path);
    require(file.dataset_digest == population.digest && file.seed == seed &&
                file.g.size() == static_cast<std::size_t>(population.y.rows()) &&
                file.cost == ot::to_string(ot::Cost::squared_euclidean),
            path.string(), ": potentials of other points or another seed; choose another --out");
  } else {
    const ot::SemidiscreteResult result = fit_with_progress(
        population.y.view(),
        {.cost = ot::Cost::squared_euclidean, .tolerance = tolerance, .seed = seed, .context = context});
    check_interrupt();
    file = to_file(result, population.digest, population.y.cols(), seed);
    data::save_potentials(file, path);
  }
  figures.lower = file.certificate.lower;
  figures.upper = file.certificate.upper;
  figures.chi2 = file.chi2;
  figures.chi2_upper = file.chi2_upper;
  figures.fit_seconds = file.seconds;
  figures.status = ot::to_string(file.status);
  return to_potentials(file);
}

}  // namespace monge::apps
