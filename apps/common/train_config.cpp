#include "monge/apps/common/train_config.h"

namespace monge::apps {
namespace {

constexpr Config::Range positive{.low = 1, .high = 1e15};
constexpr Config::Range not_negative{.low = 0, .high = 1e15};
constexpr Config::Range below_one{.low = 0, .high = 1, .below_high = true};

}  // namespace

Config bind(TrainConfig& c) {
  Config config;
  config.add("run.seed", c.seed, "of the weights, the times, the noise and the pairing", {.low = 0});

  config.add("data.file", c.data_file, "training points, HDF5 as ot_data makes it");
  config.add("data.digest", c.data_digest, "refuse data with another digest; recorded when empty");

  config.add("coupling.kind", c.coupling, "how noise is paired with data: independent or semidiscrete",
             {"independent", "semidiscrete"});
  config.add("coupling.potentials", c.potentials_file, "semidiscrete: file made by ot_fit; empty: fit at the start");
  config.add("coupling.digest", c.potentials_digest, "refuse potentials with another digest; recorded when empty");
  config.add("coupling.status", c.potentials_status,
             "refuse potentials whose fit did not end so (converged); recorded when empty");
  config.add("coupling.pca", c.fit_pca, "fit at the start: principal directions; 0 = all dimensions", not_negative);
  config.add("coupling.epsilon", c.fit_epsilon, "fit at the start: regularisation, units of the cost; 0 = none",
             {.low = 0});
  config.add("coupling.tolerance", c.fit_tolerance, "fit at the start: on the chi-square of the marginal",
             {.low = 0, .high = 1, .above_low = true});

  flow::TrainOptions& t = c.train;
  config.add("model.width", t.model.width, "of the residual stream", {.low = 1, .high = 1 << 16});
  config.add("model.blocks", t.model.blocks, "residual blocks of two linear layers", {.low = 0, .high = 1000});
  config.add("model.time_features", t.model.time_features, "cosines and sines of the time; even",
             {.low = 2, .high = 1 << 16});
  config.add("model.max_frequency", t.model.max_frequency, "largest angular frequency of the time features",
             {.low = 1});
  config.add("model.prediction", c.prediction, "what the network's last layer stands for: data or velocity",
             {"data", "velocity"});
  config.add("model.sigma_floor", t.model.sigma_floor, "data: sigma(t) is not taken smaller where it divides",
             {.low = 0, .high = 1, .above_low = true});

  config.add("train.steps", t.steps, "the learning rate falls to zero at the last one", positive);
  config.add("train.batch", t.batch, "pairs per step", {.low = 1, .high = 1 << 24});
  config.add("train.learning_rate", t.learning_rate, "the peak, of AdamW", {.low = 0, .above_low = true});
  config.add("train.warmup_steps", t.warmup_steps, "linear rise to the peak; then a cosine to zero", not_negative);
  config.add("train.beta1", t.beta1, "AdamW: memory of the gradient", below_one);
  config.add("train.beta2", t.beta2, "AdamW: memory of its square", below_one);
  config.add("train.weight_decay", t.weight_decay, "AdamW, decoupled", {.low = 0});
  config.add("train.gradient_clip", t.gradient_clip, "largest norm of the gradient; 0 = none", {.low = 0});
  config.add("train.ema_decay", t.ema_decay, "of the averaged weights, which samples are made with", below_one);

  config.add("output.checkpoint_every", c.checkpoint_every, "steps between checkpoints", positive);
  config.add("output.log_every", c.log_every, "steps between lines of metrics.jsonl", positive);
  config.add("output.sample_rows", c.sample_rows, "rows and columns of samples.png at the end; 0 = none",
             {.low = 0, .high = 100});
  config.add("output.sample_steps", c.sample_steps, "Euler steps of those samples", positive);
  return config;
}

bool names_a_place(const std::string& key) { return key == "data.file" || key == "coupling.potentials"; }

void inherit_records(TrainConfig& config, const TrainConfig& other) {
  for (const auto record :
       {&TrainConfig::data_digest, &TrainConfig::potentials_digest, &TrainConfig::potentials_status}) {
    if ((config.*record).empty()) config.*record = other.*record;
  }
}

flow::TrainOptions train_options(const TrainConfig& config, const Context& context) {
  flow::TrainOptions options = config.train;
  options.model.prediction = config.prediction == "data" ? flow::Prediction::data : flow::Prediction::velocity;
  options.seed = config.seed;
  options.context = context;
  return options;
}

}  // namespace monge::apps
