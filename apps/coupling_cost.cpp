// coupling_cost: what couplings of noise with data cost per pair, against the size of the batch they see.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "monge/apps/common/device.h"
#include "monge/apps/common/interrupt.h"
#include "monge/apps/common/progress.h"
#include "monge/apps/common/shell.h"
#include "monge/apps/common/validators.h"
#include "monge/apps/coupling_cost/limit.h"
#include "monge/apps/coupling_cost/measure.h"
#include "monge/apps/coupling_cost/population.h"
#include "monge/apps/coupling_cost/record.h"
#include "monge/apps/coupling_cost/report.h"
#include "monge/data/atomic_file.h"
#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/stop.h"

namespace {

using namespace monge;
using apps::CouplingKind;
using apps::CouplingName;
using apps::Point;
namespace fs = std::filesystem;

struct Arguments {
  std::string data, out;
  Index grid = 0, points = 0, from = 64, to = 0, exact_to = 16384, repeats = 3;
  std::vector<double> epsilons = {0.1, 0.3, 1};
  double tolerance = 1e-3, limit_tolerance = 0.02, limit_samples = 65536;
  std::uint64_t seed = 0;
  Context context;  // device and threads
};

constexpr Index once_above = 16384;  // larger batches are measured once

// One coupling of one batch that is still to be measured.
struct Task {
  CouplingName coupling;
  Index n = 0, repeat = 0;
  double work = 0;  // roughly, in multiply-adds
};

double work_of(const CouplingName& coupling, Index n, const apps::Population& population) {
  const auto rows = static_cast<double>(n), d = static_cast<double>(population.y.cols()) + 16;
  switch (coupling.kind) {
    case CouplingKind::independent:
      return rows * d;
    case CouplingKind::semidiscrete:
      return rows * static_cast<double>(population.y.rows()) * d;
    case CouplingKind::sinkhorn:
      return 20 * rows * rows * d;
    case CouplingKind::exact:
      return 30 * rows * rows * d;
  }
  return 0;
}

// All that is asked for and not measured yet: small batches first, all couplings of a batch together.
std::vector<Task> open_tasks(const Arguments& a, const apps::Population& population, const apps::Record& record) {
  std::vector<Task> tasks;
  for (Index n = a.from; n <= a.to; n *= 2) {
    std::vector<CouplingName> couplings = {{CouplingKind::independent}, {CouplingKind::semidiscrete}};
    for (const double epsilon : a.epsilons) couplings.push_back({CouplingKind::sinkhorn, epsilon});
    if (n <= a.exact_to) couplings.push_back({CouplingKind::exact});
    for (Index repeat = 0; repeat < (n > once_above ? 1 : a.repeats); ++repeat) {
      for (const CouplingName& coupling : couplings) {
        if (record.has(coupling, n, repeat)) continue;
        tasks.push_back({coupling, n, repeat, work_of(coupling, n, population)});
      }
    }
  }
  return tasks;
}

void measure_all(const Arguments& a, const apps::Population& population, const apps::Limit& limit,
                 const Context& context, apps::Record& record) {
  const std::vector<Task> tasks = open_tasks(a, population, record);
  double total = 0, done = 0;
  for (const Task& task : tasks) total += task.work;
  apps::Progress progress("measure", "", total);
  apps::Batch batch;
  apps::LimitOfBatch at_limit;
  for (const Task& task : tasks) {
    const std::string note = concat("n = ", task.n, ", ", task.coupling.text(), ", repeat ", task.repeat + 1);
    progress.update(done, note);
    apps::check_interrupt();
    if (batch.n != task.n || batch.repeat != task.repeat) {
      batch = apps::draw_batch(population, task.n, task.repeat, a.seed, context);
      at_limit = apps::match_batch(population, limit, batch, a.seed);
    }
    const auto tell = [&](double share) {
      progress.update(done + share * task.work, note);
      return !apps::interrupted();
    };
    record.add(apps::measure(task.coupling, population, limit, batch, at_limit,
                             {.tolerance = a.tolerance, .seed = a.seed, .context = context, .progress = tell}));
    done += task.work;
  }
  progress.update(total);
  if (!tasks.empty()) progress.finish();
}

apps::ProblemIdentity identity(const Arguments& a, const apps::Population& population) {
  return {.name = population.name,
          .digest = population.digest,
          .points = population.y.rows(),
          .dimensions = population.y.cols(),
          .seed = a.seed,
          .tolerance = a.tolerance,
          .limit_tolerance = a.limit_tolerance,
          .limit_samples = a.limit_samples,
          .mean_cost = population.mean_cost(),
          .spread = population.spread,
          .known_limit = population.known_limit,
          .device = apps::device_name(a.context.device)};
}

void require_sizes(Arguments& a, Index points) {
  if (a.to == 0) a.to = std::min<Index>(65536, points);
  require(a.to <= points, "--to ", a.to, ": a batch has different points, and there are ", points);
  require(a.from <= a.to, "--from ", a.from, " is above ", a.to, ", the largest batch");
}

void bench(Arguments& a) {
  require(a.data.empty() != (a.grid == 0), "takes either a data file or --grid");
  require(a.grid == 0 || a.points == 0, "--points is for data files");
  ot::backend_for(a.context.device);  // refuses what is not there
  const apps::Population population =
      a.grid > 0 ? apps::grid_population(a.grid) : apps::read_population(a.data, a.points);
  require_sizes(a, population.y.rows());
  require(population.spread > 0, a.data, ": all points are the same");
  const Stop stop([] { return !apps::interrupted(); });
  Context context = a.context;
  context.stop = &stop;
  const fs::path out = a.out, csv = out / "coupling_cost.csv", plot = out / "coupling_cost.svg";
  apps::Record record(out, identity(a, population));

  apps::LimitFigures figures;
  const apps::Limit limit(
      population, apps::fit_limit(population, a.limit_tolerance, a.seed, record.potentials(), a.context, figures),
      context);
  if (!record.limit()) record.set_limit(limit.estimate(a.limit_samples, a.seed, figures));
  measure_all(a, population, limit, context, record);
  data::write_text("coupling_cost", csv, apps::to_csv(record));
  data::write_text("coupling_cost", plot, apps::to_plot(record));
  std::printf("%s", apps::to_table(record).c_str());
}

// A pass that was stopped was so by Ctrl-C.
void bench_or_say_what_is_kept(Arguments& a) {
  try {
    bench(a);
  } catch (const Error& error) {
    if (error.code() != Errc::stopped) throw;
    throw apps::Interrupted("interrupted; the same command goes on from what " + a.out + " holds");
  } catch (const apps::Interrupted&) {
    throw apps::Interrupted("interrupted; the same command goes on from what " + a.out + " holds");
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Measures what couplings of standard normal noise with data cost per pair, |x - y|^2, against the size n of the\n"
      "batch that they see: independent pairs, Sinkhorn at several epsilons, exact assignment, and the semidiscrete\n"
      "coupling, which sees all data and is the limit of the others. Leaves in the folder --out coupling_cost.json,\n"
      "coupling_cost.csv, coupling_cost.svg (cost, gap to the limit, time and entropy against n) and potentials.h5.\n",
      "coupling_cost"};
  app.footer(
      "Examples:\n"
      "  coupling_cost fashion.h5 --out runs/coupling/fashion-mnist\n"
      "  coupling_cost --grid 8 --to 4096 --out runs/coupling/grid\n\n"
      "Every finished point is kept. The same command goes on after Ctrl-C, and with more sizes, epsilons or repeats\n"
      "measures what is new; records of other data, seeds, tolerances or devices are refused. Training and test points "
      "of the\n"
      "data file count together. docs/coupling_cost.md says how to read the result.\n"
      "Exit status: 0 when done, 1 for an error, 2 for wrong usage, 130 after Ctrl-C.");
  Arguments a;
  app.add_option("data", a.data, "Data file (HDF5, as ot_data makes it)")->type_name("FILE.h5");
  app.add_option("--grid", a.grid, "Instead of data: the grid of 4^K points, whose optimal map is known")
      ->type_name("K")
      ->check(apps::in_range<Index>(1, 8));
  app.add_option("--out", a.out, "Folder of the record; one that holds some is gone on with")
      ->required()
      ->type_name("DIR");
  app.add_option("--points", a.points, "Take the first N points for all the data; 0 = all")
      ->type_name("N")
      ->check(apps::at_least<Index>(0))
      ->capture_default_str();
  app.add_option("--from", a.from, "Smallest batch; it is doubled up to --to")
      ->type_name("N")
      ->check(apps::in_range<Index>(2, Index{1} << 30))
      ->capture_default_str();
  app.add_option("--to", a.to, "Largest batch; 0 = 65536, or all points")
      ->type_name("N")
      ->check(apps::in_range<Index>(0, Index{1} << 30))
      ->capture_default_str();
  app.add_option("--exact-to", a.exact_to, "Largest batch of exact assignment; 0 = none")
      ->type_name("N")
      ->check(apps::at_least<Index>(0))
      ->capture_default_str();
  app.add_option("--epsilon", a.epsilons,
                 "Of Sinkhorn, units of the standard deviation of -2 <x, y - mean y>; several by commas")
      ->type_name("E,...")
      ->delimiter(',')
      ->check(apps::in_range<double>(1e-6, 1e6))
      ->capture_default_str();
  app.add_option("--repeats", a.repeats, "Batches of each size up to 16384; larger ones are measured once")
      ->type_name("R")
      ->check(apps::in_range<Index>(1, 1000))
      ->capture_default_str();
  app.add_option("--tolerance", a.tolerance, "Of Sinkhorn, on the L1 error of the marginals")
      ->type_name("T")
      ->check(apps::in_range<double>(1e-9, 1))
      ->capture_default_str();
  app.add_option("--limit-tolerance", a.limit_tolerance, "Of the limit, on the chi-square of its marginal")
      ->type_name("T")
      ->check(apps::in_range<double>(1e-6, 1))
      ->capture_default_str();
  app.add_option("--limit-samples", a.limit_samples, "Noise vectors that the limit's cost is measured on")
      ->type_name("N")
      ->check(apps::in_range<double>(1000, 1e9))
      ->capture_default_str();
  app.add_option("--seed", a.seed, "Random seed; the same seed gives the same bits, times and memory aside")
      ->type_name("N")
      ->check(apps::at_least<std::uint64_t>(0))
      ->capture_default_str();
  apps::add_device(app, a.context.device);
  apps::add_threads(app, a.context.threads, "The costs do not depend on it");
  return apps::run_main(app, argc, argv, [&] { bench_or_say_what_is_kept(a); });
}
