// ot_fit: fits semidiscrete potentials from standard normal noise, or from points, to the points of a data file.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>

#include "monge/apps/common/device.h"
#include "monge/apps/common/distinct_files.h"
#include "monge/apps/common/fitted.h"
#include "monge/apps/common/interrupt.h"
#include "monge/apps/common/json.h"
#include "monge/apps/common/shell.h"
#include "monge/apps/common/validators.h"
#include "monge/data/atomic_file.h"
#include "monge/data/dataset.h"
#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"

namespace {

using namespace monge;

struct Arguments {
  std::string data, out, json, cost = "negative_dot";
  std::string refit, refit_data;  // potentials to start from, and the data they belong to
  std::string source;             // data file whose training points are the source; empty: N(0, I)
  bool labels = false;
  ot::SemidiscreteOptions fit;
};

nlohmann::ordered_json summary(const Arguments& a, const data::PotentialsFile& p,
                               const ot::SemidiscreteResult& result) {
  return {{"chi2", p.chi2},
          {"chi2_lower", p.chi2_lower},
          {"chi2_upper", p.chi2_upper},
          {"samples_per_atom", p.samples_per_atom},
          {"gemm_rows_per_atom", p.gemm_rows_per_atom},
          {"seconds", p.seconds},
          {"check_seconds", p.check_seconds},
          {"dimensions", p.dims},
          {"status", ot::to_string(p.status)},
          {"device", apps::device_name(a.fit.context.device)},
          {"n", p.g.size()},
          {"epsilon", p.epsilon},
          {"cost", p.cost},
          {"source_law", p.source_law},
          {"check_samples", p.check_samples},
          {"plan_cost", p.plan_cost},
          {"plan_cost_error", p.plan_cost_error},
          {"certificate", ot::to_string(p.certificate.kind)},
          {"lower", p.certificate.lower},
          {"upper", p.certificate.upper},
          {"lost_variance", result.potentials.pca ? result.potentials.pca->lost_variance() : 0.0},
          {"merged", result.merged},
          {"label_penalty", p.labels.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(p.label_penalty)},
          {"tau", p.tau},
          {"seed", p.seed}};
}

void use_labels(Arguments& a, const data::Dataset& dataset) {
  if (!a.labels) return;
  require(dataset.train.labelled(), a.data, ": has no /labels");
  a.fit.labels = dataset.train.labels;
}

void print(const Arguments& a, const data::PotentialsFile& p, const ot::SemidiscreteResult& result) {
  std::printf("%s: %zu potentials in %lld dimensions, %s\n", a.out.c_str(), p.g.size(), static_cast<long long>(p.dims),
              ot::to_string(p.status));
  if (result.potentials.pca) {
    std::printf("pca: %.1f%% of the variance lost\n", 100 * result.potentials.pca->lost_variance());
  }
  if (!p.labels.empty())
    std::printf("labels: %zu, penalty %g on unequal ones\n", p.noise_labels.size(), p.label_penalty);
  if (result.merged > 0) std::printf("duplicates: %lld atoms merged\n", static_cast<long long>(result.merged));
  std::printf("fit: %.1f s, %.1f noise vectors and %.2f GEMM rows per atom\n", p.seconds, p.samples_per_atom,
              p.gemm_rows_per_atom);
  if (p.check_samples == 0) return;
  std::printf("chi2 of the marginal: %.4f, 95%% interval [%.4f, %.4f], %llu fresh noise vectors, %.1f s\n", p.chi2,
              p.chi2_lower, p.chi2_upper, static_cast<unsigned long long>(p.check_samples), p.check_seconds);
  std::printf("transport cost (%s): %.6g +- %.2g, the optimum lies in [%.6g, %.6g] at 95%%%s\n", p.cost.c_str(),
              p.plan_cost, p.plan_cost_error, p.certificate.lower, p.certificate.upper,
              std::isinf(p.tau) ? "" : ", the price of the masses included");
}

void warn_unless_converged(const Arguments& a, const data::PotentialsFile& p) {
  if (p.status == ot::Status::converged || p.status == ot::Status::stopped_by_caller) return;
  const std::string chi2 = p.check_samples > 0 ? concat("the chi-square of the marginal is at most ", p.chi2_upper)
                                               : "the marginal was never checked";
  const char* limit = p.status == ot::Status::time_limit ? "--max-seconds" : "--max-samples";
  apps::say("ot_fit", concat("warning: not converged (", ot::to_string(p.status), "): ", chi2, ", the tolerance is ",
                             a.fit.tolerance, "; raise ", limit, " or --tolerance",
                             a.fit.epsilon == 0 && a.refit.empty() ? ", or give an --epsilon" : ""));
}

// A source of points; N(0, I) where no file is named.
struct Source {
  data::Dataset dataset;
  apps::FitSource from;

  Source(Arguments& a, const data::Dataset& atoms) {
    if (a.source.empty()) return;
    dataset = data::load_dataset(a.source);
    require(dataset.dims() == atoms.dims(), a.source, ": points of ", dataset.dims(), " dimensions, those of ", a.data,
            " have ", atoms.dims());
    require(!a.labels || dataset.train.labelled(), a.source, ": has no /labels");
    if (a.fit.epsilon == 0 && a.refit.empty()) apps::warn_of_few_points("ot_fit", a.source, dataset, atoms);
    from = apps::fit_source(dataset, a.fit);
  }
  Source(const Source&) = delete;  // the law borrows the points
  Source& operator=(const Source&) = delete;
};

// From old potentials, whose atoms are found among the new ones by their coordinates.
ot::SemidiscreteResult refit(const Arguments& a, const data::Dataset& dataset, const data::PotentialsFile& old,
                             const Source& source) {
  const data::Dataset old_data = data::load_dataset(a.refit_data);
  require(old.dataset_digest == old_data.digest, a.refit, ": these potentials belong to other data (digest ",
          old.dataset_digest, ") than ", a.refit_data, " (", old_data.digest, ")");
  require(old.source_law == source.from.name, a.refit, ": fitted for the source law '", old.source_law, "', not '",
          source.from.name, "'");
  require(old_data.dims() == dataset.dims(), a.data, ": points of ", dataset.dims(), " dimensions, those of ",
          a.refit_data, " have ", old_data.dims());
  return apps::refit_with_progress(dataset.train.x.view(), apps::to_potentials(old),
                                   ot::origin_of(dataset.train.x.view(), old_data.train.x.view()), a.fit,
                                   source.from.law);
}

void fit(Arguments& a) {
  apps::require_distinct_files(
      {{"the data file", a.data}, {"--source", a.source}, {"--refit", a.refit}, {"--refit-data", a.refit_data}},
      {{"--out", a.out}, {"--json", a.json}});
  data::require_writable("--out", a.out);
  if (!a.json.empty() && a.json != "-") data::require_writable("--json", a.json);
  a.fit.cost = a.cost == "negative_dot" ? ot::Cost::negative_dot : ot::Cost::squared_euclidean;
  ot::backend_for(a.fit.context.device);  // refuses what is not there
  const data::Dataset dataset = data::load_dataset(a.data);
  std::optional<data::PotentialsFile> old;
  if (!a.refit.empty()) {
    old = data::load_potentials(a.refit);
    a.labels = !old->noise_labels.empty();
    a.fit.label_penalty = old->label_penalty;
  }
  use_labels(a, dataset);
  const Source source(a, dataset);
  const ot::SemidiscreteResult result =
      old ? refit(a, dataset, *old, source)
          : apps::fit_with_progress(dataset.train.x.view(), a.fit, {}, source.from.law);
  const data::PotentialsFile file = apps::to_file(result, dataset.digest, dataset.dims(), a.fit.seed, source.from.name);
  data::save_potentials(file, a.out);
  if (a.json != "-") print(a, file, result);
  if (!a.json.empty()) apps::write_output(a.json, apps::json_text(summary(a, file, result)));
  if (result.status == ot::Status::stopped_by_caller) {
    throw apps::Interrupted("interrupted; " + a.out + " holds the potentials reached so far");
  }
  warn_unless_converged(a, file);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Fits semidiscrete optimal transport potentials: from standard normal noise, or from the points of another data\n"
      "file, to the points of a data file, which sdfm_train then uses to pair both. Nothing needs tuning; the fit ends "
      "when the chi-square of "
      "the\n"
      "marginal, checked on fresh noise, is below the tolerance at the upper end of its 95% interval.\n",
      "ot_fit"};
  app.footer(
      "Examples:\n"
      "  ot_fit fashion.h5 --out potentials.h5\n"
      "  ot_fit fashion.h5 --out potentials.h5 --pca 64 --json -\n"
      "  ot_fit fashion.h5 --out potentials.h5 --labels\n"
      "  ot_fit 8gaussians.h5 --source wide-moons.h5 --out potentials.h5\n"
      "  ot_fit day.h5 --source night.h5 --labels --out potentials.h5\n"
      "  ot_fit more.h5 --out more_potentials.h5 --refit potentials.h5 --refit-data fashion.h5\n\n"
      "Ctrl-C saves the potentials reached so far (status stopped_by_caller) and exits 130.\n"
      "A fit that did not converge is written all the same, with a warning on stderr.\n"
      "Exit status: 0 when done, converged or not, 1 for an error, 2 for wrong usage, 130 after Ctrl-C.");
  Arguments a;
  app.add_option("data", a.data, "Data file (HDF5, as ot_data makes it); its training points are the atoms")
      ->required()
      ->type_name("FILE.h5");
  app.add_option("--out", a.out, "Where to write the potentials (HDF5)")->required()->type_name("FILE.h5");
  app.add_option("--source", a.source, "Data file whose training points are the source; not given: N(0, I)")
      ->type_name("FILE.h5");
  app.add_option("--pca", a.fit.pca, "Fit in the space of K principal directions; 0 = all dimensions")
      ->type_name("K")
      ->check(apps::at_least<Index>(0))
      ->capture_default_str();
  app.add_option("--epsilon", a.fit.epsilon, "Entropic regularisation, units of the cost; 0 = none")
      ->type_name("E")
      ->check(apps::at_least<double>(0))
      ->capture_default_str();
  app.add_option("--cost", a.cost, "Cost: negative_dot (-<x,y>) or squared_euclidean (|x-y|^2)")
      ->type_name("C")
      ->check(CLI::IsMember({"negative_dot", "squared_euclidean"}))
      ->capture_default_str();
  auto* labels = app.add_flag("--labels", a.labels,
                              "Class-conditional: noise has a label, too, as often as the data's; points of a --source "
                              "their own");
  app.add_option("--label-penalty", a.fit.label_penalty,
                 "Cost of unequal labels, units of the cost; not given: they never meet")
      ->type_name("P")
      ->check(apps::at_least_or_infinite(0))
      ->needs(labels);
  app.add_option("--tau", a.fit.tau,
                 "Price of masses other than uniform: tau KL, units of the cost; not given: exact masses")
      ->type_name("T")
      ->check(apps::at_least_or_infinite(0));
  app.add_option("--tolerance", a.fit.tolerance, "On the chi-square of the marginal, in (0, 1]")
      ->type_name("T")
      ->check(apps::in_range<double>(0, 1))
      ->capture_default_str();
  app.add_option("--max-samples", a.fit.max_samples_per_atom,
                 "Give up after so many noise vectors per atom; 0 = by size")
      ->type_name("S")
      ->check(apps::at_least<double>(0))
      ->capture_default_str();
  app.add_option("--max-seconds", a.fit.max_seconds, "Take so long at most, check included; 0 = no limit")
      ->type_name("S")
      ->check(apps::at_least<double>(0))
      ->capture_default_str();
  app.add_option("--seed", a.fit.seed, "Random seed; the same seed gives the same bits")
      ->type_name("N")
      ->check(apps::at_least<std::uint64_t>(0))
      ->capture_default_str();
  apps::add_device(app, a.fit.context.device);
  apps::add_threads(app, a.fit.context.threads, "The result does not depend on it");
  auto* refit = app.add_option("--refit", a.refit,
                               "Start from these potentials of data before, and keep their cost, epsilon, directions, "
                               "labels, penalty and tau")
                    ->type_name("FILE.h5");
  auto* refit_data =
      app.add_option("--refit-data", a.refit_data, "The data those potentials belong to")->type_name("FILE.h5");
  refit->needs(refit_data);
  refit_data->needs(refit);
  for (const char* name : {"--pca", "--epsilon", "--cost", "--labels", "--label-penalty", "--tau"})
    refit->excludes(app.get_option(name));
  app.add_option("--json", a.json, "Write a summary as JSON; - = standard output, instead of the text")
      ->type_name("FILE|-");
  return apps::run_main(app, argc, argv, [&] { fit(a); });
}
