#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "monge/apps/coupling_cost/limit.h"
#include "monge/apps/coupling_cost/measure.h"
#include "monge/apps/coupling_cost/population.h"

namespace monge::apps {

// What all points of a record have in common. Records of other problems are refused.
struct ProblemIdentity {
  std::string name, digest;
  Index points = 0, dimensions = 0;
  std::uint64_t seed = 0;
  double tolerance = 0;        // of Sinkhorn
  double limit_tolerance = 0;  // of the limit's marginal, chi-square
  double limit_samples = 0;
  double mean_cost = 0, spread = 0;
  std::optional<double> known_limit;
  std::string device = "cpu";  // seconds of several do not mix
};

// Median and range over the repeats.
struct Spread {
  double median = 0, low = 0, high = 0;
};

// All repeats of one coupling at one batch size.
struct Row {
  CouplingName coupling;
  Index n = 0, repeats = 0;
  Spread cost = {}, gap = {}, entropy = {}, seconds = {};  // cost: the limit's, plus the gap
  double peak_mb = 0;                                      // the most
};

// The points measured so far, in DIR/coupling_cost.json, which is replaced whole with every new one.
class Record {
 public:
  // Goes on with what the folder holds, or starts there. Throws Error: io (another process is at work in the folder),
  // bad_file, invalid_argument (a record of another problem).
  Record(const std::filesystem::path& folder, const ProblemIdentity& problem);
  ~Record();
  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;

  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path file() const { return folder_ / "coupling_cost.json"; }
  std::filesystem::path potentials() const { return folder_ / "potentials.h5"; }

  const ProblemIdentity& problem() const { return problem_; }
  const std::optional<LimitFigures>& limit() const { return limit_; }
  const std::vector<Point>& points() const { return points_; }  // by size, repeat and coupling
  bool has(const CouplingName& coupling, Index n, Index repeat) const;
  std::vector<Row> rows() const;  // by coupling and size

  void set_limit(const LimitFigures& limit);
  void add(const Point& point);

 private:
  void read();
  void write() const;

  std::filesystem::path folder_;
  ProblemIdentity problem_;
  std::optional<LimitFigures> limit_;
  std::vector<Point> points_;
  int descriptor_ = -1;
};

}  // namespace monge::apps
