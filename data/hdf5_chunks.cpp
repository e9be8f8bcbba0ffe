#include "monge/data/hdf5_chunks.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "monge/ot/core/error.h"

namespace monge::data {
namespace {

struct Chunking {
  std::vector<hsize_t> dims, chunk;
  std::uint64_t bytes = 0;  // of one chunk, unfiltered
  std::vector<H5Z_filter_t> filters;
};

Chunking chunking_of(hid_t array, hid_t properties) {
  Chunking c;
  const Handle space = H5Dget_space(array), type = H5Dget_type(array);
  const std::size_t rank = static_cast<std::size_t>(std::max(H5Sget_simple_extent_ndims(space), 0));
  c.dims.resize(rank);
  c.chunk.resize(rank);
  H5Sget_simple_extent_dims(space, c.dims.data(), nullptr);
  H5Pget_chunk(properties, static_cast<int>(rank), c.chunk.data());
  c.bytes = H5Tget_size(type);
  for (const hsize_t n : c.chunk) c.bytes *= n;
  for (int i = 0; i < H5Pget_nfilters(properties); ++i) {
    unsigned flags = 0, config = 0;
    std::size_t values = 0;
    c.filters.push_back(
        H5Pget_filter2(properties, static_cast<unsigned>(i), &flags, &values, nullptr, 0, nullptr, &config));
  }
  return c;
}

// Length of what a zlib stream holds, at most `most` + 1; none if it is damaged or cut short.
std::optional<std::uint64_t> inflated_size(const unsigned char* bytes, std::size_t size, std::uint64_t most) {
  z_stream stream = {};
  if (inflateInit(&stream) != Z_OK) return std::nullopt;
  std::array<unsigned char, 1 << 15> window;
  std::uint64_t length = 0;
  int result = Z_OK;
  stream.next_in = const_cast<unsigned char*>(bytes);
  stream.avail_in = static_cast<unsigned>(size);
  while (result == Z_OK && length <= most) {
    stream.next_out = window.data();
    stream.avail_out = window.size();
    result = inflate(&stream, Z_NO_FLUSH);
    length += window.size() - stream.avail_out;
  }
  inflateEnd(&stream);
  if (length > most) return most + 1;
  return result == Z_STREAM_END ? std::optional(length) : std::nullopt;
}

// Bit i of `skipped`: filter i was left out. Behind deflate there is nothing but a checksum, see refusal_of_array.
std::string refusal_of_chunk(const Chunking& c, const std::vector<unsigned char>& stored, unsigned skipped) {
  std::uint64_t size = stored.size(), checksums = 0;
  bool deflated = false;
  for (std::size_t i = 0; i < c.filters.size(); ++i) {
    if (skipped >> i & 1) continue;
    if (c.filters[i] == H5Z_FILTER_FLETCHER32) checksums += deflated ? 0 : 4;
    if (c.filters[i] == H5Z_FILTER_DEFLATE) deflated = true;
  }
  const std::uint64_t wanted = c.bytes + checksums;  // what the deflated part, or all, must hold
  if (deflated) {
    const auto inflated = inflated_size(stored.data(), stored.size(), wanted);
    if (!inflated) return "has a damaged chunk";
    if (*inflated > wanted) return concat("has a chunk that inflates to more than the ", wanted, " bytes it declares");
    size = *inflated;
  }
  if (size != wanted) return concat("has a chunk of ", size, " bytes, not the ", wanted, " bytes it declares");
  return "";
}

// The next chunk's corner in row-major order; false after the last.
bool advance(const Chunking& c, std::vector<hsize_t>& corner) {
  for (std::size_t k = corner.size(); k-- > 0;) {
    corner[k] += c.chunk[k];
    if (corner[k] < c.dims[k]) return true;
    corner[k] = 0;
  }
  return false;
}

}  // namespace

std::string refusal_of_chunks(hid_t array, std::uint64_t file_size) {
  const Handle properties = H5Dget_create_plist(array);
  if (H5Pget_layout(properties) != H5D_CHUNKED || H5Pget_nfilters(properties) == 0) return "";
  const Chunking c = chunking_of(array, properties);
  if (std::find(c.dims.begin(), c.dims.end(), hsize_t{0}) != c.dims.end()) return "";
  std::vector<hsize_t> corner(c.dims.size(), 0);
  std::vector<unsigned char> stored;
  do {
    hsize_t bytes = 0;
    haddr_t address = HADDR_UNDEF;
    if (H5Dget_chunk_info_by_coord(array, corner.data(), nullptr, &address, &bytes) < 0) return hdf5_damage();
    if (address == HADDR_UNDEF) continue;  // never written: fill values
    if (bytes > file_size) return concat("claims a chunk of ", bytes, " bytes in a file of ", file_size);
    stored.resize(static_cast<std::size_t>(bytes));
    std::uint32_t skipped = 0;
    if (H5Dread_chunk(array, H5P_DEFAULT, corner.data(), &skipped, stored.data()) < 0)
      return "cannot be read (" + hdf5_reason() + ")";
    if (std::string refusal = refusal_of_chunk(c, stored, skipped); !refusal.empty()) return refusal;
  } while (advance(c, corner));
  return "";
}

}  // namespace monge::data
