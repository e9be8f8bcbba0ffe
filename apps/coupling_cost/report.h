#pragma once
#include <string>

#include "monge/apps/coupling_cost/record.h"

namespace monge::apps {

// One line per coupling and batch size: medians and ranges over the repeats.
std::string to_csv(const Record& record);

// The same for people.
std::string to_table(const Record& record);

// Cost, gap, seconds per pair and renormalised entropy against batch size, as an SVG document.
std::string to_plot(const Record& record);

}  // namespace monge::apps
