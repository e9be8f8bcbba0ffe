#pragma once
#include <memory>
#include <string>

#include "monge/apps/common/config.h"
#include "monge/data/dataset.h"
#include "monge/data/pairs.h"
#include "monge/flow/coupling.h"

namespace monge::apps {

// Everything in section `coupling` that decides how pairs are made, potentials apart. docs/couplings.md lists the keys.
struct PairingConfig {
  Index ot_batch = 0;                   // minibatch kinds: points matched at a time; 0 = the batch
  double plan_epsilon = 0.05;           // minibatch_entropic: in units of
  std::string plan_unit = "mean_cost";  // the mean cost of the batch, or cost: of |x0 - x1|^2
  std::string draw = "rows";            // minibatch_entropic: rows, distinct or barycentric
  std::string labels = "none";          // none, within or penalty (not of pairs)
  double label_penalty = 0;             // units of |x0 - x1|^2

  std::string source_file = "";    // HDF5, as ot_data makes it, whose training points x0 is drawn from; empty: N(0, I)
  std::string source_digest = "";  // what it must hold; filled in when the run starts
  std::string pairs_file = "";     // HDF5 of pairs, as ot_data generate --pairs makes it
  std::string pairs_digest = "";   // what it must hold; filled in when the run starts
  std::string pairs_law = "";      // of its x0: standard_normal, or unknown; filled in when the run starts
};

// The data file that the config names as source, checked against `dataset`, its digest, which is filled in where the
// config names none, and the labels asked for; nothing if it names no file. Throws Error: invalid_argument, bad_file,
// io.
std::shared_ptr<const data::Dataset> load_source(PairingConfig& config, const data::Dataset& dataset);

// Throws Error(invalid_argument) if these are not the pairs that the config names the digest of.
void check_pairs_digest(const PairingConfig& config, const data::Pairs& pairs);

// A coupling together with the files that it draws from.
std::unique_ptr<flow::Coupling> with_files(std::shared_ptr<const void> files, std::unique_ptr<flow::Coupling> coupling);

// The kinds that make_pairing knows: all but semidiscrete.
const std::vector<std::string>& pairing_kinds();

// Adds the keys, bound to `config`, which must outlive them.
void add_pairing_keys(Config& keys, PairingConfig& config);

// How classes bear on the pairs, of the training points of `dataset`, which must outlive it.
// Throws Error(invalid_argument): data without labels, a penalty that nothing uses.
flow::CouplingLabels pairing_labels(const PairingConfig& config, const data::Dataset& dataset);

// A coupling of that kind for the training points of `dataset`, which must outlive it; files are read and kept. Where
// the config names no digest of the source or of the pairs, it is filled in.
// Throws Error: invalid_argument (kinds, options that the kind has no use for, files of other data), bad_file, io.
std::unique_ptr<flow::Coupling> make_pairing(const std::string& kind, PairingConfig& config, std::uint64_t seed,
                                             const data::Dataset& dataset, const Context& context);

}  // namespace monge::apps
