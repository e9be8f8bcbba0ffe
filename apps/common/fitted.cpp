#include "monge/apps/common/fitted.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <utility>

#include "monge/apps/common/interrupt.h"
#include "monge/apps/common/progress.h"
#include "monge/apps/common/shell.h"
#include "monge/data/digest.h"
#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

// Data files and solvers each have a plain struct for a basis, since neither layer knows the other.
template <class To, class From>
To copy_basis(const From& from) {
  To to;
  to.basis = Matrix<float>(from.basis.rows(), from.basis.cols());
  std::copy_n(from.basis.data(), from.basis.rows() * from.basis.cols(), to.basis.data());
  to.mean = from.mean;
  to.variance = from.variance;
  to.total_variance = from.total_variance;
  return to;
}

ot::Cost parse_cost(const std::string& name) {
  for (const ot::Cost cost : {ot::Cost::negative_dot, ot::Cost::squared_euclidean}) {
    if (name == ot::to_string(cost)) return cost;
  }
  throw Error(Errc::bad_file, concat("potentials: unknown cost '", name, "'"));
}

// Calls `fit` with options that show progress on stderr and stop it when interrupted.
template <class Fit>
ot::SemidiscreteResult with_progress(ot::SemidiscreteOptions options, const Fit& fit) {
  std::unique_ptr<Progress> progress;
  bool checking = false;
  options.on_step = [&](const ot::SemidiscreteStep& step) {
    if (!progress || step.checking != checking) {
      checking = step.checking;
      progress.reset();  // closes its line before the next one opens
      progress = std::make_unique<Progress>(checking ? "check" : "fit", "", 1.0);
    }
    char note[64] = "";
    if (!checking) std::snprintf(note, sizeof note, "%.1f noise per atom, chi2 %.3f", step.samples_per_atom, step.chi2);
    progress->update(step.progress, note);
    return !interrupted();
  };
  ot::SemidiscreteResult result = fit(options);
  if (progress) progress->finish();
  return result;
}

}  // namespace

std::string points_law(const data::Dataset& source, bool by_label) {
  const std::string points = concat("points ", source.digest);
  const std::vector<std::int32_t>& labels = source.train.labels;
  if (!by_label) return points;
  return concat(points, " labels ", data::digest(labels.data(), labels.size() * sizeof labels[0]));
}

FitSource fit_source(const data::Dataset& source, ot::SemidiscreteOptions& options) {
  const MatrixView<const float> x = source.train.x.view();
  const bool by_label = !options.labels.empty() && options.label_penalty > 0;
  if (!by_label) return {ot::source_of_points(x), points_law(source, false)};
  if (std::isfinite(options.label_penalty)) options.noise_labels = ot::label_shares(source.train.labels);
  return {ot::source_of_points(x, source.train.labels, {}), points_law(source, true)};
}

void warn_of_few_points(const char* program, const std::string& source_file, const data::Dataset& source,
                        const data::Dataset& dataset) {
  constexpr Index enough = 10;  // an atom
  const Index points = source.train.x.rows(), atoms = dataset.train.x.rows();
  if (points >= enough * atoms) return;
  say(program, concat("warning: ", source_file, " has ", points, " points for ", atoms,
                      " atoms; without epsilon each goes to one atom, and masses may never come out even"));
}

data::PotentialsFile to_file(const ot::SemidiscreteResult& result, const std::string& dataset_digest, Index dimensions,
                             std::uint64_t seed, const std::string& source_law) {
  const ot::SemidiscretePotentials& potentials = result.potentials;
  data::PotentialsFile file;
  file.g = potentials.g;
  file.b = potentials.b;
  if (potentials.pca) file.pca = copy_basis<data::PcaBasis>(*potentials.pca);
  file.dims = potentials.pca ? potentials.pca->dimensions() : dimensions;
  file.cost = ot::to_string(potentials.cost);
  file.epsilon = potentials.epsilon;
  file.labels = potentials.labels;
  file.label_penalty = potentials.label_penalty;
  for (const auto& [label, share] : potentials.noise_labels) file.noise_labels.push_back({label, share});
  file.tau = potentials.tau;
  file.source_law = source_law;
  file.dataset_digest = dataset_digest;
  file.samples_per_atom = result.samples_per_atom;
  file.gemm_rows_per_atom = result.gemm_rows_per_atom;
  const bool checked = result.marginal.samples > 0;
  const double unknown = std::numeric_limits<double>::quiet_NaN();
  file.chi2 = checked ? result.marginal.chi2 : unknown;
  file.chi2_lower = checked ? result.marginal.lower : unknown;
  file.chi2_upper = checked ? result.marginal.upper : unknown;
  file.check_samples = static_cast<std::uint64_t>(result.marginal.samples);
  file.seed = seed;
  file.seconds = result.seconds;
  file.check_seconds = result.check_seconds;
  file.plan_cost = checked ? result.cost : unknown;
  file.plan_cost_error = checked ? result.cost_error : unknown;
  file.certificate = result.certificate;
  file.status = result.status;
  return file;
}

ot::SemidiscretePotentials to_potentials(const data::PotentialsFile& file) {
  ot::SemidiscretePotentials potentials;
  potentials.cost = parse_cost(file.cost);
  potentials.epsilon = file.epsilon;
  potentials.g = file.g;
  potentials.b = file.b;
  if (file.pca) potentials.pca = copy_basis<ot::Pca>(*file.pca);
  potentials.labels = file.labels;
  potentials.label_penalty = file.label_penalty;
  for (const auto& [label, share] : file.noise_labels) potentials.noise_labels.push_back({label, share});
  potentials.tau = file.tau;
  return potentials;
}

ot::SemidiscreteResult fit_with_progress(MatrixView<const float> y, ot::SemidiscreteOptions options,
                                         VectorView<const double> b, const ot::SourceLaw& source) {
  return with_progress(std::move(options),
                       [&](const ot::SemidiscreteOptions& o) { return ot::semidiscrete(y, b, o, source); });
}

ot::SemidiscreteResult refit_with_progress(MatrixView<const float> y, const ot::SemidiscretePotentials& before,
                                           VectorView<const std::int32_t> origin, ot::SemidiscreteOptions options,
                                           const ot::SourceLaw& source) {
  return with_progress(std::move(options),
                       [&](const ot::SemidiscreteOptions& o) { return ot::refit(y, before, origin, {}, o, source); });
}

}  // namespace monge::apps
