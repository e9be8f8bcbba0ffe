#include <algorithm>
#include <functional>

#include "monge/bench/peers/run.h"
#include "monge/ot/assignment.h"
#include "monge/ot/exact.h"

// Times exact() and assign_batch() on raw arrays of the host, for bench/peers/exact.py and assign_batch.py:
//   ot_exact_run clouds X.f32 Y.f32 N D REPEAT [DEVICE]
//   ot_exact_run cost C.f64 N N REPEAT
//   ot_exact_run transport X.f32 Y.f32 A.f64 B.f64 N M D REPEAT
//   ot_exact_run batch X.f32 Y.f32 PROBLEMS N D REPEAT [DEVICE]
// DEVICE is "cpu" or a GPU's number. Prints one JSON line, of a batch with the mean cost and the widest certificate.
namespace {

using namespace monge;
using peers::read;

void run(int repeat, const std::function<ot::ExactResult()>& solve) {
  std::string times;
  const ot::ExactResult r = peers::timed(repeat, solve, times);
  std::printf("{\"times\": [%s], \"cost\": %.17g, \"lower\": %.17g, \"upper\": %.17g, \"status\": \"%s\"}\n",
              times.c_str(), r.cost, r.certificate.lower, r.certificate.upper, to_string(r.status));
}

void run_batch(int repeat, const std::function<std::vector<ot::AssignmentResult>()>& solve) {
  std::string times;
  const std::vector<ot::AssignmentResult> results = peers::timed(repeat, solve, times);
  double cost = 0, width = 0;
  ot::Status status = ot::Status::converged;
  for (const ot::AssignmentResult& r : results) {
    cost += r.cost / static_cast<double>(results.size());
    width = std::max(width, r.certificate.upper - r.certificate.lower);
    if (r.status != ot::Status::converged) status = r.status;
  }
  std::printf("{\"times\": [%s], \"cost\": %.17g, \"width\": %.3g, \"status\": \"%s\"}\n", times.c_str(), cost, width,
              to_string(status));
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string what = argc > 1 ? argv[1] : "";
  if ((argc == 7 || argc == 8) && what == "clouds") {
    const Index n = std::stol(argv[4]), d = std::stol(argv[5]);
    const auto x = read<float>(argv[2], n * d), y = read<float>(argv[3], n * d);
    const ot::Problem<float> problem{.x = {x.data(), n, d}, .y = {y.data(), n, d}};
    const ot::ExactOptions options{.context = {.device = peers::device_of(argc == 8 ? argv[7] : "cpu")}};
    run(std::stoi(argv[6]), [&] { return ot::exact(problem, options); });
  } else if (argc == 6 && what == "cost") {
    const Index n = std::stol(argv[3]), m = std::stol(argv[4]);
    const auto cost = read<double>(argv[2], n * m);
    run(std::stoi(argv[5]), [&] { return ot::exact(MatrixView<const double>(cost.data(), n, m)); });
  } else if (argc == 10 && what == "transport") {
    const Index n = std::stol(argv[6]), m = std::stol(argv[7]), d = std::stol(argv[8]);
    const auto x = read<float>(argv[2], n * d), y = read<float>(argv[3], m * d);
    const auto a = read<double>(argv[4], n), b = read<double>(argv[5], m);
    const ot::Problem<float> problem{.x = {x.data(), n, d}, .y = {y.data(), m, d}, .a = a, .b = b};
    run(std::stoi(argv[9]), [&] { return ot::exact(problem); });
  } else if ((argc == 8 || argc == 9) && what == "batch") {
    const Index problems = std::stol(argv[4]), n = std::stol(argv[5]), d = std::stol(argv[6]);
    const auto x = read<float>(argv[2], problems * n * d), y = read<float>(argv[3], problems * n * d);
    const MatrixView<const float> xs(x.data(), problems * n, d), ys(y.data(), problems * n, d);
    const ot::AssignmentOptions options{.context = {.device = peers::device_of(argc == 9 ? argv[8] : "cpu")}};
    run_batch(std::stoi(argv[7]), [&] { return ot::assign_batch(xs, ys, n, options); });
  } else {
    std::fprintf(stderr,
                 "ot_exact_run clouds X.f32 Y.f32 N D REPEAT [DEVICE] | cost C.f64 N N REPEAT | "
                 "transport X.f32 Y.f32 A.f64 B.f64 N M D REPEAT | batch X.f32 Y.f32 PROBLEMS N D REPEAT [DEVICE]\n");
    return 2;
  }
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
