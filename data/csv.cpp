#include "monge/data/csv.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>

#include "monge/data/csv_lines.h"
#include "monge/data/input_file.h"

namespace monge::data {
namespace {

char separator_of(std::string_view line) {
  for (const char separator : {';', ',', '\t'})
    if (line.find(separator) != line.npos) return separator;
  return ' ';
}

enum class Parsed { number, too_large, not_a_number };

template <class T>
Parsed parse(std::string_view text, T& value) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc::invalid_argument || rest != end) return Parsed::not_a_number;
  if (error == std::errc()) return Parsed::number;
  long double wide = 0;  // out of range: too large, or too small and then zero
  if (std::from_chars(text.data(), end, wide).ec != std::errc() || std::fabs(wide) > 1) return Parsed::too_large;
  value = static_cast<T>(wide);
  return Parsed::number;
}

// "1,5"
bool has_decimal_comma(std::string_view field) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const std::size_t at = field.find(',');
  if (at == field.npos || at == 0 || at + 1 == field.size() || !is_digit(field[at - 1]) || !is_digit(field[at + 1]))
    return false;
  std::string pointed(field);
  pointed[at] = '.';
  double ignored = 0;
  return parse(std::string_view(pointed), ignored) != Parsed::not_a_number;
}

// The first number with a decimal comma, in a line that is written with them: "1,5;2,5", but also "1,5 2,5".
// Blanks at the ends of a line separate nothing: "1,2 " is two columns.
std::string_view decimal_comma(std::string_view line) {
  line = trimmed(line);
  for (const char separator : {';', '\t', ' '}) {
    if (line.find(separator) == line.npos) continue;
    std::string_view found;
    bool numbers = true;
    double ignored = 0;
    CsvFields fields(line, separator);
    while (const auto field = fields.next()) {
      if (field->empty()) continue;
      if (found.empty() && has_decimal_comma(*field)) found = *field;
      numbers = numbers && (has_decimal_comma(*field) || parse(*field, ignored) != Parsed::not_a_number);
    }
    if (numbers && !found.empty()) return found;
  }
  return {};
}

bool is_header(std::string_view line) {
  CsvFields fields(line, separator_of(line));
  double ignored = 0;
  while (const auto field = fields.next())
    if (parse(*field, ignored) != Parsed::not_a_number) return false;
  return true;
}

struct Layout {
  char separator = ' ';
  Index first_line = 0;  // of numbers
  Index rows = 0;
  Index cols = 0;
};

void refuse_decimal_comma(const InputFile& file, const CsvLines& lines, const std::optional<std::string_view>& line) {
  const std::string_view comma = line ? decimal_comma(*line) : std::string_view();
  if (!comma.empty())
    file.fail(Errc::bad_file, concat("line ", lines.number(), ": \"", comma.substr(0, 40),
                                     "\" has a decimal comma; numbers are read with decimal points"));
}

// Reads the file once for its shape, so that the result is made in its final size.
Layout survey(InputFile& file) {
  CsvLines lines(file);
  auto line = lines.next();
  refuse_decimal_comma(file, lines, line);
  if (line && is_header(*line)) {
    if (std::any_of(line->begin(), line->end(), [](unsigned char c) { return c < ' ' && c != '\t'; }))
      file.fail(Errc::bad_file, concat("line ", lines.number(), ": not text"));
    line = lines.next();
    refuse_decimal_comma(file, lines, line);
  }
  if (!line) file.fail(Errc::bad_file, "has no line of numbers");
  Layout layout = {separator_of(*line), lines.number()};
  for (CsvFields fields(*line, layout.separator); fields.next();) ++layout.cols;
  for (; line; line = lines.next()) ++layout.rows;
  return layout;
}

// Fills one row; throws where line and column are at fault.
template <class T>
void read_row(const InputFile& file, Index number, std::string_view line, const Layout& layout, T* row) {
  CsvFields fields(line, layout.separator);
  Index col = 0;
  for (auto field = fields.next(); field; field = fields.next(), ++col) {
    if (col >= layout.cols) continue;
    const Parsed parsed = field->empty() ? Parsed::not_a_number : parse(*field, row[col]);
    if (parsed == Parsed::number) continue;
    const std::string quoted = concat('"', field->substr(0, 40), field->size() > 40 ? "..." : "", '"');
    file.fail(Errc::bad_file,
              concat("line ", number, ", column ", col + 1, ": ",
                     field->empty()                ? "empty"
                     : parsed == Parsed::too_large ? concat(quoted, " is too large for a ", 8 * sizeof(T), "-bit float")
                     : has_decimal_comma(*field) ? quoted + " has a decimal comma; numbers are read with decimal points"
                                                 : quoted + " is not a number"));
  }
  if (col != layout.cols)
    file.fail(Errc::bad_file,
              concat("line ", number, " has ", col, " columns, line ", layout.first_line, " has ", layout.cols));
}

}  // namespace

template <class T>
Matrix<T> read_csv(const std::filesystem::path& path, double max_bytes) {
  InputFile file("read_csv", path);
  const Layout layout = survey(file);
  if (const std::string refusal = refusal_of_memory(layout.rows, layout.cols, sizeof(T), max_bytes); !refusal.empty())
    file.fail(Errc::out_of_memory, refusal);

  Matrix<T> values(layout.rows, layout.cols);
  CsvLines lines(file);
  Index row = 0;
  for (auto line = lines.next(); line; line = lines.next()) {
    if (lines.number() < layout.first_line) continue;
    if (row == layout.rows) file.fail(Errc::bad_file, "changed while it was read");
    read_row(file, lines.number(), *line, layout, values.view().row(row++));
  }
  if (row < layout.rows) file.fail(Errc::bad_file, "changed while it was read");
  return values;
}

std::string place_in_csv(const std::filesystem::path& path, Index row, Index col) {
  InputFile file("read_csv", path);
  const Index first_line = survey(file).first_line;
  CsvLines lines(file);
  for (auto line = lines.next(); line; line = lines.next())
    if (lines.number() >= first_line && row-- == 0) break;
  return concat("line ", lines.number(), ", column ", col + 1);
}

template Matrix<float> read_csv(const std::filesystem::path&, double);
template Matrix<double> read_csv(const std::filesystem::path&, double);

}  // namespace monge::data
