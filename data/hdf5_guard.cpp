#include "monge/data/hdf5_guard.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "monge/ot/core/error.h"

namespace monge::data {
namespace {

constexpr std::uint64_t chunk_overhead = 1 << 10;  // bytes that HDF5 takes for each chunk of an array it reads
constexpr std::uint64_t overflow = std::numeric_limits<std::int64_t>::max();  // also of Index

std::uint64_t saturating_product(std::uint64_t a, std::uint64_t b) {
  return b != 0 && a > overflow / b ? overflow : a * b;
}

std::string refusal_of_filters(hid_t properties) {
  const int filters = H5Pget_nfilters(properties);
  if (filters < 0) return "its filters are damaged";
  std::vector<H5Z_filter_t> seen;
  for (int i = 0; i < filters; ++i) {
    unsigned flags = 0, config = 0;
    std::size_t values = 0;
    const H5Z_filter_t filter =
        H5Pget_filter2(properties, static_cast<unsigned>(i), &flags, &values, nullptr, 0, nullptr, &config);
    if (filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_SHUFFLE && filter != H5Z_FILTER_FLETCHER32)
      return concat("uses filter ", filter, "; only deflate, shuffle and fletcher32 are read");
    if (std::find(seen.begin(), seen.end(), filter) != seen.end()) return concat("uses filter ", filter, " twice");
    if (filter == H5Z_FILTER_SHUFFLE && std::find(seen.begin(), seen.end(), H5Z_FILTER_DEFLATE) != seen.end())
      return "is shuffled after deflate; only before it is read";
    seen.push_back(filter);
  }
  return "";
}

// Layout first: asking a virtual dataset for its shape would open the files it points to.
std::string refusal_of_layout(hid_t properties) {
  if (H5Pget_external_count(properties) != 0) return "keeps its values in another file, which is refused";
  switch (H5Pget_layout(properties)) {
    case H5D_COMPACT:
    case H5D_CONTIGUOUS:
    case H5D_CHUNKED:
      return refusal_of_filters(properties);
    case H5D_VIRTUAL:
      return "is a virtual dataset, which is refused";
    default:
      return "has an unknown layout";
  }
}

std::uint64_t declared_bytes(hid_t space, std::size_t element) {
  const int rank = H5Sget_simple_extent_ndims(space);
  if (rank < 0 || rank > H5S_MAX_RANK) return overflow;
  hsize_t dims[H5S_MAX_RANK] = {};
  H5Sget_simple_extent_dims(space, dims, nullptr);
  std::uint64_t bytes = element;
  for (int i = 0; i < rank; ++i) bytes = saturating_product(bytes, dims[i] == 0 ? 1 : dims[i]);
  for (int i = 0; i < rank && bytes != overflow; ++i)
    if (dims[i] == 0) return 0;
  return bytes;
}

std::uint64_t chunk_count(hid_t properties, hid_t space) {
  hsize_t dims[H5S_MAX_RANK] = {}, chunk[H5S_MAX_RANK] = {};
  const int rank = H5Pget_chunk(properties, H5S_MAX_RANK, chunk);
  if (rank < 0 || H5Sget_simple_extent_dims(space, dims, nullptr) != rank) return overflow;
  std::uint64_t count = 1;
  for (int i = 0; i < rank; ++i)
    count = saturating_product(count, chunk[i] == 0 ? overflow : dims[i] / chunk[i] + (dims[i] % chunk[i] != 0));
  return count;
}

std::uint64_t chunk_bytes(hid_t properties, std::size_t element) {
  hsize_t dims[H5S_MAX_RANK] = {};
  const int rank = H5Pget_chunk(properties, H5S_MAX_RANK, dims);
  std::uint64_t bytes = rank < 0 ? overflow : element;
  for (int i = 0; i < rank; ++i) bytes = saturating_product(bytes, dims[i]);
  return bytes;
}

}  // namespace

std::int64_t ArrayInfo::size() const {
  Index n = 1;
  for (const Index d : shape) n *= d;
  return n;
}

std::string ArrayInfo::describe() const {
  std::string text;
  for (const Index n : shape) text += concat(text.empty() ? "" : " x ", n);
  return concat(text, text.empty() ? "" : " ", to_string(type));
}

std::optional<ElementType> identify(hid_t type) {
  if (H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0) return ElementType::text;
  for (const ElementType known :
       {ElementType::u8, ElementType::i32, ElementType::i64, ElementType::u64, ElementType::f32, ElementType::f64,
        ElementType::i8, ElementType::i16, ElementType::u16, ElementType::u32, ElementType::f16, ElementType::boolean})
    if (H5Tequal(type, file_type(known)) > 0 || H5Tequal(type, file_type(known, true)) > 0) return known;
  return std::nullopt;
}

std::string describe_type(hid_t type) {
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      return concat(H5Tget_sign(type) == H5T_SGN_NONE ? "unsigned " : "signed ", 8 * H5Tget_size(type), "-bit integer");
    case H5T_FLOAT:
      return concat(8 * H5Tget_size(type), "-bit float");
    case H5T_STRING:
      return "variable-length string";
    case H5T_VLEN:
      return "variable-length array";
    case H5T_COMPOUND:
      return "compound";
    case H5T_ENUM:
      return "enumeration";
    case H5T_REFERENCE:
      return "reference";
    case H5T_ARRAY:
      return "array";
    default:
      return "an unknown type";
  }
}

std::string refusal_of_array(hid_t object, std::uint64_t file_size, const ReadLimits& limits) {
  if (H5Iget_type(object) != H5I_DATASET) return "is not an array";
  const Handle properties = H5Dget_create_plist(object);
  if (!properties.valid()) return hdf5_damage();
  if (const std::string refusal = refusal_of_layout(properties); !refusal.empty()) return refusal;

  const Handle type = H5Dget_type(object);
  if (!type.valid()) return hdf5_damage();
  if (!identify(type)) return "has elements of type " + describe_type(type) + ", which is not read here";
  const Handle space = H5Dget_space(object);
  const H5S_class_t shape = H5Sget_simple_extent_type(space);
  if (shape != H5S_SCALAR && shape != H5S_SIMPLE) return "holds nothing";

  const std::size_t element = H5Tget_size(type);
  const std::uint64_t declared = declared_bytes(space, element);
  const std::uint64_t stored = H5Dget_storage_size(object);
  if (declared > limits.memory || declared == overflow)
    return concat("declares ", declared == overflow ? "far" : std::to_string(declared) + " bytes,",
                  " more than the limit of ", limits.memory, " bytes");
  if (stored > file_size) return concat("claims ", stored, " stored bytes in a file of ", file_size);
  if (declared > saturating_product(limits.expansion, stored))
    return concat("declares ", declared, " bytes but stores ", stored, ": more than ", limits.expansion, " times");
  const H5D_layout_t layout = H5Pget_layout(properties);
  if (layout != H5D_CHUNKED && stored < declared) return concat("declares ", declared, " bytes but stores ", stored);
  switch (layout) {
    case H5D_CONTIGUOUS: {
      const haddr_t offset = declared == 0 ? 0 : H5Dget_offset(object);
      if (offset == HADDR_UNDEF || offset > file_size || declared > file_size - offset)
        return "its values end beyond the end of the file: truncated";
      return "";
    }
    case H5D_CHUNKED:
      if (chunk_bytes(properties, element) > limits.memory) return "has chunks over the memory limit";
      if (chunk_bytes(properties, element) > saturating_product(limits.expansion, stored) && declared > 0)
        return concat("has chunks of more than ", limits.expansion, " times what is stored");
      if (const std::uint64_t count = chunk_count(properties, space);
          count > stored || count > limits.memory / chunk_overhead)
        return concat("is cut into ", count, " chunks but stores ", stored, " bytes");
      if (unsigned options = 0; H5Pget_chunk_opts(properties, &options) < 0 || options != 0)
        return "leaves chunks at its edges unfiltered, which is not read here";
      return "";
    default:
      return "";
  }
}

ArrayInfo describe_array(hid_t array) {
  const Handle type = H5Dget_type(array), space = H5Dget_space(array);
  hsize_t dims[H5S_MAX_RANK] = {};
  const int rank = H5Sget_simple_extent_dims(space, dims, nullptr);
  return {*identify(type), std::vector<Index>(dims, dims + std::max(rank, 0))};
}

}  // namespace monge::data
