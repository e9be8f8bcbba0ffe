#include <sys/resource.h>

#include "monge/bench/peers/run.h"
#include "monge/ot/sinkhorn.h"

// Times sinkhorn() on raw arrays of the host, for bench/peers/sinkhorn.py:
//   ot_sinkhorn_run X.f32 Y.f32 N M D EPSILON TOLERANCE DEVICE REPEAT POTENTIALS.f64
// EPSILON is a share of the mean cost, DEVICE "cpu" or a GPU's number. Writes f and g, and prints one JSON line.
int main(int argc, char** argv) try {
  using namespace monge;
  if (argc != 11) {
    std::fprintf(stderr, "ot_sinkhorn_run X.f32 Y.f32 N M D EPSILON TOLERANCE DEVICE REPEAT POTENTIALS.f64\n");
    return 2;
  }
  const Index n = std::stol(argv[3]), m = std::stol(argv[4]), d = std::stol(argv[5]);
  const auto x = peers::read<float>(argv[1], n * d), y = peers::read<float>(argv[2], m * d);
  const ot::Problem<float> problem{.x = {x.data(), n, d}, .y = {y.data(), m, d}};
  const ot::SinkhornOptions options{.epsilon = std::stod(argv[6]),
                                    .epsilon_unit = ot::EpsilonUnit::mean_cost,
                                    .tolerance = std::stod(argv[7]),
                                    .context = {.device = peers::device_of(argv[8])}};
  std::string times;
  const auto r = peers::timed(
      std::stoi(argv[9]), [&] { return ot::sinkhorn(problem, options); }, times);
  std::ofstream out(argv[10], std::ios::binary);
  for (const auto* potentials : {&r.f, &r.g})
    out.write(reinterpret_cast<const char*>(potentials->data()),
              static_cast<std::streamsize>(potentials->size() * sizeof(double)));
  if (!out.flush()) throw std::runtime_error(std::string(argv[10]) + " cannot be written");
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf(
      "{\"times\": [%s], \"status\": \"%s\", \"iterations\": %lld, \"cost\": %.17g, \"lower\": %.17g, \"upper\": "
      "%.17g, "
      "\"peak_mb\": %.1f}\n",
      times.c_str(), to_string(r.status), static_cast<long long>(r.iterations), r.cost, r.certificate.lower,
      r.certificate.upper, static_cast<double>(usage.ru_maxrss) * 1.024e-3);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
