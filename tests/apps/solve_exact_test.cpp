// ot_solve's exact solvers: every one that applies finds the same optimum, with plan, map and potentials to it.
#include <hdf5.h>
#include <signal.h>

#include <cmath>
#include <numeric>
#include <thread>

#include "monge/data/hdf5_reader.h"
#include "monge/data/pairs.h"
#include "monge/tests/apps/solve.h"

namespace monge::apps {
namespace {

class SolveExact : public Solve {
 protected:
  void expect_cost(const std::string& arguments, double cost, double tolerance = 1e-12) {
    const auto r = result(arguments);
    EXPECT_NEAR(r.at("cost"), cost, tolerance) << arguments;
    EXPECT_NEAR(r.at("lower"), cost, tolerance) << arguments;
    EXPECT_NEAR(r.at("upper"), cost, tolerance) << arguments;
    EXPECT_EQ(r.at("certificate"), "proven") << arguments;
    EXPECT_EQ(r.at("status"), "converged") << arguments;
  }

  Matrix<double> numbers(const std::string& name) { return data::read_npy<double>(folder / name, 1e9); }
};

// Beasley's OR-Library.
TEST_F(SolveExact, OrLibrary) {
  const std::filesystem::path files = MONGE_TEST_FILES;
  for (const auto& [n, optimum] : {std::pair{100, 305}, {200, 475}, {300, 626}, {400, 804}}) {
    std::ifstream in(files / ("assign" + std::to_string(n) + ".txt"));
    Index size = 0;
    in >> size;
    std::vector<double> costs(static_cast<std::size_t>(n * n));
    for (double& c : costs) in >> c;
    save("C.npy", n, costs);
    for (const std::string solver : {"auto", "exact --dtype double", "network_simplex", "hungarian", "auction"})
      expect_cost("--cost C.npy --solver " + solver, static_cast<double>(optimum) / n);
  }
}

// On a line the monotone coupling is optimal for both costs.
TEST_F(SolveExact, WeightsOnALineGiveTheQuantileCoupling) {
  save("x.npy", 4, std::vector<double>{0, 1, 4, -7});
  save("y.npy", 2, std::vector<double>{1, 3});
  save("a.npy", 4, std::vector<double>{1, 0.5, 0.5, 0});
  save("b.npy", 2, std::vector<double>{0.5, 1.5});
  const std::string problem = "x.npy y.npy --a a.npy --b b.npy ";
  for (const std::string solver : {"auto", "exact", "network_simplex"}) {
    expect_cost(problem + "--solver " + solver, 0.5 * 1 + 0.5 * 9 + 0.5 * 4 + 0.5 * 1);
    expect_cost(problem + "--metric euclidean --solver " + solver, 0.5 * 1 + 0.5 * 3 + 0.5 * 2 + 0.5 * 1);
  }
  const auto r = result(problem + "--map t.npy --plan p.npy");
  EXPECT_EQ(r.at("mass"), 2);
  EXPECT_GE(r.at("iterations"), 0);
  const Matrix<double> map = numbers("t.npy"), plan = numbers("p.npy");
  const std::vector<double> moved{2, 3, 3, -7};  // no mass leaves the last
  for (Index i = 0; i < 4; ++i) EXPECT_NEAR(map(i, 0), moved[static_cast<std::size_t>(i)], 1e-15);
  EXPECT_NEAR(plan(0, 0), 0.5, 1e-15);
  EXPECT_NEAR(plan(0, 1), 0.5, 1e-15);
  EXPECT_EQ(plan(3, 0) + plan(3, 1), 0);
}

// An assignment makes no pivots.
TEST_F(SolveExact, WeightsThatAreAllTheSameMakeAnAssignment) {
  save_cloud("x.npy", 60, 3, 1);
  save_cloud("y.npy", 60, 3, 2);
  save("w.npy", 60, std::vector<double>(60, 0.5));
  const double mean = result("x.npy y.npy").at("cost");
  const auto r = result("x.npy y.npy --a w.npy --b w.npy --solver exact --plan p.npy");
  EXPECT_TRUE(r.at("iterations").is_null());
  EXPECT_EQ(r.at("mass"), 30);
  EXPECT_NEAR(r.at("cost"), 30 * mean, 1e-13 * 30 * mean);
  const Matrix<double> plan = numbers("p.npy");
  EXPECT_EQ(*std::max_element(plan.data(), plan.data() + 60 * 60), 0.5);
  EXPECT_GT(result("x.npy y.npy --a w.npy --b w.npy --solver network_simplex").at("iterations"), 0);
}

TEST_F(SolveExact, MetricsAndLabels) {
  std::ofstream(folder / "x.csv") << "1,0\n";
  std::ofstream(folder / "y.csv") << "1,2\n";
  for (const auto& [metric, cost] : {std::pair<std::string, double>{"squared_euclidean", 4},
                                     {"euclidean", 2},
                                     {"l1", 2},
                                     {"cosine", 1 - 1 / std::sqrt(5.0)},
                                     {"negative_dot", -1}}) {
    expect_cost("x.csv y.csv --metric " + metric, cost, 1e-13);
    expect_cost("x.csv y.csv --solver network_simplex --metric " + metric, cost, 1e-13);
  }
  save("x.npy", 2, std::vector<double>{0, 1});
  std::ofstream(folder / "zx.csv") << "0\n1\n";
  std::ofstream(folder / "zy.csv") << "1\n0\n";
  // Staying costs the penalty, swapping the distance 1.
  const std::string labels = "x.npy x.npy --x-labels zx.csv --y-labels zy.csv --label-penalty ";
  expect_cost(labels + "0.25", 0.25);
  expect_cost(labels + "9 --solver exact", 1);
  for (const std::string solver : {"auto", "exact", "network_simplex"})
    expect_cost(labels + "inf --solver " + solver, 1);
  save("C.npy", 2, std::vector<double>{0, 1, 1, 0});
  expect_cost("--cost C.npy --x-labels zx.csv --y-labels zy.csv --label-penalty inf", 1);
}

// Plan, map and potentials of the same optimum, whichever solver; sinkhorn's bounds hold it.
TEST_F(SolveExact, PlanMapAndPotentialsBelongTogether) {
  constexpr Index n = 40, m = 40, d = 2;
  const auto x = save_cloud("x.npy", n, d, 1), y = save_cloud("y.npy", m, d, 2, 0.5);
  const auto bounds = result("x.npy y.npy --solver sinkhorn");
  for (const std::string solver : {"exact", "network_simplex", "hungarian", "auction"}) {
    const auto r = result("x.npy y.npy --plan p.npy --map t.npy --potentials fg.npy --solver " + solver);
    EXPECT_EQ(r.at("solver"), solver);
    EXPECT_EQ(r.at("mass"), 1);
    EXPECT_EQ(r.at("iterations").is_null(), solver != "network_simplex");
    expect_brackets(bounds, r.at("cost"));
    const Matrix<double> plan = numbers("p.npy"), map = numbers("t.npy"), potentials = numbers("fg.npy");
    ASSERT_EQ(potentials.rows(), n + m);
    double cost = 0, dual = 0;
    std::vector<double> columns(m, 0.0);
    for (Index i = 0; i < n; ++i) {
      double row = 0;
      std::vector<double> mean(d, 0.0);
      for (Index j = 0; j < m; ++j) {
        double c = 0;
        for (Index k = 0; k < d; ++k) c += std::pow(double{x[i * d + k]} - double{y[j * d + k]}, 2);
        EXPECT_LE(potentials(i, 0) + potentials(n + j, 0), c + 1e-12);
        cost += plan(i, j) * c, row += plan(i, j), columns[j] += plan(i, j);
        for (Index k = 0; k < d; ++k) mean[k] += plan(i, j) * double{y[j * d + k]};
      }
      EXPECT_NEAR(row, 1.0 / n, 1e-15);
      for (Index k = 0; k < d; ++k) EXPECT_NEAR(map(i, k), mean[k] / row, 1e-6);
      dual += (potentials(i, 0) + potentials(n + i, 0)) / n;
    }
    for (const double column : columns) EXPECT_NEAR(column, 1.0 / m, 1e-15);
    EXPECT_NEAR(cost, r.at("cost"), 1e-13) << solver;
    EXPECT_NEAR(dual, r.at("cost"), 1e-12) << solver;

    EXPECT_EQ(solve("x.npy y.npy --plan p.h5 --map t.h5 --solver " + solver).status, 0);
    const data::Hdf5Reader file("test", folder / "p.h5");
    const auto offsets = file.read<std::int64_t>("offsets");
    const auto indices = file.read<std::int32_t>("columns");
    const auto values = file.read<double>("values");
    ASSERT_EQ(offsets.size(), std::size_t{n + 1});
    EXPECT_EQ(values.size(), std::size_t{n});
    for (Index i = 0; i < n; ++i) {
      for (auto e = static_cast<std::size_t>(offsets[i]); e < static_cast<std::size_t>(offsets[i + 1]); ++e)
        EXPECT_EQ(values[e], plan(i, indices[e]));
    }
    EXPECT_EQ(file.attribute<double>("", "left_out"), 0);
    EXPECT_EQ(file.read<double>("f").size() + file.read<double>("g").size(), std::size_t{n + m});
    EXPECT_NEAR(data::Hdf5Reader("test", folder / "t.h5").read_matrix<float>("map")(5, 1), map(5, 1), 1e-7);
  }
}

// On a line the optimal pairs are in order; they belong to the data set whose points Y are.
TEST_F(SolveExact, PairsAreThoseOfTheAssignment) {
  save("x.npy", 4, std::vector<float>{0.5f, -1, 4, 2});
  data::Dataset dataset;
  dataset.train.x = Matrix<float>(4, 1);
  for (Index i = 0; i < 4; ++i) dataset.train.x(i, 0) = static_cast<float>(3 - i);
  data::save_dataset(dataset, folder / "y.h5");
  for (const std::string solver : {"exact", "network_simplex", "hungarian", "auction"}) {
    ASSERT_EQ(solve("x.npy y.h5:/x --pairs pairs.h5 --solver " + solver).status, 0) << solver;
    const data::Pairs pairs = data::load_pairs(folder / "pairs.h5");
    EXPECT_EQ(pairs.atoms, (std::vector<std::int32_t>{2, 3, 0, 1})) << solver;
    EXPECT_EQ(pairs.x0(2, 0), 4);
    EXPECT_EQ(pairs.dataset_digest, data::load_dataset(folder / "y.h5").digest);
  }
  // Bytes on a range are the points that the data set stands for.
  dataset.storage = data::Storage::u8;
  dataset.low = 0, dataset.high = 51;
  data::save_dataset(dataset, folder / "bytes.h5");
  ASSERT_EQ(solve("x.npy bytes.h5:/x --pairs pairs.h5 --json r.json").status, 0);
  EXPECT_EQ(data::load_pairs(folder / "pairs.h5").dataset_digest, data::load_dataset(folder / "bytes.h5").digest);
  EXPECT_NEAR(nlohmann::json::parse(read_file(folder / "r.json")).at("cost"), (1 + 0.25 + 0 + 1) / 4, 1e-6);
  save("few.npy", 2, std::vector<float>{0.6f, 2.4f});
  EXPECT_EQ(solve("x.npy few.npy --pairs two.h5").status, 0);
  EXPECT_EQ(data::load_pairs(folder / "two.h5").atoms, (std::vector<std::int32_t>{0, 0, 1, 1}));
  // What cannot work is refused before it is solved.
  const auto expect_no_pairs = [&](const std::string& arguments, const std::string& what) {
    const Outcome outcome = solve(arguments + " --pairs split.h5");
    EXPECT_EQ(outcome.status, 1) << arguments;
    EXPECT_EQ(outcome.out, "");
    EXPECT_NE(outcome.err.find(what), std::string::npos) << outcome.err;
  };
  expect_no_pairs("few.npy x.npy", "--pairs: y 0 of 4 would be the partner of 0.5 of the 2 x; pairs are of points of");
  save("a.npy", 4, std::vector<double>{1, 1, 1, 3});
  save("b.npy", 2, std::vector<double>{1.5, 4.5});
  expect_no_pairs("x.npy few.npy --a a.npy --b b.npy", "--pairs: x 3 weighs 3, x 0 1; pairs are of points of");
  save("a.npy", 4, std::vector<double>{1.5, 1.5, 1.5, 1.5});
  ASSERT_EQ(solve("x.npy few.npy --a a.npy --b b.npy --pairs two.h5").status, 0);
  EXPECT_EQ(data::load_pairs(folder / "two.h5").atoms, (std::vector<std::int32_t>{1, 0, 1, 1}));
  EXPECT_EQ(solve("x.npy few.npy --solver sinkhorn --pairs other.h5").status, 2);
  for (const char* name : {"split.h5", "other.h5"}) EXPECT_FALSE(std::filesystem::exists(folder / name));
}

// Between data files with labels: pairs know of them, and stay within classes where those are forbidden to mix.
TEST_F(SolveExact, PairsHaveTheLabelsOfX) {
  const auto save_classes = [&](const char* name, const std::vector<float>& x,
                                const std::vector<std::int32_t>& labels) {
    data::Dataset dataset;
    dataset.train.x = Matrix<float>(4, 1);
    std::copy(x.begin(), x.end(), dataset.train.x.data());
    dataset.train.labels = labels;
    data::save_dataset(dataset, folder / name);
  };
  save_classes("x.h5", {1, 2, 3, 4}, {0, 1, 0, 1});
  save_classes("y.h5", {1, 2, 3, 4}, {1, 1, 0, 0});
  const std::string files = "x.h5:/x y.h5:/x --pairs pairs.h5 --x-labels x.h5:/labels --y-labels y.h5:/labels ";
  ASSERT_EQ(solve(files + "--label-penalty inf").status, 0);
  data::Pairs pairs = data::load_pairs(folder / "pairs.h5");
  EXPECT_EQ(pairs.atoms, (std::vector<std::int32_t>{2, 0, 3, 1}));  // in order within each class
  EXPECT_EQ(pairs.labels, (std::vector<std::int32_t>{0, 1, 0, 1}));
  ASSERT_EQ(solve("x.h5:/x y.h5:/x --pairs pairs.h5").status, 0);
  pairs = data::load_pairs(folder / "pairs.h5");
  EXPECT_EQ(pairs.atoms, (std::vector<std::int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(pairs.labels, (std::vector<std::int32_t>{0, 1, 0, 1}));  // the file's own
  save("x.npy", 4, std::vector<float>{1, 2, 3, 4});
  ASSERT_EQ(solve("x.npy y.h5:/x --pairs pairs.h5").status, 0);
  EXPECT_TRUE(data::load_pairs(folder / "pairs.h5").labels.empty());
  std::ofstream(folder / "labels.csv") << "5\n6\n7\n8\n";  // of X alone: no cost, but kept
  for (const std::string solver : {"exact", "hungarian"}) {
    ASSERT_EQ(solve("x.npy y.h5:/x --pairs pairs.h5 --x-labels labels.csv --solver " + solver).status, 0);
    pairs = data::load_pairs(folder / "pairs.h5");
    EXPECT_EQ(pairs.atoms, (std::vector<std::int32_t>{0, 1, 2, 3}));
    EXPECT_EQ(pairs.labels, (std::vector<std::int32_t>{5, 6, 7, 8}));
  }
}

TEST_F(SolveExact, ForbiddenPairs) {
  constexpr double never = HUGE_VAL;
  save("C.npy", 2, std::vector<double>{never, 2, 5, 1});
  for (const std::string solver : {"auto", "exact", "network_simplex", "hungarian", "auction"})
    expect_cost("--cost C.npy --solver " + solver, 3.5);
  std::ofstream(folder / "C.csv") << "inf,2,1\n5,inf,1\n";
  save("b.npy", 3, std::vector<double>{0.25, 0.25, 0.5});
  const Outcome outcome = solve("--cost C.csv --b b.npy --json r.json");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("some pairs are forbidden"), std::string::npos) << outcome.out;
  EXPECT_NEAR(nlohmann::json::parse(read_file(folder / "r.json")).at("cost"), 0.25 * 5 + 0.25 * 2 + 0.5, 1e-15);
}

TEST_F(SolveExact, AutoSaysWhy) {
  save_cloud("x.npy", 30, 2, 1);
  save_cloud("y.npy", 20, 2, 2);
  save_cloud("many.npy", 4001, 2, 3);
  save_cloud("x1.npy", 70, 1, 4);
  const auto expect_choice = [&](const std::string& arguments, const std::string& solver, const std::string& why) {
    const Outcome outcome = solve(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_NE(outcome.out.find("solver       " + solver), std::string::npos) << outcome.out;
    EXPECT_NE(outcome.out.find("chosen because: " + why), std::string::npos) << outcome.out;
  };
  expect_choice("x.npy y.npy", "exact", "at most 4000 points on each side");
  expect_choice("many.npy y.npy", "sinkhorn", "more than 4000 distinct points on a side");
  expect_choice("x.npy many.npy", "sinkhorn", "more than 4000 distinct points on a side");
  // Each point three hundred times; labels tell equal points apart.
  std::vector<float> crowd;
  for (int k = 0; k < 9000; ++k) crowd.push_back(static_cast<float>(k % 30));
  save("crowd.npy", 9000, crowd);
  std::vector<std::int32_t> labels(9000);
  std::iota(labels.begin(), labels.end(), 0);
  data::write_npy(folder / "labels.npy", labels);
  expect_choice("crowd.npy crowd.npy", "exact", "at most 4000 distinct points on each side");
  expect_choice("crowd.npy x1.npy", "exact", "at most 4000 distinct points on each side");
  expect_choice("crowd.npy crowd.npy --x-labels labels.npy --y-labels labels.npy --label-penalty 0", "sinkhorn",
                "more than 4000 distinct points on a side");
  expect_choice("x.npy y.npy --epsilon 1", "sinkhorn", "an epsilon is given");
  expect_choice("x.npy y.npy --mass 0.5", "sinkhorn", "masses may differ");
  expect_choice("x.npy y.npy --max-iterations 9", "sinkhorn", "--max-iterations is given");
}

// Clusters in few dimensions, for which hungarian and the simplex take long.
TEST_F(SolveExact, EndsEarlyWithAPlanAndABracket) {
  const auto x = save_cloud("x.npy", 2500, 2, 1);
  auto y = save_cloud("y.npy", 2500, 2, 2);
  for (std::size_t k = 0; k < y.size(); ++k) y[k] = 0.01f * y[k] + static_cast<float>(k / 2 % 7);
  save("y.npy", 2500, y);
  const double truth = result("x.npy y.npy").at("cost");
  for (const std::string solver : {"network_simplex", "hungarian"}) {
    const auto r = result("x.npy y.npy --max-seconds 0.1 --map t.npy --solver " + solver);
    EXPECT_EQ(r.at("status"), "time_limit") << solver;
    EXPECT_LE(r.at("seconds"), 0.1 * 1.1 + 1.5) << solver;
    expect_brackets(r, truth);
    EXPECT_EQ(numbers("t.npy").rows(), 2500);
  }
}

TEST_F(SolveExact, CtrlCKeepsTheBestSoFar) {
  save_cloud("x.npy", 9000, 2, 1);
  save_cloud("y.npy", 8000, 2, 2, 1);
  const pid_t child =
      start(folder, "ot_solve", "x.npy y.npy --metric l1 --solver exact --json r.json --plan p.h5 --map t.npy");
  await_handlers(child);
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  const auto begin = std::chrono::steady_clock::now();
  kill(child, SIGINT);
  const Outcome outcome = finish(folder, child);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(4));
  EXPECT_EQ(outcome.status, 130) << outcome.err;
  const auto r = nlohmann::json::parse(read_file(folder / "r.json"));
  EXPECT_EQ(r.at("status"), "stopped_by_caller");
  EXPECT_LE(r.at("lower"), r.at("upper"));
  EXPECT_EQ(numbers("t.npy").rows(), 9000);
  EXPECT_EQ(data::Hdf5Reader("test", folder / "p.h5").read<std::int64_t>("offsets").size(), 9001u);
}

}  // namespace
}  // namespace monge::apps
