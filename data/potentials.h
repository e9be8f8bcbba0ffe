#pragma once
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "monge/data/hdf5_reader.h"
#include "monge/ot/core/array.h"
#include "monge/ot/core/status.h"

namespace monge::data {

// Principal directions of the atoms: z = basis (x - mean).
struct PcaBasis {
  Matrix<float> basis;           // K x d, orthonormal rows, largest variance first
  std::vector<float> mean;       // d
  std::vector<double> variance;  // K, of the atoms along each direction
  double total_variance = 0;     // of the atoms, all d directions

  double explained() const;  // share of the variance that is kept, 0 to 1
};

// How likely a label is to come with a noise vector.
struct NoiseLabel {
  std::int32_t label = 0;
  double share = 0;
};

// Potentials of a semidiscrete problem as they are kept on disk, with what is needed to trust and to repeat them.
struct PotentialsFile {
  std::vector<double> g;        // N: one potential per atom, units of the cost; -infinity where b is 0
  std::vector<double> b;        // N: weights of the atoms; empty: uniform
  std::optional<PcaBasis> pca;  // set when g belongs to the problem in this space
  Index dims = 0;               // of the space the fit ran in

  std::vector<std::int32_t> labels;                                // N: of the atoms; empty: none
  double label_penalty = std::numeric_limits<double>::infinity();  // on unequal labels, units of the cost
  std::vector<NoiseLabel> noise_labels;                  // the law of the noise's label; empty: labels play no part
  double tau = std::numeric_limits<double>::infinity();  // price of masses other than b, units of the cost

  std::string cost;            // "negative_dot" or "squared_euclidean"
  double epsilon = 0;          // units of the cost; 0: unregularised
  std::string source_law;      // e.g. "standard_normal"
  std::string dataset_digest;  // Dataset::digest of the atoms

  double samples_per_atom = 0;    // noise vectors evaluated by the fit, over N
  double gemm_rows_per_atom = 0;  // rows of noise multiplied by the atoms, over N
  double chi2 = 0;                // unbiased chi-square of the marginal on fresh noise
  double chi2_lower = 0;          // its 95% interval
  double chi2_upper = 0;
  std::uint64_t check_samples = 0;  // fresh noise vectors behind chi2
  std::uint64_t seed = 0;
  double seconds = 0;        // of the fit, wall clock
  double check_seconds = 0;  // of the check behind chi2
  double plan_cost = 0;      // mean cost of the plan the potentials give, units of the cost
  double plan_cost_error = std::numeric_limits<double>::quiet_NaN();  // half of its 95% interval; NaN: not known
  ot::Certificate certificate;
  ot::Status status = ot::Status::converged;
};

// Errors: as Hdf5Reader; Error(not_finite) names the atom.
PotentialsFile load_potentials(const std::filesystem::path& path, const ReadLimits& limits = {});

// Writes it whole or not at all. Errors: Error(invalid_argument), Error(not_finite) naming the atom, Error(io).
void save_potentials(const PotentialsFile& potentials, const std::filesystem::path& path);

}  // namespace monge::data
