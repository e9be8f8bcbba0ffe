#include "monge/apps/common/unused_keys.h"

#include <algorithm>
#include <vector>

#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

using Names = std::vector<std::string>;

// Keys that are for some choices of another key alone. A key may be in several: it is for what all of them are for.
struct Use {
  Names keys;
  std::string chooser;
  std::string TrainConfig::*choice;
  Names choices;
};

const std::vector<Use>& uses() {
  static const std::vector<Use> all = {
      {{"coupling.potentials", "coupling.digest", "coupling.status", "coupling.epsilon"},
       "coupling.kind",
       &TrainConfig::coupling,
       {"semidiscrete"}},
      {{"coupling.ot_batch"}, "coupling.kind", &TrainConfig::coupling, {"minibatch", "minibatch_entropic"}},
      {{"coupling.plan_epsilon", "coupling.plan_unit", "coupling.draw"},
       "coupling.kind",
       &TrainConfig::coupling,
       {"minibatch_entropic"}},
      {{"coupling.source", "coupling.source_digest"},
       "coupling.kind",
       &TrainConfig::coupling,
       {"independent", "minibatch", "minibatch_entropic", "semidiscrete"}},
      {{"coupling.pairs", "coupling.pairs_digest", "coupling.pairs_law"},
       "coupling.kind",
       &TrainConfig::coupling,
       {"pairs"}},
      {{"path.sigma_min"}, "path.kind", &TrainConfig::path, {"linear"}},
      {{"path.beta_min", "path.beta_max"}, "path.kind", &TrainConfig::path, {"vp"}},
      {{"path.sigma_low", "path.sigma_high"}, "path.kind", &TrainConfig::path, {"ve"}},
      {{"objective.times_mean", "objective.times_deviation"}, "objective.times", &TrainConfig::times, {"logit_normal"}},
      {{"objective.diagonal"}, "objective.kind", &TrainConfig::objective, {"lmd", "emd", "lsd", "psd", "mean_flow"}},
      {{"objective.strip"}, "objective.kind", &TrainConfig::objective, {"fmm", "pfmm"}},
      {{"objective.jumps"}, "objective.kind", &TrainConfig::objective, {"pfmm"}},
      {{"objective.split"}, "objective.kind", &TrainConfig::objective, {"psd"}},
      {{"objective.adaptive_power", "objective.adaptive_constant"},
       "objective.kind",
       &TrainConfig::objective,
       {"mean_flow"}},
      {{"objective.teacher", "objective.teacher_digest"},
       "objective.kind",
       &TrainConfig::objective,
       {"lmd", "emd", "consistency", "pfmm"}},
      {{"model.normalize"}, "model.network", &TrainConfig::network, {"residual_mlp"}},
      {{"model.patch", "model.heads"}, "model.network", &TrainConfig::network, {"dit"}},
      {{"model.lipschitz"}, "model.network", &TrainConfig::network, {"residual_flow"}},
      {{"model.prediction", "model.sigma_floor"},
       "model.network",
       &TrainConfig::network,
       {"residual_mlp", "mlp", "dit"}},
      {{"model.sigma_floor"}, "model.prediction", &TrainConfig::prediction, {"data", "noise"}}};
  return all;
}

}  // namespace

std::string why_unused(const TrainConfig& config, const std::string& key) {
  for (const Use& use : uses()) {
    if (std::find(use.keys.begin(), use.keys.end(), key) == use.keys.end()) continue;
    const std::string& chosen = config.*use.choice;
    if (std::find(use.choices.begin(), use.choices.end(), chosen) != use.choices.end()) continue;
    return concat(use.chooser, " is ", chosen, "; ", choice("it is for", use.choices));
  }
  if (key == "objective.label_drop" && config.train.model.classes == 0) return "model.classes is 0";
  if (key == "model.max_frequency" && config.train.model.time_features == 0) return "model.time_features is 0";
  return "";
}

void refuse_unused_keys(const TrainConfig& config, const std::string& section) {
  TrainConfig given = config, defaults;
  for (const Config::Difference& difference : bind(given).differences(bind(defaults))) {
    if (!difference.key.starts_with(section)) continue;
    const std::string reason = why_unused(config, difference.key);
    require(reason.empty(), difference.key, " is given, but ", reason);
  }
}

}  // namespace monge::apps
