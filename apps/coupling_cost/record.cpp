#include "monge/apps/coupling_cost/record.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <tuple>
#include <utility>

#include "monge/apps/common/evaluation.h"
#include "monge/apps/common/json.h"
#include "monge/data/atomic_file.h"
#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int format = 1;

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

Json to_json(const ProblemIdentity& p) {
  return {{"name", p.name},
          {"digest", p.digest},
          {"points", p.points},
          {"dimensions", p.dimensions},
          {"seed", p.seed},
          {"tolerance", p.tolerance},
          {"limit_tolerance", p.limit_tolerance},
          {"limit_samples", p.limit_samples},
          {"mean_cost", p.mean_cost},
          {"spread", p.spread},
          {"known_limit", or_null(p.known_limit)},
          {"device", p.device}};
}

Json to_json(const LimitFigures& l) {
  return {{"cost", l.cost},           {"error", l.error},
          {"plan_cost", l.plan_cost}, {"plan_error", l.plan_error},
          {"lower", l.lower},         {"upper", l.upper},
          {"chi2", l.chi2},           {"chi2_upper", l.chi2_upper},
          {"samples", l.samples},     {"fit_seconds", l.fit_seconds},
          {"status", l.status}};
}

LimitFigures limit_of(const Json& j) {
  return {.cost = j.at("cost"),
          .error = j.at("error"),
          .plan_cost = j.at("plan_cost"),
          .plan_error = j.at("plan_error"),
          .lower = j.at("lower"),
          .upper = j.at("upper"),
          .chi2 = j.at("chi2"),
          .chi2_upper = j.at("chi2_upper"),
          .samples = j.at("samples"),
          .fit_seconds = j.at("fit_seconds"),
          .status = j.at("status")};
}

Json to_json(const Point& p) {
  return {{"coupling", to_string(p.coupling.kind)},
          {"epsilon", p.coupling.epsilon},
          {"n", p.n},
          {"repeat", p.repeat},
          {"raw_cost", p.raw_cost},
          {"gap", p.gap},
          {"renormalised_entropy", p.entropy},
          {"seconds_per_pair", p.seconds},
          {"marginal_error", p.marginal_error},
          {"iterations", p.iterations},
          {"peak_mb", p.peak_mb},
          {"status", p.status}};
}

CouplingKind kind_of(const std::string& name) {
  for (const CouplingKind kind :
       {CouplingKind::independent, CouplingKind::sinkhorn, CouplingKind::exact, CouplingKind::semidiscrete}) {
    if (name == to_string(kind)) return kind;
  }
  throw Error(Errc::bad_file, concat("no coupling is called ", name));
}

Point point_of(const Json& j) {
  return {.coupling = {kind_of(j.at("coupling")), j.at("epsilon")},
          .n = j.at("n"),
          .repeat = j.at("repeat"),
          .raw_cost = j.at("raw_cost"),
          .gap = j.at("gap"),
          .entropy = j.at("renormalised_entropy"),
          .seconds = j.at("seconds_per_pair"),
          .marginal_error = j.at("marginal_error"),
          .iterations = j.at("iterations"),
          .peak_mb = j.at("peak_mb"),
          .status = j.at("status")};
}

Json to_json(const Spread& s) { return {{"median", s.median}, {"low", s.low}, {"high", s.high}}; }

Json to_json(const Row& r) {
  return {{"coupling", to_string(r.coupling.kind)},
          {"epsilon", r.coupling.epsilon},
          {"n", r.n},
          {"repeats", r.repeats},
          {"cost", to_json(r.cost)},
          {"gap", to_json(r.gap)},
          {"renormalised_entropy", to_json(r.entropy)},
          {"seconds_per_pair", to_json(r.seconds)},
          {"peak_mb", r.peak_mb}};
}

Spread spread_of(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  const std::size_t half = v.size() / 2;
  return {v.size() % 2 ? v[half] : (v[half - 1] + v[half]) / 2, v.front(), v.back()};
}

Row row_of(const std::vector<Point>& repeats, double limit) {
  Row row{.coupling = repeats[0].coupling, .n = repeats[0].n, .repeats = static_cast<Index>(repeats.size())};
  const auto over = [&](double Point::*value, double shift = 0) {
    std::vector<double> v;
    for (const Point& p : repeats) v.push_back(p.*value + shift);
    return spread_of(std::move(v));
  };
  row.cost = over(&Point::gap, limit);
  row.gap = over(&Point::gap);
  row.entropy = over(&Point::entropy);
  row.seconds = over(&Point::seconds);
  row.peak_mb = over(&Point::peak_mb).high;
  return row;
}

}  // namespace

Record::Record(const fs::path& folder, const ProblemIdentity& problem) : folder_(folder), problem_(problem) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw Error(Errc::io, concat(folder.string(), ": cannot make the folder: ", failed.message()));
  descriptor_ = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0) throw Error(Errc::io, concat(folder.string(), ": ", std::strerror(errno)));
  try {
    if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      throw Error(Errc::io, concat(folder.string(), ": another process is measuring into this folder"));
    }
    if (fs::exists(file())) {
      read();
    } else {
      write();
    }
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

Record::~Record() { close(descriptor_); }

void Record::read() {
  const Json json = read_json(file());
  try {
    require(json.at("format") == format, file().string(), ": of format ", json.at("format").dump(), ", not ", format);
    const Json own = to_json(problem_);
    Json other = json.at("problem");
    if (!other.contains("device")) other["device"] = "cpu";  // of records from before there was a choice
    for (const auto& [key, value] : own.items()) {
      require(other.contains(key) && other[key] == value, file().string(), ": measured on another problem (", key,
              " is ", value.dump(), ", was ", other.contains(key) ? other[key].dump() : "not there",
              "); choose another --out");
    }
    if (!json.at("limit").is_null()) limit_ = limit_of(json["limit"]);
    for (const Json& point : json.at("points")) points_.push_back(point_of(point));
  } catch (const nlohmann::json::exception& error) {
    throw Error(Errc::bad_file, concat(file().string(), ": not a record of coupling costs: ", error.what()));
  }
}

void Record::write() const {
  Json rows = Json::array(), points = Json::array();
  for (const Row& row : this->rows()) rows.push_back(to_json(row));
  for (const Point& point : points_) points.push_back(to_json(point));
  const Json all = {{"format", format},
                    {"problem", to_json(problem_)},
                    {"limit", limit_ ? to_json(*limit_) : Json()},
                    {"rows", rows},
                    {"points", points}};
  data::write_text("coupling_cost", file(), json_text(all));
}

bool Record::has(const CouplingName& coupling, Index n, Index repeat) const {
  return std::any_of(points_.begin(), points_.end(),
                     [&](const Point& p) { return p.coupling == coupling && p.n == n && p.repeat == repeat; });
}

std::vector<Row> Record::rows() const {
  std::map<std::pair<CouplingName, Index>, std::vector<Point>> groups;
  for (const Point& point : points_) groups[{point.coupling, point.n}].push_back(point);
  std::vector<Row> rows;
  for (const auto& [key, repeats] : groups) rows.push_back(row_of(repeats, limit_ ? limit_->cost : 0));
  return rows;
}

void Record::set_limit(const LimitFigures& limit) {
  limit_ = limit;
  write();
}

void Record::add(const Point& point) {
  points_.push_back(point);
  std::sort(points_.begin(), points_.end(), [](const Point& a, const Point& b) {
    return std::tie(a.n, a.repeat, a.coupling) < std::tie(b.n, b.repeat, b.coupling);
  });
  write();
}

}  // namespace monge::apps
