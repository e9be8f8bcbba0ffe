#include "monge/data/pixels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>

#include "monge/data/dataset_file.h"
#include "monge/data/digest.h"
#include "monge/ot/core/error.h"

namespace monge::data {
namespace {

void check_split(const std::string& name, const PixelSplit& split, Index dims) {
  require(split.x.cols() == dims, "save_dataset: ", name, "x has ", split.x.cols(), " columns, not ", dims);
  require(split.labels.empty() || static_cast<Index>(split.labels.size()) == split.rows(), "save_dataset: ", name,
          "labels has ", split.labels.size(), " entries for ", split.rows(), " rows");
}

void write_split(Hdf5Writer& file, const std::string& prefix, const PixelSplit& split) {
  file.array(prefix + "x", {split.rows(), split.x.cols()}, split.x.data());
  if (!split.labels.empty()) write_dataset_labels(file, prefix + "labels", split.labels);
}

PixelSplit read_split(const Hdf5Reader& file, const std::string& prefix, Index dims) {
  const std::string name = prefix + "x";
  const ArrayInfo array = file.info(name);
  if (array.type != ElementType::u8) file.fail(name, concat("holds ", to_string(array.type), ", not u8"));
  if (array.shape.size() != 2)
    file.fail(name, concat("has ", array.shape.size(), " dimensions, not 2 (rows x columns)"));
  if (array.size() == 0) file.fail(name, "is empty: " + array.describe());
  if (dims > 0 && array.shape[1] != dims) file.fail(name, concat("has ", array.shape[1], " columns, /x has ", dims));
  PixelSplit split;
  split.x = file.read_matrix<std::uint8_t>(name);
  if (file.has(prefix + "labels")) split.labels = read_dataset_labels(file, prefix + "labels", split.rows());
  return split;
}

// Rows N to 2 N of `x` are made of rows 0 to N, flipped.
template <class T>
Matrix<T> with_flips(const Matrix<T>& x, const ImageShape& image) {
  const Index n = x.rows(), d = x.cols(), c = image.channels;
  Matrix<T> both(2 * n, d);
  std::copy_n(x.data(), n * d, both.data());
  for (Index i = 0; i < n; ++i) {
    const T* from = x.view().row(i);
    T* to = both.view().row(n + i);
    for (Index row = 0; row < image.height; ++row)
      for (Index col = 0; col < image.width; ++col)
        std::copy_n(from + (row * image.width + image.width - 1 - col) * c, c, to + (row * image.width + col) * c);
  }
  return both;
}

template <class AnyDataset>
void append_flips(AnyDataset& dataset) {
  const Index dims = dataset.train.x.cols();
  require(dims > 0 && dataset.image.size() == dims, "add_flips: the rows of ", dims, " values are no images");
  dataset.train.x = with_flips(dataset.train.x, dataset.image);
  std::vector<std::int32_t>& labels = dataset.train.labels;
  const std::vector<std::int32_t> once = labels;
  labels.insert(labels.end(), once.begin(), once.end());
  dataset.source += ", with mirror images";
}

}  // namespace

PixelDataset load_pixels(const std::filesystem::path& path, const ReadLimits& limits) {
  const Hdf5Reader file("load_pixels", path, limits);
  check_dataset_format(file);
  PixelDataset dataset;
  std::tie(dataset.low, dataset.high) = read_dataset_range(file);
  dataset.train = read_split(file, "", 0);
  const Index dims = dataset.train.x.cols();
  if (file.has("test")) dataset.test = read_split(file, "test/", dims);
  dataset.image = read_dataset_image(file, dims);
  dataset.source = file.attribute_or<std::string>("", "source", "");
  return dataset;
}

bool holds_pixels(const std::filesystem::path& path) {
  return Hdf5Reader("holds_pixels", path).info("x").type == ElementType::u8;
}

void save_dataset(const PixelDataset& dataset, const std::filesystem::path& path) {
  const Index dims = dataset.train.x.cols();
  require(!dataset.train.x.view().empty(), "save_dataset: the data set is empty: ", dataset.train.rows(), " x ", dims);
  check_split("", dataset.train, dims);
  if (dataset.test.rows() > 0) check_split("test/", dataset.test, dims);
  require(std::isfinite(dataset.low) && std::isfinite(dataset.high) && dataset.low < dataset.high,
          "save_dataset: the range [", dataset.low, ", ", dataset.high, "] of a u8 data set is empty");
  require(dataset.image.size() == 0 || dataset.image.size() == dims, "save_dataset: images of ", dataset.image.height,
          " x ", dataset.image.width, " x ", dataset.image.channels, " do not fill rows of ", dims, " values");
  Hdf5Writer file("save_dataset", path);
  write_split(file, "", dataset.train);
  write_dataset_attributes(file, dataset.low, dataset.high, dataset.image, dataset.source);
  if (dataset.test.rows() > 0) write_split(file, "test/", dataset.test);
  file.commit();
}

std::string content_digest(const PixelDataset& dataset) {
  std::array<float, 256> value;
  for (int p = 0; p < 256; ++p) value[static_cast<std::size_t>(p)] = pixel_value(dataset.low, dataset.high, p);
  Digest digest;
  constexpr Index block = 1 << 16;
  std::vector<float> floats(block);
  const std::uint8_t* bytes = dataset.train.x.data();
  const Index size = dataset.train.x.rows() * dataset.train.x.cols();
  for (Index first = 0; first < size; first += block) {
    const Index count = std::min(block, size - first);
    std::transform(bytes + first, bytes + first + count, floats.begin(), [&](std::uint8_t p) { return value[p]; });
    digest.add(floats.data(), static_cast<std::size_t>(count) * sizeof(float));
  }
  return digest.text();
}

void interleave_planes(const std::uint8_t* planes, const ImageShape& image, std::uint8_t* out) {
  const Index area = image.height * image.width;
  for (Index p = 0; p < area; ++p)
    for (Index c = 0; c < image.channels; ++c) out[p * image.channels + c] = planes[c * area + p];
}

void add_flips(PixelDataset& dataset) { append_flips(dataset); }

void add_flips(Dataset& dataset) {
  append_flips(dataset);
  dataset.digest = content_digest(dataset);
}

}  // namespace monge::data
