// ot_solve against known truths.
#include <hdf5.h>
#include <signal.h>

#include <chrono>
#include <cmath>
#include <numeric>
#include <thread>

#include "monge/data/hdf5_reader.h"
#include "monge/data/hdf5_writer.h"
#include "monge/tests/apps/solve.h"

namespace monge::apps {
namespace {

namespace fs = std::filesystem;

TEST_F(Solve, OnePointEachCostsWhatTheMetricSays) {
  std::ofstream(folder / "x.csv") << "1,0\n";
  std::ofstream(folder / "y.csv") << "x;y\n1;2\n";
  const std::vector<std::pair<std::string, double>> costs{
      {"squared_euclidean", 4}, {"euclidean", 2}, {"l1", 2}, {"cosine", 1 - 1 / std::sqrt(5.0)}, {"negative_dot", -1}};
  for (const auto& [metric, cost] : costs) {
    const auto r = result("x.csv y.csv --solver sinkhorn --epsilon 0.1 --metric " + metric);
    EXPECT_NEAR(r.at("cost"), cost, 1e-6) << metric;
    EXPECT_EQ(r.at("metric"), metric);
    expect_brackets(r, cost);
  }
  EXPECT_NEAR(result("x.csv y.csv").at("cost"), 4, 1e-12);  // exact
}

TEST_F(Solve, JsonHasEveryKey) {
  save_cloud("x.npy", 40, 3, 1);
  save_cloud("y.npy", 30, 3, 2);
  const auto r = result("x.npy y.npy --solver sinkhorn");
  for (const char* key :
       {"cost", "lower", "upper", "marginal_error", "iterations", "seconds", "peak_mb", "value", "mass", "epsilon"}) {
    EXPECT_TRUE(r.at(key).is_number()) << key;
  }
  EXPECT_EQ(r.at("solver"), "sinkhorn");
  EXPECT_EQ(r.at("status"), "converged");
  EXPECT_EQ(r.at("certificate"), "proven");
  EXPECT_EQ(r.at("n"), 40);
  EXPECT_EQ(r.at("m"), 30);
  EXPECT_EQ(r.at("d"), 3);
  EXPECT_LE(r.at("marginal_error"), 1e-3);
  EXPECT_GT(r.at("peak_mb"), 1);
  EXPECT_TRUE(result("x.npy y.npy --solver sliced").at("lower").is_null());
}

TEST_F(Solve, IdenticalCloudsAreFree) {
  save_cloud("x.npy", 50, 4, 1);
  const auto exact = result("x.npy x.npy");
  EXPECT_EQ(exact.at("solver"), "exact");
  EXPECT_NEAR(exact.at("cost"), 0, 1e-12);
  expect_brackets(exact, 0);
  expect_brackets(result("x.npy x.npy --solver sinkhorn"), 0);
}

// A translation is optimal, and costs |t|^2.
TEST_F(Solve, TranslationsCostTheirSquare) {
  std::vector<double> x(300), y;
  fill_normal(Rng{5}, 0, x);
  for (const double v : x) y.push_back(v + 0.75);
  save("x.npy", 100, x);
  save("y.npy", 100, y);
  const double truth = 3 * 0.75 * 0.75;
  const auto exact = result("x.npy y.npy");
  EXPECT_EQ(exact.at("dtype"), "double");  // float cannot hold these numbers
  EXPECT_NEAR(exact.at("cost"), truth, 1e-12);
  const auto sinkhorn = result("x.npy y.npy --solver sinkhorn --epsilon 0.001 --relative --tolerance 1e-4");
  expect_brackets(sinkhorn, truth);
  EXPECT_NEAR(sinkhorn.at("cost"), truth, 0.01);
  EXPECT_LE(sinkhorn.at("upper").get<double>() - sinkhorn.at("lower").get<double>(), 0.01 * truth);
  EXPECT_EQ(result("x.npy y.npy --dtype float").at("dtype"), "float");
}

// On a line the monotone coupling is optimal, weights or not.
TEST_F(Solve, WeightsOnALineGiveTheQuantileCoupling) {
  const std::vector<double> x{0, 1, 4}, a{0.5, 0.25, 0.25}, y{1, 3}, b{0.25, 0.75};
  save("x.npy", 3, x);
  save("y.npy", 2, y);
  save("a.npy", 3, a);
  std::ofstream(folder / "b.csv") << "0.25\n0.75\n";
  const double truth = 0.25 * 1 + 0.25 * 9 + 0.25 * 4 + 0.25 * 1;
  const auto r = result("x.npy y.npy --a a.npy --b b.csv --epsilon 0.01 --tolerance 1e-6");
  EXPECT_NEAR(r.at("cost"), truth, 1e-4);
  expect_brackets(r, truth);
  // In one dimension slicing cuts nothing off.
  const auto sliced = result("x.npy y.npy --a a.npy --b b.csv --solver sliced");
  EXPECT_NEAR(sliced.at("cost"), truth, 1e-5);
  EXPECT_NEAR(result("x.npy y.npy --a a.npy --b b.csv --solver sliced --metric euclidean").at("cost"), 1.75, 1e-5);
}

TEST_F(Solve, DenseCosts) {
  save("C.npy", 2, std::vector<double>{1, -3, -2, 1});
  const auto exact = result("--cost C.npy");
  EXPECT_EQ(exact.at("solver"), "exact");
  EXPECT_EQ(exact.at("cost"), -2.5);
  EXPECT_TRUE(exact.at("d").is_null());
  const auto sinkhorn = result("--cost C.npy --solver sinkhorn");  // the mean cost is negative, and no measure
  EXPECT_NEAR(sinkhorn.at("cost"), -2.5, 1e-3);
  EXPECT_NEAR(sinkhorn.at("epsilon"), 0.003 * (-0.75 + 3), 1e-12);
  expect_brackets(sinkhorn, -2.5);
}

TEST_F(Solve, RelativeEpsilonIsOfTheMeanCost) {
  save("x.npy", 2, std::vector<double>{0, 2});
  save("y.npy", 2, std::vector<double>{1, 5});  // mean of 1, 25, 1, 9
  EXPECT_NEAR(result("x.npy y.npy --epsilon 0.5 --relative").at("epsilon"), 4.5, 1e-6);
  EXPECT_NEAR(result("x.npy y.npy --epsilon 0.5").at("epsilon"), 0.5, 1e-12);
  EXPECT_NEAR(result("x.npy y.npy --solver sinkhorn").at("epsilon"), 0.027, 1e-7);
}

TEST_F(Solve, LabelsAddTheirPenalty) {
  save("x.npy", 2, std::vector<double>{0, 1});
  save("y.npy", 2, std::vector<double>{0, 1});
  std::ofstream(folder / "zx.csv") << "0\n1\n";
  std::ofstream(folder / "zy.csv") << "1\n0\n";
  // Staying costs the penalty, swapping the distance 1.
  const std::string labels = "x.npy y.npy --x-labels zx.csv --y-labels zy.csv --epsilon 0.01 --label-penalty ";
  EXPECT_NEAR(result(labels + "0.25").at("cost"), 0.25, 1e-4);
  EXPECT_NEAR(result(labels + "9").at("cost"), 1, 1e-4);
}

// min over m of m c + (2 tau + epsilon) (m log m - m + 1) has m = exp(-c / (2 tau + epsilon)).
TEST_F(Solve, UnbalancedAndPartialMassesAreThoseOfTheFormula) {
  save("x.npy", 1, std::vector<double>{0});
  save("y.npy", 1, std::vector<double>{1});
  const auto unbalanced = result("x.npy y.npy --tau-a 1 --tau-b 1 --epsilon 0.1 --tolerance 1e-8");
  const double mass = std::exp(-1 / 2.1);
  EXPECT_NEAR(unbalanced.at("mass"), mass, 1e-6);
  EXPECT_NEAR(unbalanced.at("cost"), mass, 1e-6);
  EXPECT_NEAR(unbalanced.at("value"), mass + 2 * (mass * std::log(mass) - mass + 1), 1e-6);
  const double best = std::exp(-0.5);  // without entropy
  expect_brackets(unbalanced, best + 2 * (best * std::log(best) - best + 1));
  const auto partial = result("x.npy y.npy --mass 0.25");
  EXPECT_NEAR(partial.at("cost"), 0.25, 1e-6);
  EXPECT_NEAR(partial.at("mass"), 0.25, 1e-6);
  EXPECT_EQ(result("x.npy y.npy --tau-a inf --tau-b inf").at("solver"), "exact");  // the default
  const auto half = result("x.npy y.npy --tau-a inf --tau-b 1 --epsilon 0.1");
  EXPECT_NEAR(half.at("mass"), 1, 1e-6);
}

// One atom at t: the normal law moves at the mean of |x - t|^2 = d + |t|^2.
TEST_F(Solve, FromALaw) {
  save("y.npy", 1, std::vector<double>{1, 2});
  const auto normal = result("normal y.npy");
  EXPECT_EQ(normal.at("solver"), "semidiscrete");
  EXPECT_EQ(normal.at("certificate"), "confidence");
  EXPECT_TRUE(normal.at("n").is_null());
  EXPECT_NEAR(normal.at("cost"), 7, 0.5);
  expect_brackets(normal, 7);
  // The unit square to (1, 2): 1/3 + (1/12 + 1.5^2).
  const auto uniform = result("uniform y.npy --solver semidiscrete");
  EXPECT_NEAR(uniform.at("cost"), 1.0 / 3 + 1.0 / 12 + 2.25, 0.2);
  expect_brackets(uniform, 1.0 / 3 + 1.0 / 12 + 2.25);
}

// A cloud as a law: its points drawn by weight, here onto atoms at +-10, each of which takes its own side.
TEST_F(Solve, ACloudAsALaw) {
  save("x.npy", 3, std::vector<double>{-9, 9, 11});
  save("a.npy", 3, std::vector<double>{0.5, 0.125, 0.375});
  save("y.npy", 2, std::vector<double>{-10, 10});
  const auto r = result("x.npy y.npy --a a.npy --solver semidiscrete --potentials g.npy");
  EXPECT_EQ(r.at("n"), 3);
  EXPECT_NEAR(r.at("cost"), 1, 1e-3);
  EXPECT_EQ(data::read_npy<double>(folder / "g.npy", 1e6).rows(), 2);
}

// The same by label: the point at 9 belongs to the atom at -10, 18 to go instead of 1; or pays 100 for the other one.
TEST_F(Solve, ACloudWithLabelsAsALaw) {
  save("x.npy", 3, std::vector<double>{-9, 9, 11});
  save("a.npy", 3, std::vector<double>{0.25, 0.25, 0.5});
  save("y.npy", 2, std::vector<double>{-10, 10});
  save("zx.npy", 3, std::vector<double>{4, 4, 5});
  save("zy.npy", 2, std::vector<double>{4, 5});
  const std::string labelled = "x.npy y.npy --a a.npy --x-labels zx.npy --y-labels zy.npy --solver semidiscrete ";
  const double apart = 0.25 * 1 + 0.25 * 361 + 0.5 * 1;
  auto r = result(labelled + "--label-penalty inf");
  EXPECT_NEAR(r.at("cost"), apart, 2);  // 95% of some 10,000 draws
  expect_brackets(r, apart);
  r = result(labelled + "--label-penalty 3");
  expect_brackets(r, apart);  // masses leave no choice
}

TEST_F(Solve, PlanMapAndPotentialsBelongTogether) {
  constexpr Index n = 37, m = 53, d = 3;
  const auto x = save_cloud("x.npy", n, d, 1), y = save_cloud("y.npy", m, d, 2, 0.5);
  const auto r = result("x.npy y.npy --plan p.npy --map t.npy --potentials fg.npy --epsilon 0.2 --tolerance 1e-5");
  const auto plan = data::read_npy<double>(folder / "p.npy", 1e9);
  const auto map = data::read_npy<double>(folder / "t.npy", 1e9),
             potentials = data::read_npy<double>(folder / "fg.npy", 1e9);
  ASSERT_EQ(plan.rows(), n);
  ASSERT_EQ(plan.cols(), m);
  ASSERT_EQ(potentials.rows(), n + m);
  double cost = 0, error = 0;
  std::vector<double> columns(m, 0.0);
  for (Index i = 0; i < n; ++i) {
    double row = 0;
    std::vector<double> mean(d, 0.0);
    for (Index j = 0; j < m; ++j) {
      double c = 0;
      for (Index k = 0; k < d; ++k) c += std::pow(double{x[i * d + k]} - double{y[j * d + k]}, 2);
      const double p = std::exp((potentials(i, 0) + potentials(n + j, 0) - c) / 0.2) / (n * m);
      EXPECT_NEAR(plan(i, j), p, 1e-4 * p + 1e-12);
      cost += plan(i, j) * c, row += plan(i, j), columns[j] += plan(i, j);
      for (Index k = 0; k < d; ++k) mean[k] += plan(i, j) * double{y[j * d + k]};
    }
    error += std::abs(row - 1.0 / n);
    for (Index k = 0; k < d; ++k) EXPECT_NEAR(map(i, k), mean[k] / row, 1e-5);
  }
  for (const double column : columns) error += std::abs(column - 1.0 / m);
  EXPECT_NEAR(cost, r.at("cost"), 1e-5);
  EXPECT_LE(error, 2e-5);

  // The same, sparse.
  EXPECT_EQ(solve("x.npy y.npy --plan p.h5 --map t.h5 --epsilon 0.2 --tolerance 1e-5").status, 0);
  const data::Hdf5Reader file("test", folder / "p.h5");
  const auto offsets = file.read<std::int64_t>("offsets");
  const auto indices = file.read<std::int32_t>("columns");
  const auto values = file.read<double>("values");
  ASSERT_EQ(offsets.size(), std::size_t{n + 1});
  double kept = 0;
  for (Index i = 0; i < n; ++i) {
    for (auto e = static_cast<std::size_t>(offsets[i]); e < static_cast<std::size_t>(offsets[i + 1]); ++e) {
      EXPECT_NEAR(values[e], plan(i, indices[e]), 1e-12);
      kept += values[e];
    }
  }
  const double left_out = file.attribute<double>("", "left_out");
  EXPECT_NEAR(kept + left_out, 1, 1e-6);
  EXPECT_LE(left_out, 1e-5);
  EXPECT_EQ(file.read<double>("f").size() + file.read<double>("g").size(), std::size_t{n + m});
  EXPECT_NEAR(data::Hdf5Reader("test", folder / "t.h5").read_matrix<float>("map")(5, 1), map(5, 1), 1e-6);
}

// float32 files are never doubles on the way.
TEST_F(Solve, FloatFilesTakeTheMemoryOfFloats) {
  save_cloud("x.npy", 300, 20000, 1);
  save_cloud("y.npy", 300, 20000, 2);
  const std::string sliced = "x.npy y.npy --solver sliced --max-iterations 64 --threads 1";
  const auto r = result(sliced), told = result(sliced + " --dtype float");
  EXPECT_EQ(r.at("dtype"), "float");
  EXPECT_EQ(r.at("cost"), told.at("cost"));
  EXPECT_LT(r.at("peak_mb").get<double>(), told.at("peak_mb").get<double>() + 10);  // of 48 that both clouds take
}

TEST_F(Solve, ReadsHdf5AndSaysWhatItDid) {
  const auto x = save_cloud("x.npy", 10, 2, 1);
  {
    data::Hdf5Writer file("test", folder / "data.h5");
    file.array("clouds/x", {10, 2}, x.data());
    file.commit();
  }
  const Outcome outcome = solve("data.h5:/clouds/x x.npy --json r.json");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (const char* words :
       {"10 onto 10 points in 2 dimensions", "exact", "chosen because", "converged", "proven", "W2 = 0"})
    EXPECT_NE(outcome.out.find(words), std::string::npos) << words << "\n" << outcome.out;
  EXPECT_EQ(nlohmann::json::parse(read_file(folder / "r.json")).at("cost"), 0);
}

TEST_F(Solve, NotConvergingIsAStatusThatStillHasItsCertificate) {
  save_cloud("x.npy", 400, 3, 1);
  save_cloud("y.npy", 400, 3, 2, 0.5);
  const double truth = result("x.npy y.npy").at("cost");
  const auto r = result("x.npy y.npy --solver sinkhorn --epsilon 0.001 --relative --tolerance 1e-9 --max-iterations 2");
  EXPECT_EQ(r.at("status"), "iteration_limit");
  expect_brackets(r, truth);
  const std::string hopeless = "x.npy y.npy --tolerance 1e-14 --epsilon 1e-4 --max-iterations 1000000 ";
  EXPECT_EQ(result(hopeless + "--max-seconds 0.2").at("status"), "time_limit");
  const Outcome outcome = solve("x.npy y.npy --tolerance 1e-9 --max-iterations 2");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.out.find("NOT CONVERGED"), std::string::npos) << outcome.out;
}

TEST_F(Solve, ThreadsAndRepetitionDoNotChangeABit) {
  save_cloud("x.npy", 700, 20, 1);
  save_cloud("y.npy", 600, 20, 2);
  for (const std::string solver : {"sinkhorn", "exact"}) {
    for (const std::string run : {"1 --threads 1", "2 --threads 2", "3 --threads 2"}) {
      const std::string name = run.substr(0, 1), outputs = " --plan p" + name + ".npy --potentials f" + name + ".npy";
      ASSERT_EQ(solve("x.npy y.npy --solver " + solver + outputs + run.substr(1)).status, 0);
      EXPECT_EQ(read_file(folder / ("p" + name + ".npy")), read_file(folder / "p1.npy")) << solver;
      EXPECT_EQ(read_file(folder / ("f" + name + ".npy")), read_file(folder / "f1.npy")) << solver;
    }
  }
}

TEST_F(Solve, LimitsHoldInsideOfLongPasses) {
  save_cloud("x.npy", 100000, 3, 1);
  save_cloud("y.npy", 100000, 3, 2, 1);
  const auto seconds_since = [](auto begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  auto begin = std::chrono::steady_clock::now();
  const auto r = result("x.npy y.npy --max-seconds 0.5", 1);
  EXPECT_LT(seconds_since(begin), 3);
  EXPECT_EQ(r.at("status"), "time_limit");
  EXPECT_EQ(r.at("iterations"), 0);
  for (const char* unknown : {"cost", "value", "lower", "upper", "certificate", "epsilon", "mass"})
    EXPECT_TRUE(r.at(unknown).is_null()) << unknown;

  const pid_t child = start(folder, "ot_solve", "x.npy y.npy --map m.npy --json r.json");
  await_handlers(child);
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  begin = std::chrono::steady_clock::now();
  kill(child, SIGINT);
  const Outcome outcome = finish(folder, child);
  EXPECT_LT(seconds_since(begin), 2);
  EXPECT_EQ(outcome.status, 130) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(folder / "m.npy"));
  EXPECT_EQ(nlohmann::json::parse(read_file(folder / "r.json")).at("status"), "stopped_by_caller");
}

// One iteration, and then a map that takes passes of its own.
TEST_F(Solve, CtrlCEndsTheMakingOfFiles) {
  save_cloud("x.npy", 100000, 3, 1);
  save_cloud("y.npy", 6000, 3, 2, 1);
  const pid_t child = start(folder, "ot_solve",
                            "x.npy y.npy --solver sinkhorn --epsilon 0.1 --relative --max-iterations 1 "
                            "--potentials f.npy --plan p.h5 --json r.json");
  await_handlers(child);
  while (!std::filesystem::exists(folder / "f.npy")) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const auto begin = std::chrono::steady_clock::now();
  kill(child, SIGINT);
  const Outcome outcome = finish(folder, child);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
  EXPECT_EQ(outcome.status, 130) << outcome.err;
  EXPECT_NE(outcome.err.find("interrupted before p.h5 was made; it is not written"), std::string::npos) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(folder / "p.h5"));
  EXPECT_EQ(data::read_npy<double>(folder / "f.npy", 1e9).rows(), 106000);
}

TEST_F(Solve, CtrlCKeepsTheBestSoFar) {
  save_cloud("x.npy", 3000, 3, 1);
  save_cloud("y.npy", 2500, 3, 2, 1);
  const std::string hopeless =
      "x.npy y.npy --epsilon 1e-3 --tolerance 1e-14 --max-iterations 1000000 --json r.json --potentials f.npy";
  const pid_t child = start(folder, "ot_solve", hopeless);
  await_handlers(child);
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  kill(child, SIGINT);
  const Outcome outcome = finish(folder, child);
  EXPECT_EQ(outcome.status, 130) << outcome.err;
  EXPECT_NE(outcome.err.find("interrupted"), std::string::npos) << outcome.err;
  const auto r = nlohmann::json::parse(read_file(folder / "r.json"));
  EXPECT_EQ(r.at("status"), "stopped_by_caller");
  EXPECT_LE(r.at("lower"), r.at("upper"));
  EXPECT_EQ(data::read_npy<double>(folder / "f.npy", 1e9).rows(), 5500);
}

}  // namespace
}  // namespace monge::apps
