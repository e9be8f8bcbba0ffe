#pragma once  // private: never installed
#include <optional>
#include <string>
#include <string_view>

#include "monge/data/input_file.h"

namespace monge::data {

std::string_view trimmed(std::string_view text);  // of blanks and tabs at its ends

// The lines of a text file that hold something, without their comments and ends.
class CsvLines {
 public:
  explicit CsvLines(InputFile& file);  // from its beginning

  // The next such line, valid until the next call; none at the end of the file.
  std::optional<std::string_view> next();
  Index number() const { return number_; }  // of the line last returned, from 1

 private:
  std::optional<std::string_view> next_raw();
  bool refill();

  InputFile& file_;
  std::string buffer_;
  std::size_t begin_ = 0, end_ = 0;  // of what is still to be returned
  Index number_ = 0;
};

// The fields of a line, trimmed. A blank as separator stands for any run of blanks and tabs.
class CsvFields {
 public:
  CsvFields(std::string_view line, char separator);
  std::optional<std::string_view> next();

 private:
  std::string_view rest_;
  char separator_;
  bool ended_;
};

}  // namespace monge::data
