#include "monge/data/npy.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "support.h"

namespace monge::data {
namespace {

using test::expect_error;
using test::read_bytes;
using test::TemporaryFolder;
using test::write_bytes;

constexpr double plenty = 1e9;

// A .npy file as the format's description has it, whatever the header says.
std::string npy(const std::string& header, const std::string& values, int version = 1) {
  std::string bytes = std::string("\x93NUMPY") + static_cast<char>(version) + '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) bytes += static_cast<char>(header.size() >> 8 * i);
  return bytes + header + values;
}

std::string header(const std::string& type, const std::string& shape, const std::string& fortran = "False") {
  return "{'descr': '" + type + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }  \n";
}

template <class S>
std::string bytes_of(const std::vector<S>& values, bool big = false) {
  std::string bytes;
  for (const S value : values) {
    char raw[sizeof(S)];
    std::memcpy(raw, &value, sizeof(S));
    for (std::size_t i = 0; i < sizeof(S); ++i) bytes += raw[big ? sizeof(S) - 1 - i : i];
  }
  return bytes;
}

class Npy : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_ / "a.npy";

  template <class T = double>
  Matrix<T> read(const std::string& bytes, double max_bytes = plenty) {
    write_bytes(path_, bytes);
    return read_npy<T>(path_, max_bytes);
  }
  template <class T = double>
  void refused(const std::string& bytes, std::vector<std::string> words, Errc code = Errc::bad_file,
               double max_bytes = plenty) {
    SCOPED_TRACE(words[0]);
    words.insert(words.end(), {"read_npy: ", path_.string()});
    expect_error(code, words, [&] { read<T>(bytes, max_bytes); });
  }
  // 2 x 3, of every order of bytes and of elements.
  template <class S>
  void reads(const std::string& type, const std::vector<S>& values) {
    SCOPED_TRACE(type);
    const std::vector<S> columns = {values[0], values[3], values[1], values[4], values[2], values[5]};
    for (const char order : {'<', '>', '='})
      for (const bool fortran : {false, true}) {
        const std::string bytes = npy(header(order + type, "(2, 3)", fortran ? "True" : "False"),
                                      bytes_of(fortran ? columns : values, order == '>'));
        const Matrix<double> wide = read<double>(bytes);
        const Matrix<float> narrow = read<float>(bytes);
        ASSERT_EQ(wide.rows(), 2);
        ASSERT_EQ(wide.cols(), 3);
        for (Index k = 0; k < 6; ++k) {
          EXPECT_EQ(wide(k / 3, k % 3), static_cast<double>(values[static_cast<std::size_t>(k)])) << order << fortran;
          EXPECT_EQ(narrow(k / 3, k % 3), static_cast<float>(values[static_cast<std::size_t>(k)])) << order << fortran;
        }
      }
  }
  template <class S>
  void reads_integers(const std::string& type) {
    constexpr S most = std::numeric_limits<S>::max();  // of 8 bytes: the largest that a double holds
    constexpr S unheld = sizeof(S) < 8 ? 0 : std::is_signed_v<S> ? 1023 : 2047;
    reads<S>(type, {0, 1, 2, 77, std::numeric_limits<S>::min(), static_cast<S>(most - unheld)});
  }
};

TEST_F(Npy, EveryTypeAndOrder) {
  reads<float>("f4", {0.1f, -2.5f, 3e38f, 1e-40f, -0.0f, 6.0f});
  reads<double>("f8", {0.1, -2.5, 3e38, 1e-40, -0.0, 6.0});
  reads_integers<std::int8_t>("i1");
  reads_integers<std::int16_t>("i2");
  reads_integers<std::int32_t>("i4");
  reads_integers<std::int64_t>("i8");
  reads_integers<std::uint8_t>("u1");
  reads_integers<std::uint16_t>("u2");
  reads_integers<std::uint32_t>("u4");
  reads_integers<std::uint64_t>("u8");
}

// Bit patterns and values of IEEE 754-2008, binary16.
TEST_F(Npy, Half) {
  const std::vector<std::uint16_t> bits = {0x3c00, 0xc000, 0x7bff, 0x0001, 0x03ff, 0x0400, 0x3555, 0x8000};
  const std::vector<double> values = {1, -2, 65504, 0x1p-24, 1023 * 0x1p-24, 0x1p-14, 1365 * 0x1p-12, -0.0};
  for (const bool big : {false, true}) {
    const Matrix<float> x = read<float>(npy(header(big ? ">f2" : "<f2", "(8,)"), bytes_of(bits, big)));
    for (Index i = 0; i < 8; ++i) {
      EXPECT_EQ(x(i, 0), values[static_cast<std::size_t>(i)]) << i;
      EXPECT_EQ(std::signbit(x(i, 0)), std::signbit(values[static_cast<std::size_t>(i)])) << i;
    }
  }
  const Matrix<double> special =
      read(npy(header("<f2", "(3,)"), bytes_of(std::vector<std::uint16_t>{0x7c00, 0xfc00, 0x7e00})));
  EXPECT_EQ(special(0, 0), std::numeric_limits<double>::infinity());
  EXPECT_EQ(special(1, 0), -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(special(2, 0)));
}

TEST_F(Npy, BooleansAndVectors) {
  for (const std::string type : {"|b1", "<b1"}) {
    const Matrix<float> x = read<float>(npy(header(type, "(3,)"), std::string("\1\0\1", 3)));
    ASSERT_EQ(x.rows(), 3);
    ASSERT_EQ(x.cols(), 1);
    EXPECT_EQ(x(0, 0), 1);
    EXPECT_EQ(x(1, 0), 0);
    EXPECT_EQ(x(2, 0), 1);
  }
  const Matrix<double> bytes = read(npy(header("|u1", "(1, 2)"), "\x07\xff"));
  EXPECT_EQ(bytes(0, 1), 255);
}

// More elements than are converted at once, in an order where a wrong index shows.
TEST_F(Npy, LargerThanABlock) {
  const Index rows = 1237, cols = 211;
  std::vector<std::int32_t> c_order, fortran_order;
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < cols; ++j) c_order.push_back(static_cast<std::int32_t>(1000 * i + j));
  for (Index j = 0; j < cols; ++j)
    for (Index i = 0; i < rows; ++i) fortran_order.push_back(static_cast<std::int32_t>(1000 * i + j));
  for (const bool fortran : {false, true}) {
    const Matrix<double> x = read(
        npy(header("<i4", "(1237, 211)", fortran ? "True" : "False"), bytes_of(fortran ? fortran_order : c_order)));
    Index wrong = 0;
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < cols; ++j) wrong += x(i, j) != static_cast<double>(1000 * i + j);
    EXPECT_EQ(wrong, 0) << fortran;
  }
}

TEST_F(Npy, VersionsAndSpacing) {
  const std::string values = bytes_of(std::vector<float>{1, 2});
  const std::string texts[] = {
      header("<f4", "(2,)"),
      "{'descr':'<f4','fortran_order':False,'shape':(2,)}",
      "  { \"shape\" : ( 2 , 1 ) , \n \"fortran_order\" : False , \t \"descr\" : \"<f4\" } \n",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 1L), }" + std::string(9000, ' ') + "\n",
  };
  for (const int version : {1, 2, 3})
    for (const std::string& text : texts) {
      const Matrix<float> x = read<float>(npy(text, values, version));
      ASSERT_EQ(x.rows(), 2);
      ASSERT_EQ(x.cols(), 1);
      EXPECT_EQ(x(1, 0), 2);
    }
}

TEST_F(Npy, NoValues) {
  const Matrix<float> x = read<float>(npy(header("<f4", "(0, 3)"), ""));
  EXPECT_EQ(x.rows(), 0);
  EXPECT_EQ(x.cols(), 3);
  refused(npy(header("<f4", "(0, 900000000000000000)"), ""), {"0 x 900000000000000000 values need 7.2e+18 bytes"},
          Errc::out_of_memory);
}

TEST_F(Npy, NotFiniteIsPassedOn) {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::string bytes =
      npy(header("<f8", "(3,)"), bytes_of(std::vector<double>{infinity, -infinity, std::nan("")}));
  const Matrix<float> x = read<float>(bytes);
  EXPECT_EQ(x(0, 0), infinity);
  EXPECT_EQ(x(1, 0), -infinity);
  EXPECT_TRUE(std::isnan(x(2, 0)));
}

TEST_F(Npy, TooLargeForFloat) {
  const std::vector<double> values = {1, 2, 3, 4, 5, -1e39};
  refused<float>(npy(header("<f8", "(2, 3)"), bytes_of(values)),
                 {"row 1, column 2: -1e+39 is too large for a 32-bit float"});
  refused<float>(npy(header("<f8", "(2, 3)", "True"), bytes_of(values)), {"row 1, column 2"});
  refused<float>(npy(header("<f8", "(3, 2)", "True"), bytes_of(values)), {"row 2, column 1"});
  EXPECT_EQ(read(npy(header("<f8", "(2, 3)"), bytes_of(values)))(1, 2), -1e39);
}

// Integers that neither type holds exactly are not rounded behind one's back.
TEST_F(Npy, IntegersBeyondDoubles) {
  const std::string words = " has more digits than a 64-bit float: subtract an offset, or save as float64";
  const std::int64_t limit = std::int64_t{1} << 53;
  const std::string bytes = npy(header("<i8", "(2, 2)"), bytes_of(std::vector<std::int64_t>{1, limit, 3, limit + 1}));
  refused<double>(bytes, {"row 1, column 1: 9007199254740993" + words});
  refused<float>(bytes, {"row 1, column 1: 9007199254740993" + words});
  refused(npy(header(">i8", "(2,)"), bytes_of(std::vector<std::int64_t>{-2 * limit, -limit - 1}, true)),
          {"row 1, column 0: -9007199254740993" + words});
  refused(npy(header("<u8", "(1,)"), bytes_of(std::vector<std::uint64_t>{~std::uint64_t{0}})),
          {"row 0, column 0: 18446744073709551615" + words});
  EXPECT_EQ(read(npy(header("<i8", "(1,)"), bytes_of(std::vector<std::int64_t>{limit + 2})))(0, 0), 0x1p53 + 2);
}

TEST_F(Npy, WrongMagic) {
  const std::string good = npy(header("<f4", "(2,)"), bytes_of(std::vector<float>{1, 2}));
  refused("", {"not a .npy file"});
  refused("1,2\n3,4\n5,6\n7,8\n", {"not a .npy file"});
  refused("PK\3\4" + good, {"not a .npy file"});
  refused(npy(header("<f4", "(2,)"), "", 4), {"version 4.0"});
  refused(npy(header("<f4", "(2,)"), "", 0), {"version 0.0"});
  std::string minor = good;
  minor[7] = 1;
  refused(minor, {"version 1.1"});
}

TEST_F(Npy, TruncatedAnywhere) {
  for (const int version : {1, 3}) {
    const std::string good = npy(header("<f4", "(5, 2)"), std::string(40, 'x'), version);
    for (std::size_t n = 0; n < good.size(); ++n) refused(good.substr(0, n), {n < 10 ? "not a .npy" : "truncated"});
    refused(good + "x", {"declares 40 bytes of values, but has 41", "left over"});
  }
}

// Refused by the size of the file or by the limit, without asking for the memory.
TEST_F(Npy, Sizes) {
  refused(npy(header("<f8", "(1000000000000, 2)"), "12345678"), {"16000000000000 bytes", "has 8", "truncated"});
  refused(npy(header("<f8", "(4294967296, 4294967296)"), ""), {"4294967296 x 4294967296", "far more"});
  refused(npy(header("<f8", "(2305843009213693952,)"), ""), {"far more"});  // 2^61 times 8 is 0
  refused(npy(header("<f8", "(99999999999999999999,)"), ""), {"over 19 digits"});
  refused(npy(std::string(70000, ' '), "", 2), {"header of 70000 bytes"});
  std::string long_header = npy(header("<f4", "(2,)"), "", 2);
  long_header.replace(8, 4, "\xff\xff\xff\xff");
  refused(long_header, {"header of 4294967295 bytes"});
  const std::string bytes = npy(header("|u1", "(10, 10)"), std::string(100, '\1'));
  refused<float>(bytes, {"10 x 10 values need 400 bytes", "limit of 399"}, Errc::out_of_memory, 399);
  refused<double>(bytes, {"need 800 bytes", "limit of 400"}, Errc::out_of_memory, 400);
  EXPECT_EQ(read<float>(bytes, 400)(9, 9), 1);
}

TEST_F(Npy, Types) {
  for (const std::string type : {"|O",  "|O8", "<c8", "<c16", "|S4", "<U4",  "<M8[s]", "|V8", "<f16", "<f1", "<i3",
                                 "<b2", "|f4", "f4",  "<f",   "",    "<f44", "?f4",    "<x4", "<i0",  "<i9"})
    refused(npy(header(type, "(2,)"), std::string(8, '\0')), {"elements of type '" + type + "'"});
  refused(npy("{'descr': [('x', '<f4'), ('y', '<f4')], 'fortran_order': False, 'shape': (1,), }", std::string(8, '\0')),
          {"structured elements"});
}

TEST_F(Npy, Shapes) {
  refused(npy(header("<f4", "()"), "1234"), {"0 dimensions"});
  refused(npy(header("<f4", "(1, 1, 1)"), "1234"), {"3 dimensions"});
  refused(npy(header("<f4", "(-1, 2)"), "1234"), {"negative dimension"});
  refused(npy(header("<f4", "(1, -1)"), "1234"), {"negative dimension"});
  for (const std::string shape : {"(1", "1", "(1)", "[1]", "(1, x)", "(1.0,)", "(+1,)", "(1 1)", "(,)", "(1,,)", "None",
                                  "'(1,)'", "(0x1,)", "(True,)"})
    refused(npy(header("<f4", shape), "1234"), {"damaged header"});
}

TEST_F(Npy, Headers) {
  refused(npy("{'fortran_order': False, 'shape': (1,)}", "1234"), {"'descr' is missing"});
  refused(npy("{'descr': '<f4', 'shape': (1,)}", "1234"), {"'fortran_order' is missing"});
  refused(npy("{'descr': '<f4', 'fortran_order': False}", "1234"), {"'shape' is missing"});
  refused(npy("{}", "1234"), {"is missing"});
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}", "1234"), {"unknown key 'more'"});
  refused(npy("{'shape': (1,), 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "1234"), {"'shape' twice"});
  for (const std::string text :
       {"", "hello", "(1, 2)", "{'descr': '<f4'", "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}", "{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}",
        "{descr: '<f4', 'fortran_order': False}", "{'descr", "{'descr': '<f4", "{'descr'; '<f4'}", "{'descr': None}",
        "{,}"})
    refused(npy(text, "1234"), {"damaged header"});
  refused(npy("{'two\nlines\x1b': 1}", "1234"), {"two?lines?"});
}

TEST_F(Npy, NoSuchFile) {
  expect_error(Errc::io, {"read_npy", "nowhere", "No such file"},
               [&] { read_npy<float>(folder_ / "nowhere", plenty); });
  expect_error(Errc::bad_file, {"not a regular file"}, [&] { read_npy<float>(folder_.path(), plenty); });
  expect_error(Errc::bad_file, {"not a regular file"}, [&] { read_npy<float>("/dev/zero", plenty); });
}

// What NumPy itself writes for the same arrays, byte for byte (numpy.lib.format, version 1.0, padded to 64).
TEST_F(Npy, WritesWhatNumPyWrites) {
  const auto padded = [](std::string text) { return text + std::string(128 - 10 - text.size() - 1, ' ') + '\n'; };
  std::vector<float> values = {1, 2, 3, 4, 5, 6};
  write_npy(path_, MatrixView<const float>(values.data(), 2, 2, 3));  // rows 3 apart
  EXPECT_EQ(read_bytes(path_), npy(padded("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }"),
                                   bytes_of(std::vector<float>{1, 2, 4, 5})));
  const std::vector<double> wide = {0.1, -0.0};
  write_npy(path_, MatrixView<const double>(wide.data(), 1, 2));
  EXPECT_EQ(read_bytes(path_),
            npy(padded("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }"), bytes_of(wide)));
  write_npy(path_, wide);
  EXPECT_EQ(read_bytes(path_),
            npy(padded("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }"), bytes_of(wide)));
  const std::vector<std::int32_t> labels = {7, -1, 2147483647};
  write_npy(path_, labels);
  EXPECT_EQ(read_bytes(path_),
            npy(padded("{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }"), bytes_of(labels)));
  write_npy(path_, VectorView<const float>(values));
  EXPECT_EQ(read_bytes(path_),
            npy(padded("{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }"), bytes_of(values)));
}

TEST_F(Npy, RoundTripOfManyBlocks) {
  const test::DecimalComma comma;  // 70.001 is no shape
  Matrix<double> values(70001, 5);
  for (Index k = 0; k < 350005; ++k) values.data()[k] = std::sin(static_cast<double>(k));
  write_npy(path_, values.view());
  const Matrix<double> back = read_npy<double>(path_, plenty);
  ASSERT_EQ(back.rows(), values.rows());
  ASSERT_EQ(back.cols(), values.cols());
  EXPECT_EQ(std::memcmp(back.data(), values.data(), 350005 * sizeof(double)), 0);
}

TEST_F(Npy, WriteFailsWhole) {
  write_bytes(path_, "old");
  const std::vector<float> values = {1, 2};
  expect_error(Errc::backend_unavailable, {"write_npy", path_.string()}, [&] {
    write_npy(path_, MatrixView<const float>(values.data(), 1, 2, 2, {DeviceType::cuda, 0}));
  });
  EXPECT_EQ(read_bytes(path_), "old");
  expect_error(Errc::io, {"write_npy", "nowhere"}, [&] { write_npy(folder_ / "nowhere/a.npy", values); });
  EXPECT_EQ(folder_.files(), std::vector<std::string>{"a.npy"});
}

}  // namespace
}  // namespace monge::data
