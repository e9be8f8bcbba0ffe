// Importers of photographs, and what they share.
#include <gtest/gtest.h>
#include <zlib.h>

#include <string>
#include <vector>

#include "monge/data/cifar10.h"
#include "monge/data/digest.h"
#include "monge/data/imagenet32.h"
#include "monge/data/pixels.h"
#include "support.h"

namespace monge::data {
namespace {

using test::expect_error;
using test::TemporaryFolder;
using test::write_bytes;

constexpr Index kArea = 32 * 32;

// The byte of image i at (row, col, channel), something that no two places share by accident.
std::uint8_t pixel(Index i, Index row, Index col, Index channel) {
  return static_cast<std::uint8_t>(7 * i + 3 * row + 5 * col + 101 * channel + row * col / 8);
}

std::string planes(Index i) {
  std::string bytes;
  for (Index c = 0; c < 3; ++c)
    for (Index p = 0; p < kArea; ++p) bytes += static_cast<char>(pixel(i, p / 32, p % 32, c));
  return bytes;
}

void expect_image(const Matrix<std::uint8_t>& x, Index row, Index i) {
  for (Index p = 0; p < kArea; ++p)
    for (Index c = 0; c < 3; ++c) ASSERT_EQ(x(row, 3 * p + c), pixel(i, p / 32, p % 32, c)) << row << " " << p;
}

class Cifar : public ::testing::Test {
 protected:
  TemporaryFolder folder_;

  void write(const std::string& name, Index first, Index count) {
    std::string bytes;
    for (Index i = first; i < first + count; ++i) bytes += static_cast<char>(i % 10) + planes(i);
    write_bytes(folder_ / name, bytes);
  }
  void SetUp() override {
    for (Index b = 1; b <= 5; ++b) write("data_batch_" + std::to_string(b) + ".bin", 3 * b, 3);
    write("test_batch.bin", 40, 2);
  }
};

TEST_F(Cifar, ReadsRecords) {
  const PixelDataset d = import_cifar10(folder_.path());
  ASSERT_EQ(d.train.rows(), 15);
  ASSERT_EQ(d.test.rows(), 2);
  for (Index i = 0; i < 15; ++i) {
    expect_image(d.train.x, i, i + 3);
    EXPECT_EQ(d.train.labels[static_cast<std::size_t>(i)], (i + 3) % 10);
  }
  expect_image(d.test.x, 1, 41);
  EXPECT_EQ(d.test.labels, (std::vector<std::int32_t>{0, 1}));

  const auto path = folder_ / "cifar.h5";
  save_dataset(d, path);
  const Dataset back = load_dataset(path);
  EXPECT_EQ(back.digest, content_digest(d));
  EXPECT_EQ(back.image.channels, 3);
  EXPECT_EQ(back.train.labels, d.train.labels);
  EXPECT_EQ(back.test.x(1, 5), pixel_value(-1, 1, d.test.x(1, 5)));

  EXPECT_TRUE(holds_pixels(path));
  const PixelDataset bytes = load_pixels(path, {.memory = 17 * 3072 + 200});  // no floats are made of them
  EXPECT_EQ(content_digest(bytes), back.digest);
  EXPECT_TRUE(std::equal(d.test.x.data(), d.test.x.data() + 2 * 3072, bytes.test.x.data()));
  EXPECT_EQ(bytes.train.labels, d.train.labels);
  EXPECT_EQ(bytes.image.width, 32);
  EXPECT_EQ(bytes.source, d.source);
  Dataset floats = load_dataset(path);
  floats.storage = Storage::f32;
  save_dataset(floats, path);
  EXPECT_FALSE(holds_pixels(path));
  expect_error(Errc::bad_file, {"load_pixels", "holds f32, not u8"}, [&] { load_pixels(path); });
}

TEST_F(Cifar, FlipsAreAtomsOfTheirOwn) {
  PixelDataset d = import_cifar10(folder_.path());
  save_dataset(d, folder_ / "plain.h5");
  Dataset floats = load_dataset(folder_ / "plain.h5");
  add_flips(d);
  add_flips(floats);
  ASSERT_EQ(d.train.rows(), 30);
  EXPECT_EQ(d.test.rows(), 2);
  for (Index i = 0; i < 15; ++i) {
    expect_image(d.train.x, i, i + 3);
    for (Index p = 0; p < kArea; ++p)
      for (Index c = 0; c < 3; ++c)
        ASSERT_EQ(d.train.x(15 + i, 3 * p + c), pixel(i + 3, p / 32, 31 - p % 32, c)) << i << " " << p;
    EXPECT_EQ(d.train.labels[static_cast<std::size_t>(15 + i)], (i + 3) % 10);
  }
  EXPECT_EQ(floats.digest, content_digest(d));
  EXPECT_EQ(content_digest(floats), floats.digest);
  floats.image = {};
  expect_error(Errc::invalid_argument, {"add_flips", "no images"}, [&] { add_flips(floats); });
}

TEST_F(Cifar, Refusals) {
  const auto refused = [&](Errc code, const std::vector<std::string>& words) {
    expect_error(code, words, [&] { import_cifar10(folder_.path()); });
  };
  write_bytes(folder_ / "data_batch_3.bin", std::string(3073 + 10, 'a'));
  refused(Errc::bad_file, {"import_cifar10", "data_batch_3.bin", "3083 bytes", "records of 3073"});
  write_bytes(folder_ / "data_batch_3.bin", "");
  refused(Errc::bad_file, {"0 bytes"});
  write_bytes(folder_ / "data_batch_3.bin", std::string(3073, '\0') + "\x0b" + std::string(3072, '\0'));
  refused(Errc::bad_file, {"data_batch_3.bin", "record 1 has the label 11"});
  std::filesystem::remove(folder_ / "data_batch_3.bin");
  refused(Errc::io, {"data_batch_3.bin", "No such file"});
}

std::string little(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> 8 * i);
  return text;
}

std::string npy(const std::string& type, const std::string& shape, const std::string& values) {
  std::string header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }";
  header.resize((10 + header.size() + 1 + 63) / 64 * 64 - 10, ' ');
  header.back() = '\n';
  return std::string("\x93NUMPY\1\0", 8) + little(header.size(), 2) + header + values;
}

struct ZipMember {
  std::string name, content;
  bool deflated = false;
};

// As NumPy writes archives: ZIP64 fields in the local headers; with `wide`, in the directory, too.
std::string zip(const std::vector<ZipMember>& members, bool wide = false) {
  std::string bytes, directory;
  for (const ZipMember& m : members) {
    std::string stored = m.content;
    if (m.deflated) {
      z_stream z = {};
      deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
      stored.resize(deflateBound(&z, m.content.size()));
      z.next_in = reinterpret_cast<unsigned char*>(const_cast<char*>(m.content.data()));
      z.avail_in = static_cast<unsigned>(m.content.size());
      z.next_out = reinterpret_cast<unsigned char*>(stored.data());
      z.avail_out = static_cast<unsigned>(stored.size());
      deflate(&z, Z_FINISH);
      stored.resize(z.total_out);
      deflateEnd(&z);
    }
    const std::string crc = little(
        crc32(0, reinterpret_cast<const unsigned char*>(m.content.data()), static_cast<unsigned>(m.content.size())), 4);
    const std::string method = little(m.deflated ? 8 : 0, 2), offset = little(bytes.size(), 8);
    const std::string sizes = little(m.content.size(), 8) + little(stored.size(), 8);
    bytes += "PK\3\4" + little(45, 2) + little(0, 2) + method + little(0, 4) + crc + std::string(8, '\xff') +
             little(m.name.size(), 2) + little(20, 2) + m.name + little(1, 2) + little(16, 2) + sizes + stored;
    directory += "PK\1\2" + little(45, 2) + little(45, 2) + little(0, 2) + method + little(0, 4) + crc;
    directory += wide ? std::string(8, '\xff') : little(stored.size(), 4) + little(m.content.size(), 4);
    directory += little(m.name.size(), 2) + little(wide ? 28 : 0, 2) + std::string(10, '\0');
    directory += wide ? std::string(4, '\xff') + m.name + little(1, 2) + little(24, 2) + sizes + offset
                      : offset.substr(0, 4) + m.name;
  }
  const std::uint64_t first = bytes.size();
  bytes += directory;
  if (wide) {
    const std::uint64_t end = bytes.size();
    bytes += "PK\6\6" + little(44, 8) + little(45, 2) + little(45, 2) + little(0, 8) + little(members.size(), 8) +
             little(members.size(), 8) + little(directory.size(), 8) + little(first, 8);
    bytes += "PK\6\7" + little(0, 4) + little(end, 8) + little(1, 4);
  }
  bytes +=
      "PK\5\6" + little(0, 4) + (wide ? std::string(4, '\xff') : little(members.size(), 2) + little(members.size(), 2));
  bytes += wide ? std::string(8, '\xff') : little(directory.size(), 4) + little(first, 4);
  return bytes + little(0, 2);
}

class ImageNet : public ::testing::Test {
 protected:
  TemporaryFolder folder_;

  static std::vector<ZipMember> members(Index first, Index count, const std::string& type = "<i8",
                                        bool deflated = false) {
    std::string data, labels;
    const int size = type[2] - '0';
    for (Index i = first; i < first + count; ++i) {
      data += planes(i);
      std::string label = little(static_cast<std::uint64_t>(i * 37 % 250 + 1), size);
      if (type[0] == '>') label = {label.rbegin(), label.rend()};
      labels += label;
    }
    const std::string n = std::to_string(count);
    return {{"data.npy", npy("|u1", "(" + n + ", 3072)", data), deflated},
            {"labels.npy", npy(type, "(" + n + ",)", labels), deflated},
            {"mean.npy", npy("<f8", "(1,)", std::string(8, 'm')), deflated}};
  }
  std::filesystem::path batch(int i) const { return folder_ / ("train_data_batch_" + std::to_string(i) + ".npz"); }
  void SetUp() override {
    const char* types[] = {"<i8", "<i4", "<u2", "|u1", ">i4"};
    for (int b = 1; b <= 10; ++b) write_bytes(batch(b), zip(members(2 * b, 2, types[b % 5], b % 2 == 0), b % 3 == 0));
    write_bytes(folder_ / "val_data.npz", zip(members(90, 3, "<i8", true)));
  }
  void refused(Errc code, const std::vector<std::string>& words, const ReadLimits& limits = {}) const {
    expect_error(code, words, [&] { import_imagenet32(folder_.path(), limits); });
  }
  void refuse(const std::string& bytes, const std::vector<std::string>& words) {
    write_bytes(batch(4), bytes);
    std::vector<std::string> all = words;
    all.insert(all.end(), {"import_imagenet32", "train_data_batch_4.npz"});
    refused(Errc::bad_file, all);
  }
};

TEST_F(ImageNet, ReadsStoredAndCompressedMembers) {
  const PixelDataset d = import_imagenet32(folder_.path());
  ASSERT_EQ(d.train.rows(), 20);
  ASSERT_EQ(d.test.rows(), 3);
  for (Index i = 0; i < 20; ++i) {
    expect_image(d.train.x, i, i + 2);
    EXPECT_EQ(d.train.labels[static_cast<std::size_t>(i)], (i + 2) * 37 % 250) << i;
  }
  expect_image(d.test.x, 2, 92);
}

TEST_F(ImageNet, WrongArrays) {
  std::vector<ZipMember> m = members(1, 2);
  refuse(zip({m[0], m[2]}), {"no array 'labels'"});
  refuse(zip({{"data.npy", npy("|u1", "(2, 3071)", std::string(6142, 'x'))}, m[1]}), {"data.npy", "N x 3072"});
  refuse(zip({{"data.npy", npy("<f4", "(2, 3072)", std::string(24576, 'x'))}, m[1]}), {"whole numbers"});
  refuse(zip({{"data.npy", npy("|u1", "(3, 3072)", std::string(6144, 'x'))}, m[1]}),
         {"declares 9216 bytes", "has 6144"});
  refuse(zip({m[0], {"labels.npy", npy("<i4", "(3,)", little(1, 4) + little(2, 4) + little(3, 4))}}), {"list of 2"});
  refuse(zip({m[0], {"labels.npy", npy("<i4", "(2,)", little(1, 4) + little(1001, 4))}}), {"element 1 is 1001"});
  refuse(zip({m[0], {"labels.npy", npy("<i8", "(2,)", little(0, 8) + little(1, 8))}}), {"element 0 is 0"});
  refuse(zip({{"data.npy", "hello"}, m[1]}), {"not a .npy file"});
}

TEST_F(ImageNet, DamagedArchives) {
  const std::string good = zip(members(1, 2)), packed = zip(members(1, 2, "<i8", true), true);
  refuse("", {"not a ZIP archive"});
  refuse(good.substr(0, good.size() - 1), {"not a ZIP archive"});
  for (const std::string& whole : {good, packed}) {
    std::string bytes = whole;
    bytes[300] ^= 1;  // within the first member's values
    refuse(bytes, {"data.npy"});
  }
  std::string bytes = good;
  bytes[0] = 'x';
  refuse(bytes, {"data.npy has no header"});
  bytes = good;
  bytes[bytes.size() - 22 + 16] ^= 1;  // where the directory begins
  refuse(bytes, {"directory"});
  const std::size_t directory = good.find("PK\1\2");
  bytes = good;
  bytes[directory + 8] = 1;
  refuse(bytes, {"encrypted"});
  bytes = good;
  bytes[directory + 10] = 12;
  refuse(bytes, {"method 12"});
  bytes = packed;
  bytes.replace(packed.find("PK\1\2") + 46 + 8 + 4, 8, little(std::uint64_t{1} << 40, 8));
  refuse(bytes, {"data.npy declares 1099511627776 bytes"});
  refuse(packed.substr(0, 2000) + packed.substr(2100), {"train_data_batch_4"});
}

TEST_F(ImageNet, Limits) {
  refused(Errc::out_of_memory, {"import_imagenet32", "train_data_batch_9.npz", "18 images"}, {.memory = 17 * 3072});
  refused(Errc::bad_file, {"declares", "more than 1 times"}, {.expansion = 1});
  std::filesystem::remove(batch(10));
  refused(Errc::io, {"train_data_batch_10.npz"});
}

TEST(Digest, OfPieces) {
  std::string bytes;
  for (int i = 0; i < 1000; ++i) bytes += static_cast<char>(i * i);
  for (const std::size_t piece : {1, 7, 31, 32, 33, 200}) {
    Digest digest;
    for (std::size_t at = 0; at < bytes.size(); at += piece)
      digest.add(bytes.data() + at, std::min(piece, bytes.size() - at));
    EXPECT_EQ(digest.value(), xxh64(bytes.data(), bytes.size()));
  }
}

}  // namespace
}  // namespace monge::data
