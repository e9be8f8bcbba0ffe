#include "monge/data/dataset.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

#include "monge/data/dataset_file.h"
#include "monge/data/digest.h"
#include "monge/ot/core/error.h"

namespace monge::data {
namespace {

constexpr const char* format = "monge-dataset";
constexpr std::uint64_t version = 1;

std::array<float, 256> pixel_table(double low, double high) {
  std::array<float, 256> table;
  for (int p = 0; p < 256; ++p) table[static_cast<std::size_t>(p)] = pixel_value(low, high, p);
  return table;
}

// Row and column of the first value that is NaN or infinite; row -1: none.
struct Position {
  Index row = -1, col = -1;
};
Position first_not_finite(MatrixView<const float> x) {
  for (Index i = 0; i < x.rows; ++i)
    for (Index j = 0; j < x.cols; ++j)
      if (!std::isfinite(x(i, j))) return {i, j};
  return {};
}

std::pair<double, double> extremes(const Matrix<float>& x) {
  const auto [least, greatest] = std::minmax_element(x.data(), x.data() + x.rows() * x.cols());
  return {*least, *greatest};
}

// The bytes that stand for x; every value must be exactly one of the 256.
Matrix<std::uint8_t> float_to_pixels(const std::string& name, MatrixView<const float> x, double low, double high) {
  require(std::isfinite(low) && std::isfinite(high) && low < high, "save_dataset: ", name, ": the range [", low, ", ",
          high, "] of a u8 data set is empty");
  const std::array<float, 256> table = pixel_table(low, high);
  Matrix<std::uint8_t> pixels(x.rows, x.cols);
  for (Index i = 0; i < x.rows; ++i)
    for (Index j = 0; j < x.cols; ++j) {
      const double near = std::round((x(i, j) - low) * 255 / (high - low));
      const std::size_t p = near > 0 ? static_cast<std::size_t>(std::min(near, 255.0)) : 0;  // NaN: 0
      require(table[p] == x(i, j), "save_dataset: ", name, ": row ", i, ", column ", j, ": ", x(i, j),
              " is none of the 256 values of a u8 data set on [", low, ", ", high, "]");
      pixels(i, j) = static_cast<std::uint8_t>(p);
    }
  return pixels;
}

void check_split(const std::string& name, const Split& split, Index dims) {
  require(split.x.cols() == dims, "save_dataset: ", name, "x has ", split.x.cols(), " columns, not ", dims);
  require(!split.labelled() || static_cast<Index>(split.labels.size()) == split.rows(), "save_dataset: ", name,
          "labels has ", split.labels.size(), " entries for ", split.rows(), " rows");
  if (const Position bad = first_not_finite(split.x.view()); bad.row >= 0)
    throw Error(Errc::not_finite, concat("save_dataset: ", name, "x: row ", bad.row, ", column ", bad.col, ": ",
                                         split.x(bad.row, bad.col)));
}

void write_split(Hdf5Writer& file, const std::string& prefix, const Split& split, const Dataset& dataset) {
  const std::vector<Index> shape = {split.rows(), split.x.cols()};
  if (dataset.storage == Storage::u8) {
    file.array(prefix + "x", shape, float_to_pixels(prefix + "x", split.x.view(), dataset.low, dataset.high).data());
  } else {
    file.array(prefix + "x", shape, split.x.data());
  }
  if (split.labelled()) write_dataset_labels(file, prefix + "labels", split.labels);
}

Split read_split(const Hdf5Reader& file, const std::string& prefix, Dataset& dataset) {
  const std::string name = prefix + "x";
  const ArrayInfo array = file.info(name);
  if (array.shape.size() != 2)
    file.fail(name, concat("has ", array.shape.size(), " dimensions, not 2 (rows x columns)"));
  if (array.size() == 0) file.fail(name, "is empty: " + array.describe());
  const ElementType wanted = dataset.storage == Storage::u8 ? ElementType::u8 : ElementType::f32;
  if (array.type != wanted)
    file.fail(name,
              concat("holds ", to_string(array.type), ", not ", prefix.empty() ? "u8 or f32" : to_string(wanted)));
  Split split;
  if (dataset.storage == Storage::u8) {
    file.reserve(name, static_cast<std::uint64_t>(array.size()) * sizeof(float));
    const Matrix<std::uint8_t> pixels = file.read_matrix<std::uint8_t>(name);
    split.x = pixels_to_float(pixels.view(), dataset.low, dataset.high);
  } else {
    split.x = file.read_matrix<float>(name);
    if (const Position bad = first_not_finite(split.x.view()); bad.row >= 0)
      throw Error(Errc::not_finite, concat("load_dataset: ", file.path().string(), ": /", name, ": row ", bad.row,
                                           ", column ", bad.col, ": ", split.x(bad.row, bad.col)));
  }
  if (file.has(prefix + "labels")) split.labels = read_dataset_labels(file, prefix + "labels", split.rows());
  return split;
}

}  // namespace

float pixel_value(double low, double high, int p) { return static_cast<float>(low + (high - low) * p / 255); }

Matrix<float> pixels_to_float(MatrixView<const std::uint8_t> pixels, double low, double high) {
  const std::array<float, 256> table = pixel_table(low, high);
  Matrix<float> x(pixels.rows, pixels.cols);
  for (Index i = 0; i < pixels.rows; ++i)
    for (Index j = 0; j < pixels.cols; ++j) x(i, j) = table[pixels(i, j)];
  return x;
}

Dataset load_dataset(const std::filesystem::path& path, const ReadLimits& limits) {
  const Hdf5Reader file("load_dataset", path, limits);
  check_dataset_format(file);
  Dataset dataset;
  dataset.storage = file.info("x").type == ElementType::u8 ? Storage::u8 : Storage::f32;
  if (dataset.storage == Storage::u8) std::tie(dataset.low, dataset.high) = read_dataset_range(file);
  dataset.train = read_split(file, "", dataset);
  dataset.digest = content_digest(dataset);
  if (file.has("test")) {
    dataset.test = read_split(file, "test/", dataset);
    if (dataset.test.x.cols() != dataset.dims())
      file.fail("test/x", concat("has ", dataset.test.x.cols(), " columns, /x has ", dataset.dims()));
  }
  if (dataset.storage == Storage::f32) std::tie(dataset.low, dataset.high) = extremes(dataset.train.x);
  dataset.image = read_dataset_image(file, dataset.dims());
  dataset.source = file.attribute_or<std::string>("", "source", "");
  return dataset;
}

std::string content_digest(const Dataset& dataset) {
  const Matrix<float>& x = dataset.train.x;
  return digest(x.data(), sizeof(float) * static_cast<std::size_t>(x.rows() * x.cols()));
}

void save_dataset(const Dataset& dataset, const std::filesystem::path& path) {
  require(!dataset.train.x.view().empty(), "save_dataset: the data set is empty: ", dataset.train.rows(), " x ",
          dataset.dims());
  check_split("", dataset.train, dataset.dims());
  if (dataset.test.rows() > 0) check_split("test/", dataset.test, dataset.dims());
  const bool images = dataset.image.size() != 0;
  require(!images || dataset.image.size() == dataset.dims(), "save_dataset: images of ", dataset.image.height, " x ",
          dataset.image.width, " x ", dataset.image.channels, " do not fill rows of ", dataset.dims(), " values");

  Hdf5Writer file("save_dataset", path);
  write_split(file, "", dataset.train, dataset);
  const auto [low, high] =
      dataset.storage == Storage::u8 ? std::pair(dataset.low, dataset.high) : extremes(dataset.train.x);
  write_dataset_attributes(file, low, high, dataset.image, dataset.source);
  if (dataset.test.rows() > 0) write_split(file, "test/", dataset.test, dataset);
  file.commit();
}

void check_dataset_format(const Hdf5Reader& file) {
  file.check_format(format, version, false);  // a bare /x made elsewhere is a data set too
}

std::vector<std::int32_t> read_dataset_labels(const Hdf5Reader& file, const std::string& name, Index rows) {
  switch (file.info(name).type) {
    case ElementType::i32:
      return file.read_vector<std::int32_t>(name, rows);
    case ElementType::u8: {
      const auto labels = file.read_vector<std::uint8_t>(name, rows);
      return {labels.begin(), labels.end()};
    }
    case ElementType::i64: {  // what numpy makes by default
      const auto labels = file.read_vector<std::int64_t>(name, rows);
      for (std::size_t i = 0; i < labels.size(); ++i)
        if (labels[i] != static_cast<std::int32_t>(labels[i]))
          file.fail(name, concat("element ", i, ": ", labels[i], " does not fit in 32 bits"));
      return {labels.begin(), labels.end()};
    }
    default:
      file.fail(name, "holds " + std::string(to_string(file.info(name).type)) + ", not u8, i32 or i64");
  }
}

std::pair<double, double> read_dataset_range(const Hdf5Reader& file) {
  if (!file.has_attribute("", "range")) return {0, 255};
  const auto range = file.attribute<std::vector<double>>("", "range");
  const bool ok = range.size() == 2 && std::isfinite(range[0]) && std::isfinite(range[1]) && range[0] < range[1] &&
                  std::max(std::abs(range[0]), std::abs(range[1])) <= std::numeric_limits<float>::max();
  if (!ok) file.fail("", "attribute range is not two finite numbers, the lower one first");
  return {range[0], range[1]};
}

ImageShape read_dataset_image(const Hdf5Reader& file, Index dims) {
  if (!file.has_attribute("", "image")) return {};
  const auto shape = file.attribute<std::vector<double>>("", "image");
  const double most = static_cast<double>(dims);
  double product = 1;
  for (const double n : shape) product *= n >= 1 && n <= most && n == std::floor(n) ? n : 0;
  if (shape.size() != 3 || product != most)
    file.fail("", concat("attribute image is not height, width and channels of rows of ", dims, " values"));
  return {static_cast<Index>(shape[0]), static_cast<Index>(shape[1]), static_cast<Index>(shape[2])};
}

void write_dataset_attributes(Hdf5Writer& file, double low, double high, const ImageShape& image,
                              const std::string& source) {
  file.attribute("", "format", format);
  file.attribute("", "version", version);
  file.attribute("", "range", std::vector<double>{low, high});
  file.attribute("", "source", source);
  if (image.size() == 0) return;
  file.attribute(
      "", "image",
      std::vector<std::uint64_t>{static_cast<std::uint64_t>(image.height), static_cast<std::uint64_t>(image.width),
                                 static_cast<std::uint64_t>(image.channels)});
}

void write_dataset_labels(Hdf5Writer& file, const std::string& name, const std::vector<std::int32_t>& labels) {
  const std::vector<Index> shape = {static_cast<Index>(labels.size())};
  const auto [least, greatest] = std::minmax_element(labels.begin(), labels.end());
  if (*least >= 0 && *greatest <= 255) {
    file.array(name, shape, std::vector<std::uint8_t>(labels.begin(), labels.end()).data());
  } else {
    file.array(name, shape, labels.data());
  }
}

}  // namespace monge::data
