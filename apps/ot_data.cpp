// ot_data: makes data files and says what is in them.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <set>
#include <string>

#include "monge/apps/common/interrupt.h"
#include "monge/apps/common/shell.h"
#include "monge/data/atomic_file.h"
#include "monge/data/dataset.h"
#include "monge/data/fashion_mnist.h"

namespace {

using namespace monge;

void print_split(const char* name, const data::Split& split) {
  std::cout << name << ": " << split.rows() << " x " << split.x.cols();
  if (split.labelled())
    std::cout << ", labels of " << std::set(split.labels.begin(), split.labels.end()).size() << " classes";
  std::cout << "\n";
}

void print(const data::Dataset& dataset) {
  print_split("train", dataset.train);
  if (dataset.test.rows() > 0) print_split("test", dataset.test);
  if (dataset.image.size() > 0)
    std::cout << "images: " << dataset.image.height << " x " << dataset.image.width << " x " << dataset.image.channels
              << " (height, width, channels)\n";
  std::cout << "stored as: " << (dataset.storage == data::Storage::u8 ? "u8" : "f32") << "\n"
            << "range: [" << dataset.low << ", " << dataset.high << "]\n"
            << "digest: " << dataset.digest << "\n"
            << "source: " << (dataset.source.empty() ? "not recorded" : dataset.source) << "\n";
}

void import_fashion_mnist(const std::filesystem::path& from, const std::filesystem::path& out) {
  data::require_writable("--out", out);
  const data::Dataset dataset = data::import_fashion_mnist(from);
  apps::check_interrupt();
  data::save_dataset(dataset, out);
  std::cout << out.string() << "\n";
  print(dataset);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Makes the data files that ot_fit and sdfm_train read, and says what is in them.\n"
      "Data files are HDF5: /x (N x dimensions), /labels, /test/x, /test/labels; h5py reads and makes them too.\n",
      "ot_data"};
  app.footer(
      "Examples:\n"
      "  ot_data import fashion-mnist --out fashion.h5\n"
      "  ot_data info fashion.h5\n\n"
      "A file is written whole or not at all. Ctrl-C leaves the older one.\n"
      "Exit status: 0 when done, 1 for an error, 2 for wrong usage, 130 after Ctrl-C.");
  app.require_subcommand(1);

  auto* import = app.add_subcommand("import", "Make a data file from a published data set");
  import->require_subcommand(1);
  auto* fashion = import->add_subcommand(
      "fashion-mnist",
      "60,000 training and 10,000 test images of clothes,\n28 x 28 grey pixels mapped to [-1, 1], with labels");
  std::string out, from = data::fashion_mnist_folder;
  fashion->add_option("--out", out, "Data file to write; an older one is replaced")->required()->type_name("FILE.h5");
  fashion
      ->add_option("--from", from,
                   "Folder of the four IDX files, {train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz];\n"
                   "the Debian package dataset-fashion-mnist has them. MNIST in the same four files works as well")
      ->type_name("FOLDER")
      ->capture_default_str();
  fashion->footer("Example:\n  ot_data import fashion-mnist --out fashion.h5");

  auto* info = app.add_subcommand("info", "Check a data file and print its shape, range, digest, source and labels");
  std::string file;
  info->add_option("file", file, "Data file")->required()->type_name("FILE.h5");
  info->footer("Example:\n  ot_data info fashion.h5");

  return apps::run_main(app, argc, argv, [&] {
    if (*fashion) import_fashion_mnist(from, out);
    if (*info) print(data::load_dataset(file));
  });
}
