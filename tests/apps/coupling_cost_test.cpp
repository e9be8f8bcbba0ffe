// coupling_cost: its figures against independent ones, its record, and the program from outside.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <utility>

#include "monge/apps/coupling_cost/limit.h"
#include "monge/apps/coupling_cost/measure.h"
#include "monge/apps/coupling_cost/population.h"
#include "monge/ot/core/error.h"
#include "monge/tests/apps/programs.h"

namespace monge::apps {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::vector<std::vector<double>> costs(const Batch& batch) {
  std::vector<std::vector<double>> c(static_cast<std::size_t>(batch.n));
  for (Index i = 0; i < batch.n; ++i) {
    for (Index j = 0; j < batch.n; ++j) {
      double sum = 0;
      for (Index k = 0; k < batch.x.cols(); ++k) {
        const double off = static_cast<double>(batch.x(i, k)) - static_cast<double>(batch.y(j, k));
        sum += off * off;
      }
      c[static_cast<std::size_t>(i)].push_back(sum);
    }
  }
  return c;
}

// The Hungarian method in its O(n^3) form with potentials: mean cost of the cheapest assignment.
double hungarian(const std::vector<std::vector<double>>& c) {
  const std::size_t n = c.size();
  std::vector<double> u(n + 1), v(n + 1);
  std::vector<std::size_t> row(n + 1), way(n + 1);
  for (std::size_t i = 1; i <= n; ++i) {
    std::vector<double> least(n + 1, std::numeric_limits<double>::infinity());
    std::vector<bool> used(n + 1);
    std::size_t j0 = 0;
    row[0] = i;
    do {
      used[j0] = true;
      std::size_t j1 = 0;
      double delta = std::numeric_limits<double>::infinity();
      for (std::size_t j = 1; j <= n; ++j) {
        if (used[j]) continue;
        const double reduced = c[row[j0] - 1][j - 1] - u[row[j0]] - v[j];
        if (reduced < least[j]) least[j] = reduced, way[j] = j0;
        if (least[j] < delta) delta = least[j], j1 = j;
      }
      for (std::size_t j = 0; j <= n; ++j) {
        if (used[j]) {
          u[row[j]] += delta, v[j] -= delta;
        } else {
          least[j] -= delta;
        }
      }
      j0 = j1;
    } while (row[j0] != 0);
    for (; j0 != 0; j0 = way[j0]) row[j0] = row[way[j0]];
  }
  return -v[0] / static_cast<double>(n);
}

// Cost and entropy of the entropic plan between uniform weights, by plain Sinkhorn in the log domain.
std::pair<double, double> entropic(const std::vector<std::vector<double>>& c, double epsilon) {
  const std::size_t n = c.size();
  const double log_n = std::log(static_cast<double>(n));
  std::vector<double> f(n), g(n);
  const auto settle = [&](bool rows) {
    for (std::size_t i = 0; i < n; ++i) {
      const auto term = [&](std::size_t j) { return rows ? (g[j] - c[i][j]) / epsilon : (f[j] - c[j][i]) / epsilon; };
      double most = term(0), sum = 0;
      for (std::size_t j = 0; j < n; ++j) most = std::max(most, term(j));
      for (std::size_t j = 0; j < n; ++j) sum += std::exp(term(j) - most);
      (rows ? f : g)[i] = -epsilon * (most + std::log(sum) - log_n);
    }
  };
  for (int i = 0; i < 3000; ++i) settle(true), settle(false);
  double cost = 0, entropy = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      const double log_p = (f[i] + g[j] - c[i][j]) / epsilon - 2 * log_n;
      cost += std::exp(log_p) * c[i][j];
      entropy -= std::exp(log_p) * log_p;
    }
  }
  return {cost, entropy};
}

// A grid of 64 points, its limit fitted once.
class CouplingCost : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    population = new Population(grid_population(3));
    auto fit = ot::semidiscrete(population->y.view(), {}, {.cost = ot::Cost::squared_euclidean, .tolerance = 0.01});
    limit = new Limit(*population, std::move(fit.potentials), {});
  }
  static void TearDownTestSuite() {
    delete limit;
    delete population;
  }

  static Point measured(const CouplingName& coupling, const Batch& batch) {
    const LimitOfBatch at_limit = match_batch(*population, *limit, batch, 0);
    MeasureOptions options;
    options.tolerance = 1e-6;
    return measure(coupling, *population, *limit, batch, at_limit, options);
  }

  static const Population* population;
  static const Limit* limit;
};
const Population* CouplingCost::population = nullptr;
const Limit* CouplingCost::limit = nullptr;

TEST_F(CouplingCost, CostsAreThoseOfIndependentCode) {
  const Batch batch = draw_batch(*population, 64, 1, 0, {});
  const auto c = costs(batch);
  double mean = 0;
  for (const auto& row : c) mean += std::accumulate(row.begin(), row.end(), 0.0) / 64 / 64;
  const Point independent = measured({CouplingKind::independent}, batch);
  EXPECT_NEAR(independent.raw_cost, mean, 1e-10 * mean);
  EXPECT_EQ(independent.entropy, 1);

  const Point exact = measured({CouplingKind::exact}, batch);
  EXPECT_NEAR(exact.raw_cost, hungarian(c), 1e-10 * mean);
  EXPECT_EQ(exact.entropy, 0);

  for (const double epsilon : {0.1, 1.0}) {  // the solver works in float
    const auto [cost, entropy] = entropic(c, epsilon * population->spread);
    const Point point = measured({CouplingKind::sinkhorn, epsilon}, batch);
    EXPECT_NEAR(point.raw_cost, cost, 1e-4 * mean);
    EXPECT_NEAR(point.entropy, entropy / std::log(64.0) - 1, 1e-4);
    EXPECT_LE(point.marginal_error, 1e-6);
    EXPECT_EQ(point.status, "converged");
  }
}

TEST_F(CouplingCost, GapsAreMeanReducedCosts) {
  const Batch batch = draw_batch(*population, 32, 0, 0, {});
  const LimitOfBatch at_limit = match_batch(*population, *limit, batch, 0);
  double mean = 0, shift = 0;
  const auto c = costs(batch);
  for (std::size_t i = 0; i < 32; ++i) {
    double least = std::numeric_limits<double>::infinity();  // f by its definition, over all points
    for (Index j = 0; j < population->y.rows(); ++j) {
      double square = 0;
      for (Index k = 0; k < 3; ++k) {
        const double off =
            static_cast<double>(batch.x(static_cast<Index>(i), k)) - static_cast<double>(population->y(j, k));
        square += off * off;
      }
      least = std::min(least, square - limit->g()[static_cast<std::size_t>(j)]);
    }
    EXPECT_NEAR(at_limit.f[i], least, 1e-5);
    shift += (at_limit.f[i] + at_limit.g[i]) / 32;
    mean += std::accumulate(c[i].begin(), c[i].end(), 0.0) / 32 / 32;
    for (std::size_t j = 0; j < 32; ++j) EXPECT_GE(c[i][j] - at_limit.f[i] - at_limit.g[j], -1e-5);
  }
  EXPECT_NEAR(measured({CouplingKind::independent}, batch).gap, mean - shift, 1e-9);
  EXPECT_NEAR(measured({CouplingKind::exact}, batch).gap, hungarian(c) - shift, 1e-9);
  EXPECT_NEAR(measured({CouplingKind::sinkhorn, 1}, batch).gap, entropic(c, population->spread).first - shift,
              1e-4 * mean);
}

// The gaps' expectation must be that of the plain costs: over many batches their means agree within the error.
TEST_F(CouplingCost, GapsAreUnbiasedAndFall) {
  double last = std::numeric_limits<double>::infinity();
  const LimitFigures figures = limit->estimate(100000, 0, {});
  for (const Index n : {8, 16, 32}) {
    double gap = 0, raw = 0, squares = 0;
    constexpr Index repeats = 400;
    for (Index repeat = 0; repeat < repeats; ++repeat) {
      const Point point = measured({CouplingKind::exact}, draw_batch(*population, n, repeat, 0, {}));
      const double off = point.raw_cost - figures.cost - point.gap;
      gap += point.gap / repeats;
      raw += off / repeats;
      squares += off * off / repeats;
    }
    EXPECT_NEAR(raw, 0, 4 * std::sqrt(squares / repeats) + figures.error) << n;
    EXPECT_GT(gap, 0);
    EXPECT_LT(gap, last);
    last = gap;
  }
}

TEST_F(CouplingCost, TheLimitOfTheGridIsKnown) {
  // The cost of a coordinate by Simpson's rule on each quarter of the law.
  double known = 0;
  for (Index k = 0; k < 3; ++k) {
    std::vector<double> levels;
    for (Index i = 0; i < 64; ++i) levels.push_back(static_cast<double>(population->y(i, k)));
    std::sort(levels.begin(), levels.end());
    levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
    ASSERT_EQ(levels.size(), 4u);
    const double q = 0.6744897501960817, ends[] = {-9, -q, 0, q, 9};
    for (std::size_t l = 0; l < 4; ++l) {
      constexpr int steps = 2000;
      const double h = (ends[l + 1] - ends[l]) / steps;
      for (int s = 0; s <= steps; ++s) {
        const double x = ends[l] + h * s, weight = s == 0 || s == steps ? 1 : s % 2 ? 4 : 2;
        const double density = std::exp(-x * x / 2) / std::sqrt(2 * M_PI);
        known += weight * h / 3 * density * (x - levels[l]) * (x - levels[l]);
      }
    }
  }
  EXPECT_NEAR(population->known_limit.value(), known, 1e-6);
  const LimitFigures figures = limit->estimate(100000, 0, {});
  EXPECT_NEAR(figures.cost, known, 1.5 * figures.error);
  EXPECT_LT(figures.error, 0.04);
  // Cauchy and Schwarz: a marginal m of chi-square c moves <m - b, g> by at most the square root of c Var g.
  double variance = 0;
  for (const double g : limit->g()) variance += (g - limit->mean_g()) * (g - limit->mean_g()) / 64;
  EXPECT_NEAR(figures.plan_cost, figures.cost, std::sqrt(0.01 * variance) + figures.error + figures.plan_error);
}

TEST(Population, BatchesOfOneRepeatBeginAlike) {
  const Population grid = grid_population(4);
  const Batch small = draw_batch(grid, 50, 2, 7, {}), large = draw_batch(grid, 256, 2, 7, {});
  EXPECT_TRUE(std::equal(small.x.data(), small.x.data() + 200, large.x.data()));
  EXPECT_TRUE(std::equal(small.y.data(), small.y.data() + 200, large.y.data()));
  std::vector<Index> all = large.points, other = draw_batch(grid, 256, 3, 7, {}).points;
  EXPECT_NE(all, other);
  std::sort(all.begin(), all.end());
  for (Index i = 0; i < 256; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)], i);  // different points, here all of them
}

class CouplingCostProgram : public testing::Test {
 protected:
  static constexpr const char* tiny = "--from 8 --epsilon 0.1,1 --limit-samples 2000 ";

  // A record without what may differ from run to run.
  Json record(const std::string& name) {
    Json json = Json::parse(read_file(folder / name / "coupling_cost.json"));
    for (Json& point : json["points"]) point.erase("seconds_per_pair"), point.erase("peak_mb");
    for (Json& row : json["rows"]) row.erase("seconds_per_pair"), row.erase("peak_mb");
    json["limit"].erase("fit_seconds");
    return json;
  }

  void expect_refusal(const std::string& arguments, const std::string& what, int status = 1) {
    const Outcome outcome = run(folder, "coupling_cost", arguments);
    EXPECT_EQ(outcome.status, status) << arguments << "\n" << outcome.err;
    EXPECT_NE(outcome.err.find(what), std::string::npos) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_EQ(outcome.out, "") << arguments;
  }

  Folder folder;
};

TEST_F(CouplingCostProgram, LeavesRecordTableAndPlot) {
  const Outcome outcome = run(folder, "coupling_cost", std::string("--grid 3 --out a --to 32 --repeats 2 ") + tiny);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json json = record("a");
  EXPECT_EQ(json.at("points").size(), 3u * 2 * 5);
  EXPECT_EQ(json.at("rows").size(), 3u * 5);
  for (const Json& row : json.at("rows")) {
    std::vector<double> gaps;
    for (const Json& p : json.at("points")) {
      const bool same =
          p.at("coupling") == row.at("coupling") && p.at("epsilon") == row.at("epsilon") && p.at("n") == row.at("n");
      if (same) gaps.push_back(p.at("gap"));
    }
    ASSERT_EQ(gaps.size(), 2u);
    EXPECT_DOUBLE_EQ(row.at("gap").at("median"), (gaps[0] + gaps[1]) / 2);
    EXPECT_EQ(row.at("gap").at("low"), std::min(gaps[0], gaps[1]));
    EXPECT_DOUBLE_EQ(row.at("cost").at("high"), std::max(gaps[0], gaps[1]) + json.at("limit").at("cost").get<double>());
  }
  const std::string csv = read_file(folder / "a/coupling_cost.csv"), svg = read_file(folder / "a/coupling_cost.svg");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 16);
  EXPECT_EQ(csv.find("coupling,epsilon,n,repeats,cost,cost_low,cost_high,gap,"), 0u);
  for (const char* name : {">independent<", ">Sinkhorn 0.1<", ">exact<", ">semidiscrete<", ">limit<"}) {
    EXPECT_NE(svg.find(name), std::string::npos) << name;
  }
  EXPECT_NE(outcome.out.find("known limit: "), std::string::npos);
}

TEST_F(CouplingCostProgram, ARunThatWasStoppedGoesOnToTheSameBits) {
  data::save_dataset(small_images(40), folder / "data.h5");
  const std::string part = std::string("data.h5 --limit-tolerance 0.2 ") + tiny;
  const std::string command = part + "--to 32 --repeats 2 ";
  ASSERT_EQ(run(folder, "coupling_cost", command + "--threads 1 --out whole").status, 0);
  const Json whole = record("whole");
  EXPECT_EQ(whole.at("problem").at("points"), 80);  // training and test images

  // In parts: some sizes, then without the last points, as an interruption leaves it, then all.
  ASSERT_EQ(run(folder, "coupling_cost", part + "--to 16 --repeats 1 --out parts").status, 0);
  Json cut = Json::parse(read_file(folder / "parts/coupling_cost.json"));
  const Json kept = cut.at("points")[0];
  cut["points"].erase(cut["points"].begin() + 3, cut["points"].end());
  std::ofstream(folder / "parts/coupling_cost.json") << cut;
  fs::remove(folder / "parts/potentials.h5");
  ASSERT_EQ(run(folder, "coupling_cost", command + "--out parts").status, 0);
  EXPECT_EQ(record("parts"), whole);
  const Json again = Json::parse(read_file(folder / "parts/coupling_cost.json"));
  EXPECT_EQ(again.at("points")[0], kept);  // its time too: not measured anew

  // By a signal, wherever it strikes.
  for (const int delay : {20000, 100000}) {
    const pid_t child = start(folder, "coupling_cost", command + "--out stopped");
    await_handlers(child);
    usleep(static_cast<useconds_t>(delay));
    kill(child, SIGINT);
    const Outcome outcome = finish(folder, child);
    if (outcome.status == 0) continue;
    EXPECT_EQ(outcome.status, 130) << outcome.err;
    EXPECT_NE(outcome.err.find("coupling_cost: interrupted"), std::string::npos) << outcome.err;
  }
  ASSERT_EQ(run(folder, "coupling_cost", command + "--out stopped").status, 0);
  EXPECT_EQ(record("stopped"), whole);
}

TEST_F(CouplingCostProgram, RefusesInOneLine) {
  ASSERT_EQ(run(folder, "coupling_cost", std::string("--grid 2 --out a --from 4 --to 4 --limit-samples 1000")).status,
            0);
  const std::string before = read_file(folder / "a/coupling_cost.json");
  expect_refusal("--from 4 --grid 3 --out a --limit-samples 1000", "measured on another problem (name is \"grid-3\"");
  expect_refusal("--from 4 --grid 2 --out a --limit-samples 1000 --seed 1", "(seed is 1, was 0); choose another --out");
  expect_refusal("--from 4 --grid 2 --out a --limit-samples 1000 --tolerance 0.1", "(tolerance is 0.1, was 0.001)");
  EXPECT_EQ(read_file(folder / "a/coupling_cost.json"), before);

  fs::create_directory(folder / "b");
  fs::copy(folder / "a/potentials.h5", folder / "b/potentials.h5");
  expect_refusal("--from 4 --grid 3 --out b", "potentials of other points");
  std::ofstream(folder / "a/coupling_cost.json") << "{\"format\": 1}";
  expect_refusal("--from 4 --grid 2 --out a", "coupling_cost.json: not a record of coupling costs");

  expect_refusal("--out c", "takes either a data file or --grid");
  expect_refusal("data.h5 --grid 2 --out c", "takes either a data file or --grid");
  expect_refusal("data.h5 --out c", "data.h5");
  expect_refusal("--grid 2 --to 32 --out c", "--to 32: a batch has different points, and there are 16");
  expect_refusal("--grid 2 --from 16 --to 8 --out c", "--from 16 is above 8");
  expect_refusal("--grid 2 --epsilon 0 --out c", "--epsilon", 2);
  expect_refusal("--grid 9 --out c", "--grid", 2);
  EXPECT_FALSE(fs::exists(folder / "c"));
  std::ofstream(folder / "file") << "";
  expect_refusal("--grid 2 --from 4 --out file", "file");
}

}  // namespace
}  // namespace monge::apps
