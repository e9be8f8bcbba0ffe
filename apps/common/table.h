#pragma once
#include <string>
#include <vector>

namespace monge::apps {

// Text in columns: the first column to the left, the others to the right; a row without cells is a rule.
std::string format_table(const std::vector<std::vector<std::string>>& rows);

// A number with so many digits after the point.
std::string fixed(double value, int digits);

}  // namespace monge::apps
