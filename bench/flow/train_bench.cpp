// A training step of the model for 28 x 28 images: milliseconds a step, and the time its products take on their own.
// Steps of every objective on points of the plane: seconds for the 20,000 that the tables of the papers take.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "monge/flow/train.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/core/random.h"

namespace {

using namespace monge;
using namespace monge::flow;

double milliseconds_of(auto&& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

// The same products as a step's, one after the other.
class Products {
 public:
  Products(const ModelOptions& model, Index batch) {
    nn::Graph graph;
    const Objective objective(graph, model, {}, batch);
    const auto gradients = nn::gradient(graph, objective.loss, graph.parameter_tensors());
    const nn::Program<float> program(graph, {objective.loss}, gradients);
    for (const nn::Step& step : program.steps()) {
      const nn::Node& n = graph.nodes()[static_cast<std::size_t>(step.node)];
      if (step.activation < 0 && n.op == nn::Op::matmul) {
        const auto operand = [&](int k) { return random(graph.nodes()[static_cast<std::size_t>(n.operands[k])]); };
        all_.push_back({operand(0), operand(1), Matrix<float>(n.rows, n.cols), n.transpose_a, n.transpose_b});
        flop_ +=
            2.0 * static_cast<double>(n.rows * n.cols * (n.transpose_a ? all_.back().a.rows() : all_.back().a.cols()));
      }
    }
  }

  void run() {
    with_team(0, [&] {
      for (Product& p : all_) {
        nn::kernels_for<float>({}).matmul({p.a.view(), p.b.view(), p.transpose_a, p.transpose_b, {}, {}, 0, {}},
                                          p.out.view(), {});
      }
    });
  }
  double flop() const { return flop_; }

 private:
  struct Product {
    Matrix<float> a, b, out;
    bool transpose_a, transpose_b;
  };
  static Matrix<float> random(const nn::Node& n) {
    Matrix<float> m(n.rows, n.cols);
    fill_normal({3, 3}, 0, {m.data(), n.rows * n.cols});
    return m;
  }
  std::vector<Product> all_;
  double flop_ = 0;
};

void train_step(benchmark::State& state) {
  constexpr Index images = 4096, dimensions = 784;
  Matrix<float> data(images, dimensions);
  fill_normal({1, 1}, 0, {data.data(), images * dimensions});
  const auto coupling = independent_coupling(images, 1);
  Trainer trainer({}, MatrixView<const float>(data.view()), *coupling);
  Products products(trainer.options().model, trainer.options().batch);
  trainer.step();
  std::vector<double> steps, gemms;
  for (auto _ : state) {
    gemms.push_back(milliseconds_of([&] { products.run(); }));
    steps.push_back(milliseconds_of([&] { trainer.step(); }));
    state.SetIterationTime(steps.back() * 1e-3);
  }
  const auto median = [](std::vector<double> v) {
    std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
    return v[v.size() / 2];
  };
  state.counters["step_ms"] = median(steps);
  state.counters["products_ms"] = median(gemms);
  state.counters["products_share"] = median(gemms) / median(steps);
  state.counters["products_GFLOP"] = products.flop() * 1e-9;
}

// MLP 3 x 64 SELU, batch 256.
void plane(benchmark::State& state) {
  constexpr Index points = 4096;
  Matrix<float> data(points, 2);
  fill_normal({1, 1}, 0, {data.data(), points * 2});
  const auto coupling = independent_coupling(points, 1);
  TrainOptions options{
      .model = {
          .width = 64, .blocks = 3, .time_features = 0, .network = Network::mlp, .activation = nn::Function::selu}};
  options.objective.kind = static_cast<ObjectiveKind>(state.range(0));
  Trainer trainer(options, MatrixView<const float>(data.view()), *coupling);
  trainer.step();
  double seconds = 0;
  for (auto _ : state) {
    seconds += 1e-3 * milliseconds_of([&] { trainer.step(); });
  }
  state.counters["seconds_of_20000"] = 20'000 * seconds / static_cast<double>(state.iterations());
}

BENCHMARK(plane)
    ->Arg(static_cast<int>(ObjectiveKind::velocity))
    ->Arg(static_cast<int>(ObjectiveKind::neural_flow))
    ->Arg(static_cast<int>(ObjectiveKind::fmm))
    ->Arg(static_cast<int>(ObjectiveKind::lsd))
    ->Arg(static_cast<int>(ObjectiveKind::psd))
    ->Arg(static_cast<int>(ObjectiveKind::mean_flow))
    ->Iterations(500)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(train_step)->UseManualTime()->Iterations(60)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
