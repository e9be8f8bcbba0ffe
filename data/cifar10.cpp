#include "monge/data/cifar10.h"

#include <array>

#include "monge/data/input_file.h"
#include "monge/ot/core/error.h"

namespace monge::data {
namespace {

constexpr ImageShape image{32, 32, 3};
constexpr std::uint64_t record = 1 + 3 * 32 * 32;  // bytes
constexpr std::uint64_t most_records = 10000;      // in one file
constexpr int classes = 10;

void read_records(const std::vector<std::filesystem::path>& files, PixelSplit& split) {
  std::vector<Index> counts;
  Index rows = 0;
  for (const std::filesystem::path& path : files) {
    const InputFile file("import_cifar10", path);
    if (file.size() == 0 || file.size() % record != 0)
      file.fail(Errc::bad_file, concat("has ", file.size(), " bytes, not a whole number of records of ", record));
    if (file.size() / record > most_records)
      file.fail(Errc::bad_file,
                concat("has ", file.size() / record, " records, files of CIFAR-10 have ", most_records));
    counts.push_back(static_cast<Index>(file.size() / record));
    rows += counts.back();
  }
  split.x = Matrix<std::uint8_t>(rows, image.size());
  split.labels.reserve(static_cast<std::size_t>(rows));
  Index row = 0;
  for (std::size_t f = 0; f < files.size(); ++f) {
    InputFile file("import_cifar10", files[f]);
    std::array<std::uint8_t, record> bytes;
    for (Index i = 0; i < counts[f]; ++i, ++row) {
      if (file.read(bytes.data(), record) < record) file.fail(Errc::bad_file, "was cut short while it was read");
      if (bytes[0] >= classes)
        file.fail(Errc::bad_file, concat("record ", i, " has the label ", int{bytes[0]}, ", labels are 0 to 9"));
      split.labels.push_back(bytes[0]);
      interleave_planes(bytes.data() + 1, image, split.x.view().row(row));
    }
  }
}

}  // namespace

PixelDataset import_cifar10(const std::filesystem::path& folder) {
  const std::filesystem::path inner = folder / "cifar-10-batches-bin";
  const std::filesystem::path& from = std::filesystem::exists(inner) ? inner : folder;
  std::vector<std::filesystem::path> batches;
  for (int i = 1; i <= 5; ++i) batches.push_back(from / concat("data_batch_", i, ".bin"));
  PixelDataset dataset;
  dataset.image = image;
  read_records(batches, dataset.train);
  read_records({from / "test_batch.bin"}, dataset.test);
  dataset.source = "CIFAR-10, " + folder.string();
  return dataset;
}

}  // namespace monge::data
