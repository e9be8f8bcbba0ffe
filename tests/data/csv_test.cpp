#include "monge/data/csv.h"

#include <cmath>
#include <cstdio>
#include <limits>

#include "support.h"

namespace monge::data {
namespace {

using test::expect_error;
using test::TemporaryFolder;
using test::write_bytes;

constexpr double plenty = 1e9;

class Csv : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_ / "a.csv";

  template <class T = double>
  Matrix<T> read(const std::string& text, double max_bytes = plenty) {
    write_bytes(path_, text);
    return read_csv<T>(path_, max_bytes);
  }
  template <class T = double>
  void reads(const std::string& text, const std::vector<std::vector<T>>& expected) {
    SCOPED_TRACE(text.substr(0, 80));
    const Matrix<T> x = read<T>(text);
    ASSERT_EQ(x.rows(), static_cast<Index>(expected.size()));
    ASSERT_EQ(x.cols(), static_cast<Index>(expected[0].size()));
    for (Index i = 0; i < x.rows(); ++i)
      for (Index j = 0; j < x.cols(); ++j)
        EXPECT_EQ(x(i, j), expected[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)]) << i << ' ' << j;
  }
  template <class T = double>
  void refused(const std::string& text, std::vector<std::string> words, Errc code = Errc::bad_file,
               double max_bytes = plenty) {
    SCOPED_TRACE(text.substr(0, 80));
    words.insert(words.end(), {"read_csv: ", path_.string()});
    expect_error(code, words, [&] { read<T>(text, max_bytes); });
  }
};

TEST_F(Csv, Separators) {
  const std::vector<std::vector<double>> expected = {{1, -2.5, 3e4}, {4, 5, 6}};
  reads("1,-2.5,3e4\n4,5,6\n", expected);
  reads("1;-2.5;3e4\n4;5;6\n", expected);
  reads("1\t-2.5\t3e4\n4\t5\t6\n", expected);
  reads("1 -2.5 3e4\n4 5 6\n", expected);
  reads("  1   -2.5 3e4  \n 4 \t5    6\n", expected);
  reads(" 1 , -2.5,\t3e4 \n4,5 ,6\n", expected);
  reads("1 \t -2.5\t3e4\n4\t5\t6 \n", expected);
  reads("1\n2\n3", {{1}, {2}, {3}});
  reads("1,2,3", {{1, 2, 3}});
}

TEST_F(Csv, LinesThatAreSkipped) {
  const std::vector<std::vector<double>> expected = {{1, 2}, {3, 4}};
  reads("x,y\n1,2\n3,4\n", expected);
  reads("\"first, of two\",\"second\"\n1,2\n3,4\n", expected);
  reads("# made by hand\n\n  # at noon\nx,y\n# now the points\n1,2\n\n \t \n3,4 # the last\n\n# end", expected);
  reads("x,y\r\n1,2\r\n\r\n3,4\r\n", expected);
  reads("1 2 # one\r\n3 4\t\r\n", expected);
  reads(
      "\xEF\xBB\xBF"
      "1,2\n3,4",
      expected);
  reads("\xEF\xBB\xBFx;\xC3\xA9t\xC3\xA9\n1;2\n3;4", expected);
  reads("a title\n1,2\n3,4", expected);  // the separator is that of the numbers
}

TEST_F(Csv, Numbers) {
  reads("0 -0 +1 .5 5. 1E3 1e-3 -1.25e+2 007 9007199254740993",
        {{0, 0, 1, 0.5, 5, 1000, 1e-3, -125, 7, 9007199254740992}});
  EXPECT_TRUE(std::signbit(read("-0.0")(0, 0)));
  reads("0.1 1.7976931348623157e308 2.2250738585072014e-308 4.9406564584124654e-324",
        {{0.1, 1.7976931348623157e308, 2.2250738585072014e-308, 4.9406564584124654e-324}});
  reads<float>("0.1 3.4028235e38 1.17549435e-38 1.4e-45", {{0.1f, 3.4028235e38f, 1.17549435e-38f, 1.4e-45f}});
  // Just above the middle of two floats: rounded once it goes up, by way of a double down to even.
  reads<float>("1.00000005960464477540", {{1.0000001f}});
  reads<float>("1e-60 -1e-400", {{0.0f, 0.0f}});
  reads<double>("1e-400 " + std::string("0.") + std::string(500, '0') + "1", {{0.0, 0.0}});
}

TEST_F(Csv, NotFiniteIsPassedOn) {
  const Matrix<float> x = read<float>("nan,inf,-inf\nNaN,INF,+Infinity\n-nan,0,-Infinity");
  const float infinity = std::numeric_limits<float>::infinity();
  for (Index i = 0; i < 3; ++i) EXPECT_TRUE(std::isnan(x(i, 0)));
  EXPECT_EQ(x(0, 1), infinity);
  EXPECT_EQ(x(0, 2), -infinity);
  EXPECT_EQ(x(1, 1), infinity);
  EXPECT_EQ(x(1, 2), infinity);
  EXPECT_EQ(x(2, 2), -infinity);
}

TEST_F(Csv, Ragged) {
  refused("# points\nx,y\n1,2\n\n3,4,5\n", {"line 5 has 3 columns, line 3 has 2"});
  refused("1 2 3\n4 5\n", {"line 2 has 2 columns, line 1 has 3"});
  refused("1,2\n3\n", {"line 2 has 1 columns, line 1 has 2"});
  refused("1,2\n3,4,\n", {"line 2 has 3 columns"});
}

TEST_F(Csv, NotNumbers) {
  refused("x,y\n1,2\n3,abc\n", {"line 3, column 2: \"abc\" is not a number"});
  refused("1,2\n3,4x\n", {"line 2, column 2: \"4x\""});
  refused("1,2\n3,\n", {"line 2, column 2: empty"});
  refused("1\t\t2\n", {"line 1, column 2: empty"});
  refused("1,,2\n", {"line 1, column 2: empty"});
  refused("1,NA\n", {"line 1, column 2: \"NA\""});
  refused("x,y\nu,v\n1,2\n", {"line 2, column 1: \"u\""});  // one header, no more
  refused("1\n2,3\n", {"line 2, column 1: \"2,3\""});
  refused("1,2\n3 4,5\n", {"line 2, column 1: \"3 4\""});
  for (const std::string word :
       {"0x10", "1_000", "1e", "e5", "--1", "+-1", "++1", "-", "+", ".", "1.2.3", "1d5", "\"1\"", "True", "1\r2"})
    refused("0 1\n" + word + " 1\n", {"line 2, column 1: ", "is not a number"});
  refused("0\n" + std::string(1000, 'z') + "\n", {concat("\"", std::string(40, 'z'), "...\"")});
  refused("0\n\x1b[31m\n", {"\"?[31m\""});
}

TEST_F(Csv, DecimalCommas) {
  const auto refused = [&](const std::string& content, std::vector<std::string> words) {
    words.push_back("has a decimal comma");
    Csv::refused(content, words);
  };
  refused("1,5;2,5\n3,5;4,5\n", {"line 1", "\"1,5\""});
  refused("x;y\n1,5;2\n", {"line 2", "\"1,5\""});
  refused("1;2\n3;-4,5e3\n", {"line 2, column 2", "\"-4,5e3\""});
  refused("1,5\t2,5\n", {"line 1", "\"1,5\""});
  refused("x\ty\n1,5\t2\n", {"line 2", "\"1,5\""});
  refused("1 2,5\n", {"line 1", "\"2,5\""});
  // Commas with blanks around them separate.
  EXPECT_EQ(read("1, 5, 2\n3 ,4 ,5\n").cols(), 3);
  EXPECT_EQ(read("1,5\n").cols(), 2);
}

TEST_F(Csv, BlanksAtTheEndsOfTheFirstLine) {
  for (const std::string line :
       {"1,2 \n", " 1,2\n", "1,2 # comment\n", "1,2 \r\n", "1,2\t# x\n", "\t1,2\t \n", "x,y \n1,2 \n"})
    reads(line + "3,4\n", {{1, 2}, {3, 4}});
  refused(" 1,5 2,5 \n", {"has a decimal comma"});
  refused("1,5;2,5 # two\n", {"has a decimal comma"});
}

TEST_F(Csv, TooLarge) {
  refused<float>("1,2\n3,-1e39", {"line 2, column 2: \"-1e39\" is too large for a 32-bit float"});
  refused<double>("1,1e309", {"line 1, column 2: \"1e309\" is too large for a 64-bit float"});
  refused<double>("1,1e99999", {"too large"});
  refused<double>("1," + std::string(400, '9'), {"too large"});
}

TEST_F(Csv, NoNumbers) {
  for (const std::string text : {"", "\n\n", "# only\n# comments", "x,y\n", "\xEF\xBB\xBF"})
    refused(text, {"has no line of numbers"});
  refused(std::string("\x93NUMPY\1\0v\0{'descr'", 18), {"line 1: not text"});
  refused(std::string("\x89HDF\r\n\x1a\n\0\0\0\0\0", 13), {"read_csv"});
  refused(std::string("1 2\n3\0 4\n", 9), {"line 2, column 1: \"3?\" is not a number"});
  refused(std::string("1\0"
                      "2\n",
                      4),
          {"line 1: not text"});
  expect_error(Errc::io, {"read_csv", "nowhere", "No such file"},
               [&] { read_csv<float>(folder_ / "nowhere", plenty); });
  expect_error(Errc::bad_file, {"not a regular file"}, [&] { read_csv<float>("/dev/zero", plenty); });
}

TEST_F(Csv, OverTheLimit) {
  refused<float>("x y\n1 2\n3 4\n5 6\n", {"3 x 2 values need 24 bytes", "limit of 23"}, Errc::out_of_memory, 23);
  refused<double>("1 2\n3 4\n5 6\n", {"need 48 bytes"}, Errc::out_of_memory, 47);
  EXPECT_EQ(read<float>("1 2\n3 4\n5 6\n", 24)(2, 1), 6);
}

TEST_F(Csv, IndependentOfTheLocale) {
  const test::DecimalComma comma;
  reads("1.5 2.25 1e-400\n", {{1.5, 2.25, 0}});
  reads("1.5,2.25\n", {{1.5, 2.25}});
}

// Lines across the borders of blocks, and one far longer than a block; every value comes back as it was printed.
TEST_F(Csv, LargerThanABlock) {
  const auto value = [](Index k) { return std::sin(static_cast<double>(k)) * std::pow(10, k % 40 - 20); };
  for (const auto& [rows, cols] : {std::pair<Index, Index>{40000, 3}, {2, 150000}}) {
    std::string text;
    char number[40];
    for (Index k = 0; k < rows * cols; ++k) {
      std::snprintf(number, sizeof number, "%.17g%s", value(k), (k + 1) % cols == 0 ? "\r\n" : ",");
      text += number;
    }
    ASSERT_GT(text.size(), std::size_t{2} << 20);
    const Matrix<double> x = read(text);
    ASSERT_EQ(x.rows(), rows);
    ASSERT_EQ(x.cols(), cols);
    Index wrong = 0;
    for (Index k = 0; k < rows * cols; ++k) wrong += x.data()[k] != value(k);
    EXPECT_EQ(wrong, 0);
  }
}

}  // namespace
}  // namespace monge::data
