#include "monge/data/csv_lines.h"

#include <algorithm>
#include <cstring>

namespace monge::data {
namespace {

constexpr std::size_t block = std::size_t{1} << 20;           // bytes read at once
constexpr std::size_t longest_line = std::size_t{256} << 20;  // bytes

}  // namespace

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

CsvLines::CsvLines(InputFile& file) : file_(file), buffer_(block, '\0') {
  file_.rewind();
  refill();
  if (std::string_view(buffer_.data(), end_).starts_with("\xEF\xBB\xBF")) begin_ = 3;  // mark of UTF-8
}

// Moves what is left to the front and reads more behind it; false at the end of the file.
bool CsvLines::refill() {
  std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_), buffer_.begin() + static_cast<std::ptrdiff_t>(end_),
            buffer_.begin());
  end_ -= std::exchange(begin_, 0);
  if (end_ == buffer_.size()) {
    if (end_ >= longest_line) file_.fail(Errc::bad_file, concat("line ", number_ + 1, ": longer than 256 MiB"));
    buffer_.resize(2 * end_);
  }
  const std::size_t n = file_.read(buffer_.data() + end_, buffer_.size() - end_);
  end_ += n;
  return n > 0;
}

std::optional<std::string_view> CsvLines::next_raw() {
  std::size_t searched = 0;
  const void* newline = nullptr;
  while ((newline = std::memchr(buffer_.data() + begin_ + searched, '\n', end_ - begin_ - searched)) == nullptr) {
    searched = end_ - begin_;
    if (!refill()) break;
  }
  if (newline == nullptr && begin_ == end_) return std::nullopt;
  const std::size_t at =
      newline == nullptr ? end_ : static_cast<std::size_t>(static_cast<const char*>(newline) - buffer_.data());
  const std::string_view line(buffer_.data() + begin_, at - begin_);
  begin_ = std::min(at + 1, end_);
  ++number_;
  return line;
}

std::optional<std::string_view> CsvLines::next() {
  while (const auto raw = next_raw()) {
    std::string_view line = raw->substr(0, raw->find('#'));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!trimmed(line).empty()) return line;
  }
  return std::nullopt;
}

CsvFields::CsvFields(std::string_view line, char separator)
    : rest_(separator == ' ' ? trimmed(line) : line), separator_(separator), ended_(rest_.empty()) {}

std::optional<std::string_view> CsvFields::next() {
  if (ended_) return std::nullopt;
  const std::size_t end = separator_ == ' ' ? rest_.find_first_of(" \t") : rest_.find(separator_);
  const std::string_view field = rest_.substr(0, end);
  ended_ = end == rest_.npos;
  if (!ended_) rest_.remove_prefix(end + 1);
  if (separator_ != ' ') return trimmed(field);
  while (!ended_ && (rest_.front() == ' ' || rest_.front() == '\t')) rest_.remove_prefix(1);
  return field;
}

}  // namespace monge::data
