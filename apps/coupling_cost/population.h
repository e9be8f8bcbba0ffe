#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "monge/ot/core/array.h"

namespace monge::apps {

// The points that batches are drawn from; noise is standard normal in as many dimensions, the cost is |x - y|^2.
struct Population {
  std::string name;
  Matrix<float> y;         // N x d, all of equal weight
  std::string digest;      // of the points
  double mean_square = 0;  // of |y|^2
  double spread = 0;       // standard deviation of -2 <x, y - mean y>, the part of the cost that pairs share
  std::optional<double>
      known_limit;  // cost of the optimal map from the noise onto all points, where there is a formula

  double mean_cost() const { return static_cast<double>(y.cols()) + mean_square; }  // of independent pairs
};

// Training and test points of a data file together; the first `points` of them if that is not 0.
// Throws Error: as data::load_dataset, invalid_argument (more points than there are).
Population read_population(const std::filesystem::path& path, Index points);

// The grid of 4^dimensions points whose coordinate k is one of four levels. The optimal map acts on each coordinate
// alone, x_k to the level of the quarter of the normal law that x_k lies in, and so its cost is known.
Population grid_population(Index dimensions);

// n noise vectors and n different points. Batches of one repeat begin with the same noise and the same points.
struct Batch {
  Index n = 0, repeat = 0;
  Matrix<float> x, y;         // n x d
  std::vector<Index> points;  // n, the rows of the population that y are
};
Batch draw_batch(const Population& population, Index n, Index repeat, std::uint64_t seed, const Context& context);

}  // namespace monge::apps
