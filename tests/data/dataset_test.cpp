#include "monge/data/dataset.h"

#define H5_USE_110_API
#include <hdf5.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "monge/data/digest.h"
#include "monge/data/hdf5_writer.h"
#include "support.h"

namespace monge::data {
namespace {

using test::expect_error;
using test::read_bytes;
using test::TemporaryFolder;

Matrix<float> floats(Index n, Index d, int salt = 0) {
  Matrix<float> x(n, d);
  for (Index i = 0; i < n * d; ++i) x.data()[i] = std::sin(static_cast<float>(i + salt) * 0.7f) * 1e3f;
  return x;
}

Matrix<std::uint8_t> bytes(Index n, Index d) {
  Matrix<std::uint8_t> p(n, d);
  for (Index i = 0; i < n * d; ++i) p.data()[i] = static_cast<std::uint8_t>(i * 37 + i / 256);
  return p;
}

Dataset images() {
  Dataset dataset;
  dataset.storage = Storage::u8;
  dataset.low = -1;
  dataset.high = 1;
  dataset.train = {pixels_to_float(bytes(50, 12).view(), -1, 1), std::vector<std::int32_t>(50, 3)};
  dataset.test = {pixels_to_float(bytes(7, 12).view(), -1, 1), std::vector<std::int32_t>(7, 255)};
  dataset.image = {2, 3, 2};
  dataset.source = "made up";
  return dataset;
}

void expect_same(const Matrix<float>& a, const Matrix<float>& b) {
  ASSERT_EQ(a.rows(), b.rows());
  ASSERT_EQ(a.cols(), b.cols());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), sizeof(float) * static_cast<std::size_t>(a.rows() * a.cols())), 0);
}

TEST(Dataset, FloatsComeBackBitForBit) {
  const TemporaryFolder folder;
  Dataset saved;
  saved.train.x = floats(33, 5);
  saved.train.x(3, 2) = -0.0f;
  saved.train.x(4, 4) = std::numeric_limits<float>::denorm_min();
  saved.train.labels.assign(33, -7);
  saved.train.labels[1] = std::numeric_limits<std::int32_t>::max();
  save_dataset(saved, folder / "a.h5");
  const Dataset loaded = load_dataset(folder / "a.h5");
  expect_same(saved.train.x, loaded.train.x);
  EXPECT_EQ(saved.train.labels, loaded.train.labels);
  EXPECT_EQ(loaded.test.rows(), 0);
  EXPECT_EQ(loaded.storage, Storage::f32);
  EXPECT_EQ(loaded.digest, digest(saved.train.x.data(), 33 * 5 * sizeof(float)));
  EXPECT_EQ(loaded.low, *std::min_element(saved.train.x.data(), saved.train.x.data() + 165));
  EXPECT_EQ(loaded.high, *std::max_element(saved.train.x.data(), saved.train.x.data() + 165));
  EXPECT_EQ(loaded.image.size(), 0);
}

TEST(Dataset, BytesComeBackBitForBit) {
  const TemporaryFolder folder;
  const Dataset saved = images();
  save_dataset(saved, folder / "a.h5");
  const Dataset loaded = load_dataset(folder / "a.h5");
  expect_same(saved.train.x, loaded.train.x);
  expect_same(saved.test.x, loaded.test.x);
  EXPECT_EQ(saved.train.labels, loaded.train.labels);
  EXPECT_EQ(saved.test.labels, loaded.test.labels);
  EXPECT_EQ(loaded.storage, Storage::u8);
  EXPECT_EQ(loaded.low, -1);
  EXPECT_EQ(loaded.high, 1);
  EXPECT_EQ(loaded.image.height, 2);
  EXPECT_EQ(loaded.image.width, 3);
  EXPECT_EQ(loaded.image.channels, 2);
  EXPECT_EQ(loaded.source, "made up");
  EXPECT_EQ(loaded.digest, digest(saved.train.x.data(), 600 * sizeof(float)));
}

// Potentials fitted to some points must not pass for those of others.
TEST(Dataset, TheDigestIsOfThePointsNotOfTheFile) {
  const TemporaryFolder folder;
  const auto saved_digest = [&](Storage storage, double low, double high) {
    Dataset saved;
    saved.storage = storage;
    saved.low = low;
    saved.high = high;
    saved.train.x = pixels_to_float(bytes(50, 12).view(), low, high);
    save_dataset(saved, folder / "a.h5");
    return load_dataset(folder / "a.h5").digest;
  };
  const std::string reference = saved_digest(Storage::u8, -1, 1);
  EXPECT_EQ(saved_digest(Storage::f32, -1, 1), reference);
  EXPECT_NE(saved_digest(Storage::u8, 0, 1), reference);
  EXPECT_NE(saved_digest(Storage::u8, -1, 1.5), reference);
}

TEST(Dataset, PixelsCoverTheRange) {
  for (int p = 0; p < 256; ++p) EXPECT_EQ(pixel_value(-1, 1, p), static_cast<float>(2 * p / 255.0 - 1));
  EXPECT_EQ(pixel_value(-1, 1, 0), -1.0f);
  EXPECT_EQ(pixel_value(-1, 1, 255), 1.0f);
}

// Every byte survives the way to float and back on ranges that are not kind to rounding.
TEST(Dataset, AnyRangeIsReversible) {
  const TemporaryFolder folder;
  for (const auto& [low, high] : {std::pair{0.0, 1.0}, {0.0, 255.0}, {-0.3, 0.7}, {1e-20, 3e-20}, {-1e30, 2e30}}) {
    Dataset saved;
    saved.storage = Storage::u8;
    saved.low = low;
    saved.high = high;
    saved.train.x = pixels_to_float(bytes(64, 64).view(), low, high);
    save_dataset(saved, folder / "a.h5");
    const Dataset loaded = load_dataset(folder / "a.h5");
    expect_same(saved.train.x, loaded.train.x);
  }
}

TEST(Dataset, SameContentSameBytes) {
  const TemporaryFolder folder;
  save_dataset(images(), folder / "a.h5");
  save_dataset(images(), folder / "b.h5");
  EXPECT_EQ(read_bytes(folder / "a.h5"), read_bytes(folder / "b.h5"));
  EXPECT_EQ(read_bytes(folder / "a.h5")[8], 3);  // superblock with checksums
  const hid_t file = H5Fopen((folder / "a.h5").c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  for (const char* name : {"/", "/x", "/test", "/test/x"}) {
    H5O_info_t info;
    ASSERT_GE(H5Oget_info_by_name(file, name, &info, H5P_DEFAULT), 0);
    EXPECT_EQ(info.mtime, 0) << name;  // no time stamps
  }
  H5Fclose(file);
}

TEST(Dataset, RefusesToSaveNonsense) {
  const TemporaryFolder folder;
  const auto save = [&](const auto& change) {
    return [&folder, change] {
      Dataset dataset = images();
      change(dataset);
      save_dataset(dataset, folder / "a.h5");
    };
  };
  const auto nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  expect_error(Errc::not_finite, {"save_dataset", "row 3, column 4", "nan"},
               save([&](Dataset& d) { d.train.x(3, 4) = nan; }));
  expect_error(Errc::not_finite, {"test/x", "row 6, column 0", "-inf"},
               save([&](Dataset& d) { d.test.x(6, 0) = -inf; }));
  expect_error(Errc::invalid_argument, {"row 5, column 1", "0.5"}, save([](Dataset& d) { d.train.x(5, 1) = 0.5f; }));
  expect_error(Errc::invalid_argument, {"range"}, save([](Dataset& d) { d.high = d.low; }));
  expect_error(Errc::invalid_argument, {"labels", "49", "50"}, save([](Dataset& d) { d.train.labels.pop_back(); }));
  expect_error(Errc::invalid_argument, {"test/x", "11", "12"}, save([](Dataset& d) { d.test.x = floats(7, 11); }));
  expect_error(Errc::invalid_argument, {"images", "12"}, save([](Dataset& d) { d.image.width = 7; }));
  expect_error(Errc::invalid_argument, {"empty", "0 x 12"}, save([](Dataset& d) { d.train.x = Matrix<float>(0, 12); }));
  EXPECT_TRUE(folder.files().empty());
}

// Files as others make them, written with our writer but not by save_dataset.
class ForeignDataset : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_ / "a.h5";
  const std::vector<float> ramp_ = std::vector<float>(1000, 0.5f);

  template <class Fill>
  void refuses(Errc code, const std::vector<std::string>& words, const Fill& fill) {
    {
      Hdf5Writer file("test", path_);
      fill(file);
      file.commit();
    }
    std::vector<std::string> all = words;
    all.insert(all.end(), {"load_dataset", path_.string()});
    expect_error(code, all, [&] { load_dataset(path_); });
  }
};

TEST_F(ForeignDataset, BareXIsEnough) {
  {
    Hdf5Writer file("test", path_);
    file.array("x", {10, 4}, bytes(10, 4).data());
    file.array("labels", {10}, std::vector<std::int64_t>(10, 1).data());
    file.commit();
  }
  const Dataset dataset = load_dataset(path_);
  EXPECT_EQ(dataset.train.x(0, 1), 37.0f);  // no range: bytes as they are
  EXPECT_EQ(dataset.train.labels[9], 1);
}

TEST_F(ForeignDataset, RangeOfFloatsIsTheirOwn) {
  {
    Hdf5Writer file("test", path_);
    file.array("x", {1, 3}, std::vector<float>{2, -3, 1}.data());
    file.commit();
  }
  const Dataset dataset = load_dataset(path_);
  EXPECT_EQ(dataset.low, -3);
  EXPECT_EQ(dataset.high, 2);
}

TEST_F(ForeignDataset, RefusesWhatIsNoDataset) {
  refuses(Errc::bad_file, {"/x: missing"}, [&](Hdf5Writer& f) { f.array("y", {10, 10}, ramp_.data()); });
  refuses(Errc::bad_file, {"/x", "1 dimensions, not 2"}, [&](Hdf5Writer& f) { f.array("x", {10}, ramp_.data()); });
  refuses(Errc::bad_file, {"/x", "3 dimensions, not 2"}, [&](Hdf5Writer& f) { f.array("x", {2, 3, 4}, ramp_.data()); });
  refuses(Errc::bad_file, {"/x", "empty"}, [&](Hdf5Writer& f) { f.array("x", {0, 10}, ramp_.data()); });
  refuses(Errc::bad_file, {"/x", "empty"}, [&](Hdf5Writer& f) { f.array("x", {10, 0}, ramp_.data()); });
  refuses(Errc::bad_file, {"/x", "f64, not u8 or f32"}, [&](Hdf5Writer& f) {
    f.array("x", {2, 2}, std::vector<double>(4).data());
  });
  refuses(Errc::bad_file, {"/x", "0 dimensions"}, [&](Hdf5Writer& f) { f.text("x", "hello"); });
  refuses(Errc::bad_file, {"/x", "not an array"}, [&](Hdf5Writer& f) { f.group("x"); });
  refuses(Errc::bad_file, {"/labels", "9", "10"}, [&](Hdf5Writer& f) {
    f.array("x", {10, 10}, ramp_.data());
    f.array("labels", {9}, bytes(1, 9).data());
  });
  refuses(Errc::bad_file, {"/labels", "f32"}, [&](Hdf5Writer& f) {
    f.array("x", {10, 10}, ramp_.data());
    f.array("labels", {10}, ramp_.data());
  });
  refuses(Errc::bad_file, {"/labels", "element 1", "5000000000"}, [&](Hdf5Writer& f) {
    f.array("x", {2, 10}, ramp_.data());
    f.array("labels", {2}, std::vector<std::int64_t>{1, 5000000000}.data());
  });
  refuses(Errc::bad_file, {"/test/x", "9", "10"}, [&](Hdf5Writer& f) {
    f.array("x", {10, 10}, ramp_.data());
    f.array("test/x", {10, 9}, ramp_.data());
  });
  refuses(Errc::bad_file, {"/test/x", "u8, not f32"}, [&](Hdf5Writer& f) {
    f.array("x", {10, 10}, ramp_.data());
    f.array("test/x", {10, 10}, bytes(10, 10).data());
  });
  refuses(Errc::bad_file, {"image"}, [&](Hdf5Writer& f) {
    f.array("x", {10, 10}, ramp_.data());
    f.attribute("", "image", std::vector<std::uint64_t>{3, 3, 1});
  });
  refuses(Errc::bad_file, {"image"}, [&](Hdf5Writer& f) {
    f.array("x", {10, 10}, ramp_.data());
    f.attribute("", "image", std::vector<std::uint64_t>{0, 0, 10});
  });
  refuses(Errc::bad_file, {"range"}, [&](Hdf5Writer& f) {
    f.array("x", {10, 10}, bytes(10, 10).data());
    f.attribute("", "range", std::vector<double>{1, -1});
  });
  refuses(Errc::bad_file, {"is monge-potentials, not monge-dataset"}, [&](Hdf5Writer& f) {
    f.array("x", {10, 10}, ramp_.data());
    f.attribute("", "format", "monge-potentials");
  });
  refuses(Errc::bad_file, {"version 2"}, [&](Hdf5Writer& f) {
    f.array("x", {10, 10}, ramp_.data());
    f.attribute("", "format", "monge-dataset");
    f.attribute("", "version", std::uint64_t{2});
  });
}

TEST_F(ForeignDataset, RefusesNonFiniteWithItsPlace) {
  std::vector<float> x = ramp_;
  x[34] = std::numeric_limits<float>::quiet_NaN();
  refuses(Errc::not_finite, {"/x", "row 3, column 4", "nan"}, [&](Hdf5Writer& f) { f.array("x", {10, 10}, x.data()); });
  x[34] = std::numeric_limits<float>::infinity();
  refuses(Errc::not_finite, {"/test/x", "row 3, column 4", "inf"}, [&](Hdf5Writer& f) {
    f.array("x", {10, 10}, ramp_.data());
    f.array("test/x", {10, 10}, x.data());
  });
}

TEST_F(ForeignDataset, CountsTheMemoryOfConversion) {
  save_dataset(images(), path_);  // 600 + 84 bytes on disk, 5 times that while loading
  EXPECT_NO_THROW(load_dataset(path_, {4000}));
  expect_error(Errc::bad_file, {"/test/x", "limit of 3200"}, [&] { load_dataset(path_, {3200}); });
  expect_error(Errc::bad_file, {"/x", "limit of 599"}, [&] { load_dataset(path_, {599}); });
}

}  // namespace
}  // namespace monge::data
