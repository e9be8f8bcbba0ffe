#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "monge/data/hdf5_reader.h"
#include "monge/ot/core/array.h"

namespace monge::data {

// Pairs of a source point and a training point, made once and trained on many times: by a known map, by a solver run on
// all of the data, or by integrating a trained flow (reflow).
struct Pairs {
  Matrix<float> x0;                       // K x d
  std::vector<std::int32_t> atoms;        // K: the training point (row of the data set) that each goes with
  std::string dataset_digest;             // Dataset::digest of the data that `atoms` are rows of
  std::string source_law = {};            // "standard_normal" where x0 was drawn from N(0, I); empty: not known
  std::vector<std::int32_t> labels = {};  // K: of x0, or none

  Index size() const { return x0.rows(); }
};

// Errors: as Hdf5Reader; Error(not_finite) names row and column; Error(bad_file) for a negative atom.
Pairs load_pairs(const std::filesystem::path& path, const ReadLimits& limits = {});

// Writes them whole or not at all. Errors: Error(invalid_argument) (empty, sizes, a negative atom), Error(not_finite)
// naming row and column, Error(io).
void save_pairs(const Pairs& pairs, const std::filesystem::path& path);

}  // namespace monge::data
