// Couplings other than the semidiscrete one: what is common to all, and what each promises.
#include "monge/flow/coupling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "monge/flow/minibatch_coupling.h"
#include "monge/flow/online_coupling.h"
#include "monge/flow/pairs_coupling.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"

namespace monge::flow {
namespace {

using Labels = std::vector<std::int32_t>;

Matrix<float> normal(Index n, Index d, std::uint64_t seed, float shift = 0) {
  Matrix<float> x(n, d);
  fill_normal(Rng{seed}, 0, {x.data(), n * d});
  for (Index i = 0; i < n * d; ++i) x.data()[i] += shift;
  return x;
}

Labels cyclic(Index n, std::int32_t classes) {
  Labels labels(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i) labels[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(i % classes);
  return labels;
}

struct Batch {
  Matrix<float> x0;
  Labels atoms;
  bool operator==(const Batch& o) const {
    return atoms == o.atoms && std::equal(x0.data(), x0.data() + x0.rows() * x0.cols(), o.x0.data());
  }
};

Batch draw(Coupling& coupling, std::uint64_t step, Index rows, Index d) {
  Batch b{Matrix<float>(rows, d), Labels(static_cast<std::size_t>(rows))};
  coupling.draw(step, b.x0.view(), b.atoms);
  return b;
}

void expect_refused(const std::string& words, const std::function<void()>& work) {
  try {
    work();
    ADD_FAILURE() << "no error: " << words;
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(words), std::string::npos) << e.what();
  }
}

double squared(const float* a, const float* b, Index d) {
  double sum = 0;
  for (Index k = 0; k < d; ++k) sum += (static_cast<double>(a[k]) - b[k]) * (static_cast<double>(a[k]) - b[k]);
  return sum;
}

double cost(const Batch& b, const Matrix<float>& y) {
  double sum = 0;
  for (Index i = 0; i < b.x0.rows(); ++i)
    sum += squared(b.x0.view().row(i), y.view().row(b.atoms[static_cast<std::size_t>(i)]), y.cols());
  return sum / static_cast<double>(b.x0.rows());
}

// The cheapest of all assignments of at most eight rows, the cost of a pair being whatever `pair` says.
double brute_force(Index n, const std::function<double(Index, Index)>& pair) {
  std::vector<Index> p(static_cast<std::size_t>(n));
  std::iota(p.begin(), p.end(), 0);
  double best = HUGE_VAL;
  do {
    double sum = 0;
    for (Index i = 0; i < n; ++i) sum += pair(i, p[static_cast<std::size_t>(i)]);
    best = std::min(best, sum);
  } while (std::next_permutation(p.begin(), p.end()));
  return best;
}

struct Kind {
  std::string name;
  std::function<std::unique_ptr<Coupling>(std::uint64_t seed, int threads)> make;
};

// All couplings of 120 atoms, with 2 source points per atom where the source is a set.
class Couplings : public ::testing::Test {
 protected:
  static constexpr Index n = 120, d = 3;
  const Matrix<float> y = normal(n, d, 1, 2), source = normal(2 * n, d, 2, -3);
  const Labels labels = cyclic(n, 4), source_labels = cyclic(2 * n, 4);
  const CouplingSource points{source.view(), source_labels};
  const CouplingLabels within{labels}, soft{labels, 5};
  Labels pair_atoms = cyclic(2 * n, n);

  std::vector<Kind> kinds() const {
    return {{"independent",
             [&](auto seed, int t) {
               return independent_coupling(
                   n, {.seed = seed, .source = points, .labels = within, .context = {.threads = t}});
             }},
            {"exact",
             [&](auto seed, int t) {
               return minibatch_coupling(y.view(), {.seed = seed, .ot_batch = 60, .context = {.threads = t}});
             }},
            {"exact, classes",
             [&](auto seed, int t) {
               return minibatch_coupling(y.view(),
                                         {.seed = seed, .source = points, .labels = within, .context = {.threads = t}});
             }},
            {"exact, penalty",
             [&](auto seed, int t) {
               return minibatch_coupling(y.view(),
                                         {.seed = seed, .source = points, .labels = soft, .context = {.threads = t}});
             }},
            {"entropic",
             [&](auto seed, int t) {
               return entropic_minibatch_coupling(y.view(),
                                                  {.batch = {.seed = seed, .ot_batch = 60, .context = {.threads = t}}});
             }},
            {"entropic, distinct",
             [&](auto seed, int t) {
               return entropic_minibatch_coupling(
                   y.view(),
                   {.batch = {.seed = seed, .labels = soft, .context = {.threads = t}}, .draw = PlanDraw::distinct});
             }},
            {"entropic, classes",
             [&](auto seed, int t) {
               return entropic_minibatch_coupling(
                   y.view(),
                   {.batch = {.seed = seed, .labels = within, .context = {.threads = t}}, .draw = PlanDraw::distinct});
             }},
            {"online",
             [&](auto seed, int t) { return online_coupling(y.view(), {.seed = seed, .context = {.threads = t}}); }},
            {"online, classes",
             [&](auto seed, int t) {
               return online_coupling(y.view(), {.seed = seed, .labels = within, .context = {.threads = t}});
             }},
            {"pairs", [&](auto seed, int) { return pairs_coupling(source.view(), pair_atoms, n, seed); }}};
  }
};

TEST_F(Couplings, ABatchIsAFunctionOfSeedAndStep) {
  for (const Kind& kind : kinds()) {
    const auto one = kind.make(7, 1), two = kind.make(7, 3), other = kind.make(8, 1);
    std::vector<Batch> batches;
    for (std::uint64_t step = 0; step < 9; ++step) {
      batches.push_back(draw(*one, step, 20, d));
      EXPECT_TRUE(batches.back() == draw(*two, step, 20, d)) << kind.name << ", step " << step;
      EXPECT_TRUE(batches.back() == draw(*one, step, 20, d)) << kind.name << ", again";
      EXPECT_FALSE(batches.back() == draw(*other, step, 20, d)) << kind.name << ", another seed";
      if (step > 0) {
        EXPECT_FALSE(batches[step] == batches[step - 1]) << kind.name;
      }
    }
    // A run resumed after five steps, from the step number and the state.
    const auto whole = kind.make(7, 1), resumed = kind.make(7, 1);
    for (std::uint64_t step = 0; step < 5; ++step) draw(*whole, step, 20, d);
    resumed->restore(5, whole->state());
    for (std::uint64_t step = 5; step < 9; ++step)
      EXPECT_TRUE(batches[step] == draw(*resumed, step, 20, d)) << kind.name;
  }
}

TEST_F(Couplings, NoAtomIsDroppedOrComesTwice) {
  for (const Kind& kind : kinds()) {
    if (kind.name == "independent" || kind.name == "entropic" || kind.name == "pairs") continue;  // do not promise it
    const auto coupling = kind.make(3, 2);
    std::vector<int> count(n);
    for (std::uint64_t step = 0; step < 12; ++step)  // two passes over 120 atoms
      for (const std::int32_t atom : draw(*coupling, step, 20, d).atoms) ++count[static_cast<std::size_t>(atom)];
    EXPECT_EQ(count, std::vector<int>(n, 2)) << kind.name;
  }
}

TEST_F(Couplings, ClassesStayAmongThemselves) {
  std::map<std::vector<float>, std::int32_t> label_of;
  for (Index i = 0; i < 2 * n; ++i)
    label_of[{source(i, 0), source(i, 1), source(i, 2)}] = source_labels[static_cast<std::size_t>(i)];
  for (const Kind& kind : kinds()) {
    if (kind.name != "independent" && kind.name != "exact, classes") continue;
    const auto coupling = kind.make(3, 2);
    for (std::uint64_t step = 0; step < 5; ++step) {
      const Batch b = draw(*coupling, step, 20, d);
      for (Index i = 0; i < 20; ++i)
        EXPECT_EQ(label_of.at({b.x0(i, 0), b.x0(i, 1), b.x0(i, 2)}),
                  labels[static_cast<std::size_t>(b.atoms[static_cast<std::size_t>(i)])])
            << kind.name;
    }
  }
}

// The noise of a batch of the exact coupling without labels, with the atoms in the order they were drawn in, is that
// of the coupling within classes of one atom each: nothing is left to choose there.
TEST_F(Couplings, ExactIsTheCheapestOfAllAssignments) {
  constexpr Index batch = 7;
  Labels alone(n);
  std::iota(alone.begin(), alone.end(), 0);
  for (const double penalty : {0.0, 3.0}) {
    const CouplingLabels soft_labels{labels, penalty};
    const auto drawn = minibatch_coupling(y.view(), {.seed = 5, .labels = {alone}});
    const auto best = minibatch_coupling(y.view(), {.seed = 5, .labels = penalty > 0 ? soft_labels : CouplingLabels{}});
    for (std::uint64_t step = 0; step < 10; ++step) {
      const Batch a = draw(*drawn, step, batch, d), b = draw(*best, step, batch, d);
      ASSERT_TRUE(std::equal(a.x0.data(), a.x0.data() + batch * d, b.x0.data()));
      const auto label = [&](std::int32_t atom) { return labels[static_cast<std::size_t>(atom)]; };
      const auto price = [&](Index i, std::int32_t atom) {  // x0 has the label of the atom it was drawn with
        return squared(a.x0.view().row(i), y.view().row(atom), d) +
               (label(a.atoms[static_cast<std::size_t>(i)]) != label(atom) ? penalty : 0);
      };
      double found = 0;
      for (Index i = 0; i < batch; ++i) found += price(i, b.atoms[static_cast<std::size_t>(i)]);
      const double truth =
          brute_force(batch, [&](Index i, Index j) { return price(i, a.atoms[static_cast<std::size_t>(j)]); });
      EXPECT_NEAR(found, truth, 1e-5 * truth);  // rounding of float coordinates
    }
  }
}

TEST_F(Couplings, ALargerBatchServesSeveralSteps) {
  const auto whole = minibatch_coupling(y.view(), {.seed = 5}),
             parts = minibatch_coupling(y.view(), {.seed = 5, .ot_batch = 60});
  const Batch all = draw(*whole, 1, 60, d);
  for (const std::uint64_t step : {5u, 3u, 4u}) {  // in any order
    const Batch part = draw(*parts, step, 20, d);
    const auto first = static_cast<Index>(step - 3) * 20;
    EXPECT_TRUE(std::equal(part.x0.data(), part.x0.data() + 20 * d, all.x0.view().row(first)));
    EXPECT_TRUE(std::equal(part.atoms.begin(), part.atoms.end(), all.atoms.begin() + first));
  }
  Matrix<float> x0(25, d);
  Labels atoms(25);
  EXPECT_THROW(parts->draw(0, x0.view(), atoms), Error);  // 60 is no multiple of 25
}

// Entropic partners lie between those of exact transport and independent ones, in cost; with little entropy they are
// those of exact transport.
TEST_F(Couplings, EntropyGoesFromExactToIndependent) {
  const auto mean_cost = [&](Coupling& coupling) {
    double sum = 0;
    for (std::uint64_t step = 0; step < 20; ++step) sum += cost(draw(coupling, step, 60, d), y) / 20;
    return sum;
  };
  const auto exact = minibatch_coupling(y.view(), {.seed = 5});
  const double least = mean_cost(*exact), most = mean_cost(*independent_coupling(n, 5));
  for (const PlanDraw how : {PlanDraw::rows, PlanDraw::distinct}) {
    std::vector<double> costs;
    for (const double epsilon : {0.003, 0.05, 0.5, 100.0})
      costs.push_back(
          mean_cost(*entropic_minibatch_coupling(y.view(), {.batch = {.seed = 5}, .epsilon = epsilon, .draw = how})));
    EXPECT_TRUE(std::is_sorted(costs.begin(), costs.end()));
    EXPECT_NEAR(costs[0], least, 0.05 * least);
    EXPECT_NEAR(costs.back(), most, 0.1 * most);  // two means of 1200 pairs
  }
}

// Where the plan makes every partner equally likely, distinct partners are a uniform permutation.
TEST_F(Couplings, DistinctPartnersAreUniformWhenThePlanIs) {
  const Matrix<float> same = normal(3, 1, 1);  // and atoms so close together that cost is nothing beside epsilon
  const auto coupling = entropic_minibatch_coupling(
      same.view(),
      {.batch = {.seed = 5}, .epsilon = 1e6, .epsilon_unit = ot::EpsilonUnit::cost, .draw = PlanDraw::distinct});
  std::map<Labels, double> orders;
  constexpr int steps = 6000;
  for (std::uint64_t step = 0; step < steps; ++step) ++orders[draw(*coupling, step, 3, 1).atoms];
  ASSERT_EQ(orders.size(), 6u);
  for (const auto& [order, count] : orders) EXPECT_NEAR(count, steps / 6.0, 4.5 * std::sqrt(steps * 5.0 / 36));
}

// The barycentric target is the mean of the atoms under the softmax of a plan whose weights can be found naively.
TEST_F(Couplings, BarycentricTargets) {
  constexpr Index batch = 8;
  const EntropicMinibatchOptions options{.batch = {.seed = 5, .ot_batch = 2 * batch},
                                         .epsilon = 2,
                                         .epsilon_unit = ot::EpsilonUnit::cost,
                                         .tolerance = 1e-6,
                                         .draw = PlanDraw::barycentric};
  const auto coupling = entropic_minibatch_coupling(y.view(), options);
  EXPECT_TRUE(coupling->has_targets());
  Matrix<float> x0(2 * batch, d), found(2 * batch, d);
  Labels ignored(2 * batch), atoms(2 * batch);
  Labels alone(n);
  std::iota(alone.begin(), alone.end(), 0);
  minibatch_coupling(y.view(), {.seed = 5, .labels = {alone}})->draw(0, x0.view(), atoms);
  for (Index half = 0; half < 2; ++half) {
    Matrix<float> part(batch, d);
    coupling->draw(static_cast<std::uint64_t>(half), part.view(), {ignored.data(), batch});
    ASSERT_TRUE(std::equal(part.data(), part.data() + batch * d, x0.view().row(half * batch)));
    coupling->targets(found.view().rows_from(half * batch, batch));
  }
  const Index m = 2 * batch;
  std::vector<double> f(m), g(m), kernel(m * m);
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < m; ++j)
      kernel[static_cast<std::size_t>(i * m + j)] =
          std::exp(-squared(x0.view().row(i), y.view().row(atoms[static_cast<std::size_t>(j)]), d) / 2);
  std::fill(g.begin(), g.end(), 1.0);
  for (int iteration = 0; iteration < 3000; ++iteration) {
    for (Index i = 0; i < m; ++i) {
      double sum = 0;
      for (Index j = 0; j < m; ++j) sum += kernel[static_cast<std::size_t>(i * m + j)] * g[static_cast<std::size_t>(j)];
      f[static_cast<std::size_t>(i)] = 1 / sum;
    }
    for (Index j = 0; j < m; ++j) {
      double sum = 0;
      for (Index i = 0; i < m; ++i) sum += kernel[static_cast<std::size_t>(i * m + j)] * f[static_cast<std::size_t>(i)];
      g[static_cast<std::size_t>(j)] = 1 / sum;
    }
  }
  for (Index i = 0; i < m; ++i)
    for (Index k = 0; k < d; ++k) {
      double mean = 0, mass = 0;
      for (Index j = 0; j < m; ++j) {
        const double p = kernel[static_cast<std::size_t>(i * m + j)] * g[static_cast<std::size_t>(j)];
        mean += p * y(atoms[static_cast<std::size_t>(j)], k);
        mass += p;
      }
      EXPECT_NEAR(found(i, k), mean / mass, 1e-4);  // float passes, plan to 1e-6
    }
  EXPECT_FALSE(minibatch_coupling(y.view())->has_targets());
  EXPECT_THROW(minibatch_coupling(y.view())->targets(found.view()), Error);
}

// Passes over the data bring the pairing of all atoms with all noise vectors near its optimum; the noise stays the
// same.
TEST_F(Couplings, OnlineGetsCheaperAndKeepsItsNoise) {
  const auto coupling = online_coupling(y.view(), {.seed = 5});
  const auto pass = [&](std::uint64_t number, std::multiset<std::vector<float>>& noise) {
    double sum = 0;
    for (std::uint64_t step = 6 * number; step < 6 * number + 6; ++step) {
      const Batch b = draw(*coupling, step, 20, d);
      sum += cost(b, y) / 6;
      for (Index i = 0; i < 20; ++i) noise.insert({b.x0(i, 0), b.x0(i, 1), b.x0(i, 2)});
    }
    return sum;
  };
  std::multiset<std::vector<float>> first, last, ignored;
  std::vector<double> costs = {pass(0, first)};
  for (std::uint64_t number = 1; number < 30; ++number) costs.push_back(pass(number, ignored));
  costs.push_back(pass(30, last));
  for (std::size_t i = 1; i < costs.size(); ++i)  // no assignment makes its part dearer, but for rounding
    EXPECT_LE(costs[i], costs[i - 1] * (1 + 1e-6));
  // The optimum for these very vectors, by an assignment of all of them.
  Matrix<float> x0(n, d);
  Labels atoms(n);
  const auto again = online_coupling(y.view(), {.seed = 5});
  again->draw(0, x0.view(), atoms);  // a batch of all atoms
  const double best = cost({std::move(x0), atoms}, y);
  EXPECT_GT(costs.front(), 1.05 * best);
  EXPECT_LT(costs.back(), 1.02 * best);
}

// A batch larger than what is left of a pass is assigned in parts, so that no atom is asked for twice in one.
TEST_F(Couplings, OnlineBatchesReachAcrossPasses) {
  const auto coupling = online_coupling(y.view(), {.seed = 5});
  std::vector<int> count(n);
  for (std::uint64_t step = 0; step < 5; ++step)
    for (const std::int32_t atom : draw(*coupling, step, 72, d).atoms) ++count[static_cast<std::size_t>(atom)];
  EXPECT_EQ(count, std::vector<int>(n, 3));
  Labels state = coupling->state();
  std::sort(state.begin(), state.end());
  for (Index i = 0; i < n; ++i) EXPECT_EQ(state[static_cast<std::size_t>(i)], i);
}

TEST_F(Couplings, OnlineRefusals) {
  const auto coupling = online_coupling(y.view(), {.seed = 5});
  EXPECT_THROW(draw(*coupling, 1, 20, d), Error);
  draw(*coupling, 0, 20, d);
  EXPECT_THROW(draw(*coupling, 2, 20, d), Error);
  Labels state = coupling->state();
  state[3] = state[4];
  EXPECT_THROW(coupling->restore(1, state), Error);
  state.pop_back();
  EXPECT_THROW(coupling->restore(1, state), Error);
}

// x0 has the law of the source: moments of N(0, I), whatever the pairing; or source points only.
TEST_F(Couplings, NoiseHasTheLawOfTheSource) {
  for (const Kind& kind : kinds()) {
    if (kind.name != "exact" && kind.name != "entropic" && kind.name != "entropic, distinct" &&
        kind.name != "entropic, classes")
      continue;
    const auto coupling = kind.make(11, 2);
    double mean = 0, square = 0, count = 0;
    for (std::uint64_t step = 0; step < 100; ++step) {
      const Batch b = draw(*coupling, step, 60, d);
      for (Index i = 0; i < 60 * d; ++i) {
        mean += b.x0.data()[i];
        square += b.x0.data()[i] * b.x0.data()[i];
        ++count;
      }
    }
    EXPECT_NEAR(mean / count, 0, 4 / std::sqrt(count)) << kind.name;
    EXPECT_NEAR(square / count, 1, 4 * std::sqrt(2 / count)) << kind.name;
  }
}

TEST_F(Couplings, PairsComeAsTheyAre) {
  const auto coupling = pairs_coupling(source.view(), pair_atoms, n, 1);
  std::map<std::vector<float>, std::int32_t> partner;
  for (Index k = 0; k < 2 * n; ++k)
    partner[{source(k, 0), source(k, 1), source(k, 2)}] = pair_atoms[static_cast<std::size_t>(k)];
  std::multiset<std::vector<float>> seen;
  for (std::uint64_t step = 0; step < 12; ++step) {
    const Batch b = draw(*coupling, step, 20, d);
    for (Index i = 0; i < 20; ++i) {
      const std::vector<float> x = {b.x0(i, 0), b.x0(i, 1), b.x0(i, 2)};
      EXPECT_EQ(partner.at(x), b.atoms[static_cast<std::size_t>(i)]);
      seen.insert(x);
    }
  }
  EXPECT_EQ(std::set(seen.begin(), seen.end()).size(), static_cast<std::size_t>(2 * n));  // each once
}

TEST_F(Couplings, PairsAreHeldToBeWithinClasses) {
  Labels of_x0;
  for (const std::int32_t atom : pair_atoms) of_x0.push_back(labels[static_cast<std::size_t>(atom)]);
  const auto with = pairs_coupling(source.view(), pair_atoms, n, 1, of_x0, labels),
             without = pairs_coupling(source.view(), pair_atoms, n, 1);
  EXPECT_TRUE(draw(*with, 3, 20, d) == draw(*without, 3, 20, d));
  const auto refused = [&](const std::string& words, const Labels& x0_labels, const Labels& atom_labels) {
    expect_refused(words, [&] { pairs_coupling(source.view(), pair_atoms, n, 1, x0_labels, atom_labels); });
  };
  refused("labels of x0, but not of the atoms", of_x0, {});
  refused("labels of the atoms, but not of x0", {}, labels);
  refused("3 labels for 240 source points", Labels(3), labels);
  refused("3 labels for 120 atoms", of_x0, Labels(3));
  of_x0[70] = of_x0[17] = 8;
  refused("pair 17 goes from label 8 to atom " + std::to_string(pair_atoms[17]) + " of label ", of_x0, labels);
}

TEST_F(Couplings, Refusals) {
  const Labels few(3), unknown(static_cast<std::size_t>(n), 9);
  const Matrix<float> flat = normal(10, 2, 1);
  expect_refused("3 labels for 120 atoms", [&] { minibatch_coupling(y.view(), {.labels = {few}}); });
  expect_refused("source points of 2 dimensions, atoms of 3",
                 [&] { minibatch_coupling(y.view(), {.source = {flat.view()}}); });
  expect_refused("the source points have none",
                 [&] { minibatch_coupling(y.view(), {.source = {source.view()}, .labels = within}); });
  expect_refused("no source point has the label 9 of atom 0",
                 [&] { minibatch_coupling(y.view(), {.source = points, .labels = {unknown}}); });
  expect_refused("must not be negative", [&] { minibatch_coupling(y.view(), {.ot_batch = -1}); });
  expect_refused("epsilon must be positive", [&] { entropic_minibatch_coupling(y.view(), {.epsilon = 0}); });
  expect_refused("pair 7 has atom 7 of 7", [&] { pairs_coupling(source.view(), pair_atoms, 7, 1); });
  expect_refused("must be in [1, 2^31)", [&] { independent_coupling(0, 1); });
}

}  // namespace
}  // namespace monge::flow
