#include "monge/data/cloud.h"

#define H5_USE_110_API
#include <hdf5.h>

#include <cmath>
#include <limits>

#include "monge/data/dataset.h"
#include "monge/data/hdf5_writer.h"
#include "monge/data/npy.h"
#include "support.h"

namespace monge::data {
namespace {

using test::expect_error;
using test::TemporaryFolder;
using test::write_bytes;

constexpr double plenty = 1e9;

class Cloud : public ::testing::Test {
 protected:
  TemporaryFolder folder_;

  std::string file(const std::string& name) const { return (folder_ / name).string(); }
  std::string text(const std::string& name, const std::string& content) const {
    write_bytes(folder_ / name, content);
    return file(name);
  }
  // An array /name in a.h5.
  template <class T>
  std::string hdf5(const std::string& name, const std::vector<Index>& shape, const std::vector<T>& values) const {
    Hdf5Writer writer("test", folder_ / "a.h5");
    writer.array(name, shape, values.data());
    writer.commit();
    return file("a.h5:/") + name;
  }
  template <class T = double>
  static void is(const std::string& where, Index rows, Index cols, const std::vector<T>& values) {
    SCOPED_TRACE(where);
    const Matrix<T> x = read_cloud<T>(where, plenty);
    ASSERT_EQ(x.rows(), rows);
    ASSERT_EQ(x.cols(), cols);
    EXPECT_EQ(std::vector<T>(x.data(), x.data() + rows * cols), values);
  }
};

TEST_F(Cloud, ChosenByName) {
  const std::vector<double> values = {1, 2, 3, 4, 5, 6};
  write_npy(folder_ / "a.npy", MatrixView<const double>(values.data(), 3, 2));
  is(file("a.npy"), 3, 2, values);
  for (const std::string name : {"a.csv", "a.tsv", "a.txt", "b.CSV", "a.h5.csv"})
    is(text(name, "1 2\n3 4\n5 6\n"), 3, 2, values);
  const std::string array = hdf5("deep/down/x", {3, 2}, values);
  is(array, 3, 2, values);
  std::filesystem::copy(folder_ / "a.h5", folder_ / "b.HDF5");
  is(file("b.HDF5:deep/down/x"), 3, 2, values);
  is(hdf5("x.csv", {6}, values), 6, 1, values);  // an array of this name
}

TEST_F(Cloud, NamesThatSayNothing) {
  for (const std::string name : {"a.bin", "a", "", ".npy", "a.csv:/x", "a.npz"})
    expect_error(Errc::invalid_argument, {"read_cloud: ", name, "not the name of a .npy"},
                 [&] { read_cloud<float>(name, plenty); });
  for (const std::string name : {"a.h5", "a.hdf5", "a.h5:", "a.h5:/", "a.h5://"})
    expect_error(Errc::invalid_argument, {"read_cloud: a.h", "FILE.h5:/path/to/array"},
                 [&] { read_cloud<float>(name, plenty); });
}

TEST_F(Cloud, CheckedByBytes) {
  const std::vector<float> values = {1, 2};
  write_npy(folder_ / "a.csv", values);
  expect_error(Errc::bad_file, {"read_csv", "a.csv", "not text"}, [&] { read_cloud<float>(file("a.csv"), plenty); });
  expect_error(Errc::bad_file, {"read_npy", "a.npy", "not a .npy file"},
               [&] { read_cloud<float>(text("a.npy", "1,2\n3,4\n5,6\n"), plenty); });
  expect_error(Errc::bad_file, {"read_cloud", "a.h5", "not an HDF5 file"},
               [&] { read_cloud<float>(text("a.h5", "1,2\n") + ":/x", plenty); });
}

TEST_F(Cloud, Hdf5Types) {
  const std::vector<float> values = {0, 1, 2, 3, 250, 7};
  const std::vector<double> wide(values.begin(), values.end());
  const auto both = [&](const std::string& where) {
    is<float>(where, 2, 3, values);
    is<double>(where, 2, 3, wide);
  };
  both(hdf5("x", {2, 3}, std::vector<std::uint8_t>(values.begin(), values.end())));
  both(hdf5("x", {2, 3}, std::vector<std::int32_t>(values.begin(), values.end())));
  both(hdf5("x", {2, 3}, std::vector<std::int64_t>(values.begin(), values.end())));
  both(hdf5("x", {2, 3}, std::vector<std::uint64_t>(values.begin(), values.end())));
  both(hdf5("x", {2, 3}, values));
  both(hdf5("x", {2, 3}, wide));
  const double infinity = std::numeric_limits<double>::infinity();
  is<float>(hdf5("x", {2}, std::vector<double>{infinity, -infinity}), 2, 1, {HUGE_VALF, -HUGE_VALF});
}

// Those that h5py writes and our own writer does not, in either byte order.
TEST_F(Cloud, SmallHdf5Types) {
  const std::string path = file("small.h5");
  const hid_t half = H5Tcopy(H5T_IEEE_F32LE), boolean = H5Tenum_create(H5T_STD_I8LE);
  H5Tset_fields(half, 15, 10, 5, 0, 10);
  H5Tset_size(half, 2);
  H5Tset_ebias(half, 15);
  const signed char no = 0, yes = 1;
  H5Tenum_insert(boolean, "FALSE", &no);
  H5Tenum_insert(boolean, "TRUE", &yes);
  const hid_t big_half = H5Tcopy(half);
  H5Tset_order(big_half, H5T_ORDER_BE);
  const hsize_t dims[2] = {2, 3};
  const hid_t made = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t space = H5Screate_simple(2, dims, nullptr);
  const auto write = [&](const char* name, hid_t stored, hid_t given, const auto& values) {
    const hid_t array = H5Dcreate2(made, name, stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    ASSERT_GE(H5Dwrite(array, given, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0) << name;
    H5Dclose(array);
  };
  const std::vector<float> values = {0, 1, -2, 3.5, 100, -0.125}, whole = {0, 1, -2, 3, 100, -7},
                           natural = {0, 1, 2, 3, 100, 7};
  write("f16", half, H5T_NATIVE_FLOAT, values);
  write("f16_big", big_half, H5T_NATIVE_FLOAT, values);
  write("i8", H5T_STD_I8LE, H5T_NATIVE_FLOAT, whole);
  write("i16", H5T_STD_I16LE, H5T_NATIVE_FLOAT, whole);
  write("i16_big", H5T_STD_I16BE, H5T_NATIVE_FLOAT, whole);
  write("u16", H5T_STD_U16LE, H5T_NATIVE_FLOAT, natural);
  write("u32", H5T_STD_U32LE, H5T_NATIVE_FLOAT, natural);
  write("u32_big", H5T_STD_U32BE, H5T_NATIVE_FLOAT, natural);
  write("boolean", boolean, boolean, std::vector<signed char>{0, 1, 1, 0, 0, 1});
  const hid_t other = H5Tenum_create(H5T_STD_I8LE);
  H5Tenum_insert(other, "RED", &no);
  write("colours", other, other, std::vector<signed char>(6, 0));
  H5Sclose(space);
  for (const hid_t type : {half, big_half, boolean, other}) H5Tclose(type);
  ASSERT_GE(H5Fclose(made), 0);

  const auto both = [&](const std::string& name, const std::vector<float>& expected) {
    is<float>(path + ":/" + name, 2, 3, expected);
    is<double>(path + ":/" + name, 2, 3, std::vector<double>(expected.begin(), expected.end()));
    EXPECT_EQ(holds_floats(path + ":/" + name), !name.starts_with("u32")) << name;
  };
  for (const char* name : {"f16", "f16_big"}) both(name, values);
  for (const char* name : {"i8", "i16", "i16_big"}) both(name, whole);
  for (const char* name : {"u16", "u32", "u32_big"}) both(name, natural);
  both("boolean", {0, 1, 1, 0, 0, 1});
  expect_error(Errc::bad_file, {"/colours", "enumeration"}, [&] { read_cloud<float>(path + ":/colours", plenty); });
}

TEST_F(Cloud, HoldsFloatsByItsType) {
  const std::vector<float> narrow = {1, 2};
  const std::vector<double> wide = {1, 2};
  write_npy(folder_ / "f.npy", narrow);
  write_npy(folder_ / "d.npy", wide);
  write_npy(folder_ / "i.npy", std::vector<std::int32_t>{1, 2});
  EXPECT_TRUE(holds_floats(file("f.npy")));
  EXPECT_FALSE(holds_floats(file("d.npy")));
  EXPECT_FALSE(holds_floats(file("i.npy")));
  EXPECT_FALSE(holds_floats(text("a.csv", "1,2\n")));
  EXPECT_TRUE(holds_floats(hdf5("x", {2}, narrow)));
  EXPECT_FALSE(holds_floats(hdf5("x", {2}, wide)));
  expect_error(Errc::io, {"g.npy"}, [&] { holds_floats(file("g.npy")); });
  expect_error(Errc::bad_file, {"/y", "missing"}, [&] { holds_floats(file("a.h5:/y")); });
}

TEST_F(Cloud, LabelsBesideThePointsOfADataFile) {
  const std::vector<float> x = {1, 2};
  const std::vector<std::int32_t> labels = {7, -1};
  Hdf5Writer writer("test", folder_ / "b.h5");
  writer.array("x", {2}, x.data());
  writer.array("labels", {2}, labels.data());
  writer.array("test/x", {2}, x.data());
  writer.commit();
  EXPECT_EQ(labels_beside(file("b.h5:/x")), file("b.h5:/labels"));
  EXPECT_EQ(read_labels(labels_beside(file("b.h5:x")), plenty), labels);
  for (const std::string where : {"b.h5:/test/x", "b.h5:/labels", "b.h5:/", "x.npy", "x.csv"})
    EXPECT_EQ(labels_beside(file(where)), "") << where;
}

TEST_F(Cloud, BytesOfADataSetAreItsPoints) {
  const std::vector<std::uint8_t> bytes = {0, 51, 255, 7};
  for (const bool ranged : {true, false}) {
    Hdf5Writer writer("test", folder_ / "b.h5");
    for (const char* name : {"x", "test/x", "raw"}) writer.array(name, {2, 2}, bytes.data());
    if (ranged) writer.attribute("", "range", std::vector<double>{-1, 1});
    writer.commit();
    is<float>(file("b.h5:/raw"), 2, 2, {0, 51, 255, 7});
    const Dataset dataset = load_dataset(folder_ / "b.h5");
    const std::vector<float> points(dataset.train.x.data(), dataset.train.x.data() + 4);
    EXPECT_EQ(points[2], ranged ? 1 : 255);
    for (const char* name : {"b.h5:/x", "b.h5:/test/x"}) {
      is<float>(file(name), 2, 2, points);
      is<double>(file(name), 2, 2, std::vector<double>(points.begin(), points.end()));
    }
  }
  Hdf5Writer writer("test", folder_ / "b.h5");
  writer.array("x", {2, 2}, bytes.data());
  writer.attribute("", "range", std::vector<double>{1, -1});
  writer.commit();
  expect_error(Errc::bad_file, {"read_cloud", "b.h5", "attribute range"},
               [&] { read_cloud<float>(file("b.h5:/x"), plenty); });
}

TEST_F(Cloud, Hdf5Refusals) {
  const auto refused = [&](Errc code, std::vector<std::string> words, const std::string& where,
                           double max_bytes = 1e9) {
    words.insert(words.end(), {"read_cloud: ", file("a.h5")});
    expect_error(code, words, [&] { read_cloud<float>(where, max_bytes); });
  };
  const std::vector<double> values = {1, 2, 3, 4, 5, 1e39};
  const std::string where = hdf5("x", {2, 3}, values);
  refused(Errc::bad_file, {"/x: row 1, column 2: 1e+39 is too large for a 32-bit float"}, where);
  const std::vector<std::int64_t> wide = {1, (std::int64_t{1} << 53) + 1};
  refused(Errc::bad_file, {"/i: row 1, column 0: 9007199254740993 has more digits than a 64-bit float"},
          hdf5("i", {2}, wide));
  hdf5("x", {2, 3}, values);
  refused(Errc::bad_file, {"/y", "missing"}, file("a.h5:/y"));
  refused(Errc::bad_file, {"/x/y"}, file("a.h5:/x/y"));
  refused(Errc::bad_file, {"/g", "3 dimensions"}, hdf5("g", {1, 2, 3}, values));
  refused(Errc::bad_file, {"/g", "0 dimensions"}, hdf5("g", {}, values));
  refused(Errc::bad_file, {"/g", "not an array"}, (hdf5("g/x", {6}, values), file("a.h5:/g")));
  refused(Errc::out_of_memory, {"/x: 2 x 3 values need 24 bytes", "limit of 23"}, hdf5("x", {2, 3}, values), 23);
  EXPECT_EQ(read_cloud<double>(file("a.h5:/x"), 48)(1, 2), 1e39);
  {
    Hdf5Writer writer("test", folder_ / "a.h5");
    writer.text("t", "hello");
    writer.commit();
  }
  refused(Errc::bad_file, {"/t"}, file("a.h5:/t"));
  std::filesystem::remove(folder_ / "a.h5");
  refused(Errc::io, {"No such file"}, file("a.h5:/x"));
}

// What only the plain C API makes: too much declared, links into other files.
TEST_F(Cloud, HostileHdf5) {
  hdf5("secret", {2}, std::vector<float>{1, 2});
  const std::string path = file("b.h5");
  const hid_t made = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  ASSERT_GE(made, 0);
  H5Lcreate_external("a.h5", "/secret", made, "link", H5P_DEFAULT, H5P_DEFAULT);
  const hsize_t dims[2] = {hsize_t{1} << 40, 1000}, chunk[2] = {1024, 1000};
  const hid_t space = H5Screate_simple(2, dims, nullptr), properties = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(properties, 2, chunk);
  const hid_t huge = H5Dcreate2(made, "huge", H5T_IEEE_F32LE, space, H5P_DEFAULT, properties, H5P_DEFAULT);
  const hid_t bits = H5Dcreate2(made, "bits", H5T_STD_B8LE, space, H5P_DEFAULT, properties, H5P_DEFAULT);
  for (const hid_t id : {huge, bits}) H5Dclose(id);
  H5Pclose(properties);
  H5Sclose(space);
  ASSERT_GE(H5Fclose(made), 0);
  const auto refused = [&](const std::string& name, const std::string& word) {
    expect_error(Errc::bad_file, {"read_cloud", path, "/" + name, word},
                 [&] { read_cloud<float>(path + ":/" + name, plenty); });
  };
  refused("link", "link into another file");
  refused("huge", "declares 4398046511104000 bytes but stores 0");
  refused("bits", "an unknown type");
}

TEST_F(Cloud, Weights) {
  const std::vector<double> values = {0.25, 0.5, 0.25};
  EXPECT_EQ(read_weights(text("column.csv", "w\n0.25\n0.5\n0.25\n"), plenty), values);
  EXPECT_EQ(read_weights(text("row.csv", "0.25,0.5,0.25\n"), plenty), values);
  write_npy(folder_ / "a.npy", values);
  EXPECT_EQ(read_weights(file("a.npy"), plenty), values);
  EXPECT_EQ(read_weights(hdf5("w", {3}, values), plenty), values);
  EXPECT_EQ(read_weights(hdf5("w", {1, 3}, std::vector<float>{0.25, 0.5, 0.25}), plenty), values);
  EXPECT_EQ(read_weights(text("one.csv", "1"), plenty), std::vector<double>{1});
  expect_error(Errc::bad_file, {"read_weights: ", file("b.csv"), "2 x 3"},
               [&] { read_weights(text("b.csv", "1 2 3\n4 5 6"), plenty); });
  expect_error(Errc::out_of_memory, {"24 bytes"}, [&] { read_weights(file("row.csv"), 23); });
}

TEST_F(Cloud, Labels) {
  const std::vector<std::int32_t> values = {3, -1, 2147483647, -2147483648, 0};
  EXPECT_EQ(read_labels(text("a.csv", "label\n3\n-1.0\n2147483647\n-2.147483648e9\n0\n"), plenty), values);
  write_npy(folder_ / "a.npy", values);
  EXPECT_EQ(read_labels(file("a.npy"), plenty), values);
  EXPECT_EQ(read_labels(hdf5("y", {5}, std::vector<std::int64_t>(values.begin(), values.end())), plenty), values);
  EXPECT_EQ(read_labels(hdf5("y", {5, 1}, std::vector<double>(values.begin(), values.end())), plenty), values);
  for (const std::string bad : {"1.5", "2147483648", "-2147483649", "nan", "inf", "1e300"})
    expect_error(Errc::bad_file, {"read_labels: ", file("b.csv"), "label 1: ", "not a whole number of 32 bits"},
                 [&] { read_labels(text("b.csv", "0\n" + bad + "\n"), plenty); });
  expect_error(Errc::bad_file, {"2 x 2"}, [&] { read_labels(text("b.csv", "1 2\n3 4"), plenty); });
}

}  // namespace
}  // namespace monge::data
