#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

#include "monge/ot/core/array.h"

namespace monge::data {

// An array of bytes from an IDX file (LeCun's MNIST format, big-endian header).
struct IdxArray {
  std::vector<Index> shape;
  std::vector<std::uint8_t> values;  // row-major
};

// Reads an IDX file of bytes, gzipped or plain. `memory`: refuse files that declare more bytes than this.
// Errors: Error(io) when it cannot be read, else Error(bad_file): wrong magic, other element types, size over the
// limit, truncated or damaged gzip, too few bytes, bytes left over.
IdxArray read_idx(const std::filesystem::path& path, std::uint64_t memory = std::uint64_t{16} << 30);

}  // namespace monge::data
