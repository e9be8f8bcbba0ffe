// What only an emulator can show: that no result depends on the order in which threads run between barriers, and that
// running out of memory at any allocation leaves nothing behind. Left out of builds with the CUDA room.
#include "emulator.h"

#include <tuple>

#include "../ot/passes_problem.h"
#include "monge/ot/cuda/passes.h"
#include "monge/ot/cuda/prepare.h"
#include "monge/ot/recombine.h"
#include "monge/ot/sinkhorn.h"
#include "rooms.h"

namespace monge::ot {
namespace {

const Context context{.device = cuda_device()};

template <class T>
struct Results {
  std::vector<T> f, top, list, mean, wide, all;
  std::vector<std::int32_t> column, columns, drawn;
  std::vector<double> soft, hard, potentials, mass, energy;
  bool operator==(const Results&) const = default;
};

template <class T>
Results<T> run_all(const Scores<T>& s, T epsilon) {
  Passes<T>& passes = cuda_room()->passes(T{});
  const Index rows = s.rows(), cols = s.cols(), k = std::min<Index>(5, cols);
  const auto n = static_cast<std::size_t>(rows), m = static_cast<std::size_t>(cols);
  Results<T> r{std::vector<T>(n),
               std::vector<T>(n),
               std::vector<T>(k * n),
               std::vector<T>(3 * n),
               std::vector<T>(9 * n),
               std::vector<T>(n * m),
               std::vector<std::int32_t>(n),
               std::vector<std::int32_t>(k * n),
               std::vector<std::int32_t>(n),
               std::vector<double>(m),
               std::vector<double>(m),
               std::vector<double>(n),
               std::vector<double>(m),
               std::vector<double>(3 * n)};
  Matrix<T> values(cols, 9);
  fill_normal(Rng{17}, 0, {values.data(), cols * 9});
  const std::vector<double> weights(n, 0.5);
  passes.softmin(s, epsilon, r.f, context);
  passes.hardmin(s, {r.top.data(), rows, 1}, {r.column.data(), rows, 1}, context);
  passes.hardmin(s, {r.list.data(), rows, k}, {r.columns.data(), rows, k}, context);
  passes.sample(s, epsilon, Rng{18}, 5, r.drawn, context);
  passes.histogram(s, epsilon, VectorView<const T>(r.f), {}, r.soft, context);
  passes.histogram(s, 0, {}, {}, r.hard, context);
  passes.apply(s, epsilon, {values.data(), cols, 3, 9}, {r.mean.data(), rows, 3}, context);
  passes.apply(s, epsilon, values.view(), {r.wide.data(), rows, 9}, context);
  passes.balance(s, epsilon, weights, r.potentials, r.mass, context);
  passes.energy(s, epsilon, r.potentials, {}, {}, {r.energy.data(), rows, 3}, context);
  passes.store(s, {r.all.data(), rows, cols}, context);
  return r;
}

template <class T>
class EmulatedTest : public testing::Test {};
TYPED_TEST_SUITE(EmulatedTest, PassesTypes);

TYPED_TEST(EmulatedTest, NothingDependsOnTheOrderOfThreads) {
  using T = TypeParam;
  using cuda::emulator::Order;
  for (const Case& c : {Case{131, 20, 3}, Case{5, 140, 40}, Case{5, 9, 130},
                        Case{9, 70, 11, Source::points, Metric::euclidean, true}, Case{9, 200, 0, Source::stored}}) {
    SCOPED_TRACE(describe(c));
    const PassProblem<T> p(c, normal<T>(16));
    const Results<T> one = run_all<T>(p.scores(), 3);
    for (const Order order : {Order::falling, Order::shuffled}) {
      cuda::emulator::set_order(order);
      EXPECT_TRUE(one == run_all<T>(p.scores(), 3));
    }
    cuda::emulator::set_order(Order::rising);
  }
}

// Blocks along either axis, in pairs where their columns are shared; tiles of rows are odd in number.
TEST(EmulatedGrid, BlocksInTheOrderOfRowsOrOfPartsSayTheSame) {
  using cuda::emulator::Order;
  constexpr Index rows = 270, cols = 650, tiles = 6;
  const int device = cuda_device().index;
  const cuda::Room room{device, cuda::make_stream(), cuda::make_stream(), cuda::multiplies_by_warpgroups(device)};
  for (const Index dims : {50, 130}) {
    const PassProblem<float> p({rows, cols, dims}, normal<float>(20));
    const reference::DenseScores dense = reference::dense(p.scores());
    const auto run = [&](bool parts_first, Index tiles_per_part) {
      cuda::Call call("test", room, context);
      cuda::Problem<float> problem = cuda::read_scores(call, p.scores(), Products::full);
      problem.parts_first = parts_first;
      problem.tiles_per_part = static_cast<std::int32_t>(tiles_per_part);
      const Index parts = (tiles + tiles_per_part - 1) / tiles_per_part;
      std::vector<cuda::LogSum<float>> sums(static_cast<std::size_t>(parts * rows));
      cuda::run_pass<cuda::SoftminReduction>(call, problem, parts,
                                             cuda::SoftminArgs<float>{cuda::rate_of(2.0f, cols), sums.data()});
      cuda::synchronize(call.stream());
      std::vector<double> f;
      for (Index i = 0; i < rows; ++i) {
        cuda::LogSum<float> all;
        for (Index part = 0; part < parts; ++part) all.add(sums[static_cast<std::size_t>(part * rows + i)], 2);
        f.push_back(-all.value(2));
      }
      return f;
    };
    for (const Index width : {1, 4, 6}) {
      const std::vector<double> one = run(false, width);
      for (const Order order : {Order::rising, Order::falling, Order::shuffled}) {
        cuda::emulator::set_order(order);
        EXPECT_EQ(run(true, width), one);
      }
      cuda::emulator::set_order(Order::rising);
      for (Index i = 0; i < rows; ++i) {
        const double u = p.scores().u.empty() ? 0.0 : p.scores().u[i];
        ASSERT_NEAR(one[static_cast<std::size_t>(i)], reference::softmin(dense, 2, i) + u, 1e-3) << i;
      }
    }
  }
}

// What is done in one stream of the caller's is over before a copy reads it, or another stream multiplies it.
TEST(EmulatedStreams, CopiesAndPreparedPointsAreThereForAll) {
  const Device device = cuda_device();
  Context first = context, second = context;
  first.stream = cuda::make_stream(), second.stream = cuda::make_stream();
  Matrix<float> there(40, 20, device), back(40, 20), here(40, 20);
  cuda_room()->normals(Rng{3}, 0, there.view(), first);
  copy(std::as_const(there).view(), back.view());
  fill_normal(Rng{3}, 0, {here.data(), 40 * 20});
  for (Index k = 0; k < 40 * 20; ++k) ASSERT_EQ(back.data()[k], here.data()[k]) << k;

  const auto ready = cuda_room()->prepare(std::as_const(there).view(), first);
  std::vector<float> kept(40), read(40);
  Scores<float> s{.x = std::as_const(here).view(), .y = std::as_const(there).view()};
  cuda_room()->passes(float{}).softmin(s, 1.0f, read, context);
  s.y_ready = ready.get();
  cuda_room()->passes(float{}).softmin(s, 1.0f, kept, second);
  EXPECT_EQ(kept, read);
  cuda::destroy_stream(first.stream), cuda::destroy_stream(second.stream);
}

// Candidates of recombined rows share limits between warps, assignments share everything.
TEST(EmulatedOrder, NeitherCandidatesNorAssignmentsDependOnIt) {
  using cuda::emulator::Order;
  const PassProblem<float> p({128, 150, 5}, normal<float>(19));
  const Scores<float> s = p.scores();
  const Recombination r{.x = s.x, .y = s.y, .v = s.v, .rounds = 2, .signs = {4}, .window = 3};
  const auto run = [&] {
    std::vector<float> scores(static_cast<std::size_t>(4 * r.rows()));
    std::vector<std::int32_t> columns(scores.size()), partners(70);
    std::vector<double> f(70), g(70);
    cuda_room()->recombine(r, {scores.data(), r.rows(), 4}, {columns.data(), r.rows(), 4}, context);
    cuda_room()->passes(float{}).assign(s.x.rows_from(0, 70), s.y.rows_from(0, 70), 35, partners, f, g, context);
    return std::tuple(scores, columns, partners, f, g);
  };
  const auto one = run();
  for (const Order order : {Order::falling, Order::shuffled}) {
    cuda::emulator::set_order(order);
    EXPECT_TRUE(run() == one);
  }
  cuda::emulator::set_order(Order::rising);
}

TEST(EmulatedMemory, RunningOutAnywhereLeavesAllUsable) {
  using T = float;
  const PassProblem<T> p({3, 9, 12}, normal<T>(17));
  const Results<T> one = run_all<T>(p.scores(), 2);
  const std::size_t before = cuda::emulator::bytes_in_use();
  int failures = 0;
  for (bool done = false; !done; ++failures) {
    cuda::emulator::fail_allocation_after(failures);
    try {
      run_all<T>(p.scores(), 2);
      done = true;
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), Errc::out_of_memory);
    }
    ASSERT_EQ(cuda::emulator::bytes_in_use(), before);
  }
  EXPECT_GT(failures, 50);
  cuda::emulator::fail_allocation_after(-1);
  EXPECT_TRUE(one == run_all<T>(p.scores(), 2));
}

// Scores that are to be kept, but need not, are made anew where there is no memory for them.
TEST(EmulatedMemory, SinkhornDoesWithoutKeptScores) {
  Matrix<float> cost(30, 20);
  fill_normal(Rng{5}, 0, {cost.data(), 600});
  const Problem<float> problem{.cost_matrix = cost.view()};
  SinkhornOptions options{.epsilon = 0.1, .epsilon_unit = EpsilonUnit::cost, .context = context};
  const SinkhornResult kept = sinkhorn(problem, options);
  cuda::emulator::fail_allocation_after(0);
  const SinkhornResult made = sinkhorn(problem, options);
  EXPECT_EQ(made.f, kept.f);
  options.storage = Storage::store;
  cuda::emulator::fail_allocation_after(0);
  EXPECT_THROW(sinkhorn(problem, options), Error);
  cuda::emulator::fail_allocation_after(-1);
}

}  // namespace
}  // namespace monge::ot
