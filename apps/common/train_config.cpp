#include "monge/apps/common/train_config.h"

#include <algorithm>

#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

constexpr Config::Range positive{.low = 1, .high = 1e15};
constexpr Config::Range not_negative{.low = 0, .high = 1e15};
constexpr Config::Range below_one{.low = 0, .high = 1, .below_high = true};
constexpr Config::Range not_below_zero{.low = 0};
constexpr Config::Range above_zero{.low = 0, .above_low = true};

// In the order of the enumerations.
using Names = std::vector<std::string>;
const Names paths = {"linear", "vp", "ve", "cosine"};
const Names objectives = {"velocity",    "neural_flow", "fmm", "lmd", "emd",
                          "consistency", "pfmm",        "lsd", "psd", "mean_flow"};
const Names time_laws = {"uniform", "logit_normal"};
const Names networks = {"residual_mlp", "mlp", "residual_flow", "dit"};
const Names activations = {"gelu", "silu", "selu", "tanh"};
const Names predictions = {"data", "velocity", "noise"};
const Names schedules = {"cosine", "linear", "constant"};

template <class Enumeration>
void assign(Enumeration& value, const Names& names, const std::string& name) {
  value = static_cast<Enumeration>(std::find(names.begin(), names.end(), name) - names.begin());
}

void bind_path(Config& config, TrainConfig& c) {
  flow::Path& p = c.train.model.path;
  config.add("path.kind", c.path, choice("from noise to data", paths), paths);
  config.add("path.sigma_min", p.sigma_min, "linear: noise left at the end", below_one);
  config.add("path.beta_min", p.beta_min, "vp: rate of the noise at the data", above_zero);
  config.add("path.beta_max", p.beta_max, "vp: rate of the noise at the noise", above_zero);
  config.add("path.sigma_low", p.sigma_low, "ve: noise at the data, units of the data", above_zero);
  config.add("path.sigma_high", p.sigma_high, "ve: noise at the start, units of the data", above_zero);
  config.add("path.noise", p.noise, "noise added to every point of a path", not_below_zero);
  config.add("path.bridge", p.bridge, "a Brownian bridge added: this times sqrt(t (1 - t))", not_below_zero);
}

void bind_objective(Config& config, TrainConfig& c) {
  flow::ObjectiveOptions& o = c.train.objective;
  config.add("objective.kind", c.objective, choice("what is learnt", objectives), objectives);
  config.add("objective.times", c.times, choice("law of the times", time_laws), time_laws);
  config.add("objective.times_mean", o.times.mean, "logit_normal: of log(t / (1 - t))", {});
  config.add("objective.times_deviation", o.times.deviation, "logit_normal: of log(t / (1 - t))", above_zero);
  config.add("objective.diagonal", o.diagonal, "lmd, emd, lsd, psd, mean_flow: share of pairs that learn the velocity",
             {.low = 0, .high = 1});
  config.add("objective.strip", o.strip, "fmm, pfmm: longest jump", {.low = 0, .high = 1, .above_low = true});
  config.add("objective.jumps", o.jumps, "pfmm: jumps of the teacher for one", {.low = 1, .high = 1000});
  config.add("objective.split", c.split, "psd: where a jump is split: half or uniform", {"half", "uniform"});
  config.add("objective.adaptive_power", o.adaptive_power, "mean_flow: weights (e + constant)^-power; 0 = none",
             not_below_zero);
  config.add("objective.adaptive_constant", o.adaptive_constant, "mean_flow: of those weights", above_zero);
  config.add("objective.label_drop", o.label_drop, "with classes: share of pairs trained without, for guidance",
             below_one);
  config.add("objective.teacher", c.teacher_file, "lmd, emd, consistency, pfmm: checkpoint of the teacher");
  config.add("objective.teacher_digest", c.teacher_digest, "refuse a teacher with another digest; recorded when empty");
}

}  // namespace

std::string choice(const std::string& what, const Names& names) {
  std::string text = what + ": ";
  for (std::size_t i = 0; i < names.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
  }
  return text;
}

Config bind(TrainConfig& c) {
  Config config;
  config.add("run.seed", c.seed, "of the weights, the times, the noise and the pairing", {.low = 0});

  config.add("data.file", c.data_file, "training points, HDF5 as ot_data makes it");
  config.add("data.digest", c.data_digest, "refuse data with another digest; recorded when empty");

  Names couplings = pairing_kinds();
  couplings.push_back("semidiscrete");
  config.add("coupling.kind", c.coupling, choice("how noise is paired with data", couplings), couplings);
  config.add("coupling.potentials", c.potentials_file, "semidiscrete: file made by ot_fit; empty: fit at the start");
  config.add("coupling.digest", c.potentials_digest, "refuse potentials with another digest; recorded when empty");
  config.add("coupling.status", c.potentials_status,
             "refuse potentials whose fit did not end so (converged); recorded when empty");
  config.add("coupling.pca", c.fit_pca, "fit at the start: principal directions; 0 = all dimensions", not_negative);
  config.add("coupling.epsilon", c.fit_epsilon, "regularisation of the potentials, units of the cost; 0 = none",
             {.low = 0});
  config.add("coupling.tolerance", c.fit_tolerance, "fit at the start: on the chi-square of the marginal",
             {.low = 0, .high = 1, .above_low = true});
  add_pairing_keys(config, c.pairing);

  bind_path(config, c);
  bind_objective(config, c);

  flow::TrainOptions& t = c.train;
  config.add("model.network", c.network, choice("kind", networks), networks);
  config.add("model.width", t.model.width, "of the residual stream, of hidden layers", {.low = 1, .high = 1 << 16});
  config.add("model.blocks", t.model.blocks, "residual blocks; mlp: hidden layers, at least 1",
             {.low = 0, .high = 1000});
  config.add("model.activation", c.activation, choice("between layers", activations), activations);
  config.add("model.normalize", t.model.normalize, "residual_mlp: LayerNorm before each block");
  config.add("model.time_features", t.model.time_features,
             "cosines and sines of the time; even. mlp, residual_flow: 0 = the time itself",
             {.low = 0, .high = 1 << 16});
  config.add("model.max_frequency", t.model.max_frequency, "largest angular frequency of the time features",
             {.low = 1});
  config.add("model.prediction", c.prediction, choice("what the network's last layer stands for", predictions),
             predictions);
  config.add("model.sigma_floor", t.model.sigma_floor,
             "data, noise: what divides, sigma(t) or alpha(t), is not taken smaller",
             {.low = 0, .high = 1, .above_low = true});
  config.add("model.classes", t.model.classes, "classes of the data's labels to condition on; 0 = none",
             {.low = 0, .high = 1 << 20});
  config.add("model.dropout", t.model.dropout, "share of a block's output set to zero in training", below_one);
  config.add("model.patch", t.model.image.patch, "dit: side of the square patches, a divisor of the images'",
             {.low = 1, .high = 1 << 16});
  config.add("model.heads", t.model.heads, "dit: heads of attention, a divisor of the width",
             {.low = 1, .high = 1 << 16});
  config.add("model.lipschitz", t.model.lipschitz, "residual_flow: of each block beside the identity",
             {.low = 0, .high = 1, .above_low = true, .below_high = true});

  config.add("train.steps", t.steps, "to make; the learning rate is laid out for so many", positive);
  config.add("train.batch", t.batch, "pairs per step", {.low = 1, .high = 1 << 24});
  config.add("train.learning_rate", t.learning_rate, "the peak, of AdamW", {.low = 0, .above_low = true});
  config.add("train.warmup_steps", t.warmup_steps, "linear rise to the peak", not_negative);
  config.add("train.schedule", c.schedule, choice("from the peak: to zero at the last step, or not", schedules),
             schedules);
  config.add("train.beta1", t.beta1, "AdamW: memory of the gradient", below_one);
  config.add("train.beta2", t.beta2, "AdamW: memory of its square", below_one);
  config.add("train.weight_decay", t.weight_decay, "AdamW, decoupled", {.low = 0});
  config.add("train.gradient_clip", t.gradient_clip, "largest norm of the gradient; 0 = none", {.low = 0});
  config.add("train.ema_decay", t.ema_decay, "of the averaged weights, which samples are made with", below_one);

  config.add("output.checkpoint_every", c.checkpoint_every, "steps between checkpoints", positive);
  config.add("output.log_every", c.log_every, "steps between lines of metrics.jsonl", positive);
  config.add("output.sample_rows", c.sample_rows, "rows and columns of samples.png at the end; 0 = none",
             {.low = 0, .high = 100});
  config.add("output.sample_steps", c.sample_steps,
             "Euler steps, or jumps of a flow map (at least 1 / strip), of those samples", positive);
  return config;
}

std::vector<Place> places(TrainConfig& config) {
  return {{"data.file", &config.data_file},
          {"coupling.potentials", &config.potentials_file},
          {"coupling.source", &config.pairing.source_file},
          {"coupling.pairs", &config.pairing.pairs_file},
          {"objective.teacher", &config.teacher_file}};
}

bool names_a_place(const std::string& key) {
  TrainConfig any;
  const std::vector<Place> all = places(any);
  return std::any_of(all.begin(), all.end(), [&](const Place& place) { return place.key == key; });
}

void inherit_places(TrainConfig& config, TrainConfig& other) {
  const std::vector<Place> own = places(config), others = places(other);
  for (std::size_t i = 0; i < own.size(); ++i) *own[i].file = *others[i].file;
}

void inherit_records(TrainConfig& config, const TrainConfig& other) {
  for (const auto record : {&TrainConfig::data_digest, &TrainConfig::potentials_digest, &TrainConfig::potentials_status,
                            &TrainConfig::teacher_digest}) {
    if ((config.*record).empty()) config.*record = other.*record;
  }
  for (const auto record : {&PairingConfig::source_digest, &PairingConfig::pairs_digest, &PairingConfig::pairs_law}) {
    if ((config.pairing.*record).empty()) config.pairing.*record = other.pairing.*record;
  }
}

flow::TrainOptions train_options(const TrainConfig& config, const Context& context) {
  flow::TrainOptions options = config.train;
  assign(options.model.path.kind, paths, config.path);
  assign(options.objective.kind, objectives, config.objective);
  assign(options.objective.times.kind, time_laws, config.times);
  options.objective.random_split = config.split == "uniform";
  assign(options.model.network, networks, config.network);
  assign(options.model.activation, activations, config.activation);
  assign(options.model.prediction, predictions, config.prediction);
  assign(options.schedule, schedules, config.schedule);
  options.model.role = flow::role_of(options.objective.kind);
  options.seed = config.seed;
  options.context = context;
  return options;
}

}  // namespace monge::apps
