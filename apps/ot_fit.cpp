// ot_fit: fits semidiscrete potentials from standard normal noise to the points of a data file.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <string>

#include "monge/apps/common/distinct_files.h"
#include "monge/apps/common/fitted.h"
#include "monge/apps/common/interrupt.h"
#include "monge/apps/common/json.h"
#include "monge/apps/common/shell.h"
#include "monge/apps/common/validators.h"
#include "monge/data/atomic_file.h"
#include "monge/data/dataset.h"

namespace {

using namespace monge;

struct Arguments {
  std::string data, out, json, cost = "negative_dot";
  ot::SemidiscreteOptions fit;
};

nlohmann::ordered_json summary(const data::PotentialsFile& p, const ot::SemidiscreteResult& result) {
  return {{"chi2", p.chi2},
          {"chi2_lower", p.chi2_lower},
          {"chi2_upper", p.chi2_upper},
          {"samples_per_atom", p.samples_per_atom},
          {"gemm_rows_per_atom", p.gemm_rows_per_atom},
          {"seconds", p.seconds},
          {"check_seconds", p.check_seconds},
          {"dimensions", p.dims},
          {"status", ot::to_string(p.status)},
          {"n", p.g.size()},
          {"epsilon", p.epsilon},
          {"cost", p.cost},
          {"check_samples", p.check_samples},
          {"plan_cost", p.plan_cost},
          {"certificate", ot::to_string(p.certificate.kind)},
          {"lower", p.certificate.lower},
          {"upper", p.certificate.upper},
          {"lost_variance", result.potentials.pca ? result.potentials.pca->lost_variance() : 0.0},
          {"merged", result.merged},
          {"seed", p.seed}};
}

void print(const Arguments& a, const data::PotentialsFile& p, const ot::SemidiscreteResult& result) {
  std::printf("%s: %zu potentials in %lld dimensions, %s\n", a.out.c_str(), p.g.size(), static_cast<long long>(p.dims),
              ot::to_string(p.status));
  if (result.potentials.pca) {
    std::printf("pca: %.1f%% of the variance lost\n", 100 * result.potentials.pca->lost_variance());
  }
  if (result.merged > 0) std::printf("duplicates: %lld atoms merged\n", static_cast<long long>(result.merged));
  std::printf("fit: %.1f s, %.1f noise vectors and %.2f GEMM rows per atom\n", p.seconds, p.samples_per_atom,
              p.gemm_rows_per_atom);
  if (p.check_samples == 0) return;
  std::printf("chi2 of the marginal: %.4f, 95%% interval [%.4f, %.4f], %llu fresh noise vectors, %.1f s\n", p.chi2,
              p.chi2_lower, p.chi2_upper, static_cast<unsigned long long>(p.check_samples), p.check_seconds);
  std::printf("transport cost (%s): %.6g, the optimum lies in [%.6g, %.6g] at 95%%\n", p.cost.c_str(), p.plan_cost,
              p.certificate.lower, p.certificate.upper);
}

void fit(Arguments& a) {
  apps::require_distinct_files({{"the data file", a.data}}, {{"--out", a.out}, {"--json", a.json}});
  data::require_writable("--out", a.out);
  if (!a.json.empty() && a.json != "-") data::require_writable("--json", a.json);
  a.fit.cost = a.cost == "negative_dot" ? ot::Cost::negative_dot : ot::Cost::squared_euclidean;
  const data::Dataset dataset = data::load_dataset(a.data);
  const ot::SemidiscreteResult result = apps::fit_with_progress(dataset.train.x.view(), a.fit);
  const data::PotentialsFile file = apps::to_file(result, dataset.digest, dataset.dims(), a.fit.seed);
  data::save_potentials(file, a.out);
  if (a.json != "-") print(a, file, result);
  if (!a.json.empty()) apps::write_output(a.json, apps::json_text(summary(file, result)));
  if (result.status == ot::Status::stopped_by_caller) {
    throw apps::Interrupted("interrupted; " + a.out + " holds the potentials reached so far");
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Fits semidiscrete optimal transport potentials: from standard normal noise to the points of a data file, which\n"
      "sdfm_train then uses to pair fresh noise with data. Nothing needs tuning; the fit ends when the chi-square of "
      "the\n"
      "marginal, checked on fresh noise, is below the tolerance at the upper end of its 95% interval.\n",
      "ot_fit"};
  app.footer(
      "Examples:\n"
      "  ot_fit fashion.h5 --out potentials.h5\n"
      "  ot_fit fashion.h5 --out potentials.h5 --pca 64 --json -\n\n"
      "Ctrl-C saves the potentials reached so far (status stopped_by_caller) and exits 130.\n"
      "Exit status: 0 when done, 1 for an error, 2 for wrong usage, 130 after Ctrl-C.");
  Arguments a;
  app.add_option("data", a.data, "Data file (HDF5, as ot_data makes it); its training points are the atoms")
      ->required()
      ->type_name("FILE.h5");
  app.add_option("--out", a.out, "Where to write the potentials (HDF5)")->required()->type_name("FILE.h5");
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
  app.add_option("--tolerance", a.fit.tolerance, "On the chi-square of the marginal, in (0, 1]")
      ->type_name("T")
      ->check(apps::in_range<double>(0, 1))
      ->capture_default_str();
  app.add_option("--max-samples", a.fit.max_samples_per_atom,
                 "Give up after so many noise vectors per atom; 0 = by size")
      ->type_name("S")
      ->check(apps::at_least<double>(0))
      ->capture_default_str();
  app.add_option("--max-seconds", a.fit.max_seconds, "Give up after so many seconds of fitting; 0 = never")
      ->type_name("S")
      ->check(apps::at_least<double>(0))
      ->capture_default_str();
  app.add_option("--seed", a.fit.seed, "Random seed; the same seed gives the same bits")
      ->type_name("N")
      ->check(apps::at_least<std::uint64_t>(0))
      ->capture_default_str();
  app.add_option("--threads", a.fit.context.threads, "CPU threads; 0 = all. The result does not depend on it")
      ->type_name("N")
      ->check(apps::at_least<int>(0))
      ->capture_default_str();
  app.add_option("--json", a.json, "Write a summary as JSON; - = standard output, instead of the text")
      ->type_name("FILE|-");
  return apps::run_main(app, argc, argv, [&] { fit(a); });
}
