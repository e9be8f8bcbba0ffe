// ot_solve: optimal transport between two clouds, with a proof.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>

#include "monge/apps/common/device.h"
#include "monge/apps/common/interrupt.h"
#include "monge/apps/common/shell.h"
#include "monge/apps/common/validators.h"
#include "monge/apps/ot_solve/outputs.h"
#include "monge/apps/ot_solve/report.h"
#include "monge/apps/ot_solve/solvers.h"
#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"

namespace {

using namespace monge;
using apps::Input;
using apps::MemoryBudget;
using apps::Request;
using apps::Solution;

template <class T>
Solution run_solver(const std::string& solver, const Input<T>& input, const Request& r, const MemoryBudget& budget) {
  if (apps::is_exact(solver)) return apps::solve_exact(input, r, solver, budget);
  if (solver == "sliced") return apps::solve_sliced(input, r, budget);
  if constexpr (std::is_same_v<T, float>) {
    if (solver == "semidiscrete") return apps::solve_semidiscrete(input, r, budget);
  }
  return apps::solve_sinkhorn(input, r, budget);
}

// The result is told before files are written: if one cannot be, the others and the numbers are not lost.
template <class T>
void solve(const Input<T>& input, const Request& r, const MemoryBudget& budget) {
  const ot::Problem<T> problem = input.problem();
  const apps::Choice choice = apps::choose_solver(input, r, budget.left());
  apps::check_options_of(choice.solver, r);
  if (!apps::is_exact(choice.solver) && choice.solver != "semidiscrete") apps::require_no_forbidden_pairs(input, r);
  apps::check_outputs(input, r, choice.solver, budget);
  apps::check_interrupt();
  const Solution solution = run_solver(choice.solver, input, r, budget);

  apps::Shape shape{.m = problem.cols()};
  if (problem.rows() > 0) shape.n = problem.rows();
  if (!problem.is_dense()) shape.d = problem.y.cols;
  const bool quiet = r.json == "-";
  if (!quiet) apps::write_output("-", apps::summary(r, shape, solution, choice.why));
  if (!r.json.empty()) apps::write_output(r.json, apps::json_summary(r, shape, solution));
  if (solution.status == ot::Status::numerical_failure)
    throw Error(Errc::invalid_argument, "the numbers broke down (status numerical_failure); try --dtype double");
  if (!solution.found) {
    if (apps::interrupted()) throw apps::Interrupted("interrupted before anything was found");
    throw Error(Errc::invalid_argument, concat("--max-seconds ", r.max_seconds, " is over before anything was found"));
  }
  for (const std::string& line : apps::write_outputs(input, r, solution, budget))
    if (!quiet) apps::write_output("-", "wrote        " + line + "\n");
  if (solution.status == ot::Status::stopped_by_caller)
    throw apps::Interrupted("interrupted; what is told is the best so far");
}

void solve(Request r) {
  for (std::optional<double>* tau : {&r.tau_a, &r.tau_b})
    if (*tau && std::isinf(**tau)) tau->reset();  // the default
  apps::check_request(r);
  const MemoryBudget budget(r.memory_mb);
  // What the request alone decides is refused before anything is read.
  const std::string known = r.solver == "auto" && r.from_law() ? "semidiscrete" : r.solver;
  if (known != "auto") apps::check_options_of(known, r);
  ot::backend_for(r.context.device);  // so is a device that is not there
  if (known == "semidiscrete") return solve(apps::read_float_input(r, budget), r, budget);
  std::visit([&](const auto& input) { solve(input, r, budget); }, apps::read_input(r, budget));
}

void add_problem(CLI::App& app, Request& r) {
  app.add_option("X", r.x,
                 "The cloud to move, one point per row: .npy, .csv or file.h5:/path/to/array;\nor a law, normal or "
                 "uniform (on the unit cube), see --solver semidiscrete")
      ->type_name("CLOUD");
  app.add_option("Y", r.y, "The cloud to move it to")->type_name("CLOUD");
  app.add_option("--cost", r.cost, "An n x m matrix of costs, instead of X and Y; inf forbids a pair (exact)")
      ->type_name("FILE");
  app.add_option("--a", r.a, "Weights of the rows of X; default 1/n each. Sums of a and b must agree")
      ->type_name("FILE");
  app.add_option("--b", r.b, "Weights of the rows of Y; default 1/m each")->type_name("FILE");
  app.add_option("--metric", r.metric,
                 "squared_euclidean |x-y|^2 (default), euclidean |x-y|, l1 sum |x_k-y_k|,\n"
                 "cosine 1-<x,y>/|x||y|, negative_dot -<x,y>")
      ->type_name("NAME")
      ->check(CLI::IsMember({"squared_euclidean", "euclidean", "l1", "cosine", "negative_dot"}));
  app.add_option("--x-labels", r.x_labels, "Whole numbers, one per row of X")->type_name("FILE");
  app.add_option("--y-labels", r.y_labels, "The same for Y")->type_name("FILE");
  app.add_option("--label-penalty", r.label_penalty,
                 "Added to the cost of pairs whose labels differ; inf forbids them (exact, semidiscrete)")
      ->type_name("P")
      ->check(apps::at_least_or_infinite(0));
}

void add_solver(CLI::App& app, Request& r) {
  const CLI::Validator positive = apps::at_least<double>(0);
  app.add_option("--solver", r.solver,
                 "auto, exact (the best plan; any weights and metric), sinkhorn (entropic; the same, and unbalanced),\n"
                 "semidiscrete (X is a law: normal, uniform, or a cloud to draw from), sliced (no plan, no proof);\n"
                 "exact by a method of your choice: network_simplex (takes the same), and hungarian or auction\n"
                 "(one to one, uniform weights, squared_euclidean or --cost)")
      ->type_name("NAME")
      ->check(CLI::IsMember(
          {"auto", "exact", "sinkhorn", "network_simplex", "hungarian", "auction", "semidiscrete", "sliced"}))
      ->capture_default_str();
  app.add_option("--epsilon", r.epsilon,
                 "Blur of the plan, units of the cost: smaller is sharper and slower.\n"
                 "Default: 0.003 with --relative (semidiscrete: 0)")
      ->type_name("E")
      ->check(positive);
  app.add_flag("--relative", r.relative, "Epsilon is a share of the mean cost");
  app.add_option("--tau-a", r.tau_a, "Unbalanced: price (KL, units of the cost) of straying from a; default infinite")
      ->type_name("T")
      ->check(apps::at_least_or_infinite(0));
  app.add_option("--tau-b", r.tau_b, "The same for b")->type_name("T")->check(apps::at_least_or_infinite(0));
  app.add_option("--mass", r.mass, "Partial: move so much mass, at most what a and b have")
      ->type_name("M")
      ->check(positive);
  app.add_option("--tolerance", r.tolerance,
                 "L1 error of the marginals at which to stop, share of the mass; default 0.001 (semidiscrete: 0.1)")
      ->type_name("T")
      ->check(positive);
  app.add_option("--max-iterations", r.max_iterations, "At most so many; default 5000. Of sliced: directions, 1000")
      ->type_name("N")
      ->check(apps::at_least<Index>(1));
  app.add_option("--max-seconds", r.max_seconds,
                 "Take so long at most, certificate included; files come on top. 0 = no limit")
      ->type_name("S")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--dtype", r.dtype,
                 "float or double; default float if that holds every number exactly, else double.\n"
                 "float rounds the input, and the certificate is of what was rounded")
      ->type_name("TYPE")
      ->check(CLI::IsMember({"float", "double"}));
  app.add_option("--seed", r.seed, "Random seed; the same seed gives the same bits")
      ->type_name("N")
      ->check(apps::at_least<std::uint64_t>(0))
      ->capture_default_str();
  apps::add_device(app, r.context.device);
  apps::add_threads(app, r.context.threads, "The result does not depend on it");
  app.add_option("--memory-mb", r.memory_mb, "Memory to stay below, 10^6 bytes; 0 = what the machine has free")
      ->type_name("MB")
      ->check(positive)
      ->capture_default_str();
}

void add_outputs(CLI::App& app, Request& r) {
  app.add_option("--json", r.json, "Write the result as JSON; - = standard output, instead of the text")
      ->type_name("FILE|-");
  app.add_option("--plan", r.plan, "Write the plan: .npy is dense, n x m; .h5 sparse (CSR), with potentials")
      ->type_name("FILE");
  app.add_option("--map", r.map, "Write where each x goes, n x d: the mean of its partners; .npy or .h5")
      ->type_name("FILE");
  app.add_option("--pairs", r.pairs,
                 "Write each x with its partner, for sdfm_train (coupling.kind = pairs), and with its\nlabel: "
                 "of --x-labels, else of the data file that it is from")
      ->type_name("FILE.h5");
  app.add_option("--potentials", r.potentials, "Write the dual potentials, f then g, n + m doubles")
      ->type_name("FILE.npy");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Optimal transport between two clouds of points, with a proof: the cheapest way to move one onto the other,\n"
      "and an interval that is certain to hold the true optimal cost.\n",
      "ot_solve"};
  app.footer(
      "Examples:\n"
      "  ot_solve x.npy y.npy                                      cost, W2 and certificate\n"
      "  ot_solve x.csv y.csv --plan plan.npy --map moved.npy      and who goes where\n"
      "  ot_solve source.h5:/x data.h5:/x --solver exact --pairs pairs.h5   pairs to train on, of two data sets;\n"
      "    --x-labels source.h5:/labels --y-labels data.h5:/labels --label-penalty inf   and within classes\n"
      "  ot_solve data.h5:/x data.h5:/y --epsilon 0.005 --relative --json -\n"
      "  ot_solve --cost C.npy --a a.npy --b b.npy                 any costs, any weights\n"
      "  ot_solve x.npy y.npy --tau-a 1 --tau-b 1                  unbalanced\n"
      "  ot_solve normal y.npy                                     from the standard normal law onto a cloud\n\n"
      "Cost is <P, C> with the weights as given. A solver that reaches a limit before it converges says so in its\n"
      "status; its certificate holds all the same. Ctrl-C ends with the best so far (status stopped_by_caller).\n"
      "Exit status: 0 done, converged or not; 1 an error; 2 wrong usage; 130 after Ctrl-C.");
  Request r;
  add_problem(app, r);
  add_solver(app, r);
  add_outputs(app, r);
  return apps::run_main(app, argc, argv, [&] { solve(r); });
}
