#include "monge/apps/ot_solve/request.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <vector>

#include "monge/apps/common/distinct_files.h"
#include "monge/data/atomic_file.h"
#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

// Wrong usage, which ends with exit status 2.
template <class... Parts>
void usage(bool ok, const Parts&... message) {
  if (!ok) throw CLI::ValidationError(concat(message...));
}

void check_inputs(const Request& r) {
  if (!r.cost.empty()) {
    usage(r.x.empty(), "--cost stands for both clouds: leave X and Y out");
    usage(!r.metric, "--metric is of points, --cost says what each pair costs");
  } else {
    usage(!r.x.empty() && !r.y.empty(), "needs two clouds, X and Y (or --cost)");
  }
  const bool labels = !r.y_labels.empty();
  usage(r.x_labels.empty() == r.y_labels.empty() || (!labels && !r.pairs.empty()),
        "--x-labels and --y-labels go together (--pairs takes --x-labels alone)");
  usage(labels == r.label_penalty.has_value(), "--label-penalty goes with --x-labels and --y-labels");
  usage(!labels || !r.from_law(), "--x-labels are of points, X is the law \"", r.x, "\"");
  usage(!r.mass || *r.mass > 0, "--mass must be positive");
  usage(!r.mass || !(r.tau_a || r.tau_b), "--mass excludes --tau-a and --tau-b");
}

void check_kind(const char* option, const std::string& path, const std::vector<std::string>& kinds) {
  const std::string kind = std::filesystem::path(path).extension().string();
  if (path.empty() || std::count(kinds.begin(), kinds.end(), kind) > 0) return;
  std::string names;
  for (const std::string& k : kinds) names += (names.empty() ? "" : " or ") + k;
  usage(false, option, " writes ", names, ", not ", path);
}

void check_outputs(const Request& r) {
  check_kind("--plan", r.plan, {".npy", ".h5"});
  check_kind("--map", r.map, {".npy", ".h5"});
  check_kind("--potentials", r.potentials, {".npy"});
  check_kind("--pairs", r.pairs, {".h5"});
  require_distinct_files(
      {{"X", r.from_law() ? "" : file_of(r.x)},
       {"Y", file_of(r.y)},
       {"--cost", file_of(r.cost)},
       {"--a", file_of(r.a)},
       {"--b", file_of(r.b)},
       {"--x-labels", file_of(r.x_labels)},
       {"--y-labels", file_of(r.y_labels)}},
      {{"--json", r.json}, {"--plan", r.plan}, {"--map", r.map}, {"--potentials", r.potentials}, {"--pairs", r.pairs}});
  for (const std::string& output : {r.json, r.plan, r.map, r.potentials, r.pairs})
    if (!output.empty() && output != "-") data::require_writable("write", output);
}

struct Option {
  const char* name;
  bool given;
  std::vector<std::string> solvers;  // that take it
};

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

void check_request(const Request& request) {
  usage(request.y != "normal" && request.y != "uniform", "Y is a cloud; only X may be the law \"", request.y, "\"");
  check_inputs(request);
  check_outputs(request);
}

void check_options_of(const std::string& solver, const Request& r) {
  const std::vector<std::string> plans{"sinkhorn", "exact", "network_simplex"};
  const auto with = [](std::vector<std::string> solvers, std::initializer_list<const char*> more) {
    solvers.insert(solvers.end(), more.begin(), more.end());
    return solvers;
  };
  const std::vector<std::string> all_plans = with(plans, {"hungarian", "auction"});
  const std::vector<Option> options{
      {"--cost", !r.cost.empty(), all_plans},
      {"--a", !r.a.empty(), with(plans, {"semidiscrete", "sliced"})},
      {"--b", !r.b.empty(), with(plans, {"semidiscrete", "sliced"})},
      {"--y-labels", !r.y_labels.empty(), with(plans, {"semidiscrete"})},
      {"--epsilon", r.epsilon.has_value(), {"sinkhorn", "semidiscrete"}},
      {"--relative", r.relative, {"sinkhorn"}},
      {"--tau-a", r.tau_a.has_value(), {"sinkhorn"}},
      {"--tau-b", r.tau_b.has_value(), {"sinkhorn"}},
      {"--mass", r.mass.has_value(), {"sinkhorn"}},
      {"--device cuda", r.on_gpu(), {"sinkhorn", "semidiscrete", "exact", "auction"}},
      {"--tolerance", r.tolerance.has_value(), with(all_plans, {"semidiscrete"})},
      {"--max-iterations", r.max_iterations.has_value(), {"sinkhorn", "sliced"}},
      {"--plan", !r.plan.empty(), all_plans},
      {"--map", !r.map.empty(), all_plans},
      {"--potentials", !r.potentials.empty(), with(all_plans, {"semidiscrete"})},
      {"--pairs", !r.pairs.empty(), {"exact", "network_simplex", "hungarian", "auction"}},
  };
  for (const Option& o : options) {
    usage(!o.given || std::count(o.solvers.begin(), o.solvers.end(), solver) > 0, o.name, " is not of --solver ",
          solver, ", but of ", listed(o.solvers));
  }
  usage(r.map.empty() || r.cost.empty(), "--map needs points, --cost has none");
  usage(r.pairs.empty() || r.cost.empty(), "--pairs needs points, --cost has none");
  usage(!r.from_law() || solver == "semidiscrete", "X is the law \"", r.x, "\": --solver semidiscrete takes it");
  usage(solver != "semidiscrete" || !r.from_law() || r.a.empty(), "--a is of points, X is the law \"", r.x, "\"");
  const std::string metric = r.metric_name();
  const auto knows = [&](const std::vector<std::string>& metrics) {
    usage(std::count(metrics.begin(), metrics.end(), metric) > 0, "--solver ", solver, " knows --metric ",
          listed(metrics), ", not ", metric);
  };
  if (solver == "hungarian" || solver == "auction") knows({"squared_euclidean"});
  if (solver == "sliced") knows({"squared_euclidean", "euclidean"});
  if (solver == "semidiscrete") {
    knows({"squared_euclidean", "negative_dot"});
    usage(r.dtype.value_or("float") == "float", "--solver semidiscrete computes in float");
  }
}

}  // namespace monge::apps
