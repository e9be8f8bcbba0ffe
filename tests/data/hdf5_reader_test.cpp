#include "monge/data/hdf5_reader.h"

#include <fcntl.h>
#define H5_USE_110_API
#include <hdf5.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <functional>

#include "monge/data/dataset.h"
#include "monge/data/hdf5_writer.h"
#include "support.h"

namespace monge::data {
namespace {

using test::expect_error;
using test::read_bytes;
using test::TemporaryFolder;
using test::write_bytes;

// Files that our writer would never make, by the plain C API. Identifiers are left to H5Fclose(strong).
class HostileFile : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_ / "a.h5";

  void make(const std::function<void(hid_t)>& fill) {
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    const hid_t file = H5Fcreate(path_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    ASSERT_GE(file, 0);
    fill(file);
    ASSERT_GE(H5Fclose(file), 0);
  }

  static hid_t create(hid_t file, const char* name, hid_t type, std::vector<hsize_t> dims,
                      hid_t properties = H5P_DEFAULT, const void* values = nullptr) {
    const hid_t space =
        dims.empty() ? H5Screate(H5S_SCALAR) : H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
    const hid_t array = H5Dcreate2(file, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    EXPECT_GE(array, 0);
    if (values != nullptr) {
      EXPECT_GE(H5Dwrite(array, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), 0);
    }
    return array;
  }

  static hid_t chunked(std::vector<hsize_t> chunk) {
    const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(properties, static_cast<int>(chunk.size()), chunk.data());
    return properties;
  }

  // The library says nothing itself: all there is to say is in the error.
  void refused(const std::vector<std::string>& words, Errc code = Errc::bad_file, const ReadLimits& limits = {}) {
    std::vector<std::string> all = words;
    all.insert(all.end(), {"load_dataset", path_.string()});
    ::testing::internal::CaptureStderr();
    expect_error(code, all, [&] { load_dataset(path_, limits); });
    EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  }

  const std::vector<float> values_ = std::vector<float>(100, 0.25f);
};

TEST_F(HostileFile, PlainFilesOfOthersAreRead) {
  make([&](hid_t file) {
    const hid_t properties = chunked({5, 5});
    H5Pset_shuffle(properties);
    H5Pset_deflate(properties, 6);
    H5Pset_fletcher32(properties);
    create(file, "x", H5T_IEEE_F32LE, {10, 10}, properties, values_.data());
    const hid_t test = H5Gcreate2(file, "test", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    create(test, "x", H5T_IEEE_F32BE, {10, 10}, H5P_DEFAULT, std::vector<float>(100, 0.0f).data());
  });
  const Dataset dataset = load_dataset(path_);
  EXPECT_EQ(dataset.train.x(9, 9), 0.25f);
  EXPECT_EQ(dataset.test.rows(), 10);
}

// As HDF5 2.0 writes compressed arrays: the layout message has a version that older libraries do not know.
TEST_F(HostileFile, NewerFormats) {
  const std::vector<float> values(21, 1.0f);
  make([&](hid_t file) { create(file, "x", H5T_IEEE_F32LE, {7, 3}, H5P_DEFAULT, values.data()); });
  std::string bytes = read_bytes(path_);
  const std::string size("\x54\0\0\0\0\0\0\0", 8);  // version 3, contiguous, an address of 8 bytes, 84 bytes
  std::size_t at = bytes.find(size);
  while (at != bytes.npos && (at < 10 || bytes.compare(at - 10, 2, "\3\1") != 0)) at = bytes.find(size, at + 1);
  ASSERT_NE(at, bytes.npos);
  bytes[at - 10] = 99;
  write_bytes(path_, bytes);
  refused({"/x: damaged, or in a newer HDF5 format than is read here (", "version number"});
}

TEST_F(HostileFile, BigEndianIsConverted) {
  make([&](hid_t file) {
    const hid_t x = create(file, "x", H5T_IEEE_F32BE, {10, 10});
    H5Dwrite(x, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values_.data());
  });
  EXPECT_EQ(load_dataset(path_).train.x(3, 3), 0.25f);
}

TEST_F(HostileFile, Links) {
  {
    Hdf5Writer other("test", folder_ / "secret.h5");
    other.array("x", {10, 10}, values_.data());
    other.commit();
  }
  make([&](hid_t file) { H5Lcreate_external("secret.h5", "/x", file, "x", H5P_DEFAULT, H5P_DEFAULT); });
  refused({"/x", "link into another file"});
  make([&](hid_t file) {
    create(file, "y", H5T_IEEE_F32LE, {10, 10}, H5P_DEFAULT, values_.data());
    H5Lcreate_soft("/y", file, "x", H5P_DEFAULT, H5P_DEFAULT);
  });
  refused({"/x", "soft link"});
  make([&](hid_t file) { H5Lcreate_soft("/nowhere", file, "x", H5P_DEFAULT, H5P_DEFAULT); });
  refused({"/x", "soft link"});
  make([&](hid_t file) {  // on the way to an array
    create(file, "x", H5T_IEEE_F32LE, {10, 10}, H5P_DEFAULT, values_.data());
    H5Lcreate_external("secret.h5", "/", file, "test", H5P_DEFAULT, H5P_DEFAULT);
  });
  refused({"/test", "link into another file"});
  make([&](hid_t file) {
    H5L_class_t link = {};
    link.version = H5L_LINK_CLASS_T_VERS;
    link.id = static_cast<H5L_type_t>(H5L_TYPE_UD_MIN + 100);
    link.trav_func = [](const char*, hid_t, const void*, size_t, hid_t, hid_t) -> hid_t { return -1; };
    H5Lregister(&link);
    H5Lcreate_ud(file, "x", link.id, "data", 4, H5P_DEFAULT, H5P_DEFAULT);
  });
  refused({"/x", "user-defined link"});
}

TEST_F(HostileFile, ValuesInOtherFiles) {
  write_bytes(folder_ / "secret.raw", std::string(400, 's'));
  make([&](hid_t file) {
    const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(properties, (folder_ / "secret.raw").c_str(), 0, 400);
    create(file, "x", H5T_IEEE_F32LE, {10, 10}, properties);
  });
  refused({"/x", "keeps its values in another file"});

  {
    Hdf5Writer other("test", folder_ / "secret.h5");
    other.array("x", {10, 10}, values_.data());
    other.commit();
  }
  make([&](hid_t file) {
    const hsize_t dims[2] = {10, 10};
    const hid_t space = H5Screate_simple(2, dims, nullptr), properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_virtual(properties, space, (folder_ / "secret.h5").c_str(), "/x", space);
    create(file, "x", H5T_IEEE_F32LE, {10, 10}, properties);
  });
  refused({"/x", "virtual"});
}

TEST_F(HostileFile, Types) {
  make([&](hid_t file) { create(file, "x", H5T_NATIVE_LDOUBLE, {10, 10}); });
  refused({"/x", "128-bit float"});
  make([&](hid_t file) { create(file, "x", H5T_STD_B8LE, {10, 10}); });
  refused({"/x", "an unknown type"});
  make([&](hid_t file) { create(file, "x", H5Tvlen_create(H5T_IEEE_F32LE), {10, 10}); });
  refused({"/x", "variable-length array"});
  make([&](hid_t file) {
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    create(file, "x", type, {10, 10});
  });
  refused({"/x", "variable-length string"});
  make([&](hid_t file) {
    const hid_t type = H5Tcreate(H5T_COMPOUND, 4);
    H5Tinsert(type, "a", 0, H5T_IEEE_F32LE);
    create(file, "x", type, {10, 10});
  });
  refused({"/x", "compound"});
  make([&](hid_t file) {  // 32 bits, of which 20 count
    const hid_t type = H5Tcopy(H5T_STD_I32LE);
    H5Tset_precision(type, 20);
    create(file, "x", type, {10, 10});
  });
  refused({"/x", "integer"});
  make([&](hid_t file) { H5Tcommit2(file, "x", H5Tcopy(H5T_IEEE_F32LE), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT); });
  refused({"/x", "not an array"});
  make([&](hid_t file) {
    const hid_t space = H5Screate(H5S_NULL);
    H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  });
  refused({"/x", "holds nothing"});
}

TEST_F(HostileFile, AttributesOfVariableLength) {
  make([&](hid_t file) {
    create(file, "x", H5T_IEEE_F32LE, {10, 10}, H5P_DEFAULT, values_.data());
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    const hid_t attribute = H5Acreate2(file, "source", type, H5Screate(H5S_SCALAR), H5P_DEFAULT, H5P_DEFAULT);
    const char* text = "somewhere";
    H5Awrite(attribute, type, &text);
  });
  refused({"attribute source", "variable-length string"});
}

TEST_F(HostileFile, Filters) {
  make([&](hid_t file) {
    const hid_t properties = chunked({10, 10});
    H5Pset_scaleoffset(properties, H5Z_SO_INT, 0);
    create(file, "x", H5T_STD_U8LE, {10, 10}, properties, std::vector<char>(100).data());
  });
  refused({"/x", "filter 6", "only deflate"});
}

TEST_F(HostileFile, Sizes) {
  // 8 TB that were never written: no memory is asked for.
  make([&](hid_t file) { create(file, "x", H5T_IEEE_F32LE, {hsize_t{1} << 31, 1000}, chunked({1024, 1000})); });
  refused({"/x", "8589934592000 bytes", "limit of 17179869184"});
  make([&](hid_t file) {
    create(file, "x", H5T_IEEE_F32LE, {hsize_t{1} << 62, hsize_t{1} << 62, 16}, chunked({16, 16, 16}));
  });
  refused({"/x", "far more than the limit"});
  make([&](hid_t file) { create(file, "x", H5T_IEEE_F32LE, {hsize_t{1} << 62, hsize_t{1} << 62, 0}); });
  refused({"/x", "far more than the limit"});
  // Within the limit, but a thousand times what is stored.
  make([&](hid_t file) { create(file, "x", H5T_IEEE_F32LE, {1000, 1000}, chunked({100, 100})); });
  refused({"/x", "declares 4000000 bytes but stores 0", "1000 times"});
  make([&](hid_t file) {
    const hid_t properties = chunked({1000, 1000});
    H5Pset_deflate(properties, 9);
    create(file, "x", H5T_IEEE_F32LE, {1000, 1000}, properties, std::vector<float>(1000000).data());
  });
  refused({"/x", "declares 4000000 bytes but stores", "1000 times"});
  EXPECT_EQ(load_dataset(path_, {1 << 30, 2000}).train.rows(), 1000);
  // A contiguous array that was never written.
  make([&](hid_t file) { create(file, "x", H5T_IEEE_F32LE, {100, 100}); });
  refused({"/x", "declares 40000 bytes"});
  // A small array of one chunk that is large.
  make([&](hid_t file) {
    const hsize_t dims[2] = {10, 10}, most[2] = {H5S_UNLIMITED, H5S_UNLIMITED};
    const hid_t properties = chunked({1000, 1000});
    H5Pset_deflate(properties, 9);
    const hid_t x =
        H5Dcreate2(file, "x", H5T_IEEE_F32LE, H5Screate_simple(2, dims, most), H5P_DEFAULT, properties, H5P_DEFAULT);
    H5Dwrite(x, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values_.data());
  });
  refused({"/x", "chunks over the memory limit"}, Errc::bad_file, {3999999});
  refused({"/x", "chunks of more than 100 times"}, Errc::bad_file, {1 << 30, 100});
}

TEST_F(HostileFile, LimitHoldsForAllArraysTogether) {
  {
    Hdf5Writer file("test", path_);
    file.array("x", {10, 10}, values_.data());
    file.array("test/x", {10, 10}, values_.data());
    file.commit();
  }
  EXPECT_NO_THROW(load_dataset(path_, {800}));
  refused({"/test/x", "needs 400 bytes", "799", "400 are taken"}, Errc::bad_file, {799});
}

TEST_F(HostileFile, NotAnHdf5File) {
  refused({"No such file"}, Errc::io);
  write_bytes(path_, "");
  refused({"empty"});
  write_bytes(path_, "hello\n");
  refused({"not an HDF5 file"});
  std::filesystem::remove(path_);
  std::filesystem::create_directory(path_);
  refused({"not a regular file"});
  std::filesystem::remove(path_);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  refused({"not a regular file"});
  expect_error(Errc::bad_file, {"/dev/zero", "not a regular file"}, [] { load_dataset("/dev/zero"); });
}

TEST_F(HostileFile, TruncatedAnywhere) {
  {
    Hdf5Writer file("test", path_);
    file.array("x", {10, 10}, values_.data());
    file.attribute("", "source", "here");
    file.commit();
  }
  const std::string whole = read_bytes(path_);
  for (std::size_t n = 0; n < whole.size(); n += 1 + n % 5) {
    write_bytes(path_, whole.substr(0, n));
    EXPECT_THROW(load_dataset(path_), Error) << n;
  }
}

TEST_F(HostileFile, DamagedValuesDoNotMatchTheirDigest) {
  {
    Hdf5Writer file("test", path_);
    file.array("x", {10, 10}, values_.data());
    file.commit();
  }
  std::string whole = read_bytes(path_);
  const std::size_t at = whole.find(std::string(reinterpret_cast<const char*>(values_.data()), 400));
  ASSERT_NE(at, std::string::npos);
  whole[at + 202] ^= 1;
  write_bytes(path_, whole);
  refused({"/x", "digest", "damaged"});
}

TEST_F(HostileFile, LockedFileIsNamedAsSuch) {
  {
    Hdf5Writer file("test", path_);
    file.array("x", {10, 10}, values_.data());
    file.commit();
  }
  const int descriptor = open(path_.c_str(), O_RDWR);
  ASSERT_EQ(flock(descriptor, LOCK_EX | LOCK_NB), 0);
  refused({"lock", "HDF5_USE_FILE_LOCKING"}, Errc::io);
  close(descriptor);
  EXPECT_NO_THROW(load_dataset(path_));
}

TEST_F(HostileFile, NamesCannotBreakTheLine) {
  make([&](hid_t file) {
    create(file, "x", H5T_IEEE_F32LE, {10, 10}, H5P_DEFAULT, values_.data());
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, 12);
    const hid_t attribute = H5Acreate2(file, "format", type, H5Screate(H5S_SCALAR), H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attribute, type, "two\nlines\x1b!");
  });
  refused({"two?lines?!"});
}

// Asking for what an attribute does not hold.
TEST_F(HostileFile, AttributesAreChecked) {
  {
    Hdf5Writer file("test", path_);
    file.attribute("", "number", 1.5);
    file.attribute("", "count", std::uint64_t{7});
    file.attribute("", "text", "seven");
    file.attribute("", "empty", "");
    file.attribute("", "pair", std::vector<double>{1, 2});
    file.commit();
  }
  const Hdf5Reader file("test", path_);
  EXPECT_EQ(file.attribute<double>("", "number"), 1.5);
  EXPECT_EQ(file.attribute<double>("", "count"), 7);
  EXPECT_EQ(file.attribute<std::uint64_t>("", "count"), 7u);
  EXPECT_EQ(file.attribute<std::string>("", "text"), "seven");
  EXPECT_EQ(file.attribute<std::string>("", "empty"), "");
  EXPECT_EQ(file.attribute<std::vector<double>>("", "pair"), (std::vector<double>{1, 2}));
  EXPECT_EQ(file.attribute_or<double>("", "other", 3), 3);
  const auto bad = Errc::bad_file;
  expect_error(bad, {"attribute number", "integer"}, [&] { file.attribute<std::uint64_t>("", "number"); });
  expect_error(bad, {"attribute text", "not a number"}, [&] { file.attribute<double>("", "text"); });
  expect_error(bad, {"attribute number", "not text"}, [&] { file.attribute<std::string>("", "number"); });
  expect_error(bad, {"attribute pair", "2 values"}, [&] { file.attribute<double>("", "pair"); });
  expect_error(bad, {"attribute other", "missing"}, [&] { file.attribute<double>("", "other"); });
}

}  // namespace
}  // namespace monge::data
