// ot_fit with labels, a price on masses, and potentials to start from.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "monge/data/potentials.h"
#include "monge/ot/core/error.h"
#include "monge/tests/apps/programs.h"

namespace monge::apps {
namespace {

class Fit : public testing::Test {
 protected:
  void SetUp() override {
    data::Dataset dataset = small_images();
    data::save_dataset(dataset, folder / "plain.h5");
    for (data::Split* split : {&dataset.train, &dataset.test})
      for (Index i = 0; i < split->rows(); ++i) split->labels.push_back(i % 3 == 0 ? 8 : -1);
    data::save_dataset(dataset, folder / "data.h5");
    std::copy_n(dataset.test.x.data(), 10 * 16, dataset.train.x.data());  // ten other points
    data::save_dataset(dataset, folder / "new.h5");
  }

  nlohmann::json fit(const std::string& arguments) {
    const Outcome outcome = run(folder, "ot_fit", arguments + " --json fit.json");
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return nlohmann::json::parse(read_file(folder / "fit.json"));
  }
  void expect_refusal(const std::string& arguments, const std::string& what, int status) {
    const Outcome outcome = run(folder, "ot_fit", arguments + " --out out.h5");
    EXPECT_EQ(outcome.status, status) << arguments;
    EXPECT_NE(outcome.err.find(what), std::string::npos) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_FALSE(std::filesystem::exists(folder / "out.h5")) << arguments;
  }

  Folder folder;
};

TEST_F(Fit, KeepsLabelsAndTau) {
  auto json = fit("data.h5 --out p.h5 --labels");
  EXPECT_EQ(json.at("status"), "converged");
  EXPECT_TRUE(json.at("label_penalty").is_null());  // infinite
  EXPECT_TRUE(json.at("tau").is_null());
  EXPECT_GT(json.at("plan_cost_error").get<double>(), 0);
  data::PotentialsFile p = data::load_potentials(folder / "p.h5");
  ASSERT_EQ(p.labels.size(), 300u);
  EXPECT_EQ(p.labels[0], 8);
  EXPECT_EQ(p.labels[1], -1);
  EXPECT_TRUE(std::isinf(p.label_penalty));
  ASSERT_EQ(p.noise_labels.size(), 2u);
  EXPECT_EQ(p.noise_labels[0].label, -1);
  EXPECT_NEAR(p.noise_labels[0].share, 2.0 / 3, 1e-12);

  json = fit("data.h5 --out p.h5 --labels --label-penalty 2.5 --tau 7");
  EXPECT_EQ(json.at("label_penalty"), 2.5);
  EXPECT_EQ(json.at("tau"), 7);
  p = data::load_potentials(folder / "p.h5");
  EXPECT_EQ(p.label_penalty, 2.5);
  EXPECT_EQ(p.tau, 7);
  double total = 0;
  for (const double g : p.g) total += std::exp(-g / 7) / 300;
  EXPECT_NEAR(total, 1, 1e-9);
  EXPECT_TRUE(fit("plain.h5 --out p.h5").at("label_penalty").is_null());
  EXPECT_TRUE(data::load_potentials(folder / "p.h5").labels.empty());
}

TEST_F(Fit, RefitsPotentialsOfDataBefore) {
  fit("data.h5 --out old.h5 --labels --label-penalty 2.5 --epsilon 0.25 --pca 6");
  const auto json = fit("new.h5 --out p.h5 --refit old.h5 --refit-data data.h5");
  EXPECT_EQ(json.at("status"), "converged");
  EXPECT_EQ(json.at("label_penalty"), 2.5);
  EXPECT_EQ(json.at("epsilon"), 0.25);
  EXPECT_EQ(json.at("dimensions"), 6);
  const data::PotentialsFile old = data::load_potentials(folder / "old.h5"), p = data::load_potentials(folder / "p.h5");
  EXPECT_EQ(p.dataset_digest, data::load_dataset(folder / "new.h5").digest);
  EXPECT_TRUE(std::equal(p.pca->basis.data(), p.pca->basis.data() + 6 * 16, old.pca->basis.data()));
  EXPECT_EQ(p.labels, old.labels);

  fit("data.h5 --out plain_old.h5");
  fit("new.h5 --out p.h5 --refit plain_old.h5 --refit-data data.h5");
  EXPECT_TRUE(data::load_potentials(folder / "p.h5").labels.empty());
}

// From points: moving all of a source by a constant adds its square to the cost.
TEST_F(Fit, FromPointsOfAnotherFile) {
  const std::string options = " --cost squared_euclidean --epsilon 0.5 --out p.h5";
  const double before = fit("plain.h5 --source plain.h5" + options).at("plan_cost");
  data::Dataset moved = data::load_dataset(folder / "plain.h5");
  for (Index k = 0; k < moved.train.rows() * 16; ++k) moved.train.x.data()[k] += 2;
  data::save_dataset(moved, folder / "moved.h5");
  const auto json = fit("plain.h5 --source moved.h5" + options);
  EXPECT_EQ(json.at("status"), "converged");
  EXPECT_NEAR(json.at("plan_cost").get<double>(), before + 16 * 4, 1);
  const data::PotentialsFile p = data::load_potentials(folder / "p.h5");
  EXPECT_EQ(p.source_law, "points " + data::load_dataset(folder / "moved.h5").digest);
  EXPECT_EQ(json.at("source_law"), p.source_law);

  fit("new.h5 --source moved.h5 --refit p.h5 --refit-data plain.h5 --out again.h5");
  EXPECT_EQ(data::load_potentials(folder / "again.h5").source_law, p.source_law);
  expect_refusal("new.h5 --refit p.h5 --refit-data plain.h5", "fitted for the source law 'points", 1);
}

// By label: moving the points of each label by a constant of its own adds the squares' mean to the cost.
TEST_F(Fit, FromPointsWithLabels) {
  const std::string options = " --cost squared_euclidean --epsilon 0.5 --labels --out p.h5";
  const double before = fit("data.h5 --source data.h5" + options).at("plan_cost");
  data::Dataset moved = data::load_dataset(folder / "data.h5");
  for (Index i = 0; i < moved.train.rows(); ++i)
    for (Index k = 0; k < 16; ++k) moved.train.x(i, k) += i % 3 == 0 ? 3.0f : -1.0f;
  data::save_dataset(moved, folder / "moved.h5");
  const auto json = fit("data.h5 --source moved.h5" + options);
  EXPECT_EQ(json.at("status"), "converged");
  EXPECT_NEAR(json.at("plan_cost").get<double>(), before + 16 * (9.0 / 3 + 2.0 / 3), 2);
  data::PotentialsFile p = data::load_potentials(folder / "p.h5");
  const std::string law = "points " + data::load_dataset(folder / "moved.h5").digest;
  EXPECT_EQ(p.source_law.find(law + " labels xxh64:"), 0u) << p.source_law;
  EXPECT_NEAR(p.noise_labels[0].share, 2.0 / 3, 1e-12);  // as the atoms have them
  fit("new.h5 --source moved.h5 --refit p.h5 --refit-data data.h5 --out again.h5");
  EXPECT_EQ(data::load_potentials(folder / "again.h5").source_law, p.source_law);

  // A finite penalty: as often as the points have them; of none labels play no part.
  moved.train.labels.assign(300, 8);
  moved.train.labels[0] = -1;
  data::save_dataset(moved, folder / "moved.h5");
  fit("data.h5 --source moved.h5 --label-penalty 2" + options);
  p = data::load_potentials(folder / "p.h5");
  ASSERT_EQ(p.noise_labels.size(), 2u);
  EXPECT_NEAR(p.noise_labels[0].share, 1.0 / 300, 1e-12);
  fit("new.h5 --source moved.h5 --refit p.h5 --refit-data data.h5 --out again.h5");
  EXPECT_NEAR(data::load_potentials(folder / "again.h5").noise_labels[0].share, 1.0 / 300, 1e-12);
  EXPECT_EQ(fit("data.h5 --source moved.h5 --label-penalty 0" + options).at("source_law"), law);
  expect_refusal("data.h5 --source plain.h5 --labels", "plain.h5: has no /labels", 1);
}

TEST_F(Fit, WarnsUnlessConverged) {
  const Outcome limited = run(folder, "ot_fit", "plain.h5 --out p.h5 --max-samples 2");
  EXPECT_EQ(limited.status, 0);
  const data::PotentialsFile p = data::load_potentials(folder / "p.h5");
  EXPECT_EQ(p.status, ot::Status::iteration_limit);
  const std::string warning =
      concat("ot_fit: warning: not converged (iteration_limit): the chi-square of the marginal ", "is at most ",
             p.chi2_upper, ", the tolerance is 0.05; raise --max-samples or ", "--tolerance, or give an --epsilon\n");
  EXPECT_NE(limited.err.find(warning), std::string::npos) << limited.err;
  EXPECT_EQ(run(folder, "ot_fit", "plain.h5 --out p.h5").err.find("warning"), std::string::npos);
}

TEST_F(Fit, RefusesWhatDoesNotFit) {
  expect_refusal("plain.h5 --labels", "plain.h5: has no /labels", 1);
  expect_refusal("data.h5 --label-penalty 2", "--labels", 2);
  expect_refusal("data.h5 --labels --label-penalty -1", "must be a number of at least 0", 2);
  expect_refusal("data.h5 --tau 0", "tau is 0", 1);
  expect_refusal("data.h5 --tau nan", "must be a number", 2);
  fit("data.h5 --out old.h5 --labels");
  expect_refusal("new.h5 --refit old.h5", "--refit-data", 2);
  expect_refusal("new.h5 --refit-data data.h5", "--refit", 2);
  expect_refusal("new.h5 --refit old.h5 --refit-data data.h5 --tau 3", "--tau", 2);
  expect_refusal("new.h5 --refit old.h5 --refit-data new.h5", "belong to other data", 1);
  expect_refusal("plain.h5 --refit old.h5 --refit-data data.h5", "plain.h5: has no /labels", 1);
  EXPECT_EQ(run(folder, "ot_fit", "new.h5 --out old.h5 --refit old.h5 --refit-data data.h5").status, 1);  // same file
}

}  // namespace
}  // namespace monge::apps
