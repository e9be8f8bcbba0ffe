// --device of the programs that solve: on a GPU, if the build has the room, otherwise programs linked with the emulated
// one (tests/CMakeLists.txt).
#include "monge/data/potentials.h"
#include "monge/ot/core/backend.h"
#include "monge/ot/core/doctor.h"
#include "monge/ot/core/error.h"
#include "monge/tests/apps/solve.h"

namespace monge::apps {
namespace {

std::string emulated(const std::string& program) { return "../tests/" + program + "_emulated"; }

bool is_emulated(const std::string& program) {
  return std::filesystem::exists(std::filesystem::path(MONGE_BIN) / emulated(program));
}

class OnDevice : public Solve {
 protected:
  void SetUp() override {
    if (is_emulated("ot_solve")) return;
    try {
      ot::backend_for({DeviceType::cuda, 0});
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
  }

  static std::string program(const std::string& name) { return is_emulated(name) ? emulated(name) : name; }

  Outcome solve_there(const std::string& arguments) {
    return run(folder, program("ot_solve"), arguments + " --device cuda:0");
  }

  nlohmann::json result_there(const std::string& arguments) {
    const Outcome outcome = solve_there(arguments + " --json -");
    EXPECT_EQ(outcome.status, 0) << arguments << "\n" << outcome.err;
    if (outcome.out.empty()) return {};
    nlohmann::json r = nlohmann::json::parse(outcome.out);
    EXPECT_EQ(r.at("device"), "cuda:0");
    return r;
  }

  template <class T>
  Matrix<T> read(const std::string& name) {
    return data::read_npy<T>(folder / name, 1e6);
  }

  // The same solver on both: costs that differ by a share, bounds by another, since more is allowed for products there.
  void expect_as_here(const std::string& arguments, double share, double share_of_bounds) {
    const nlohmann::json here = result(arguments), there = result_there(arguments);
    EXPECT_EQ(here.at("device"), "cpu");
    for (const char* same : {"solver", "status", "dtype"}) EXPECT_EQ(there.at(same), here.at(same)) << arguments;
    const double cost = here.at("cost");
    EXPECT_NEAR(there.at("cost"), cost, share * std::abs(cost)) << arguments;
    for (const char* bound : {"lower", "upper"})
      EXPECT_NEAR(there.at(bound), here.at(bound), share_of_bounds * std::abs(cost)) << arguments << ": " << bound;
  }
};

TEST_F(OnDevice, SinkhornFindsTheSame) {
  save_cloud("x.npy", 150, 12, 1);
  save_cloud("y.npy", 170, 12, 2, 0.5f);
  expect_as_here("x.npy y.npy --solver sinkhorn --epsilon 0.05 --relative", 1e-5, 0.02);
  std::vector<double> cost(30 * 20);
  for (std::size_t k = 0; k < cost.size(); ++k) cost[k] = static_cast<double>(k * 7919 % 600) / 600;
  save("cost.npy", 30, cost);
  expect_as_here("--cost cost.npy --solver sinkhorn", 1e-5, 0.02);
}

TEST_F(OnDevice, PlansAndMapsAreWritten) {
  save_cloud("x.npy", 60, 3, 1);
  save_cloud("y.npy", 80, 3, 2, 0.5f);
  const std::string arguments = "x.npy y.npy --solver sinkhorn --epsilon 0.1 --relative --tolerance 1e-5 ";
  result(arguments + "--plan plan.npy --map map.npy");
  result_there(arguments + "--plan plan_there.npy --map map_there.npy");
  const Matrix<double> plan = read<double>("plan.npy"), plan_there = read<double>("plan_there.npy");
  ASSERT_EQ(plan_there.rows(), 60);
  ASSERT_EQ(plan_there.cols(), 80);
  double moved = 0;
  for (Index k = 0; k < 60 * 80; ++k) moved += std::abs(plan.data()[k] - plan_there.data()[k]);
  EXPECT_LT(moved, 1e-4);
  const Matrix<float> map = read<float>("map.npy"), map_there = read<float>("map_there.npy");
  ASSERT_EQ(map_there.rows(), 60);
  for (Index k = 0; k < 60 * 3; ++k) EXPECT_NEAR(map.data()[k], map_there.data()[k], 1e-3) << k;
}

TEST_F(OnDevice, AssignmentsAreTheSame) {
  save_cloud("x.npy", 90, 4, 1);
  save_cloud("y.npy", 90, 4, 2, 0.5f);
  for (const char* solver : {"exact", "auction"}) {
    expect_as_here(concat("x.npy y.npy --solver ", solver), 1e-12, 1e-12);
    result_there(concat("x.npy y.npy --solver ", solver, " --plan there.npy"));
    result(concat("x.npy y.npy --solver ", solver, " --plan here.npy"));
    EXPECT_EQ(read_file(folder / "there.npy"), read_file(folder / "here.npy")) << solver;
  }
  expect_as_here("x.npy y.npy --solver exact --metric negative_dot", 1e-12, 1e-12);
}

TEST_F(OnDevice, AutoKnowsWhatRunsThere) {
  save_cloud("x.npy", 40, 3, 1);
  save_cloud("y.npy", 40, 3, 2);
  save_cloud("fewer.npy", 30, 3, 3);
  EXPECT_EQ(result_there("x.npy y.npy").at("solver"), "exact");
  EXPECT_EQ(result_there("x.npy fewer.npy").at("solver"), "sinkhorn");
  const Outcome outcome = solve_there("x.npy fewer.npy");
  EXPECT_NE(outcome.out.find("on the CPU only"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("in float on cuda:0"), std::string::npos) << outcome.out;
}

TEST_F(OnDevice, SemidiscreteFindsTheSame) {
  save_cloud("y.npy", 12, 3, 2);
  const nlohmann::json here = result("normal y.npy --tolerance 0.5"),
                       there = result_there("normal y.npy --tolerance 0.5");
  EXPECT_EQ(there.at("status"), "converged");
  EXPECT_LE(there.at("lower"), here.at("upper"));
  EXPECT_GE(there.at("upper"), here.at("lower"));
}

TEST_F(OnDevice, FitsAndCouplingsRunThere) {
  data::save_dataset(small_images(20), folder / "data.h5");
  const Outcome fitted = run(folder, program("ot_fit"), "data.h5 --out p.h5 --tolerance 0.3 --device cuda:0 --json -");
  ASSERT_EQ(fitted.status, 0) << fitted.err;
  const nlohmann::json r = nlohmann::json::parse(fitted.out);
  EXPECT_EQ(r.at("device"), "cuda:0");
  EXPECT_LE(r.at("chi2_upper"), 0.3);
  EXPECT_EQ(data::load_potentials(folder / "p.h5").g.size(), 20u);

  const Outcome measured = run(folder, program("coupling_cost"),
                               "data.h5 --out record --from 16 --to 16 --epsilon 1 --repeats 1 --limit-tolerance 0.5 "
                               "--limit-samples 1000 --device cuda:0");
  EXPECT_EQ(measured.status, 0) << measured.err;
  EXPECT_TRUE(std::filesystem::exists(folder / "record/coupling_cost.json"));
}

TEST_F(OnDevice, WhatDoesNotRunThereIsRefused) {
  save_cloud("x.npy", 40, 3, 1);
  save_cloud("y.npy", 40, 3, 2);
  save_cloud("fewer.npy", 30, 3, 3);
  const auto expect = [&](const std::string& arguments, const std::string& what, int status) {
    const Outcome outcome = solve_there(arguments);
    EXPECT_EQ(outcome.status, status) << arguments << "\n" << outcome.err;
    EXPECT_NE(outcome.err.find(what), std::string::npos) << arguments << "\n" << outcome.err;
    EXPECT_EQ(outcome.out, "") << arguments;
  };
  for (const char* solver : {"hungarian", "network_simplex", "sliced"})
    expect(concat("x.npy y.npy --solver ", solver), "--device cuda is not of --solver", 2);
  expect("x.npy fewer.npy --solver exact", "--device cpu takes all", 1);
  expect("x.npy y.npy --solver exact --metric l1", "--device cpu takes all", 1);
  const Outcome outcome = run(folder, program("ot_solve"), "x.npy y.npy --device cuda:1000");
  EXPECT_EQ(outcome.status, 1) << outcome.err;
}

TEST_F(Solve, DevicesThatAreNone) {
  save_cloud("x.npy", 10, 2, 1);
  for (const char* device : {"gpu", "cuda", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "CPU"})
    expect_refusal(concat("x.npy x.npy --device ", device), "must be cpu or cuda:N, not ", 2);
  EXPECT_EQ(result("x.npy x.npy --device cpu").at("device"), "cpu");
  if (!ot::cuda_available()) expect_refusal("x.npy x.npy --device cuda:0", "cuda: ");
}

}  // namespace
}  // namespace monge::apps
