#include "monge/data/idx.h"

#include <sys/stat.h>
#include <zlib.h>

#include "support.h"

namespace monge::data {
namespace {

using test::expect_error;
using test::read_bytes;
using test::TemporaryFolder;
using test::write_bytes;

std::string idx(const std::vector<std::uint32_t>& shape, const std::string& values, char type = 8) {
  std::string bytes = {0, 0, type, static_cast<char>(shape.size())};
  for (const std::uint32_t n : shape)
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(n >> shift);
  return bytes + values;
}

std::string gzipped(const std::string& bytes) {
  const TemporaryFolder folder;
  const gzFile file = gzopen((folder / "a.gz").c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
  return read_bytes(folder / "a.gz");
}

class Idx : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_ / "a.idx";
  std::string values_;

  void SetUp() override {
    for (int i = 0; i < 24000; ++i) values_ += static_cast<char>(i * i >> 3);
  }
  void refused(const std::string& bytes, const std::vector<std::string>& words, const ReadLimits& limits = {1 << 30}) {
    write_bytes(path_, bytes);
    std::vector<std::string> all = words;
    all.insert(all.end(), {"read_idx", path_.string()});
    expect_error(Errc::bad_file, all, [&] { read_idx(path_, limits); });
  }
};

TEST_F(Idx, ReadsPlainAndGzipped) {
  const std::string bytes = idx({20, 30, 40}, values_);
  for (const std::string& file : {bytes, gzipped(bytes)}) {
    write_bytes(path_, file);
    const IdxArray array = read_idx(path_, {24000});
    EXPECT_EQ(array.shape, (std::vector<Index>{20, 30, 40}));
    EXPECT_EQ(std::string(array.values.begin(), array.values.end()), values_);
  }
  write_bytes(path_, idx({0, 5}, ""));
  EXPECT_TRUE(read_idx(path_).values.empty());
}

TEST_F(Idx, WrongMagic) {
  refused("", {"shorter than the header"});
  refused("ab", {"shorter than the header"});
  refused("hello world, this is no image", {"two zero bytes"});
  refused(idx({20, 30, 40}, values_, 13), {"element type 13"});
  refused(idx({}, "x"), {"rank 0"});
  refused(idx({1, 1, 1, 1, 1}, "x"), {"rank 5"});
  refused(idx({20, 30, 40}, values_).substr(0, 13), {"shorter than the header"});
}

TEST_F(Idx, WrongLength) {
  refused(idx({20, 30, 40}, values_ + "x"), {"more values than the 24000"});
  refused(idx({20, 30, 40}, values_).substr(0, 1000), {"984 bytes of values", "24000"});
  refused(gzipped(idx({20, 30, 40}, values_ + "x")), {"more values than the 24000"});
  refused(gzipped(idx({20, 30, 41}, values_)), {"24000 bytes of values", "24600"});
}

TEST_F(Idx, OverTheLimit) {
  refused(idx({20, 30, 40}, values_), {"limit of 23999"}, {23999});
  refused(idx({0xffffffff, 0xffffffff, 0xffffffff}, values_), {"limit of"});
  refused(idx({0, 0xffffffff, 0xffffffff, 0xffffffff}, ""), {"limit of"});
  refused(idx({0xffffffff}, values_), {"declares 4294967295 bytes in a file of 24008", "1000 times"},
          {std::uint64_t{1} << 40});
  refused(idx({0xffffff}, values_), {"24000 bytes of values", "16777215"});
}

// A gigabyte of zeros in a megabyte of gzip is refused by what it declares; one that declares little is not inflated.
TEST_F(Idx, GzipBombs) {
  const std::string zeros(std::size_t{1} << 26, '\0');
  refused(gzipped(idx({1 << 13, 1 << 13}, zeros)), {"declares 67108864 bytes", "100 times"}, {1 << 30, 100});
  refused(gzipped(idx({100}, zeros)), {"more values than the 100"});
  write_bytes(path_, gzipped(idx({1 << 13, 1 << 13}, zeros)));
  EXPECT_EQ(read_idx(path_, {1 << 30, 2000}).values.size(), zeros.size());
}

TEST_F(Idx, DamagedGzip) {
  const std::string whole = gzipped(idx({20, 30, 40}, values_));
  for (std::size_t n = 11; n < whole.size(); n += 1 + n / 50) refused(whole.substr(0, n), {"truncated gzip stream"});
  refused(whole.substr(0, whole.size() - 1), {"truncated gzip stream"});
  std::string damaged = whole;
  damaged[whole.size() / 2] ^= 0x10;
  refused(damaged, {"damaged gzip stream"});
  damaged = whole;
  damaged[whole.size() - 6] ^= 1;  // the checksum
  refused(damaged, {"damaged gzip stream"});
  refused(whole + "trailing", {"after the end of the gzip stream"});
}

TEST_F(Idx, NoSuchFile) {
  expect_error(Errc::io, {"read_idx", "nowhere", "No such file"}, [&] { read_idx(folder_ / "nowhere"); });
  expect_error(Errc::bad_file, {"not a regular file"}, [&] { read_idx(folder_.path()); });
  expect_error(Errc::bad_file, {"not a regular file"}, [&] { read_idx("/dev/zero"); });
}

}  // namespace
}  // namespace monge::data
