// What ot_solve refuses: one line each, and nothing half-written.
#include <sys/stat.h>
#include <unistd.h>

#include <limits>

#include "monge/data/hdf5_writer.h"
#include "monge/tests/apps/solve.h"

namespace monge::apps {
namespace {

class SolveRefusals : public Solve {
 protected:
  void SetUp() override {
    save_cloud("x.npy", 20, 3, 1);
    save_cloud("y.npy", 15, 3, 2);
  }
};

TEST_F(SolveRefusals, Clouds) {
  save_cloud("flat.npy", 15, 2, 3);
  expect_refusal("x.npy flat.npy", "X has 3 dimensions (x.npy), Y has 2 (flat.npy)");
  expect_refusal("missing.npy y.npy", "missing.npy: No such file");
  expect_refusal("x.npy y.png", "y.png: not the name of");
  std::vector<float> bad(60, 1.0f);
  bad[7] = std::numeric_limits<float>::quiet_NaN();
  save("nan.npy", 20, bad);
  const std::string which = "nan.npy: the value is nan in row 2, column 1";
  expect_refusal("nan.npy y.npy", which);  // sinkhorn
  expect_refusal("y.npy nan.npy", which);
  for (const std::string solver : {"sliced", "semidiscrete"})
    EXPECT_NE(solve("nan.npy y.npy --solver " + solver).err.find(which), std::string::npos);
  save("square.npy", 20, std::vector<float>(60, 0.0f));
  expect_refusal("nan.npy square.npy", which);  // exact
  data::write_npy(folder / "empty.npy", MatrixView<const float>(bad.data(), 0, 3));
  expect_refusal("empty.npy y.npy", "empty.npy: is empty (0 x 3)");
  std::ofstream(folder / "nan.csv") << "# points\nx,y,z\n\n1,2,3\n4,nan,6\n";
  expect_refusal("nan.csv y.npy", "nan.csv: the value is nan in line 5, column 2");
  EXPECT_NE(run(folder, "ot_data", "import cloud nan.csv --out d.h5").err.find("nan in line 5, column 2"),
            std::string::npos);
  std::ofstream(folder / "ragged.csv") << "1,2,3\n4,5\n";
  expect_refusal("ragged.csv y.npy", "line 2");
  expect_refusal("x.npy", "needs two clouds", 2);
  expect_refusal("x.npy normal", "Y is a cloud; only X may be the law \"normal\"", 2);
  std::ofstream(folder / "comma.csv") << "1,5;2,5;1\n";
  expect_refusal("comma.csv y.npy", "comma.csv: line 1: \"1,5\" has a decimal comma");
  std::ofstream(folder / "none.npy") << "";
  expect_refusal("none.npy y.npy", "none.npy: the file is empty");
  const std::string whole = read_file(folder / "x.npy");
  std::ofstream(folder / "cut.npy") << whole.substr(0, whole.size() - 7);
  expect_refusal("cut.npy y.npy", "cut.npy: declares 240 bytes of values, but has 233: truncated");
  std::string records = whole;
  records.replace(records.find("'<f4'"), 5, "[('a', '<f4')]").erase(128 - 9, 9);
  std::ofstream(folder / "records.npy") << records;
  expect_refusal("records.npy y.npy", "records.npy: has structured elements");
  save("huge.npy", 20, std::vector<double>(60, 1e200));
  expect_refusal("huge.npy y.npy --solver sinkhorn", "sinkhorn: the mean cost overflows");
  EXPECT_NE(solve("huge.npy y.npy --solver sliced").err.find("sliced: the cost overflows"), std::string::npos);
}

TEST_F(SolveRefusals, Hdf5) {
  const std::vector<float> values(6, 1.0f);
  {
    data::Hdf5Writer file("test", folder / "data.h5");
    file.array("x", {2, 3}, values.data());
    file.commit();
  }
  expect_refusal("data.h5:/z y.npy", "/z");
  expect_refusal("data.h5 y.npy", "data.h5");
  std::ofstream(folder / "not.h5") << "nothing of the kind";
  expect_refusal("not.h5:/x y.npy", "not.h5");
}

TEST_F(SolveRefusals, Weights) {
  save("a.npy", 20, std::vector<double>(20, 0.05));
  std::vector<double> w(20, 0.05);
  w[3] = -0.1;
  save("negative.npy", 20, w);
  expect_refusal("x.npy y.npy --a negative.npy", "--a negative.npy: weight 3 is negative (-0.1)");
  w[3] = std::nan("");
  save("nan.npy", 20, w);
  expect_refusal("x.npy y.npy --a nan.npy", "--a nan.npy: weight 3 is nan");
  save("none.npy", 20, std::vector<double>(20, 0.0));
  expect_refusal("x.npy y.npy --a none.npy", "--a none.npy: all weights are zero");
  save("most.npy", 20, std::vector<double>(20, 1e308));
  expect_refusal("x.npy y.npy --a most.npy", "--a most.npy: the sum of the weights overflows");
  save("two.npy", 20, std::vector<double>(20, 0.1));
  expect_refusal("x.npy y.npy --a two.npy", "a sums to 2 and b to 1: equal sums are needed; --tau-a, --tau-b");
  for (const std::string solver : {"sliced", "semidiscrete"}) {
    const Outcome outcome = solve("x.npy y.npy --a two.npy --solver " + solver);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_NE(outcome.err.find("a sums to 2 and b to 1"), std::string::npos) << outcome.err;
  }
  expect_refusal("x.npy y.npy --b a.npy", "--b a.npy: has 20 weights for 15 points");
  expect_refusal("x.npy y.npy --a x.npy", "x.npy");  // a matrix
}

TEST_F(SolveRefusals, Costs) {
  save("C.npy", 2, std::vector<double>{1, 2, std::nan(""), 4});
  expect_refusal("--cost C.npy", "C.npy: the value is nan in row 1, column 0");
  expect_refusal("--cost C.npy --solver sinkhorn", "nan in row 1, column 0");
  expect_refusal("x.npy y.npy --cost C.npy", "--cost stands for both clouds", 2);
  expect_refusal("--cost C.npy --metric l1", "--metric", 2);
  expect_refusal("--cost C.npy --solver sliced", "--cost is not of --solver sliced", 2);
  save("C.npy", 2, std::vector<double>{1, HUGE_VAL, 3, 4});
  expect_refusal("--cost C.npy --solver sinkhorn",
                 "C.npy: only --solver exact, network_simplex, hungarian and auction take forbidden pairs; the value "
                 "is inf in row 0, column 1");
  save("C.npy", 2, std::vector<double>{1, HUGE_VAL, 3, HUGE_VAL});
  for (const std::string solver : {"exact", "network_simplex", "hungarian", "auction"})
    expect_refusal("--cost C.npy --solver " + solver, solver + ": infeasible: ");
}

TEST_F(SolveRefusals, LabelsThatForbid) {
  std::ofstream(folder / "other.csv") << "0\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n";
  std::ofstream(folder / "ones.csv") << "1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n";
  const std::string labelled = "x.npy x.npy --x-labels ones.csv --y-labels other.csv --label-penalty ";
  expect_refusal(labelled + "inf", "exact: infeasible: every plan");
  expect_refusal(labelled + "inf --solver sinkhorn",
                 "--label-penalty inf: only --solver exact, network_simplex and semidiscrete take");
  expect_refusal(labelled + "-inf", "must be a finite number of at least 0, not -inf", 2);
}

TEST_F(SolveRefusals, OptionsThatMeanNothing) {
  expect_refusal("x.npy y.npy --solver simplex",
                 "simplex not in {auto,exact,sinkhorn,network_simplex,hungarian,auction,", 2);
  expect_refusal("x.npy y.npy --metric manhattan", "manhattan not in", 2);
  expect_refusal("x.npy y.npy --solver hungarian", "X has 20 points, Y has 15; --solver exact takes any numbers");
  expect_refusal("x.npy x.npy --solver auction --a x.npy", "--a is not of --solver auction", 2);
  expect_refusal("x.npy x.npy --solver exact --epsilon 1", "--epsilon is not of --solver exact", 2);
  expect_refusal("x.npy x.npy --solver auction --metric l1", "auction knows --metric squared_euclidean, not l1", 2);
  expect_refusal("x.npy y.npy --solver sliced", "--plan is not of --solver sliced", 2);
  expect_refusal("normal y.npy", "--plan is not of --solver semidiscrete", 2);
  expect_refusal("normal y.npy --solver sinkhorn", "X is the law \"normal\"", 2);
  expect_refusal("x.npy y.npy --mass 0.5 --tau-a 1", "--mass excludes", 2);
  expect_refusal("x.npy y.npy --mass 1.5", "mass 1.5 is more than");
  expect_refusal("x.npy y.npy --x-labels x.npy", "go together", 2);
  expect_refusal("normal y.npy --x-labels x.npy --y-labels y.npy --label-penalty 1", "--x-labels are of points", 2);
  expect_refusal("x.npy y.npy --epsilon 0", "epsilon is 0");
  expect_refusal("x.npy y.npy --epsilon -1", "--epsilon", 2);
  expect_refusal("x.npy y.npy --dtype half", "half not in", 2);
}

TEST_F(SolveRefusals, Memory) {
  expect_refusal("x.npy y.npy --memory-mb 5", "the budget (--memory-mb) of 5 MB is less than");
  save_cloud("wide.npy", 4000, 3, 1);
  for (const std::string solver : {"exact", "network_simplex", "auction"})
    EXPECT_NE(solve("wide.npy wide.npy --memory-mb 30 --solver " + solver).err.find(solver + " would take about "),
              std::string::npos);
  EXPECT_NE(solve("wide.npy wide.npy --solver hungarian --memory-mb 100").err.find("hungarian would take about 140 MB"),
            std::string::npos);
  expect_refusal("wide.npy x.npy --memory-mb 15", "--memory-mb");
  expect_refusal("wide.npy wide.npy --solver sinkhorn --memory-mb 100", "--plan as a dense .npy (.h5 is sparse)");
  // The least that a sparse plan could take is refused before anything is solved.
  const Outcome hopeless = solve("wide.npy wide.npy --solver sinkhorn --memory-mb 30 --plan p.h5 --json r.json");
  EXPECT_EQ(hopeless.status, 1);
  EXPECT_NE(hopeless.err.find("--plan, were it one to one, would take about"), std::string::npos) << hopeless.err;
  EXPECT_FALSE(std::filesystem::exists(folder / "r.json"));
  // A sparse plan whose size nobody knows before the plan is there: the result is told, the file is not written.
  const Outcome outcome = solve("wide.npy wide.npy --epsilon 10 --memory-mb 150 --plan p.h5 --json r.json");
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_NE(outcome.err.find("raise --memory-mb, or lower --epsilon"), std::string::npos) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(folder / "p.h5"));
  EXPECT_EQ(nlohmann::json::parse(read_file(folder / "r.json")).at("status"), "converged");
}

TEST_F(SolveRefusals, Outputs) {
  const std::string before = read_file(folder / "x.npy");
  EXPECT_NE(solve("x.npy y.npy --map x.npy").err.find("same file"), std::string::npos);
  symlink("x.npy", folder("link.npy").c_str());
  EXPECT_EQ(solve("x.npy y.npy --map link.npy").status, 1);
  EXPECT_EQ(solve("x.npy y.npy --map m.npy --plan m.npy").status, 1);
  EXPECT_EQ(read_file(folder / "x.npy"), before);
  const std::vector<float> values(6, 1.0f);
  {
    data::Hdf5Writer file("test", folder / "data.h5");
    file.array("x", {2, 3}, values.data());
    file.commit();
  }
  EXPECT_NE(solve("data.h5:/x y.npy --plan data.h5").err.find("same file"), std::string::npos);
  expect_refusal("x.npy y.npy --potentials nowhere/f.npy", "nowhere");
  expect_refusal("x.npy y.npy --potentials f.h5", "--potentials writes .npy", 2);
  expect_refusal("x.npy y.npy --map m.csv", "--map writes .npy or .h5", 2);
}

}  // namespace
}  // namespace monge::apps
