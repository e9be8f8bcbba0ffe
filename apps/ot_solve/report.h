#pragma once
#include <string>

#include "monge/apps/ot_solve/request.h"
#include "monge/apps/ot_solve/solution.h"

namespace monge::apps {

// For people: what was solved, how, and what the certificate says in words. `why`: that solver; may be empty.
std::string summary(const Request& request, const Shape& shape, const Solution& solution, const std::string& why);

// For programs; what a solver does not have is null.
std::string json_summary(const Request& request, const Shape& shape, const Solution& solution);

}  // namespace monge::apps
