#include "monge/apps/common/starting_points.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "monge/data/dataset.h"
#include "monge/data/pairs.h"
#include "monge/ot/core/error.h"
#include "monge/tests/apps/programs.h"

namespace monge::apps {
namespace {

constexpr Index rows = 12;

// Test points (i, i mod 3) of class i mod 3.
class StartingPoints : public testing::Test {
 protected:
  void SetUp() override {
    data::Dataset source;
    for (data::Split* split : {&source.train, &source.test}) {
      split->x = Matrix<float>(rows, 2);
      split->labels.resize(static_cast<std::size_t>(rows));
      for (Index i = 0; i < rows; ++i) {
        split->x(i, 0) = static_cast<float>(i);
        split->x(i, 1) = static_cast<float>(i % 3);
        split->labels[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(i % 3);
      }
    }
    data::save_dataset(source, folder / "source.h5");
    model.dimensions = 2;
    config.pairing.source_file = folder("source.h5");
  }

  std::vector<float> firsts(const Start& start) const {
    const Matrix<float> x = starting_points(config, model, start, {});
    std::vector<float> out;
    for (Index i = 0; i < x.rows(); ++i) out.push_back(x(i, 0));
    return out;
  }

  Folder folder;
  TrainConfig config;
  flow::ModelOptions model;
};

TEST_F(StartingPoints, TakeAllPointsBeforeAnyAgain) {
  std::vector<float> x = firsts({.count = 2 * rows});
  for (const std::ptrdiff_t from : {std::ptrdiff_t{0}, static_cast<std::ptrdiff_t>(rows)}) {
    const std::set<float> seen(x.begin() + from, x.begin() + from + rows);
    EXPECT_EQ(seen.size(), static_cast<std::size_t>(rows));
  }
  EXPECT_NE(firsts({.count = rows}), firsts({.count = rows, .seed = 1}));
  EXPECT_EQ(firsts({.count = rows, .seed = 1}), firsts({.count = rows, .seed = 1}));
}

TEST_F(StartingPoints, StayWithinClassesWhereThePairsDo) {
  config.pairing.labels = "within";
  const std::vector<std::int32_t> labels = {2, 2, 0, 1, 2, 2, 0};
  const Matrix<float> x = starting_points(config, model, {.labels = labels, .count = 7}, {});
  for (Index i = 0; i < x.rows(); ++i) EXPECT_EQ(x(i, 1), static_cast<float>(labels[static_cast<std::size_t>(i)]));
  const std::set<float> of_two = {x(0, 0), x(1, 0), x(4, 0), x(5, 0)};
  EXPECT_EQ(of_two.size(), 4u);  // there are as many
  const std::vector<std::int32_t> unknown = {5};
  EXPECT_THROW(starting_points(config, model, {.labels = unknown, .count = 1}, {}), Error);
}

TEST_F(StartingPoints, OfPairsAreTheirOwnUnlessThoseAreNoise) {
  data::Pairs pairs;
  pairs.x0 = data::load_dataset(folder / "source.h5").test.x;
  pairs.atoms.resize(static_cast<std::size_t>(rows));
  pairs.dataset_digest = "any";
  data::save_pairs(pairs, folder / "pairs.h5");
  config.coupling = "pairs";
  config.pairing.source_file = "";
  config.pairing.pairs_file = folder("pairs.h5");
  std::vector<float> x = firsts({.count = rows});
  std::sort(x.begin(), x.end());
  for (Index i = 0; i < rows; ++i) EXPECT_EQ(x[static_cast<std::size_t>(i)], static_cast<float>(i));
  config.pairing.pairs_digest = "xxh64:0";
  EXPECT_THROW(firsts({.count = rows}), Error);
  config.pairing.pairs_law = "standard_normal";
  EXPECT_EQ(start_file(config, ""), "");
  EXPECT_EQ(start_file(config, "other.h5"), "other.h5");
  for (const float value : firsts({.count = rows})) EXPECT_NE(value, std::round(value));
}

// x_0 = sigma(0) x0 + noise(0) e.
TEST_F(StartingPoints, AreAsThePathHasThem) {
  model.path.noise = 0.25;
  const Matrix<float> x = starting_points(config, model, {.count = 4000}, {});
  double squares = 0;
  for (Index i = 0; i < x.rows(); ++i) {
    const double off = static_cast<double>(x(i, 1)) - std::clamp(std::round(static_cast<double>(x(i, 1))), 0.0, 2.0);
    squares += off * off / 4000;
  }
  EXPECT_NEAR(std::sqrt(squares), 0.25, 0.03);  // some of it is rounded to another class: 5% of a normal's
  model.path = {.kind = flow::Path::Kind::ve, .sigma_high = 10};
  std::vector<float> wide = firsts({.count = rows});
  std::sort(wide.begin(), wide.end());
  for (Index i = 0; i < rows; ++i) EXPECT_FLOAT_EQ(wide[static_cast<std::size_t>(i)], 10 * static_cast<float>(i));
}

}  // namespace
}  // namespace monge::apps
