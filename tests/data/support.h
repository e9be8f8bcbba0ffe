#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <clocale>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <locale>
#include <string>
#include <vector>

#include "monge/ot/core/error.h"

namespace monge::test {

namespace fs = std::filesystem;

// A folder of its own for one test, gone afterwards.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "monge-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path operator/(const std::string& name) const { return path_ / name; }
  const fs::path& path() const { return path_; }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path_)) names.push_back(entry.path().filename().string());
    return names;
  }

 private:
  fs::path path_;
};

inline std::string read_bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_bytes(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// While it lives, C++ streams write 1.234.567,8; so does the C library where it has a German locale.
class DecimalComma {
 public:
  DecimalComma() : stream_(std::locale::global(std::locale(std::locale(), new Punctuation))) {
    std::setlocale(LC_NUMERIC, "de_DE.UTF-8");
  }
  ~DecimalComma() {
    std::locale::global(stream_);
    std::setlocale(LC_NUMERIC, c_.c_str());
  }
  DecimalComma(const DecimalComma&) = delete;
  DecimalComma& operator=(const DecimalComma&) = delete;

 private:
  struct Punctuation : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };
  std::string c_ = std::setlocale(LC_NUMERIC, nullptr);
  std::locale stream_;
};

// Runs `work`, which must throw Error(code) with one line that holds each of `words`.
template <class Work>
void expect_error(Errc code, const std::vector<std::string>& words, const Work& work) {
  try {
    work();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    const std::string what = error.what();
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(code)) << what;
    EXPECT_EQ(what.find('\n'), std::string::npos) << what;
    for (const std::string& word : words) EXPECT_NE(what.find(word), std::string::npos) << word << " in: " << what;
  }
}

}  // namespace monge::test
