// ot_data: makes data files and says what is in them.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "monge/apps/common/distinct_files.h"
#include "monge/apps/common/interrupt.h"
#include "monge/apps/common/shell.h"
#include "monge/apps/common/validators.h"
#include "monge/data/atomic_file.h"
#include "monge/data/cifar10.h"
#include "monge/data/cloud.h"
#include "monge/data/dataset.h"
#include "monge/data/fashion_mnist.h"
#include "monge/data/imagenet32.h"
#include "monge/data/synthetic.h"
#include "monge/ot/core/error.h"

namespace {

using namespace monge;

// Class counts, in order of the labels; of many classes only the range of their counts.
void print_classes(const std::vector<std::int32_t>& labels) {
  constexpr std::size_t most = 20;
  std::map<std::int32_t, Index> counts;
  for (const std::int32_t label : labels) ++counts[label];
  std::cout << ", labels of " << counts.size() << " classes (";
  if (counts.size() > most) {
    const auto smaller = [](const auto& a, const auto& b) { return a.second < b.second; };
    const auto [fewest, largest] = std::minmax_element(counts.begin(), counts.end(), smaller);
    std::cout << fewest->second << " to " << largest->second << " points each)";
    return;
  }
  for (auto it = counts.begin(); it != counts.end(); ++it)
    std::cout << (it == counts.begin() ? "" : ", ") << it->first << ": " << it->second;
  std::cout << ")";
}

void print_split(const char* name, Index rows, Index cols, const std::vector<std::int32_t>& labels) {
  std::cout << name << ": " << rows << " x " << cols;
  if (!labels.empty()) print_classes(labels);
  std::cout << "\n";
}

void print_rest(const data::ImageShape& image, bool bytes, double low, double high, const std::string& digest,
                const std::string& source) {
  if (image.size() > 0)
    std::cout << "images: " << image.height << " x " << image.width << " x " << image.channels
              << " (height, width, channels)\n";
  std::cout << "stored as: " << (bytes ? "u8" : "f32") << "\n"
            << "range: [" << low << ", " << high << "]\n"
            << "digest: " << digest << "\n"
            << "source: " << (source.empty() ? "not recorded" : source) << "\n";
}

void print(const data::Dataset& d) {
  print_split("train", d.train.rows(), d.dims(), d.train.labels);
  if (d.test.rows() > 0) print_split("test", d.test.rows(), d.dims(), d.test.labels);
  print_rest(d.image, d.storage == data::Storage::u8, d.low, d.high, d.digest, d.source);
}

void print(const data::PixelDataset& d) {
  print_split("train", d.train.rows(), d.train.x.cols(), d.train.labels);
  if (d.test.rows() > 0) print_split("test", d.test.rows(), d.test.x.cols(), d.test.labels);
  print_rest(d.image, true, d.low, d.high, data::content_digest(d), d.source);
}

template <class AnyDataset>
void save(const AnyDataset& dataset, const std::filesystem::path& out) {
  apps::check_interrupt();
  data::save_dataset(dataset, out);
  std::cout << out.string() << "\n";
  print(dataset);
}

// Imports of images: out and the folder they come from, flips on request.
struct Images {
  std::string out, from;
  bool flips = false;
};

template <class Import>
void import_images(const Images& a, const Import& import) {
  data::require_writable("--out", a.out);
  auto dataset = import(a.from);
  if (a.flips) data::add_flips(dataset);
  save(dataset, a.out);
}

struct Clouds {
  std::string out, x, labels, test, test_labels;
  std::vector<Index> image;
  double memory_mb = 16384;
};

void read_split(const std::string& x, const std::string& labels, double max_bytes, data::Split& split) {
  split.x = data::read_cloud<float>(x, max_bytes);
  const float *const begin = split.x.data(), *const end = begin + split.rows() * split.x.cols();
  const float* const bad = std::find_if_not(begin, end, [](float v) { return std::isfinite(v); });
  if (const Index at = bad - begin; bad != end)
    throw Error(Errc::not_finite, concat(x, ": the value is ", *bad, " in ",
                                         data::place_in_cloud(x, at / split.x.cols(), at % split.x.cols())));
  if (labels.empty()) return;
  split.labels = data::read_labels(labels, max_bytes);
  require(static_cast<Index>(split.labels.size()) == split.rows(), labels, ": has ", split.labels.size(), " labels, ",
          x, " has ", split.rows(), " points");
}

void import_clouds(const Clouds& a) {
  apps::require_distinct_files({{"the points", apps::file_of(a.x)},
                                {"--labels", apps::file_of(a.labels)},
                                {"--test", apps::file_of(a.test)},
                                {"--test-labels", apps::file_of(a.test_labels)}},
                               {{"--out", a.out}});
  data::require_writable("--out", a.out);
  require(a.test_labels.empty() || !a.test.empty(), "--test-labels is given, --test is not");
  data::Dataset dataset;
  read_split(a.x, a.labels, 1e6 * a.memory_mb, dataset.train);
  if (!a.test.empty()) {
    read_split(a.test, a.test_labels, 1e6 * a.memory_mb, dataset.test);
    require(dataset.test.x.cols() == dataset.dims(), a.test, ": has points of ", dataset.test.x.cols(), " dimensions, ",
            a.x, " of ", dataset.dims());
  }
  if (!a.image.empty()) dataset.image = {a.image[0], a.image[1], a.image[2]};
  dataset.source = a.x;
  data::save_dataset(dataset, a.out);
  std::cout << a.out << "\n";
  print(data::load_dataset(a.out));
}

struct Generate {
  std::string name, out, pairs;
  data::SyntheticOptions options;
  std::optional<double> noise;
};

void generate(Generate a) {
  apps::require_distinct_files({}, {{"--out", a.out}, {"--pairs", a.pairs}});
  data::require_writable("--out", a.out);
  if (!a.pairs.empty()) data::require_writable("--pairs", a.pairs);
  if (a.noise) a.options.noise = *a.noise;
  const data::Synthetic made = data::synthetic(a.name, a.options);
  require(a.pairs.empty() || made.pairs.size() > 0, "--pairs: ", a.name, " has no known map");
  if (!a.pairs.empty()) data::save_pairs(made.pairs, a.pairs);
  save(made.data, a.out);
  if (!std::isnan(made.squared_w2)) std::cout << "W2 from N(0, I): " << std::sqrt(made.squared_w2) << "\n";
}

std::string list_of_kinds() {
  std::string text;
  for (const data::SyntheticKind& kind : data::synthetic_kinds()) {
    const std::string name = kind.name;
    text += "\n  " + name + std::string(18 - name.size(), ' ') + kind.what;
  }
  return text;
}

std::vector<std::string> names_of_kinds() {
  std::vector<std::string> names;
  for (const data::SyntheticKind& kind : data::synthetic_kinds()) names.push_back(kind.name);
  return names;
}

void add_images(CLI::App* command, Images& a, const char* from_what) {
  command->add_option("--out", a.out, "Data file to write; an older one is replaced")->required()->type_name("FILE.h5");
  CLI::Option* from = command->add_option("--from", a.from, from_what)->type_name("FOLDER");
  a.from.empty() ? from->required() : from->capture_default_str();
  command->add_flag("--flips", a.flips, "Also the mirror image of every training image, as rows after them");
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
      "  ot_data import cloud points.npy --labels labels.npy --out points.h5\n"
      "  ot_data generate moons --points 10000 --out moons.h5\n"
      "  ot_data info fashion.h5\n\n"
      "A file is written whole or not at all. Ctrl-C leaves the older one.\n"
      "Exit status: 0 when done, 1 for an error, 2 for wrong usage, 130 after Ctrl-C.");
  app.require_subcommand(1);

  auto* import = app.add_subcommand("import", "Make a data file from a published data set, or from arrays");
  import->require_subcommand(1);
  Images fashion_files, cifar_files, imagenet_files;
  fashion_files.from = data::fashion_mnist_folder;
  auto* fashion = import->add_subcommand(
      "fashion-mnist",
      "60,000 training and 10,000 test images of clothes,\n28 x 28 grey pixels mapped to [-1, 1], with labels");
  add_images(fashion, fashion_files,
             "Folder of the four IDX files, {train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz];\n"
             "the Debian package dataset-fashion-mnist has them. MNIST in the same four files works as well");
  fashion->footer("Example:\n  ot_data import fashion-mnist --out fashion.h5");
  auto* cifar = import->add_subcommand(
      "cifar-10", "50,000 training and 10,000 test photographs,\n32 x 32 x 3 mapped to [-1, 1], with labels");
  add_images(cifar, cifar_files, "Folder of the binary version: data_batch_{1..5}.bin, test_batch.bin");
  cifar->footer("Example:\n  ot_data import cifar-10 --from cifar-10-batches-bin --flips --out cifar.h5");
  auto* imagenet = import->add_subcommand(
      "imagenet-32",
      "1,281,167 training and 50,000 validation photographs,\n32 x 32 x 3 mapped to [-1, 1], with labels");
  add_images(imagenet, imagenet_files, "Folder of train_data_batch_{1..10}.npz and val_data.npz");
  imagenet->footer("Example:\n  ot_data import imagenet-32 --from imagenet --out imagenet32.h5");

  auto* cloud = import->add_subcommand("cloud", "Points of .npy, .csv, .tsv, .txt, or FILE.h5:/path, one per row");
  Clouds clouds;
  cloud->add_option("points", clouds.x, "Training points")->required()->type_name("FILE");
  cloud->add_option("--labels", clouds.labels, "Their labels, whole numbers")->type_name("FILE");
  cloud->add_option("--test", clouds.test, "Held-out points")->type_name("FILE");
  cloud->add_option("--test-labels", clouds.test_labels, "Their labels")->type_name("FILE");
  cloud->add_option("--image", clouds.image, "Rows are images: height,width,channels, channels last")
      ->type_name("H,W,C")
      ->delimiter(',')
      ->expected(3)
      ->check(apps::at_least<Index>(1));
  cloud->add_option("--memory-mb", clouds.memory_mb, "Most memory an array may take")
      ->type_name("MB")
      ->check(apps::at_least<double>(1))
      ->capture_default_str();
  cloud->add_option("--out", clouds.out, "Data file to write; an older one is replaced")
      ->required()
      ->type_name("FILE.h5");
  cloud->footer("Example:\n  ot_data import cloud train.npy --labels classes.npy --test test.npy --out points.h5");

  auto* make = app.add_subcommand("generate", "Make a data file of points from a formula:" + list_of_kinds());
  Generate made;
  make->add_option("name", made.name, "Which")->required()->type_name("NAME")->check(CLI::IsMember(names_of_kinds()));
  make->add_option("--points", made.options.points, "Training points")
      ->type_name("N")
      ->check(apps::at_least<Index>(1))
      ->capture_default_str();
  make->add_option("--test", made.options.test_points, "Test points; 0 = none")
      ->type_name("N")
      ->check(apps::at_least<Index>(0))
      ->capture_default_str();
  make->add_option("--dims", made.options.dimensions, "Dimensions, of the sets with a known map")
      ->type_name("D")
      ->check(apps::at_least<Index>(1))
      ->capture_default_str();
  make->add_option("--noise", made.noise, "Standard deviation of the noise, instead of the set's own")
      ->type_name("S")
      ->check(apps::at_least<double>(0));
  make->add_option("--seed", made.options.seed, "More points of one seed begin with the same ones")
      ->type_name("N")
      ->check(apps::at_least<std::int64_t>(0))
      ->capture_default_str();
  make->add_option("--pairs", made.pairs,
                   "Also write each training point with the noise that the known map sends to it")
      ->type_name("FILE.h5");
  make->add_option("--out", made.out, "Data file to write; an older one is replaced")->required()->type_name("FILE.h5");
  make->footer("Example:\n  ot_data generate convex --dims 8 --points 20000 --out convex.h5 --pairs pairs.h5");

  auto* info = app.add_subcommand("info", "Check a data file and print its shape, range, digest, source and classes");
  std::string file;
  info->add_option("file", file, "Data file")->required()->type_name("FILE.h5");
  info->footer("Example:\n  ot_data info fashion.h5");

  return apps::run_main(app, argc, argv, [&] {
    if (*fashion) import_images(fashion_files, [](const auto& from) { return data::import_fashion_mnist(from); });
    if (*cifar) import_images(cifar_files, [](const auto& from) { return data::import_cifar10(from); });
    if (*imagenet) import_images(imagenet_files, [](const auto& from) { return data::import_imagenet32(from); });
    if (*cloud) import_clouds(clouds);
    if (*make) generate(made);
    if (*info) data::holds_pixels(file) ? print(data::load_pixels(file)) : print(data::load_dataset(file));
  });
}
