#include "monge/data/imagenet32.h"

#include <algorithm>
#include <cstring>

#include "monge/data/npy_header.h"
#include "monge/data/zip.h"
#include "monge/ot/core/error.h"

namespace monge::data {
namespace {

constexpr const char* caller = "import_imagenet32";
constexpr ImageShape image{32, 32, 3};
constexpr std::int64_t classes = 1000;
constexpr Index block = 1024;  // images, or labels, that are read at once

// One array of an archive, at its first value.
class Array {
 public:
  Array(const ZipFile& zip, const std::string& name) : stream_(zip, member(zip, name)) {
    std::uint64_t before = 0;
    header_ = read_npy_header([&](void* out, std::size_t size) { return stream_.read(out, size); },
                              [&](const std::string& what) { stream_.fail(what); }, &before);
    if (header_.fortran && header_.shape.size() > 1) stream_.fail("is in Fortran order");
    if (header_.kind == 'f' || header_.kind == 'b') stream_.fail("does not hold whole numbers");
    std::uint64_t bytes = static_cast<std::uint64_t>(header_.element);
    for (const Index n : header_.shape)
      if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(n), &bytes)) stream_.fail("declares too much");
    if (const std::uint64_t stored = member(zip, name).size - before; stored != bytes)
      stream_.fail(concat("declares ", bytes, " bytes of values, but has ", stored));
  }
  const NpyHeader& header() const { return header_; }
  std::size_t read(void* out, std::size_t size) { return stream_.read(out, size); }
  [[noreturn]] void fail(const std::string& what) const { stream_.fail(what); }

 private:
  static const ZipFile::Member& member(const ZipFile& zip, const std::string& name) {
    const ZipFile::Member* found = zip.find(name + ".npy");
    if (!found) zip.file().fail(Errc::bad_file, "has no array '" + name + "'");
    return *found;
  }

  ZipStream stream_;
  NpyHeader header_;
};

// Rows of `data`, checked: N x 3072 bytes.
Index rows_of(const Array& data) {
  const NpyHeader& h = data.header();
  if (h.kind != 'u' || h.element != 1) data.fail("does not hold bytes");
  if (h.shape.size() != 2 || h.shape[1] != image.size() || h.shape[0] == 0)
    data.fail(concat("is not N x ", image.size(), ", one image per row"));
  return h.shape[0];
}

void read_images(const ZipFile& zip, MatrixView<std::uint8_t> out) {
  Array data(zip, "data");
  if (rows_of(data) != out.rows) data.fail("changed while it was read");
  std::vector<std::uint8_t> planes(static_cast<std::size_t>(block * image.size()));
  for (Index first = 0; first < out.rows; first += block) {
    const Index count = std::min(block, out.rows - first);
    data.read(planes.data(), static_cast<std::size_t>(count * image.size()));
    for (Index i = 0; i < count; ++i) interleave_planes(planes.data() + i * image.size(), image, out.row(first + i));
  }
}

void read_labels(const ZipFile& zip, Index rows, std::vector<std::int32_t>& out) {
  Array labels(zip, "labels");
  const NpyHeader& h = labels.header();
  if (h.shape.size() != 1 || h.shape[0] != rows) labels.fail(concat("is no list of ", rows, " labels, one per image"));
  const auto size = static_cast<std::size_t>(h.element);
  std::vector<std::uint8_t> raw(static_cast<std::size_t>(block) * size);
  for (Index first = 0; first < rows; first += block) {
    const Index count = std::min(block, rows - first);
    labels.read(raw.data(), static_cast<std::size_t>(count) * size);
    for (Index i = 0; i < count; ++i) {
      std::uint8_t* const bytes = raw.data() + static_cast<std::size_t>(i) * size;
      if (h.big) std::reverse(bytes, bytes + size);
      std::uint64_t label = 0;  // a negative one of fewer than 8 bytes is a large one here, and refused as well
      std::memcpy(&label, bytes, size);
      if (label < 1 || label > classes)
        labels.fail(
            concat("element ", first + i, " is ", static_cast<std::int64_t>(label), ", labels are 1 to ", classes));
      out.push_back(static_cast<std::int32_t>(label) - 1);
    }
  }
}

void read_split(const std::vector<std::filesystem::path>& files, const ReadLimits& limits, PixelSplit& split) {
  std::vector<Index> counts;
  Index rows = 0;
  for (const std::filesystem::path& path : files) {
    const ZipFile zip(caller, path, limits);
    counts.push_back(rows_of(Array(zip, "data")));
    rows += counts.back();
    if (static_cast<std::uint64_t>(rows) > limits.memory / static_cast<std::uint64_t>(image.size()))
      zip.file().fail(Errc::out_of_memory,
                      concat("with this file, ", rows, " images take over ", limits.memory, " bytes"));
  }
  split.x = Matrix<std::uint8_t>(rows, image.size());
  Index row = 0;
  for (std::size_t f = 0; f < files.size(); ++f) {
    const ZipFile zip(caller, files[f], limits);
    read_images(zip, split.x.view().rows_from(row, counts[f]));
    read_labels(zip, counts[f], split.labels);
    row += counts[f];
  }
}

}  // namespace

PixelDataset import_imagenet32(const std::filesystem::path& folder, const ReadLimits& limits) {
  std::vector<std::filesystem::path> batches;
  for (int i = 1; i <= 10; ++i) batches.push_back(folder / concat("train_data_batch_", i, ".npz"));
  PixelDataset dataset;
  dataset.image = image;
  read_split(batches, limits, dataset.train);
  read_split({folder / "val_data.npz"}, limits, dataset.test);
  dataset.source = "ImageNet 32 x 32, " + folder.string();
  return dataset;
}

}  // namespace monge::data
