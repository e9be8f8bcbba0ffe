#include "monge/apps/coupling_cost/population.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include "monge/data/dataset.h"
#include "monge/data/digest.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"
#include "monge/ot/source.h"

namespace monge::apps {
namespace {

constexpr std::array<double, 4> levels = {-1.75, -0.5, 0.25, 1.5};

// Of coordinate k; products with the levels are floats.
double grid_scale(Index k) { return 2 - 0.1875 * static_cast<double>(k); }

// E (x - T(x))^2 over x ~ N(0, 1), T the monotone map to `scale` times the levels: 1 + E T^2 - 2 E x T, and x has the
// mass phi(q_l) - phi(q_{l + 1}) between quartiles, phi being the density.
double line_cost(double scale) {
  constexpr double quartile = 0.6744897501960817;
  const double inner = std::exp(-quartile * quartile / 2) / std::sqrt(2 * std::numbers::pi);
  const double middle = 1 / std::sqrt(2 * std::numbers::pi);
  const std::array<double, 5> density = {0, inner, middle, inner, 0};
  double cost = 1;
  for (std::size_t l = 0; l < levels.size(); ++l) {
    const double level = scale * levels[l];
    cost += level * level / 4 - 2 * level * (density[l] - density[l + 1]);
  }
  return cost;
}

Population described(Population p) {
  const Index n = p.y.rows(), d = p.y.cols();
  std::vector<double> mean(static_cast<std::size_t>(d), 0.0);
  for (Index i = 0; i < n; ++i) {
    for (Index k = 0; k < d; ++k) {
      const double v = static_cast<double>(p.y(i, k));
      mean[static_cast<std::size_t>(k)] += v / static_cast<double>(n);
      p.mean_square += v * v / static_cast<double>(n);
    }
  }
  double of_mean = 0;
  for (const double m : mean) of_mean += m * m;
  p.spread = 2 * std::sqrt(std::max(0.0, p.mean_square - of_mean));
  p.digest = data::digest(p.y.data(), sizeof(float) * static_cast<std::size_t>(n * d));
  return p;
}

}  // namespace

Population read_population(const std::filesystem::path& path, Index points) {
  const data::Dataset dataset = data::load_dataset(path);
  const Index train = dataset.train.rows(), all = train + dataset.test.rows(), d = dataset.dims();
  require(points <= all, "--points ", points, ": ", path.string(), " has ", all, " points");
  Population population;
  population.name = path.stem().string();
  population.y = Matrix<float>(points > 0 ? points : all, d);
  for (Index i = 0; i < population.y.rows(); ++i) {
    const float* row = i < train ? dataset.train.x.view().row(i) : dataset.test.x.view().row(i - train);
    std::copy_n(row, d, population.y.view().row(i));
  }
  return described(std::move(population));
}

Population grid_population(Index dimensions) {
  require(dimensions >= 1 && dimensions <= 8, "the grid has 1 to 8 dimensions, not ", dimensions);
  Population population;
  population.name = "grid-" + std::to_string(dimensions);
  population.y = Matrix<float>(Index{1} << (2 * dimensions), dimensions);
  double cost = 0;
  for (Index k = 0; k < dimensions; ++k) {
    cost += line_cost(grid_scale(k));
    for (Index i = 0; i < population.y.rows(); ++i) {
      const auto level = static_cast<std::size_t>((i >> (2 * k)) & 3);
      population.y(i, k) = static_cast<float>(grid_scale(k) * levels[level]);
    }
  }
  population.known_limit = cost;
  return described(std::move(population));
}

Batch draw_batch(const Population& population, Index n, Index repeat, std::uint64_t seed, const Context& context) {
  const Index all = population.y.rows(), d = population.y.cols();
  require(n >= 1 && n <= all, "a batch of ", n, " from ", all, " points");
  const Rng rng = Rng{seed}.substream(0x62617463).substream(static_cast<std::uint64_t>(repeat));
  Batch batch{n, repeat, Matrix<float>(n, d), Matrix<float>(n, d), {}};
  ot::draw({}, rng.substream(0), 0, batch.x.view(), context);
  // The first n of a random order of all points.
  std::vector<Index> order(static_cast<std::size_t>(all));
  std::iota(order.begin(), order.end(), Index{0});
  const Rng swaps = rng.substream(1);
  for (Index i = 0; i < n; ++i) {
    const auto at = static_cast<std::uint64_t>(i);
    std::swap(order[at], order[at + uniform_below(swaps, at, static_cast<std::uint64_t>(all - i))]);
    std::copy_n(population.y.view().row(order[at]), d, batch.y.view().row(i));
  }
  batch.points.assign(order.begin(), order.begin() + n);
  return batch;
}

}  // namespace monge::apps
