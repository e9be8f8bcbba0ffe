#include "monge/apps/ot_solve/report.h"

#include <cmath>
#include <cstdio>

#include "monge/apps/common/device.h"
#include "monge/apps/common/json.h"
#include "monge/apps/common/memory.h"
#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

std::string number(double value, const char* format = "%.6g") {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

constexpr double dust = 1e-290;  // what rounding outward leaves of zero

std::string line(const std::string& label, const std::string& text) {
  std::string out = label;
  out.resize(13, ' ');
  return out + text + "\n";
}

std::string problem(const Request& r, const Shape& shape) {
  const std::string m = std::to_string(shape.m);
  if (!shape.d) return std::to_string(*shape.n) + " x " + m + " costs of " + r.cost;
  const std::string from = shape.n ? std::to_string(*shape.n) : "the " + r.x + " law";
  return from + " onto " + m + (shape.m == 1 ? " point" : " points") + " in " + std::to_string(*shape.d) +
         (*shape.d == 1 ? " dimension, " : " dimensions, ") + r.metric_name() +
         (!r.label_penalty               ? ""
          : std::isinf(*r.label_penalty) ? ", never where labels differ"
                                         : " + " + number(*r.label_penalty) + " where labels differ") +
         (r.a.empty() && r.b.empty() ? ", uniform weights" : "");
}

std::string how(const Request& r, const Solution& s, const std::string& why) {
  std::string text = s.solver;
  if (s.epsilon && *s.epsilon > 0) {
    text += ", epsilon " + number(*s.epsilon) + (s.epsilon_note.empty() ? "" : " (" + s.epsilon_note + ")");
  }
  const std::string where = r.on_gpu() ? " on " + device_name(r.context.device) : "";
  return text + ", in " + s.dtype + where + (why.empty() ? "" : "; chosen because: " + why);
}

std::string outcome(const Solution& s) {
  switch (s.status) {
    case ot::Status::converged:
      return "converged";
    case ot::Status::iteration_limit:
      return "NOT CONVERGED: the limit of iterations was reached";
    case ot::Status::time_limit:
      return "NOT CONVERGED: the limit of seconds was reached";
    case ot::Status::stopped_by_caller:
      return std::string("NOT CONVERGED: interrupted") + (s.cost || !s.g.empty() ? "; this is the best so far" : "");
    case ot::Status::numerical_failure:
      return "FAILED: the numbers broke down";
  }
  return "unknown";
}

std::string effort(const Solution& s) {
  const char* unit = s.solver == "sliced" ? " directions" : s.solver == "sinkhorn" ? " iterations" : " pivots";
  return (s.iterations ? ", " + std::to_string(*s.iterations) + unit : "") + ", " + number(s.seconds, "%.3g") +
         " s, at most " + megabytes(peak_memory());
}

bool is_balanced(const Request& r) { return !r.tau_a && !r.tau_b && !r.mass; }

std::string cost(const Request& r, const Solution& s) {
  if (!s.cost) return "not known: it ended before that";
  std::string text = number(*s.cost);
  if (s.standard_error) return text + ", standard error " + number(*s.standard_error, "%.2g");
  if (s.solver == "semidiscrete") {
    return text + " of this coupling, whose marginal is off by at most " + number(*s.marginal_error, "%.2g") +
           " in all (L1, 95%)";
  }
  text += " of the plan found";
  if (s.value && *s.value != *s.cost) text += ", " + number(*s.value) + " with the prices of its masses";
  if (s.mass && !is_balanced(r)) text += ", mass " + number(*s.mass);
  if (s.marginal_error && *s.marginal_error > 0)
    text += ", marginals off by " + number(*s.marginal_error, "%.2g") + " in all (L1)";
  return text;
}

std::string certificate(const Request& r, const Solution& s) {
  if (s.solver == "sliced") return "none: sliced distances bound nothing";
  const ot::Certificate& c = s.certificate;
  if (c.kind == ot::Certificate::Kind::none) return "none";
  const std::string lower = number(c.lower, "%.8g"), upper = number(c.upper, "%.8g");
  const double width = c.upper - c.lower, share = c.upper > 0 ? 100 * width / c.upper : -1;
  const bool point = lower == upper || width < dust;
  const std::string gap =
      share >= 0 && share <= 100 ? " (" + number(share, share < 99.5 ? "%.2g" : "%.0f") + "% apart)" : "";
  const std::string range = point ? "is " + lower + (width > 0 ? ", to within " + number(width, "%.1g") : "")
                                  : "lies between " + lower + " and " + upper + gap;
  const std::string entropy = s.sinkhorn ? " without entropy " : " ";
  const std::string prices = r.tau_a || r.tau_b ? "(prices of its masses included) " : "";
  return c.kind == ot::Certificate::Kind::proven ? "proven: the true optimum" + entropy + prices + range
                                                 : "with 95% confidence the true optimum " + range;
}

std::string advice(const Solution& s) {
  const bool certain = s.certificate.kind != ot::Certificate::Kind::none;
  if (s.status == ot::Status::converged) {
    const bool wide =
        s.sinkhorn && certain && s.certificate.upper - s.certificate.lower > 0.01 * std::abs(s.certificate.upper);
    return wide ? "a smaller --epsilon brings the bounds closer together" : "";
  }
  std::string text = certain ? "the certificate holds all the same" : "";
  const std::string more = s.status == ot::Status::time_limit ? "raise --max-seconds"
                           : s.status == ot::Status::iteration_limit
                               ? "raise --max-iterations, --epsilon or --tolerance"
                               : "";
  if (s.solver == "semidiscrete" && s.status == ot::Status::iteration_limit) return text + "; raise --tolerance";
  return more.empty() ? text : text + (text.empty() ? "" : "; ") + more;
}

// W2 and W1, which people ask for.
std::string distance(const Request& r, const Solution& s) {
  const std::string metric = r.metric_name();
  const bool squared = metric == "squared_euclidean";
  const bool unit_mass = s.mass ? std::abs(*s.mass - 1) < 1e-6 : r.a.empty();
  if (!r.cost.empty() || r.label_penalty || !is_balanced(r) || !unit_mass || !(squared || metric == "euclidean"))
    return "";
  const auto root = [&](double c) { return number(squared ? std::sqrt(std::max(0.0, c)) : c); };
  const std::string name = squared ? "W2" : "W1";
  if (s.solver == "sliced") return s.cost ? "sliced " + name + " = " + root(*s.cost) : "";
  if (!squared || s.certificate.kind == ot::Certificate::Kind::none) return "";
  const std::string lower = root(s.certificate.lower), upper = root(s.certificate.upper);
  return name + (lower == upper || s.certificate.upper < dust ? " = " + lower : " between " + lower + " and " + upper);
}

template <class V>
nlohmann::ordered_json or_null(const std::optional<V>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

}  // namespace

std::string summary(const Request& r, const Shape& shape, const Solution& s, const std::string& why) {
  std::string text = line("problem", problem(r, shape)) + line("solver", how(r, s, why)) +
                     line("status", outcome(s) + effort(s)) + line("cost", cost(r, s)) +
                     line("certificate", certificate(r, s));
  if (const std::string d = distance(r, s); !d.empty()) text += line("distance", d);
  if (const std::string a = advice(s); !a.empty()) text += line("note", a);
  return text;
}

std::string json_summary(const Request& r, const Shape& shape, const Solution& s) {
  const bool bounded = s.certificate.kind != ot::Certificate::Kind::none;
  const auto bound = [&](double b) { return bounded ? nlohmann::ordered_json(b) : nlohmann::ordered_json(); };
  return json_text(
      {{"solver", s.solver},
       {"status", ot::to_string(s.status)},
       {"n", or_null(shape.n)},
       {"m", shape.m},
       {"d", or_null(shape.d)},
       {"metric", r.cost.empty() ? r.metric_name() : "dense"},
       {"dtype", s.dtype},
       {"device", device_name(r.context.device)},
       {"cost", or_null(s.cost)},
       {"lower", bound(s.certificate.lower)},
       {"upper", bound(s.certificate.upper)},
       {"certificate", bounded ? nlohmann::ordered_json(ot::to_string(s.certificate.kind)) : nlohmann::ordered_json()},
       {"value", or_null(s.value)},
       {"marginal_error", or_null(s.marginal_error)},
       {"mass", or_null(s.mass)},
       {"epsilon", or_null(s.epsilon)},
       {"standard_error", or_null(s.standard_error)},
       {"iterations", or_null(s.iterations)},
       {"seconds", s.seconds},
       {"peak_mb", peak_memory() / 1e6}});
}

}  // namespace monge::apps
