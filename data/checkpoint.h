#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "monge/data/hdf5_reader.h"
#include "monge/ot/core/array.h"

namespace monge::data {

struct NamedTensor {
  std::string name;  // unique in its group, not empty, without '/' and control characters
  std::vector<Index> shape;
  std::vector<float> values;  // row-major
};

// What a run keeps of itself: with the data and the potentials that its config names, all it needs to go on as if it
// had never stopped. There is no state of random streams: they are functions of seed and step. Every bit comes back as
// it was saved. What programs put here is in docs/files.md.
struct Checkpoint {
  std::string config;                                      // the resolved configuration, as text
  std::uint64_t step = 0;                                  // steps made
  std::uint64_t seed = 0;                                  // of the run
  std::map<std::string, std::vector<NamedTensor>> groups;  // "weights", "ema", ...; tensors keep their order
  std::map<std::string, std::uint64_t> counters;           // whole numbers: dimensions, image shape
  std::map<std::string, double> scalars;                   // the others: seconds, range of the data
  std::map<std::string, std::vector<std::int32_t>> lists;  // of whole numbers: the state of a coupling
};

// Errors: as Hdf5Reader.
Checkpoint load_checkpoint(const std::filesystem::path& path, const ReadLimits& limits = {});

// Writes it whole or not at all. Errors: Error(invalid_argument) for names and shapes that do not fit, Error(io).
void save_checkpoint(const Checkpoint& checkpoint, const std::filesystem::path& path);

}  // namespace monge::data
