// Chunks whose content is not what the file declares, as HDF5's own writer would never make them.
#define H5_USE_110_API
#include <hdf5.h>
#include <sys/resource.h>
#include <zlib.h>

#include <functional>

#include "monge/data/hdf5_reader.h"
#include "support.h"

namespace monge::data {
namespace {

using test::expect_error;
using test::TemporaryFolder;

class Chunks : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_ / "a.h5";

  // An array "x" of 64 x 64 floats in chunks of 32 x 32 (4096 bytes each), all of which hold `stored` as it is.
  void make(const std::vector<H5Z_filter_t>& filters, const std::string& stored, unsigned skipped = 0) {
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS), properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    const hsize_t dims[2] = {64, 64}, chunk[2] = {32, 32};
    H5Pset_chunk(properties, 2, chunk);
    const unsigned level = 6;
    for (const H5Z_filter_t filter : filters) {
      H5Pset_filter(properties, filter, 0, filter == H5Z_FILTER_DEFLATE, &level);
    }
    const hid_t file = H5Fcreate(path_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
    const hid_t x =
        H5Dcreate2(file, "x", H5T_IEEE_F32LE, H5Screate_simple(2, dims, nullptr), H5P_DEFAULT, properties, H5P_DEFAULT);
    for (const hsize_t row : {0, 32}) {
      for (const hsize_t col : {0, 32}) {
        const hsize_t offset[2] = {row, col};
        ASSERT_GE(H5Dwrite_chunk(x, H5P_DEFAULT, skipped, offset, stored.size(), stored.data()), 0);
      }
    }
    ASSERT_GE(H5Fclose(file), 0);
  }

  void refused(const std::vector<std::string>& words) {
    std::vector<std::string> all = words;
    all.insert(all.end(), {"/x", path_.string()});
    expect_error(Errc::bad_file, all, [&] { Hdf5Reader("test", path_).read_matrix<float>("x"); });
  }

  static std::string deflated(const std::string& bytes) {
    uLongf size = compressBound(bytes.size());
    std::string out(size, '\0');
    EXPECT_EQ(compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(bytes.data()),
                        bytes.size(), 9),
              Z_OK);
    out.resize(size);
    return out;
  }

  static long peak_kilobytes() {
    rusage usage = {};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  }
};

TEST_F(Chunks, HonestOnesAreRead) {
  for (const auto& filters :
       {std::vector<H5Z_filter_t>{H5Z_FILTER_DEFLATE}, {H5Z_FILTER_SHUFFLE, H5Z_FILTER_DEFLATE}}) {
    make(filters, deflated(std::string(4096, '\0')));
    EXPECT_EQ(Hdf5Reader("test", path_).read_matrix<float>("x")(63, 63), 0.0f);
  }
  make({H5Z_FILTER_DEFLATE}, std::string(4096, '\0'), 1);  // the filter was left out
  EXPECT_EQ(Hdf5Reader("test", path_).read_matrix<float>("x")(63, 63), 0.0f);
}

// 64 MiB in 65 kB, of which the array declares 4 kB.
TEST_F(Chunks, ThatInflateWithoutEndAreRefusedBeforeTheyDo) {
  make({H5Z_FILTER_DEFLATE}, deflated(std::string(std::size_t{1} << 26, '\0')));
  const long before = peak_kilobytes();
  refused({"more than the 4096 bytes"});
  EXPECT_LT(peak_kilobytes() - before, 1 << 14);
}

TEST_F(Chunks, ThatAreTooShortAreRefused) {  // HDF5 would read on behind them
  make({H5Z_FILTER_DEFLATE}, deflated(std::string(4092, '\0')));
  refused({"4092", "4096 bytes"});
  make({H5Z_FILTER_DEFLATE}, std::string(100, '\0'), 1);
  refused({"100", "4096 bytes"});
  make({H5Z_FILTER_SHUFFLE}, std::string(4000, '\0'));
  refused({"4000", "4096 bytes"});
}

TEST_F(Chunks, ThatAreDamagedAreRefused) {
  std::string stream = deflated(std::string(2048, 'a') + std::string(2048, 'b'));
  make({H5Z_FILTER_DEFLATE}, stream.substr(0, stream.size() - 3));
  refused({"damaged"});
  stream[stream.size() / 2] ^= 0x55;
  make({H5Z_FILTER_DEFLATE}, stream);
  refused({"damaged"});
}

TEST_F(Chunks, FiltersComeOnceAndInOrder) {
  const std::string bomb = deflated(deflated(std::string(std::size_t{1} << 24, '\0')));
  make({H5Z_FILTER_DEFLATE, H5Z_FILTER_DEFLATE}, bomb);
  refused({"filter 1", "twice"});
  make({H5Z_FILTER_DEFLATE, H5Z_FILTER_SHUFFLE}, deflated(std::string(4096, '\0')));
  refused({"after deflate"});
}

// Each chunk costs HDF5 about a kilobyte when it is read.
TEST_F(Chunks, MoreOfThemThanBytesAreRefused) {
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS), properties = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
  const hsize_t dims[2] = {1000, 1000}, chunk[2] = {1, 1};
  H5Pset_chunk(properties, 2, chunk);
  const hid_t file = H5Fcreate(path_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
  const hid_t x =
      H5Dcreate2(file, "x", H5T_STD_U8LE, H5Screate_simple(2, dims, nullptr), H5P_DEFAULT, properties, H5P_DEFAULT);
  for (hsize_t i = 0; i < 1001; ++i) {
    const hsize_t offset[2] = {i / 100, i % 100};
    H5Dwrite_chunk(x, H5P_DEFAULT, 0, offset, 1, "x");
  }
  ASSERT_GE(H5Fclose(file), 0);
  refused({"cut into 1000000 chunks", "stores 1001 bytes"});
}

}  // namespace
}  // namespace monge::data
