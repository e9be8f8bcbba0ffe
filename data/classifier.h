#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "monge/data/hdf5_reader.h"
#include "monge/ot/core/array.h"

namespace monge::data {

// A classifier of points as it is kept on disk: flow/classifier.h says what it computes. Layer k takes widths[k] values
// to widths[k + 1].
struct ClassifierFile {
  std::vector<Index> widths = {};   // of a point, of the hidden layers, of the logits: at least three
  std::vector<float> weights = {};  // layer by layer: weight (widths[k + 1] x widths[k]), bias (widths[k + 1])
  double low = 0;                   // of the values it was trained on
  double high = 0;
  std::string dataset_digest = {};  // identity of the data set it was trained on
  double test_accuracy = 0;         // share of that data set's test points it tells right; NaN: it has none
  std::uint64_t seed = 0;
  std::string recipe = {};  // how it was trained, for people
  std::string digest = {};  // content_digest; filled when loaded
};

// Errors: as Hdf5Reader; Error(bad_file) for layers that do not follow one another, and for NaN and infinity.
ClassifierFile load_classifier(const std::filesystem::path& path, const ReadLimits& limits = {});

// Writes it whole or not at all. Errors: Error(invalid_argument) for widths and weights that do not fit, Error(io).
void save_classifier(const ClassifierFile& classifier, const std::filesystem::path& path);

// The identity of a classifier: XXH64 of its weights. Figures compare where it is the same.
std::string content_digest(const ClassifierFile& classifier);

}  // namespace monge::data
