#include "monge/apps/common/pairing.h"

#include <algorithm>
#include <utility>

#include "monge/apps/common/fitted.h"
#include "monge/apps/common/shell.h"
#include "monge/apps/common/unused_keys.h"
#include "monge/data/digest.h"
#include "monge/flow/semidiscrete_coupling.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"

namespace monge::apps {
namespace {

namespace fs = std::filesystem;

// Streams of their own: the trainer draws from the seed itself.
std::uint64_t derived_seed(std::uint64_t seed, std::uint64_t name) { return Rng{seed}.substream(name).stream; }
constexpr std::uint64_t pairing_stream = 0x70616972;  // "pair"
constexpr std::uint64_t fit_stream = 0x666974;        // "fit"

// Of all that decides which atom a noise vector is sent to.
std::string digest(const data::PotentialsFile& p) {
  std::string bytes = p.cost + "\n" + p.source_law + "\n";
  const auto append = [&](const auto* values, std::size_t count) {
    bytes.append(reinterpret_cast<const char*>(values), count * sizeof *values);
  };
  append(&p.epsilon, 1);
  append(p.g.data(), p.g.size());
  append(p.b.data(), p.b.size());
  if (p.pca) {
    append(p.pca->basis.data(), static_cast<std::size_t>(p.pca->basis.rows() * p.pca->basis.cols()));
    append(p.pca->mean.data(), p.pca->mean.size());
  }
  if (!p.noise_labels.empty()) {
    append(p.labels.data(), p.labels.size());
    append(&p.label_penalty, 1);
    for (const data::NoiseLabel& noise : p.noise_labels) append(&noise.label, 1), append(&noise.share, 1);
  }
  return data::digest(bytes.data(), bytes.size());
}

data::PotentialsFile load(const fs::path& path, const TrainConfig& config, const data::Dataset& dataset,
                          const data::Dataset* source) {
  data::PotentialsFile potentials = data::load_potentials(path);
  require(potentials.dataset_digest == dataset.digest, path.string(),
          ": these potentials belong to other data (digest ", potentials.dataset_digest, ") than ", config.data_file,
          " (", dataset.digest, ")");
  const flow::CouplingLabels labels = pairing_labels(config.pairing, dataset);
  const bool by_label = !labels.atoms.empty() && labels.penalty > 0;
  const std::string law = source ? points_law(*source, by_label) : standard_normal;
  require(potentials.source_law == law, path.string(), ": fitted for the source law '", potentials.source_law,
          "', training draws from '", law, "'");
  return potentials;
}

// `wanted` empty: there is no wish, and what was found is recorded.
void compare(const fs::path& path, const char* key, std::string& wanted, const std::string& found) {
  if (wanted.empty()) wanted = found;
  require(wanted == found, path.string(), ": these are not the potentials of the run: ", key, " is ", wanted,
          ", theirs is ", found);
}

void compare_labels(const fs::path& path, const data::PotentialsFile& file, const PairingConfig& pairing,
                    const data::Dataset& dataset) {
  const flow::CouplingLabels labels = pairing_labels(pairing, dataset);
  const bool labelled = !file.noise_labels.empty() && file.label_penalty > 0;
  require(!labelled || !labels.atoms.empty(), path.string(), ": coupling.labels is none, but these potentials were ",
          "fitted with labels");
  if (labels.atoms.empty()) return;
  require(file.labels == dataset.train.labels, path.string(), ": coupling.labels is ", pairing.labels,
          ", but these potentials were fitted ", file.labels.empty() ? "without labels" : "with other labels");
  require(file.label_penalty == labels.penalty, path.string(),
          ": the penalty of these potentials on unequal labels is ", file.label_penalty, ", that of the config ",
          labels.penalty);
}

void warn_unless_converged(const fs::path& path, const data::PotentialsFile& potentials) {
  if (potentials.status == ot::Status::converged) return;
  const std::string error = potentials.check_samples > 0
                                ? concat("the chi-square of their marginal is at most ", potentials.chi2_upper)
                                : "their marginal was never checked";
  say("sdfm_train", concat("warning: ", path.string(), ": the fit of these potentials ended with ",
                           ot::to_string(potentials.status), "; ", error));
}

}  // namespace

bool needs_fit(const TrainConfig& config, const fs::path& fitted) {
  if (config.coupling != "semidiscrete" || !config.potentials_file.empty()) return false;
  return !fs::exists(fitted) || data::load_potentials(fitted).status == ot::Status::stopped_by_caller;
}

data::PotentialsFile fit_potentials(TrainConfig& config, const data::Dataset& dataset, const Context& context) {
  ot::SemidiscreteOptions options;
  options.epsilon = config.fit_epsilon;
  options.tolerance = config.fit_tolerance;
  options.pca = std::min<Index>(config.fit_pca, dataset.dims());
  options.seed = derived_seed(config.seed, fit_stream);
  options.context = context;
  const flow::CouplingLabels labels = pairing_labels(config.pairing, dataset);
  options.labels = labels.atoms;
  options.label_penalty = labels.penalty;
  const auto source = load_source(config.pairing, dataset);
  if (source && options.epsilon == 0) warn_of_few_points("sdfm_train", config.pairing.source_file, *source, dataset);
  const FitSource from = source ? fit_source(*source, options) : FitSource{};
  return to_file(fit_with_progress(dataset.train.x.view(), options, {}, from.law), dataset.digest, dataset.dims(),
                 options.seed, from.name);
}

std::unique_ptr<flow::Coupling> make_coupling(TrainConfig& config, const data::Dataset& dataset, const fs::path& fitted,
                                              const Context& context) {
  refuse_unused_keys(config, "coupling.");
  const std::uint64_t seed = derived_seed(config.seed, pairing_stream);
  if (config.coupling != "semidiscrete") return make_pairing(config.coupling, config.pairing, seed, dataset, context);

  const fs::path path = config.potentials_file.empty() ? fitted : fs::path(config.potentials_file);
  const auto source = load_source(config.pairing, dataset);
  const data::PotentialsFile file = load(path, config, dataset, source.get());
  compare(path, "coupling.digest", config.potentials_digest, digest(file));
  compare(path, "coupling.status", config.potentials_status, ot::to_string(file.status));
  require(file.epsilon == config.fit_epsilon, path.string(), ": coupling.epsilon is ", config.fit_epsilon,
          ", these potentials were fitted with ", file.epsilon);
  compare_labels(path, file, config.pairing, dataset);
  warn_unless_converged(path, file);
  flow::SemidiscreteCouplingOptions options;
  options.seed = seed;
  options.context = context;
  if (source) options.source = {source->train.x.view(), source->train.labels};
  auto coupling = flow::semidiscrete_coupling(dataset.train.x.view(), to_potentials(file), options);
  return source ? with_files(source, std::move(coupling)) : std::move(coupling);
}

}  // namespace monge::apps
