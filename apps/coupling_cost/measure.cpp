#include "monge/apps/coupling_cost/measure.h"

#include <chrono>
#include <cmath>

#include "monge/apps/common/interrupt.h"
#include "monge/apps/common/memory.h"
#include "monge/ot/assignment.h"
#include "monge/ot/core/error.h"
#include "monge/ot/plan.h"
#include "monge/ot/sinkhorn.h"

namespace monge::apps {
namespace {

class Watch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

double mean(const std::vector<double>& v) {
  double sum = 0;
  for (const double e : v) sum += e;
  return sum / static_cast<double>(v.size());
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

Rng draws(const Batch& batch, std::uint64_t seed) {
  return Rng{seed}.substream(0x64726177).substream(static_cast<std::uint64_t>(batch.repeat));
}

// All pairs: mean |x|^2 + mean |y|^2 - 2 <mean x, mean y>.
double mean_of_all_pairs(const Batch& batch) {
  double squares = 0, product = 0;
  for (Index k = 0; k < batch.x.cols(); ++k) {
    double x_sum = 0, y_sum = 0;
    for (Index i = 0; i < batch.n; ++i) {
      const double x = static_cast<double>(batch.x(i, k)), y = static_cast<double>(batch.y(i, k));
      x_sum += x;
      y_sum += y;
      squares += x * x + y * y;
    }
    product += x_sum * y_sum;
  }
  const auto n = static_cast<double>(batch.n);
  return squares / n - 2 * product / n / n;
}

void measure_independent(Point& point, const Batch& batch, const MeasureOptions& options) {
  const Watch watch;
  const Rng rng = draws(batch, options.seed);
  std::vector<std::uint64_t> partners(static_cast<std::size_t>(batch.n));
  for (std::size_t i = 0; i < partners.size(); ++i) partners[i] = uniform_below(rng, i, partners.size());
  point.seconds = watch.seconds();
  point.raw_cost = mean_of_all_pairs(batch);
  point.entropy = 1;
}

void measure_exact(Point& point, const Batch& batch, const MeasureOptions& options) {
  const Watch watch;
  ot::AssignmentOptions exact;
  exact.context = options.context;
  exact.progress = [&](const ot::AssignmentProgress& p) {
    return !options.progress || options.progress(static_cast<double>(p.assigned) / static_cast<double>(p.rows));
  };
  const ot::AssignmentResult result = ot::assign(batch.x.view(), batch.y.view(), exact);
  point.seconds = watch.seconds();
  point.raw_cost = result.cost;
  point.status = ot::to_string(result.status);
}

// P = a x b exp((f + g - C) / epsilon) has the cost <P 1, f> + <P^T 1, g> - epsilon sum P log(P / (a x b)), which takes
// no certificate; a and b are uniform.
void measure_sinkhorn(Point& point, const Batch& batch, const LimitOfBatch& at_limit, double epsilon,
                      const MeasureOptions& options) {
  const Watch watch;
  const ot::Problem<float> problem{.x = batch.x.view(), .y = batch.y.view()};
  ot::SinkhornOptions entropic{.epsilon = epsilon,
                               .epsilon_unit = ot::EpsilonUnit::cost,
                               .tolerance = options.tolerance,
                               .certify = false,
                               .context = options.context};
  entropic.progress = [&](const ot::SinkhornProgress&) { return !options.progress || options.progress(0); };
  const ot::SinkhornResult result = ot::sinkhorn(problem, entropic);
  point.status = ot::to_string(result.status);
  if (result.status == ot::Status::stopped_by_caller) return;
  const ot::Plan plan(problem, result, options.context);
  std::vector<std::int32_t> partners(static_cast<std::size_t>(batch.n));
  plan.sample_partners(draws(batch, options.seed), partners);
  point.seconds = watch.seconds();

  const std::vector<double> columns = plan.col_masses();
  const double mass = plan.mass(), h = plan.entropy(), log_n = std::log(static_cast<double>(batch.n));
  point.raw_cost =
      (dot(plan.row_masses(), result.f) + dot(columns, result.g)) / mass - epsilon * (2 * log_n + std::log(mass) - h);
  point.gap = point.raw_cost - (dot(plan.row_masses(), at_limit.f) + dot(columns, at_limit.g)) / mass;
  point.entropy = log_n > 0 ? h / log_n - 1 : 0;
  point.marginal_error = result.marginal_error;
  point.iterations = static_cast<double>(result.iterations);
}

// The rows' partners are points of the whole population, whatever the batch holds.
void measure_semidiscrete(Point& point, const Limit& limit, const LimitOfBatch& at_limit) {
  for (std::size_t i = 0; i < at_limit.f.size(); ++i) {
    const double g = limit.g()[static_cast<std::size_t>(at_limit.partners[i])];
    point.raw_cost += (at_limit.f[i] + g) / static_cast<double>(at_limit.f.size());
    point.gap += (g - limit.mean_g()) / static_cast<double>(at_limit.f.size());
  }
  point.seconds = at_limit.seconds;
  point.peak_mb = at_limit.peak_mb;
}

}  // namespace

const char* to_string(CouplingKind kind) {
  switch (kind) {
    case CouplingKind::independent:
      return "independent";
    case CouplingKind::sinkhorn:
      return "sinkhorn";
    case CouplingKind::exact:
      return "exact";
    case CouplingKind::semidiscrete:
      return "semidiscrete";
  }
  return "";
}

std::string CouplingName::text() const {
  return kind == CouplingKind::sinkhorn ? concat("Sinkhorn ", epsilon) : to_string(kind);
}

LimitOfBatch match_batch(const Population& population, const Limit& limit, const Batch& batch, std::uint64_t seed) {
  require(limit.g().size() == static_cast<std::size_t>(population.y.rows()), "match_batch: ", limit.g().size(),
          " potentials for ", population.y.rows(), " points");
  LimitOfBatch result;
  reset_peak_memory();
  const Watch watch;
  result.partners = limit.match(batch.x.view(), draws(batch, seed));
  result.seconds = watch.seconds();
  result.peak_mb = peak_memory() / 1e6;
  result.f = limit.f(batch.x.view(), result.partners);
  for (const Index j : batch.points) result.g.push_back(limit.g()[static_cast<std::size_t>(j)]);
  return result;
}

Point measure(const CouplingName& coupling, const Population& population, const Limit& limit, const Batch& batch,
              const LimitOfBatch& at_limit, const MeasureOptions& options) {
  Point point{.coupling = coupling, .n = batch.n, .repeat = batch.repeat};
  reset_peak_memory();
  switch (coupling.kind) {
    case CouplingKind::independent:
      measure_independent(point, batch, options);
      break;
    case CouplingKind::exact:
      measure_exact(point, batch, options);
      break;
    case CouplingKind::sinkhorn:
      measure_sinkhorn(point, batch, at_limit, coupling.epsilon * population.spread, options);
      break;
    case CouplingKind::semidiscrete:
      measure_semidiscrete(point, limit, at_limit);
      break;
  }
  if (point.status == ot::to_string(ot::Status::stopped_by_caller)) throw Interrupted();
  if (coupling.kind == CouplingKind::independent || coupling.kind == CouplingKind::exact) {
    point.gap = point.raw_cost - mean(at_limit.f) - mean(at_limit.g);
  }
  point.seconds /= static_cast<double>(batch.n);
  if (coupling.kind != CouplingKind::semidiscrete) point.peak_mb = peak_memory() / 1e6;
  return point;
}

}  // namespace monge::apps
