#include "monge/ot/index_fit.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "monge/ot/blocks.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/faiss_search.h"
#include "monge/ot/fitted_atoms.h"
#include "monge/ot/semidiscrete_ascent.h"

namespace monge::ot {
namespace {

using Clock = std::chrono::steady_clock;

// What the index makes of fresh noise.
struct Hits {
  std::vector<double> counts;
  Index rows = 0;
  double products = 0, squares = 0;  // sums of -<x, y> (with |x|^2 / 2 where costs are squared) and of their squares
};

// Noise vectors one after the other, through an index whose biases change.
class Through {
 public:
  Through(const detail::SemidualProblem& problem, const FaissOptions& index, bool squared, const Context& context)
      : problem_(problem),
        squared_(squared),
        context_(context),
        search_("fit_to_index", problem.atoms, index, context) {}

  void set(const std::vector<double>& v) { search_.set_biases({v.begin(), v.end()}); }

  Hits look(Index rows, const Rng& rng, std::uint64_t& next) {
    constexpr Index chunk = 4096;
    const AtomSet& atoms = problem_.atoms;
    const Index d = atoms.dimensions();
    Hits hits{.counts = std::vector<double>(atoms.b.size(), 0.0), .rows = rows};
    Matrix<float> x(std::min(chunk, rows), d);
    std::vector<std::int32_t> found(static_cast<std::size_t>(x.rows()));
    for (Index k = 0; k < rows; k += chunk) {
      if (context_.stop) context_.stop->look();
      const Index count = std::min(chunk, rows - k);
      draw(problem_.source, rng, next, x.view().rows_from(0, count), context_);
      next += static_cast<std::uint64_t>(count);
      search_.search(x.view().rows_from(0, count), {found.data(), count});
      for (Index i = 0; i < count; ++i) {
        const auto j = static_cast<std::size_t>(found[static_cast<std::size_t>(i)]);
        hits.counts[j] += 1;
        const float* row = x.view().row(i);
        double product = -dot(row, atoms.y.view().row(static_cast<Index>(j)), d) - dot(row, atoms.centre.data(), d);
        if (squared_) product += 0.5 * dot(row, row, d);
        hits.products += product;
        hits.squares += product * product;
      }
    }
    return hits;
  }

 private:
  const detail::SemidualProblem& problem_;
  bool squared_;
  Context context_;
  FaissSearch search_;
};

// The mean distance of a row's best and second best score.
double mean_gap(const detail::SemidualProblem& problem, const std::vector<double>& v, double unit, const Rng& rng,
                const Context& context) {
  std::uint64_t row = 0;
  const detail::BatchPlan plan{.epsilon = unit, .window = 4 * unit};
  return detail::assign_batch(problem, v, 2048, plan, rng, row, context).mean_gap;
}

}  // namespace

SemidiscreteResult fit_to_index(MatrixView<const float> y, const SemidiscretePotentials& potentials,
                                const FaissOptions& index, const SemidiscreteOptions& given, const SourceLaw& source) {
  require(potentials.epsilon == 0, "fit_to_index: an index cannot draw atoms, epsilon is ", potentials.epsilon);
  require(potentials.labels.empty() && !source.is_by_label(), "fit_to_index: an index knows no labels");
  require(given.tolerance > 0 && given.tolerance <= 1, "fit_to_index: tolerance is ", given.tolerance,
          ", expected (0, 1]");
  const auto start = Clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  FittedAtoms fitted("fit_to_index", y, potentials, given.context);
  fitted.atoms.keep_ready(y, given.context);
  const AtomSet& atoms = fitted.atoms;
  const auto n = static_cast<double>(atoms.size());
  SemidiscreteOptions options = given;
  options.cost = potentials.cost;
  options.tau = potentials.tau;
  const detail::SemidualProblem problem =
      detail::make_semidual(atoms, options, detail::projected_source(source, potentials.pca));

  SemidiscreteStep step;
  const Stop stop([&] {
    step.seconds = seconds();
    return !(given.context.stop && given.context.stop->requested()) && (!given.on_step || given.on_step(step));
  });
  options.context.stop = &stop;
  const bool squared = potentials.cost == Cost::squared_euclidean;
  Through through(problem, index, squared, options.context);
  const Rng rng = Rng{given.seed}.substream(0x696E646578);  // "index"
  const detail::ScoreScale scale = detail::score_scale(problem, rng.substream(0), options.context);
  // What the fit before came to is worth about as many samples as it took.
  constexpr double worth = 24;
  detail::Ascent ascent(problem, scale, worth);
  std::vector<double> v = to_biases(atoms, potentials.g, potentials.cost);
  const double gap = mean_gap(problem, v, ascent.mean_step(), rng.substream(1), options.context);
  ascent.start_from(v, std::vector<double>(v.size(), worth));

  SemidiscreteResult result;
  const double most = given.max_samples_per_atom > 0 ? given.max_samples_per_atom : 400;
  const Index batch_rows = static_cast<Index>(std::max(512.0, 0.5 * n)),
              check_rows = detail::check_rows(atoms.size(), options);
  std::uint64_t fit_row = 0, check_row = 0;
  const auto judge = [&] {
    const auto from = seconds();
    v = ascent.average();
    through.set(v);
    const Hits hits = through.look(check_rows, rng.substream(3), check_row);
    result.marginal = detail::marginal_error(hits.counts, detail::target(problem, v).mass);
    const double unit = squared ? 2 : 1, rows = static_cast<double>(hits.rows), mean = hits.products / rows;
    double level = 0;
    for (Index j = 0; j < atoms.size() && squared; ++j)
      level += hits.counts[static_cast<std::size_t>(j)] / rows * atoms.squared_norm(j);
    result.cost = unit * mean + level;
    result.cost_error = unit * detail::z95 * std::sqrt(std::max(0.0, hits.squares / rows - mean * mean) / rows);
    result.check_seconds += seconds() - from;
    return result.marginal.upper <= given.tolerance;
  };
  const auto ascend = [&] {
    if (judge()) return Status::converged;
    for (double next_look = 4;;) {
      through.set(ascent.current());
      Hits hits = through.look(batch_rows, rng.substream(2), fit_row);
      const std::vector<double> target = detail::target(problem, ascent.current()).mass;
      ascent.update({.mass = std::move(hits.counts), .target = target, .rows = batch_rows}, gap);
      result.samples_per_atom += static_cast<double>(batch_rows) / n;
      step.samples_per_atom = result.samples_per_atom;
      step.progress = std::min(1.0, result.samples_per_atom / most);
      if (!(!given.on_step || given.on_step(step))) return Status::stopped_by_caller;
      if (given.max_seconds > 0 && seconds() - result.check_seconds >= given.max_seconds) return Status::time_limit;
      const bool last = result.samples_per_atom >= most;
      if (!last && result.samples_per_atom < next_look) continue;
      next_look *= 1.5;
      if (judge()) return Status::converged;
      if (last) return Status::iteration_limit;
    }
  };
  detail::Check check;
  result.status = Status::stopped_by_caller;
  finishes([&] {
    result.status = ascend();
    if (result.status == Status::time_limit) judge();
    check = detail::check_semidual(problem, v, options, 0);
  });
  if (result.status != Status::stopped_by_caller && !check.stopped)
    result.certificate = {Certificate::Kind::confidence, check.lower, check.upper};
  result.seconds = seconds() - result.check_seconds;
  result.gemm_rows_per_atom = result.samples_per_atom;
  result.merged = atoms.merged();
  result.dropped = atoms.dropped();
  SemidiscretePotentials& fit = result.potentials;
  fit.cost = potentials.cost;
  fit.b = potentials.b;
  if (potentials.pca) fit.pca = potentials.pca->clone();
  fit.tau = potentials.tau;
  detail::recentre(v, atoms.b);
  if (problem.is_unbalanced()) {
    const double constant = detail::target(problem, v).constant;
    for (double& value : v) value += constant;
  }
  fit.g = to_potentials(atoms, v, potentials.cost);
  return result;
}

}  // namespace monge::ot
