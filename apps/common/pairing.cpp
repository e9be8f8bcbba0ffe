#include "monge/apps/common/pairing.h"

#include <cstring>

#include "monge/apps/common/fitted.h"
#include "monge/apps/common/interrupt.h"
#include "monge/apps/common/shell.h"
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
  return data::digest(bytes.data(), bytes.size());
}

data::PotentialsFile fit(const TrainConfig& config, const data::Dataset& dataset, const Context& context) {
  ot::SemidiscreteOptions options;
  options.epsilon = config.fit_epsilon;
  options.tolerance = config.fit_tolerance;
  options.pca = std::min<Index>(config.fit_pca, dataset.dims());
  options.seed = derived_seed(config.seed, fit_stream);
  options.context = context;
  const ot::SemidiscreteResult result = fit_with_progress(dataset.train.x.view(), options);
  check_interrupt();
  if (result.status != ot::Status::converged) {
    say("fit", concat("ended with ", ot::to_string(result.status), ": the chi-square of the marginal is at most ",
                      result.marginal.upper, ", the tolerance is ", options.tolerance));
  }
  return to_file(result, dataset.digest, dataset.dims(), options.seed);
}

data::PotentialsFile obtain(const TrainConfig& config, const data::Dataset& dataset, const fs::path& fitted,
                            const Context& context) {
  const fs::path path = config.potentials_file.empty() ? fitted : fs::path(config.potentials_file);
  if (config.potentials_file.empty() && config.potentials_digest.empty()) {
    data::PotentialsFile potentials = fit(config, dataset, context);
    data::save_potentials(potentials, path);
    return potentials;
  }
  data::PotentialsFile potentials = data::load_potentials(path);
  require(potentials.dataset_digest == dataset.digest, path.string(),
          ": these potentials belong to other data (digest ", potentials.dataset_digest, ") than ", config.data_file,
          " (", dataset.digest, ")");
  require(potentials.source_law == "standard_normal", path.string(), ": fitted for the source law '",
          potentials.source_law, "', training draws from standard_normal");
  return potentials;
}

}  // namespace

std::unique_ptr<flow::Coupling> make_coupling(TrainConfig& config, const data::Dataset& dataset, const fs::path& fitted,
                                              const Context& context) {
  const std::uint64_t seed = derived_seed(config.seed, pairing_stream);
  if (config.coupling == "independent") return flow::independent_coupling(dataset.train.rows(), seed, context);

  const data::PotentialsFile file = obtain(config, dataset, fitted, context);
  const std::string found = digest(file);
  if (config.potentials_digest.empty()) config.potentials_digest = found;
  require(config.potentials_digest == found, "the potentials are not those of the run: their digest is ", found,
          ", coupling.digest is ", config.potentials_digest);
  flow::SemidiscreteCouplingOptions options;
  options.seed = seed;
  options.context = context;
  return flow::semidiscrete_coupling(dataset.train.x.view(), to_potentials(file), options);
}

}  // namespace monge::apps
