#include "monge/apps/common/table.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace monge::apps {

std::string format_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t j = 0; j < row.size(); ++j) widths[j] = std::max(widths[j], row[j].size());
  }
  std::size_t total = 0;
  for (const std::size_t width : widths) total += width + 2;
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t j = 0; j < row.size(); ++j) {
      const std::string space(widths[j] - row[j].size(), ' ');
      if (j > 0) line += "  ";
      line += j == 0 ? row[j] + space : space + row[j];
    }
    if (row.empty()) line.assign(total > 2 ? total - 2 : 0, '-');
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

std::string fixed(double value, int digits) {
  if (std::isnan(value)) return "-";
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

}  // namespace monge::apps
