#include "monge/data/fashion_mnist.h"

#include "monge/data/idx.h"
#include "monge/ot/core/error.h"

namespace monge::data {
namespace {

std::filesystem::path find(const std::filesystem::path& folder, const std::string& name) {
  for (const char* suffix : {".gz", ""})
    if (std::filesystem::path file = folder / (name + suffix); std::filesystem::exists(file)) return file;
  throw Error(Errc::io, concat("import_fashion_mnist: ", (folder / name).string(),
                               "[.gz] is missing; the Debian package dataset-fashion-mnist has it (apt install "
                               "dataset-fashion-mnist), in ",
                               fashion_mnist_folder));
}

[[noreturn]] void bad(const std::filesystem::path& file, const std::string& what) {
  throw Error(Errc::bad_file, "import_fashion_mnist: " + file.string() + ": " + what);
}

Split read_split(const std::filesystem::path& folder, const std::string& name, Dataset& dataset) {
  const std::filesystem::path images_file = find(folder, name + "-images-idx3-ubyte");
  const std::filesystem::path labels_file = find(folder, name + "-labels-idx1-ubyte");
  ReadLimits limits;
  limits.memory /= 1 + sizeof(float);  // the bytes, and the floats made of them
  IdxArray images = read_idx(images_file, limits), labels = read_idx(labels_file, limits);
  if (images.shape.size() != 3) bad(images_file, concat("has ", images.shape.size(), " dimensions, images have 3"));
  if (labels.shape.size() != 1) bad(labels_file, concat("has ", labels.shape.size(), " dimensions, labels have 1"));
  if (images.values.empty()) bad(images_file, "holds no images");
  if (labels.shape[0] != images.shape[0])
    bad(labels_file, concat("has ", labels.shape[0], " labels for ", images.shape[0], " images"));
  const ImageShape shape = {images.shape[1], images.shape[2], 1};
  if (dataset.image.size() != 0 && (shape.height != dataset.image.height || shape.width != dataset.image.width))
    bad(images_file, concat("has images of ", shape.height, " x ", shape.width, ", the training images are ",
                            dataset.image.height, " x ", dataset.image.width));
  dataset.image = shape;
  const MatrixView<const std::uint8_t> pixels(images.values.data(), images.shape[0], shape.size());
  return {pixels_to_float(pixels, dataset.low, dataset.high), {labels.values.begin(), labels.values.end()}};
}

}  // namespace

Dataset import_fashion_mnist(const std::filesystem::path& folder) {
  Dataset dataset;
  dataset.storage = Storage::u8;
  dataset.low = -1;
  dataset.high = 1;
  dataset.train = read_split(folder, "train", dataset);
  dataset.test = read_split(folder, "t10k", dataset);
  dataset.digest = content_digest(dataset);
  dataset.source = "Fashion-MNIST, " + folder.string();
  return dataset;
}

}  // namespace monge::data
