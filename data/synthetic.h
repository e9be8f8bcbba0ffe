#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "monge/data/dataset.h"
#include "monge/data/pairs.h"

namespace monge::data {

// A point set made by a formula. docs/datasets.md has the formulas, and says whose conventions they are.
struct SyntheticKind {
  const char* name;
  const char* what;  // in a few words, for people
  double noise;      // standard deviation of the noise added to every point, where the caller names none
  bool planar;       // two dimensions; else any number, and a known optimal map from N(0, I)
};
const std::vector<SyntheticKind>& synthetic_kinds();

struct SyntheticOptions {
  Index points = 10000;       // training points
  Index test_points = 10000;  // held out; 0 = none
  Index dimensions = 2;       // of sets with a known map; the others are planar
  double noise = -1;          // standard deviation; negative = the kind's own; sets with a known map have none
  std::uint64_t seed = 0;
  Context context = {};
};

struct Synthetic {
  Dataset data;           // f32, labelled where the kind has classes
  Pairs pairs;            // kinds with a known map: training point i and the noise it is the image of; else empty
  double squared_w2 = 0;  // from N(0, I) by that map; NaN when there is no closed form
};

// Points are independent samples of one law, each a function of (seed, its number): more points begin with the same
// ones, and test points follow the training points. Throws Error(invalid_argument): no such kind (lists them), sizes.
Synthetic synthetic(std::string_view name, const SyntheticOptions& options = {});

// The log density, in nats, of the law that a data set of synthetic() is drawn from, which its `source` names: of
// 8gaussians with noise, and of checkerboard without. Empty where there is no closed form, and for other sources.
std::function<double(VectorView<const float> x)> known_log_density(const std::string& source);

}  // namespace monge::data
