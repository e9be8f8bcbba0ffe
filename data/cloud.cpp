#include "monge/data/cloud.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <limits>
#include <span>
#include <type_traits>

#include "monge/data/convert.h"
#include "monge/data/csv.h"
#include "monge/data/dataset_file.h"
#include "monge/data/hdf5_reader.h"
#include "monge/data/input_file.h"
#include "monge/data/npy.h"
#include "monge/data/small_types.h"
#include "monge/ot/core/error.h"

namespace monge::data {
namespace {

constexpr const char* caller = "read_cloud";

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

// Where the name of an HDF5 file ends and that of its array begins, at a colon; npos: `where` is no such pair.
std::size_t hdf5_colon(const std::string& where) {
  const std::string name = lower(where);
  std::size_t colon = name.npos;
  for (const std::string suffix : {".h5:", ".hdf5:"})
    if (const std::size_t at = name.find(suffix); at != name.npos) colon = std::min(colon, at + suffix.size() - 1);
  return colon;
}

std::string kind_of(const std::string& where) { return lower(std::filesystem::path(where).extension().string()); }
bool is_text(const std::string& kind) { return kind == ".csv" || kind == ".tsv" || kind == ".txt"; }

template <class S, class T>
Matrix<T> read_as(const Hdf5Reader& file, const std::string& name, Index rows, Index cols, bool matrix) {
  if constexpr (std::is_same_v<S, T>)
    if (matrix) return file.read_matrix<T>(name);  // no second copy
  const std::vector<S> stored = file.read<S>(name);
  if (static_cast<Index>(stored.size()) != rows * cols) file.fail(name, "changed while it was read");
  Matrix<T> values(rows, cols);
  if (const Index bad = convert(stored.data(), rows * cols, values.data()); bad >= 0)
    file.fail(name, concat("row ", bad / cols, ", column ", bad % cols, ": ",
                           why_not_converted<T>(stored[static_cast<std::size_t>(bad)])));
  return values;
}

// The points of a data set, by their path in its file.
bool holds_points(const std::string& name) { return name == "x" || name == "test/x"; }

// The floats that the bytes of a data set stand for, which its digest is of.
template <class T>
Matrix<T> read_pixels(const Hdf5Reader& file, const std::string& name, Index rows, Index cols) {
  const auto [low, high] = read_dataset_range(file);
  Matrix<T> values = read_as<std::uint8_t, T>(file, name, rows, cols, false);
  for (T& value : std::span(values.data(), static_cast<std::size_t>(rows * cols)))
    value = pixel_value(low, high, static_cast<int>(value));
  return values;
}

// `name` loses its leading slashes. Looking takes no memory, so nothing is in the way of saying how much reading would
// take.
ArrayInfo look_at(const std::filesystem::path& path, std::string& name) {
  name.erase(0, name.find_first_not_of('/'));
  require(!name.empty(), caller, ": ", path.string(), ": the array in it is not named: FILE.h5:/path/to/array");
  ReadLimits limits;
  limits.memory = std::uint64_t{1} << 62;
  return Hdf5Reader(caller, path, limits).info(name);
}

template <class T>
Matrix<T> read_hdf5(const std::filesystem::path& path, std::string name, double max_bytes) {
  ArrayInfo info = look_at(path, name);
  ReadLimits limits;
  const std::uint64_t stored = static_cast<std::uint64_t>(info.size() * std::max(size_of(info.type), 1));
  const auto allowed = static_cast<std::uint64_t>(std::clamp(max_bytes, 0x1p26, 0x1p62));  // small chunks do no harm
  limits.memory = std::max(stored, allowed);
  const Hdf5Reader file(caller, path, limits);
  if (info.shape.empty() || info.shape.size() > 2)
    file.fail(name, concat("has ", info.shape.size(), " dimensions, not 1 or 2"));
  const bool matrix = info.shape.size() == 2;
  if (!matrix) info.shape.push_back(1);
  const Index rows = info.shape[0], cols = info.shape[1];
  if (const std::string refusal = refusal_of_memory(rows, cols, sizeof(T), max_bytes); !refusal.empty())
    throw Error(Errc::out_of_memory, concat(caller, ": ", path.string(), ": /", name, ": ", refusal));

  switch (info.type) {
    case ElementType::u8:
      return holds_points(name) && file.has_attribute("", "range")
                 ? read_pixels<T>(file, name, rows, cols)
                 : read_as<std::uint8_t, T>(file, name, rows, cols, matrix);
    case ElementType::i32:
      return read_as<std::int32_t, T>(file, name, rows, cols, matrix);
    case ElementType::i64:
      return read_as<std::int64_t, T>(file, name, rows, cols, matrix);
    case ElementType::u64:
      return read_as<std::uint64_t, T>(file, name, rows, cols, matrix);
    case ElementType::f32:
      return read_as<float, T>(file, name, rows, cols, matrix);
    case ElementType::f64:
      return read_as<double, T>(file, name, rows, cols, matrix);
    case ElementType::i8:
      return read_as<std::int8_t, T>(file, name, rows, cols, matrix);
    case ElementType::i16:
      return read_as<std::int16_t, T>(file, name, rows, cols, matrix);
    case ElementType::u16:
      return read_as<std::uint16_t, T>(file, name, rows, cols, matrix);
    case ElementType::u32:
      return read_as<std::uint32_t, T>(file, name, rows, cols, matrix);
    case ElementType::f16:
      return read_as<Half, T>(file, name, rows, cols, matrix);
    case ElementType::boolean:
      return read_as<Bool, T>(file, name, rows, cols, matrix);
    case ElementType::text:
      break;
  }
  file.fail(name, "holds text, not numbers");
}

bool is_float(ElementType type) {
  switch (type) {
    case ElementType::f32:
    case ElementType::f16:
    case ElementType::boolean:
      return true;
    case ElementType::text:
    case ElementType::f64:
      return false;
    default:
      return size_of(type) <= 2;
  }
}

// n, n x 1 or 1 x n.
std::vector<double> read_numbers(const char* who, const std::string& where, double max_bytes) {
  const Matrix<double> values = read_cloud<double>(where, max_bytes);
  if (values.rows() != 1 && values.cols() != 1)
    throw Error(Errc::bad_file,
                concat(who, ": ", where, ": is ", values.rows(), " x ", values.cols(), ", not n, n x 1 or 1 x n"));
  return {values.data(), values.data() + values.rows() * values.cols()};
}

}  // namespace

template <class T>
Matrix<T> read_cloud(const std::string& where, double max_bytes) {
  if (const std::size_t colon = hdf5_colon(where); colon != where.npos)
    return read_hdf5<T>(where.substr(0, colon), where.substr(colon + 1), max_bytes);
  const std::string kind = kind_of(where);
  if (kind == ".npy") return read_npy<T>(where, max_bytes);
  if (is_text(kind)) return read_csv<T>(where, max_bytes);
  require(kind != ".h5" && kind != ".hdf5", caller, ": ", where,
          ": the array in it is not named: FILE.h5:/path/to/array");
  throw Error(
      Errc::invalid_argument,
      concat(caller, ": ", where, ": not the name of a .npy, .csv, .tsv or .txt file, nor FILE.h5:/path/to/array"));
}

std::string place_in_cloud(const std::string& where, Index row, Index col) {
  if (hdf5_colon(where) == where.npos && is_text(kind_of(where))) return place_in_csv(where, row, col);
  return concat("row ", row, ", column ", col);
}

bool holds_floats(const std::string& where) {
  if (const std::size_t colon = hdf5_colon(where); colon != where.npos) {
    std::string name = where.substr(colon + 1);
    return is_float(look_at(where.substr(0, colon), name).type);
  }
  return kind_of(where) == ".npy" && npy_holds_floats(where);
}

std::vector<double> read_weights(const std::string& where, double max_bytes) {
  return read_numbers("read_weights", where, max_bytes);
}

std::vector<std::int32_t> read_labels(const std::string& where, double max_bytes) {
  const std::vector<double> numbers = read_numbers("read_labels", where, max_bytes);
  constexpr std::numeric_limits<std::int32_t> range;
  for (std::size_t i = 0; i < numbers.size(); ++i)
    if (!(numbers[i] >= range.min() && numbers[i] <= range.max()) || numbers[i] != std::floor(numbers[i]))
      throw Error(Errc::bad_file,
                  concat("read_labels: ", where, ": label ", i, ": ", numbers[i], " is not a whole number of 32 bits"));
  return {numbers.begin(), numbers.end()};
}

std::string labels_beside(const std::string& where) {
  const std::size_t colon = hdf5_colon(where);
  if (colon == where.npos) return "";
  std::string name = where.substr(colon + 1);
  name.erase(0, name.find_first_not_of('/'));
  if (!holds_points(name)) return "";
  name.replace(name.size() - 1, 1, "labels");
  const std::string file = where.substr(0, colon);
  return Hdf5Reader(caller, file).has(name) ? concat(file, ":/", name) : "";
}

template Matrix<float> read_cloud(const std::string&, double);
template Matrix<double> read_cloud(const std::string&, double);

}  // namespace monge::data
