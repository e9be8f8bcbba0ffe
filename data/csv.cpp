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

// Reads the file once for its shape, so that the result is made in its final size.
Layout survey(InputFile& file) {
  CsvLines lines(file);
  auto line = lines.next();
  if (line && is_header(*line)) {
    if (std::any_of(line->begin(), line->end(), [](unsigned char c) { return c < ' ' && c != '\t'; }))
      file.fail(Errc::bad_file, concat("line ", lines.number(), ": not text"));
    line = lines.next();
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

template Matrix<float> read_csv(const std::filesystem::path&, double);
template Matrix<double> read_csv(const std::filesystem::path&, double);

}  // namespace monge::data
