#include "monge/data/fashion_mnist.h"

#include "support.h"

namespace monge::data {
namespace {

using test::expect_error;
using test::read_bytes;
using test::TemporaryFolder;
using test::write_bytes;

std::string idx(const std::vector<int>& shape, const std::string& values) {
  std::string bytes = {0, 0, 8, static_cast<char>(shape.size())};
  for (const int n : shape) bytes += std::string(2, '\0') + static_cast<char>(n >> 8) + static_cast<char>(n);
  return bytes + values;
}

class FashionMnist : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  void SetUp() override {
    write_bytes(folder_ / "train-images-idx3-ubyte", idx({5, 2, 3}, std::string(29, '\xff') + '\0'));
    write_bytes(folder_ / "train-labels-idx1-ubyte", idx({5}, "\1\2\3\4\5"));
    write_bytes(folder_ / "t10k-images-idx3-ubyte", idx({2, 2, 3}, std::string(12, '\x33')));
    write_bytes(folder_ / "t10k-labels-idx1-ubyte", idx({2}, "\7\x8"));
  }
  void refused(Errc code, const std::vector<std::string>& words) {
    expect_error(code, words, [&] { import_fashion_mnist(folder_.path()); });
  }
};

TEST_F(FashionMnist, ImportsSavesAndLoads) {
  save_dataset(import_fashion_mnist(folder_.path()), folder_ / "a.h5");
  const Dataset d = load_dataset(folder_ / "a.h5");
  EXPECT_EQ(d.train.rows(), 5);
  EXPECT_EQ(d.dims(), 6);
  EXPECT_EQ(d.train.x(0, 0), 1.0f);
  EXPECT_EQ(d.train.x(4, 5), -1.0f);
  EXPECT_EQ(d.test.x(1, 5), static_cast<float>(2 * 0x33 / 255.0 - 1));
  EXPECT_EQ(d.train.labels, (std::vector<std::int32_t>{1, 2, 3, 4, 5}));
  EXPECT_EQ(d.test.labels, (std::vector<std::int32_t>{7, 8}));
  EXPECT_EQ(d.image.height, 2);
  EXPECT_EQ(d.image.width, 3);
  EXPECT_EQ(d.image.channels, 1);
  EXPECT_EQ(d.digest, import_fashion_mnist(folder_.path()).digest);
}

TEST_F(FashionMnist, NamesThePackageOfAMissingFile) {
  std::filesystem::remove(folder_ / "t10k-labels-idx1-ubyte");
  refused(Errc::io, {"import_fashion_mnist", "t10k-labels-idx1-ubyte", "dataset-fashion-mnist", "missing"});
}

TEST_F(FashionMnist, RefusesFilesThatDoNotFit) {
  write_bytes(folder_ / "t10k-images-idx3-ubyte", idx({2, 3, 2}, std::string(12, 'x')));
  refused(Errc::bad_file, {"t10k-images", "3 x 2", "2 x 3"});
  write_bytes(folder_ / "train-labels-idx1-ubyte", idx({4}, "\1\2\3\4"));
  refused(Errc::bad_file, {"train-labels", "4 labels for 5 images"});
  write_bytes(folder_ / "train-images-idx3-ubyte", idx({5, 6}, std::string(30, 'x')));
  refused(Errc::bad_file, {"train-images", "2 dimensions"});
  write_bytes(folder_ / "train-images-idx3-ubyte", idx({0, 2, 3}, ""));
  refused(Errc::bad_file, {"train-images", "no images"});
  write_bytes(folder_ / "train-images-idx3-ubyte", "nonsense");
  refused(Errc::bad_file, {"train-images", "two zero bytes"});
}

// The real one, where its package is installed.
TEST(FashionMnistPackage, HasWhatIsExpected) {
  if (!std::filesystem::exists(fashion_mnist_folder)) GTEST_SKIP() << "dataset-fashion-mnist is not installed";
  const Dataset d = import_fashion_mnist();
  EXPECT_EQ(d.train.rows(), 60000);
  EXPECT_EQ(d.test.rows(), 10000);
  EXPECT_EQ(d.dims(), 784);
  EXPECT_EQ(d.image.height, 28);
  const test::TemporaryFolder folder;
  save_dataset(d, folder / "d.h5");
  EXPECT_EQ(Hdf5Reader("test", folder / "d.h5").attribute<std::string>("x", "digest"),
            "xxh64:924ae43d1005aa0e");  // of the published training images
  EXPECT_EQ(d.digest, load_dataset(folder / "d.h5").digest);
  std::vector<int> train(10), test(10);
  for (const int label : d.train.labels) ++train.at(static_cast<std::size_t>(label));
  for (const int label : d.test.labels) ++test.at(static_cast<std::size_t>(label));
  EXPECT_EQ(train, std::vector<int>(10, 6000));
  EXPECT_EQ(test, std::vector<int>(10, 1000));
}

}  // namespace
}  // namespace monge::data
