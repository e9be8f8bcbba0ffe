#include "monge/apps/common/pairing_config.h"

#include <utility>

#include "monge/apps/common/fitted.h"
#include "monge/data/digest.h"
#include "monge/data/pairs.h"
#include "monge/flow/minibatch_coupling.h"
#include "monge/flow/online_coupling.h"
#include "monge/flow/pairs_coupling.h"
#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

class WithFiles final : public flow::Coupling {
 public:
  WithFiles(std::shared_ptr<const void> files, std::unique_ptr<flow::Coupling> coupling)
      : files_(std::move(files)), coupling_(std::move(coupling)) {}
  void draw(std::uint64_t step, MatrixView<float> x0, VectorView<std::int32_t> atoms) override {
    coupling_->draw(step, x0, atoms);
  }
  bool has_targets() const override { return coupling_->has_targets(); }
  void targets(MatrixView<float> x1) const override { coupling_->targets(x1); }
  std::vector<std::int32_t> state() const override { return coupling_->state(); }
  void restore(std::uint64_t step, VectorView<const std::int32_t> state) override { coupling_->restore(step, state); }

 private:
  std::shared_ptr<const void> files_;
  std::unique_ptr<flow::Coupling> coupling_;
};

flow::PlanDraw parse_draw(const std::string& name) {
  if (name == "distinct") return flow::PlanDraw::distinct;
  return name == "barycentric" ? flow::PlanDraw::barycentric : flow::PlanDraw::rows;
}

std::string digest(const data::Pairs& pairs) {
  const auto bytes_of = [](const auto* values, Index count) {
    return std::string(reinterpret_cast<const char*>(values), static_cast<std::size_t>(count) * sizeof *values);
  };
  const std::string bytes = bytes_of(pairs.x0.data(), pairs.x0.rows() * pairs.x0.cols()) +
                            bytes_of(pairs.atoms.data(), pairs.size()) +
                            bytes_of(pairs.labels.data(), static_cast<Index>(pairs.labels.size()));
  return data::digest(bytes.data(), bytes.size());
}

std::unique_ptr<flow::Coupling> make_pairs(PairingConfig& config, std::uint64_t seed, const data::Dataset& dataset) {
  require(!config.pairs_file.empty(), "coupling.kind is pairs, but coupling.pairs names no file");
  require(config.labels != "penalty",
          "coupling.labels is penalty, but coupling.kind is pairs: a penalty belongs in making them (ot_solve "
          "--label-penalty)");
  const auto pairs = std::make_shared<data::Pairs>(data::load_pairs(config.pairs_file));
  require(pairs->dataset_digest == dataset.digest, config.pairs_file, ": these pairs belong to other data (digest ",
          pairs->dataset_digest, ") than those of the run (", dataset.digest, ")");
  require(pairs->x0.cols() == dataset.dims(), config.pairs_file, ": pairs of ", pairs->x0.cols(),
          " dimensions, the data have ", dataset.dims());
  if (config.pairs_digest.empty()) config.pairs_digest = digest(*pairs);
  check_pairs_digest(config, *pairs);
  config.pairs_law = pairs->source_law.empty() ? "unknown" : pairs->source_law;
  VectorView<const std::int32_t> labels, of_atoms = pairing_labels(config, dataset).atoms;
  if (!of_atoms.empty()) {
    labels = pairs->labels;
    if (labels.empty()) of_atoms = {};  // noise has the label of the atom that it goes with
    require(!labels.empty() || pairs->source_law == standard_normal, config.pairs_file,
            ": coupling.labels is within, but these pairs have no labels");
  }
  return with_files(pairs, flow::pairs_coupling(std::as_const(pairs->x0).view(), pairs->atoms, dataset.train.rows(),
                                                seed, labels, of_atoms));
}

}  // namespace

std::shared_ptr<const data::Dataset> load_source(PairingConfig& config, const data::Dataset& dataset) {
  if (config.source_file.empty()) return nullptr;
  auto source = std::make_shared<data::Dataset>(data::load_dataset(config.source_file));
  require(source->dims() == dataset.dims(), config.source_file, ": points of ", source->dims(),
          " dimensions, the data have ", dataset.dims());
  require(config.labels == "none" || source->train.labelled(), config.source_file, ": coupling.labels is ",
          config.labels, ", but these points have no labels");
  if (config.source_digest.empty()) config.source_digest = source->digest;
  require(config.source_digest == source->digest, config.source_file,
          ": this is not the source of the run: its digest is ", source->digest, ", not ", config.source_digest);
  return source;
}

void check_pairs_digest(const PairingConfig& config, const data::Pairs& pairs) {
  const std::string found = digest(pairs);
  require(config.pairs_digest.empty() || config.pairs_digest == found, config.pairs_file,
          ": these are not the pairs of the run: their digest is ", found, ", not ", config.pairs_digest);
}

std::unique_ptr<flow::Coupling> with_files(std::shared_ptr<const void> files,
                                           std::unique_ptr<flow::Coupling> coupling) {
  return std::make_unique<WithFiles>(std::move(files), std::move(coupling));
}

const std::vector<std::string>& pairing_kinds() {
  static const std::vector<std::string> kinds = {"independent", "minibatch", "minibatch_entropic", "online", "pairs"};
  return kinds;
}

void add_pairing_keys(Config& keys, PairingConfig& c) {
  keys.add("coupling.ot_batch", c.ot_batch, "minibatch: points matched at a time; 0 = the batch, else a multiple of it",
           {.low = 0, .high = 1 << 24});
  keys.add("coupling.plan_epsilon", c.plan_epsilon, "minibatch_entropic: epsilon, in plan_unit",
           {.low = 0, .above_low = true});
  keys.add("coupling.plan_unit", c.plan_unit,
           "minibatch_entropic: mean_cost of the batch, or cost: that of |x0 - x1|^2", {"mean_cost", "cost"});
  keys.add("coupling.draw", c.draw, "minibatch_entropic: rows, distinct or barycentric",
           {"rows", "distinct", "barycentric"});
  keys.add("coupling.labels", c.labels,
           "classes: none = ignored, within = matched on their own (pairs: refused otherwise), penalty = dearer apart",
           {"none", "within", "penalty"});
  keys.add("coupling.label_penalty", c.label_penalty, "labels = penalty: what unequal labels cost, units of the cost",
           {.low = 0});
  keys.add("coupling.source", c.source_file, "data file whose training points x0 is drawn from; empty: N(0, I)");
  keys.add("coupling.source_digest", c.source_digest, "refuse a source with another digest; recorded when empty");
  keys.add("coupling.pairs", c.pairs_file, "pairs: file of pairs to train on");
  keys.add("coupling.pairs_digest", c.pairs_digest, "refuse pairs with another digest; recorded when empty");
  keys.add("coupling.pairs_law", c.pairs_law, "what their x0 were drawn from: standard_normal or unknown; recorded");
}

flow::CouplingLabels pairing_labels(const PairingConfig& config, const data::Dataset& dataset) {
  flow::CouplingLabels labels;
  require(config.label_penalty == 0 || config.labels == "penalty",
          "coupling.label_penalty is given, coupling.labels is ", config.labels, ", not penalty");
  if (config.labels == "none") return labels;
  require(dataset.train.labelled(), "coupling.labels is ", config.labels, ", but the data have no labels");
  labels.atoms = dataset.train.labels;
  if (config.labels == "penalty") labels.penalty = config.label_penalty;
  return labels;
}

std::unique_ptr<flow::Coupling> make_pairing(const std::string& kind, PairingConfig& config, std::uint64_t seed,
                                             const data::Dataset& dataset, const Context& context) {
  const auto takes_source = kind != "online" && kind != "pairs";
  require(takes_source || config.source_file.empty(), "coupling.source is given, but coupling.kind is ", kind);
  require(kind == "pairs" || config.pairs_file.empty(), "coupling.pairs is given, but coupling.kind is ", kind);
  if (kind == "pairs") return make_pairs(config, seed, dataset);
  const flow::CouplingLabels labels = pairing_labels(config, dataset);
  const MatrixView<const float> y = dataset.train.x.view();
  if (kind == "online") return flow::online_coupling(y, {.seed = seed, .labels = labels, .context = context});

  const std::shared_ptr<const data::Dataset> file = load_source(config, dataset);
  flow::CouplingSource source;
  if (file) source = {file->train.x.view(), file->train.labels};
  const flow::MinibatchOptions minibatch{
      .seed = seed, .ot_batch = config.ot_batch, .source = source, .labels = labels, .context = context};
  std::unique_ptr<flow::Coupling> coupling;
  if (kind == "independent") {
    coupling =
        flow::independent_coupling(y.rows, {.seed = seed, .source = source, .labels = labels, .context = context});
  } else if (kind == "minibatch") {
    coupling = flow::minibatch_coupling(y, minibatch);
  } else if (kind == "minibatch_entropic") {
    const auto unit = config.plan_unit == "cost" ? ot::EpsilonUnit::cost : ot::EpsilonUnit::mean_cost;
    coupling = flow::entropic_minibatch_coupling(
        y, {.batch = minibatch, .epsilon = config.plan_epsilon, .epsilon_unit = unit, .draw = parse_draw(config.draw)});
  } else {
    throw Error(Errc::invalid_argument, concat("make_pairing: no kind of coupling '", kind, "'"));
  }
  return file ? with_files(file, std::move(coupling)) : std::move(coupling);
}

}  // namespace monge::apps
