#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

#include "monge/data/hdf5_reader.h"
#include "monge/ot/core/array.h"

namespace monge::data {

// An array of bytes from an IDX file (LeCun's MNIST format, big-endian header).
struct IdxArray {
  std::vector<Index> shape;
  std::vector<std::uint8_t> values;  // row-major
};

// Reads an IDX file of bytes, gzipped or plain. Refused, before memory is taken: files that declare more bytes than
// `limits.memory`, or more than `limits.expansion` times their size on disk.
// Errors: Error(io) when it cannot be read, else Error(bad_file): wrong magic, other element types, size over the
// limits, truncated or damaged gzip, too few bytes, bytes left over.
IdxArray read_idx(const std::filesystem::path& path, const ReadLimits& limits = {});

}  // namespace monge::data
