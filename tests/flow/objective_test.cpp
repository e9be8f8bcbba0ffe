#include "monge/flow/objective.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"
#include "naive_map.h"

namespace monge::flow {
namespace {

using enum ObjectiveKind;

constexpr Index batch = 6, dimensions = 3;
const ObjectiveKind map_kinds[] = {fmm, lmd, emd, consistency, pfmm, lsd, psd, mean_flow};
const ObjectiveKind all_kinds[] = {velocity, neural_flow, fmm, lmd, emd, consistency, pfmm, lsd, psd, mean_flow};

std::string name_of(ObjectiveKind kind) {
  const char* names[] = {"velocity",    "neural_flow", "fmm", "lmd", "emd",
                         "consistency", "pfmm",        "lsd", "psd", "mean_flow"};
  return names[static_cast<int>(kind)];
}

ModelOptions model_of(Role role) {
  return {.dimensions = dimensions,
          .width = 7,
          .blocks = 2,
          .time_features = 0,
          .role = role,
          .network = Network::mlp,
          .activation = nn::Function::tanh};
}

std::vector<double> normals(Index count, std::uint64_t stream) {
  std::vector<double> values(static_cast<std::size_t>(count));
  fill_normal(Rng{3, stream}, 0, VectorView<double>(values));
  return values;
}

struct Pairs {
  Matrix<float> x0{batch, dimensions}, x1{batch, dimensions};
  Pairs() {
    fill_normal(Rng{1, 1}, 0, VectorView<float>(x0.data(), batch * dimensions));
    fill_normal(Rng{1, 2}, 0, VectorView<float>(x1.data(), batch * dimensions));
  }
  Objective::Batch views() { return {x0.view(), x1.view()}; }
};

Role teacher_role(ObjectiveKind kind) { return kind == pfmm ? Role::flow_map : Role::velocity; }

// What the docstring of ObjectiveKind says, row by row, at weights w where sg makes nothing of them and w0 where it
// does.
class Naive {
 public:
  Naive(ObjectiveKind kind, const Teacher* teacher, const Objective& objective, Pairs& pairs)
      : kind_(kind), teacher_(teacher), objective_(objective), pairs_(pairs) {
    if (teacher) teacher_weights_.assign(teacher->weights.begin(), teacher->weights.end());
  }

  double loss(const std::vector<double>& w, const std::vector<double>& w0) const {
    const ModelOptions options = model_of(role_of(kind_));
    const NaiveMap live(options, w), still(options, w0);
    double sum = 0;
    const bool splits = kind_ == lmd || kind_ == emd || kind_ == lsd || kind_ == psd || kind_ == mean_flow;
    for (std::size_t part = 0; part < objective_.part_count(); ++part) {
      const Objective::Times times = objective_.times(part);
      for (std::size_t i = 0; i < times.t.size(); ++i) {
        const Index row = times.first + static_cast<Index>(i);
        const double s = times.s[i], t = times.t[i], f = times.f[i];
        sum += splits && part == 0 ? diagonal(live, still, row, t) : jump(live, still, row, s, t, f);
      }
    }
    return sum / static_cast<double>(batch * dimensions);
  }

 private:
  static double squares(const Point& r) {
    double sum = 0;
    for (const Dual& x : r) sum += x.v * x.v;
    return sum;
  }
  static Point minus(const Point& a, const Point& b) {
    Point r(a.size());
    for (std::size_t j = 0; j < r.size(); ++j) r[j] = a[j] - b[j];
    return r;
  }
  static Point derivative(const Point& a) {
    Point r;
    for (const Dual& x : a) r.push_back(x.d);
    return r;
  }
  static Point moving(const Point& x, const Point& along) {
    Point r;
    for (std::size_t j = 0; j < x.size(); ++j) r.push_back({x[j].v, along[j].v});
    return r;
  }
  Point place(Index row, double t) const {
    Point x;
    for (Index j = 0; j < dimensions; ++j) x.push_back(t * pairs_.x1(row, j) + (1 - t) * pairs_.x0(row, j));
    return x;
  }
  Point rate(Index row) const {
    Point v;
    for (Index j = 0; j < dimensions; ++j) v.push_back(static_cast<double>(pairs_.x1(row, j)) - pairs_.x0(row, j));
    return v;
  }
  // e, weighted where the objective weights; `still` has the weights that are not differentiated.
  static double weigh(double e, double still) {
    const double d = static_cast<double>(dimensions);
    return e / (still / d + 1e-3);
  }

  double diagonal(const NaiveMap& live, const NaiveMap& still, Index row, double t) const {
    const bool taught = kind_ == lmd || kind_ == emd;
    const Point target = taught ? NaiveMap(teacher_->model, teacher_weights_).velocity(t, t, place(row, t)) : rate(row);
    const double e = squares(minus(live.velocity(t, t, place(row, t)), target));
    if (kind_ != mean_flow) return e;
    return weigh(e, squares(minus(still.velocity(t, t, place(row, t)), rate(row))));
  }

  double jump(const NaiveMap& live, const NaiveMap& still, Index row, double s, double t, double f) const {
    const Point x = place(row, s), there = place(row, t), slope = rate(row);
    switch (kind_) {
      case velocity:
        return squares(minus(live.velocity(t, t, there), slope));
      case neural_flow:
        return squares(minus(live.map(0, t, place(row, 0)), there));
      case fmm: {
        const Point again = live.map(s, {t, 1}, live.map(t, s, there));
        return squares(minus(derivative(again), slope)) + squares(minus(again, there));
      }
      case lmd: {
        const Point target = NaiveMap(teacher_->model, teacher_weights_).velocity(t, t, still.map(s, t, x));
        return squares(minus(derivative(live.map(s, {t, 1}, x)), target));
      }
      case emd:
      case consistency: {
        const Point b = NaiveMap(teacher_->model, teacher_weights_).velocity(s, s, x);
        return squares(derivative(live.map({s, 1}, t, moving(x, b))));
      }
      case pfmm: {
        const NaiveMap teacher(teacher_->model, teacher_weights_);
        Point y = x;
        for (int k = 0; k < 3; ++k) y = teacher.map(s + k / 3.0 * (t - s), s + (k + 1) / 3.0 * (t - s), y);
        return squares(minus(live.map(s, t, x), y));
      }
      case lsd: {
        const Point target = still.velocity(t, t, still.map(s, t, x));
        return squares(minus(derivative(live.map(s, {t, 1}, x)), target));
      }
      case psd: {
        const double u = s + f * (t - s);
        const Point first = still.velocity(s, u, x), second = still.velocity(u, t, still.map(s, u, x));
        Point target(x.size());
        for (std::size_t j = 0; j < x.size(); ++j) target[j] = f * first[j].v + (1 - f) * second[j].v;
        return squares(minus(live.velocity(s, t, x), target));
      }
      case mean_flow: {
        const Point along = derivative(still.velocity({s, 1}, t, moving(x, slope)));
        Point target(x.size());
        for (std::size_t j = 0; j < x.size(); ++j) target[j] = slope[j] + Dual(t - s) * along[j];
        return weigh(squares(minus(live.velocity(s, t, x), target)), squares(minus(still.velocity(s, t, x), target)));
      }
    }
    return 0;
  }

  ObjectiveKind kind_;
  const Teacher* teacher_;
  const Objective& objective_;
  Pairs& pairs_;
  std::vector<double> teacher_weights_;
};

std::shared_ptr<const Teacher> random_teacher(ObjectiveKind kind) {
  const ModelOptions model = model_of(teacher_role(kind));
  const std::vector<double> w = normals(weight_count(model), 9);
  return std::make_shared<const Teacher>(Teacher{model, {w.begin(), w.end()}});
}

class Objectives : public testing::TestWithParam<ObjectiveKind> {};

TEST_P(Objectives, LossAndGradientAreThoseOfTheFormula) {
  const ObjectiveKind kind = GetParam();
  const ModelOptions model = model_of(role_of(kind));
  ObjectiveOptions options{.kind = kind, .diagonal = 0.5, .strip = 0.6, .jumps = 3, .random_split = true};
  if (needs_teacher(kind)) options.teacher = random_teacher(kind);
  nn::Graph graph;
  Objective objective(graph, model, options, batch);
  nn::Program<double> program(graph, {objective.loss}, nn::gradient(graph, objective.loss, graph.parameter_tensors()));
  Pairs pairs;
  objective.load(program, pairs.views(), 5, 2);
  std::vector<double> w = normals(graph.weight_count(), 4), gradient(w.size());
  const std::vector<double> w0 = w;
  program.run(w, gradient);

  const Naive naive(kind, options.teacher.get(), objective, pairs);
  const double loss = naive.loss(w, w0);
  EXPECT_NEAR(program.scalar(objective.loss), loss, 1e-11 * (1 + loss));
  constexpr double h = 1e-5;
  for (std::size_t i = 0; i < w.size(); ++i) {
    w[i] = w0[i] + h;
    const double up = naive.loss(w, w0);
    w[i] = w0[i] - h;
    const double down = naive.loss(w, w0);
    w[i] = w0[i];
    // The differences err by h^2 times a third derivative and by the loss's rounding over h.
    ASSERT_NEAR(gradient[i], (up - down) / (2 * h), 1e-7 * (1 + loss + std::abs(gradient[i]))) << "weight " << i;
  }
}

// All data in one point m: the velocity m + (sigma'/sigma(t)) (x - t m) is linear in x, and its flow map
// t m + (sigma(t)/sigma(s)) (x - s m) has the average velocity m + (sigma'/sigma(s)) (x - s m) whatever t, since sigma
// is linear in t. Data prediction says so exactly: the network's output is m.
TEST_P(Objectives, VanishOnALinearFlowWhoseMapIsKnown) {
  const ObjectiveKind kind = GetParam();
  for (const double sigma_min : {0.0, 0.1}) {
    ModelOptions model = model_of(role_of(kind)), teacher = model_of(teacher_role(kind));
    model.path.sigma_min = teacher.path.sigma_min = sigma_min;
    const auto weights = [&](const ModelOptions& o) {
      std::vector<double> w = normals(weight_count(o), 4);
      for (const nn::Parameter& p : parameter_table(o)) {
        for (Index k = 0; k < p.size(); ++k) {
          double& value = w[static_cast<std::size_t>(p.offset + k)];
          if (p.name == "out.weight") value = 0;
          if (p.name == "out.bias") value = 0.5 + static_cast<double>(k);
        }
      }
      return w;
    };
    const std::vector<double> w = weights(model), b = weights(teacher);
    ObjectiveOptions options{.kind = kind, .diagonal = 0.5, .adaptive_power = 0};
    // Below the floor of sigma the prediction is not exact.
    options.times.quantile = [](double u) { return 0.9 * u; };
    if (needs_teacher(kind)) {
      options.teacher = std::make_shared<const Teacher>(Teacher{teacher, {b.begin(), b.end()}});
    }
    if (kind == fmm) options.strip = 0.05;
    nn::Graph graph;
    Objective objective(graph, model, options, batch);
    nn::Program<double> program(graph, {objective.loss}, {});
    Pairs pairs;
    for (Index i = 0; i < batch; ++i) {
      for (Index j = 0; j < dimensions; ++j) pairs.x1(i, j) = 0.5f + static_cast<float>(j);
    }
    for (std::uint64_t step = 0; step < 3; ++step) {
      objective.load(program, pairs.views(), 5, step);
      program.run(w);
      // Rounding, squared; slopes up to 1 / 0.05.
      EXPECT_LT(program.scalar(objective.loss), 1e-24) << "sigma_min " << sigma_min;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Objectives, testing::ValuesIn(all_kinds),
                         [](const auto& info) { return name_of(info.param); });

TEST(Objective, VelocityRegressesOnTheRateOfAnyPath) {
  // With all weights zero the model says zero, so the loss is the mean square of the rate.
  for (const Path path : {Path{.sigma_min = 0.2}, Path{.kind = Path::Kind::vp},
                          Path{.kind = Path::Kind::ve, .sigma_low = 0.1, .sigma_high = 10},
                          Path{.kind = Path::Kind::cosine}, Path{.noise = 0.3, .bridge = 0.7}}) {
    ModelOptions model = model_of(Role::velocity);
    model.prediction = Prediction::velocity;
    model.path = path;
    nn::Graph graph;
    Objective objective(graph, model, {}, batch);
    nn::Program<double> program(graph, {objective.loss}, {});
    Pairs pairs;
    objective.load(program, pairs.views(), 5, 2);
    program.run(std::vector<double>(static_cast<std::size_t>(graph.weight_count())));
    std::vector<double> e(batch * dimensions);
    fill_normal(Rng{5, 0}.substream(0x6E6F697365), 2 * batch * dimensions, VectorView<double>(e));
    double sum = 0;
    for (Index i = 0; i < batch; ++i) {
      const PathPoint p = path_at(path, objective.times(0).t[static_cast<std::size_t>(i)]);
      for (Index j = 0; j < dimensions; ++j) {
        const double noise = p.noise_rate * e[static_cast<std::size_t>(i * dimensions + j)];
        sum += std::pow(p.alpha_rate * pairs.x1(i, j) + p.sigma_rate * pairs.x0(i, j) + noise, 2);
      }
    }
    EXPECT_NEAR(program.scalar(objective.loss), sum / (batch * dimensions), 1e-12 * (1 + sum));
  }
}

TEST(Objective, TimesAreOrderedAndInTheirBounds) {
  Pairs pairs;
  for (const ObjectiveKind kind : map_kinds) {
    const ModelOptions model = model_of(role_of(kind));
    nn::Graph graph;
    ObjectiveOptions options{.kind = kind, .strip = 0.2};
    if (needs_teacher(kind)) options.teacher = random_teacher(kind);
    Objective objective(graph, model, options, batch);
    nn::Program<double> program(graph, {objective.loss}, {});
    for (std::uint64_t step = 0; step < 20; ++step) {
      objective.load(program, pairs.views(), 1, step);
      const Objective::Times times = objective.times(objective.part_count() - 1);
      for (std::size_t i = 0; i < times.t.size(); ++i) {
        if (kind == fmm || kind == pfmm) {
          EXPECT_LE(std::abs(times.t[i] - times.s[i]), 0.2 + 1e-15) << name_of(kind);
        }
        if (kind != fmm) {
          EXPECT_LE(times.s[i], times.t[i]) << name_of(kind);
        }
        if (kind == consistency) {
          EXPECT_EQ(times.t[i], 1);
        }
      }
    }
  }
}

// However small the batch, map and velocity are both learnt where the share says both.
TEST(Objective, SplitsLeaveARowOfEachKind) {
  const ModelOptions model = model_of(Role::flow_map);
  const auto parts = [&](double diagonal, Index rows) {
    nn::Graph graph;
    return Objective(graph, model, {.kind = lsd, .diagonal = diagonal}, rows).part_count();
  };
  EXPECT_EQ(parts(0.95, 4), 2u);  // rounds to all rows
  EXPECT_EQ(parts(0.05, 4), 2u);  // rounds to none
  EXPECT_EQ(parts(0, 4), 1u);
  EXPECT_EQ(parts(1, 4), 1u);
  EXPECT_EQ(parts(1, 1), 1u);
  EXPECT_THROW(parts(0.5, 1), Error);
}

TEST(Objective, RefusesWhatMakesNoSense) {
  nn::Graph graph;
  const ModelOptions field = model_of(Role::velocity), map = model_of(Role::flow_map);
  const auto refuses = [&](const ModelOptions& model, const ObjectiveOptions& options) {
    nn::Graph g;
    EXPECT_THROW(Objective(g, model, options, batch), Error);
  };
  refuses(map, {});
  refuses(field, {.kind = lsd});
  refuses(map, {.kind = lmd});
  const auto field_teacher = random_teacher(lmd);
  refuses(map, {.kind = pfmm, .teacher = field_teacher});
  Teacher narrow = *random_teacher(pfmm), to_data = narrow;
  narrow.strip = 0.1;
  to_data.to_data_only = true;
  const auto shared = [](const Teacher& t) { return std::make_shared<const Teacher>(t); };
  refuses(map, {.kind = pfmm, .teacher = shared(narrow)});
  refuses(map, {.kind = pfmm, .strip = 0.31, .jumps = 3, .teacher = shared(narrow)});
  Objective(graph, map, {.kind = pfmm, .strip = 0.3, .jumps = 3, .teacher = shared(narrow)}, batch);
  for (const ObjectiveKind kind : {lmd, emd, consistency, pfmm})
    refuses(map, {.kind = kind, .teacher = shared(to_data)});
  refuses(map, {.kind = psd, .diagonal = 1.5});
  refuses(map, {.kind = fmm, .strip = 0});
  refuses(map, {.kind = mean_flow, .adaptive_constant = 0});
  ModelOptions labelled = field;
  labelled.classes = 3;
  Objective objective(graph, labelled, {}, batch);
  nn::Program<double> program(graph, {objective.loss}, {});
  Pairs pairs;
  EXPECT_THROW(objective.load(program, pairs.views(), 1, 0), Error) << "no labels";
}

}  // namespace
}  // namespace monge::flow
