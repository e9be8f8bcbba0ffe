// The CUDA room around its passes: memory, copies, views of either device, recombined noise, refusals.
#include <algorithm>
#include <bit>
#include <cmath>
#include <tuple>

#include "../ot/passes_problem.h"
#include "monge/ot/core/doctor.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/cuda/split_points.h"
#include "monge/ot/recombine.h"
#include "monge/ot/source.h"
#include "rooms.h"

namespace monge::ot {
namespace {

const Device device = cuda_device();

class CudaRoomTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string why;
    room_ = cuda_room(&why);
    if (!room_) GTEST_SKIP() << why;
  }
  void TearDown() override {
    for (void* memory : memory_) room_->deallocate(memory);
  }

  template <class T>
  MatrixView<T> on_device(MatrixView<const T> from) {
    const std::size_t width = sizeof(T) * static_cast<std::size_t>(from.cols);
    memory_.push_back(room_->allocate(std::max<std::size_t>(1, width * static_cast<std::size_t>(from.rows))));
    room_->copy(memory_.back(), width, from.data, sizeof(T) * static_cast<std::size_t>(from.stride), width,
                static_cast<std::size_t>(from.rows));
    return {static_cast<T*>(memory_.back()), from.rows, from.cols, from.cols, device};
  }
  template <class T>
  VectorView<T> on_device(const std::vector<T>& from) {
    const MatrixView<T> to = on_device<T>({from.data(), 1, static_cast<Index>(from.size())});
    return {to.data, to.cols, device};
  }

  Backend* room_ = nullptr;
  std::vector<void*> memory_;
  const Context context{.device = device};
};

TEST_F(CudaRoomTest, ViewsOfTheDeviceGiveWhatViewsOfTheCpuGive) {
  for (const Case& c : {Case{70, 90, 3}, Case{70, 90, 20, Source::strided}, Case{20, 70, 0, Source::stored}}) {
    SCOPED_TRACE(describe(c));
    const PassProblem<float> p(c, normal<float>(1));
    const Scores<float> s = p.scores();
    std::vector<float> f(static_cast<std::size_t>(c.n)), again(f.size());
    std::vector<double> mass(static_cast<std::size_t>(c.m)), mass_again(mass.size());
    Passes<float>& passes = room_->passes(float{});
    passes.softmin(s, 0.5f, f, context);
    passes.histogram(s, 0.5f, VectorView<const float>(f), {}, mass, context);

    Scores<float> there = s;
    if (s.is_stored()) {
      there.stored = on_device(s.stored);
    } else {
      there.x = on_device(s.x);
      there.y = on_device(s.y);
    }
    there.u = on_device(p.u);
    there.v = on_device(p.v);
    const VectorView<float> f_there = on_device(again);
    const VectorView<double> mass_there = on_device(mass_again);
    passes.softmin(there, 0.5f, f_there, context);
    passes.histogram(there, 0.5f, VectorView<const float>(f_there), {}, mass_there, context);
    room_->copy(again.data(), 0, f_there.data, 0, sizeof(float) * again.size(), 1);
    room_->copy(mass_again.data(), 0, mass_there.data, 0, sizeof(double) * mass.size(), 1);
    EXPECT_EQ(f, again);
    EXPECT_EQ(mass, mass_again);
  }
}

// The operations are IEEE's, none is fused: not a bit differs from the CPU's.
TEST_F(CudaRoomTest, NormalsAreThoseOfTheCpuToTheLastBit) {
  struct Setting {
    Index rows, d;
    std::uint64_t first;
  };
  for (const auto& [rows, d, first] : {Setting{1, 1, 0}, Setting{3, 7, 5}, Setting{130, 13, 1}, Setting{40, 64, 999}}) {
    SCOPED_TRACE(concat(rows, " x ", d, " from ", first));
    Matrix<float> expected(rows, d), here(rows, d + 3), there(rows, d, device), back(rows, d);
    std::fill_n(here.data(), rows * (d + 3), 77.0f);
    const Rng rng = Rng{9}.substream(2);
    fill_normal(rng, first * static_cast<std::uint64_t>(d), {expected.data(), rows * d});
    room_->normals(rng, first, {here.data(), rows, d, d + 3}, context);
    draw({}, rng, first, there.view(), context);
    copy(there.view(), back.view());
    for (Index i = 0; i < rows; ++i) {
      for (Index k = 0; k < d; ++k) {
        ASSERT_EQ(std::bit_cast<std::uint32_t>(here(i, k)), std::bit_cast<std::uint32_t>(expected(i, k)));
        ASSERT_EQ(std::bit_cast<std::uint32_t>(back(i, k)), std::bit_cast<std::uint32_t>(expected(i, k)));
      }
      ASSERT_EQ(here(i, d), 77.0f) << "wrote between the rows";
    }
  }
}

TEST_F(CudaRoomTest, LawsOfTheCallerAreCopied) {
  const SourceLaw law = [](const Rng&, std::uint64_t first, MatrixView<float> out) {
    for (Index i = 0; i < out.rows; ++i)
      for (Index k = 0; k < out.cols; ++k) out(i, k) = static_cast<float>(10 * (first + i) + k);
  };
  Matrix<float> there(70, 3, device), back(70, 3);
  draw(law, Rng{1}, 5, there.view(), context);
  copy(there.view(), back.view());
  for (Index i = 0; i < 70; ++i)
    for (Index k = 0; k < 3; ++k) ASSERT_EQ(back(i, k), static_cast<float>(10 * (5 + i) + k));
}

// What all verbs that take prepared points make of some, in 5 columns of scores where there are several.
struct Answers {
  std::vector<float> softmins, scores;
  std::vector<std::int32_t> columns, drawn;
  std::vector<double> masses, winners, energies;
  std::vector<float> means;
  Matrix<float> stored;
};
Answers ask(Backend& room, const Scores<float>& s, const Context& context) {
  const Index n = s.x.rows, m = s.y.rows;
  const auto rows = static_cast<std::size_t>(n), cols = static_cast<std::size_t>(m);
  Answers a{std::vector<float>(rows),
            {},
            {},
            std::vector<std::int32_t>(rows),
            std::vector<double>(cols),
            std::vector<double>(cols),
            std::vector<double>(3 * rows),
            std::vector<float>(5 * rows),
            Matrix<float>(n, m)};
  Passes<float>& passes = room.passes(float{});
  const auto keep = [&](const Matrix<float>& scores, const Matrix<std::int32_t>& columns) {
    a.scores.insert(a.scores.end(), scores.data(), scores.data() + scores.rows() * scores.cols());
    a.columns.insert(a.columns.end(), columns.data(), columns.data() + columns.rows() * columns.cols());
  };
  for (const Index k : {1, 5, 33}) {
    Matrix<float> scores(n, k);
    Matrix<std::int32_t> columns(n, k);
    passes.hardmin(s, scores.view(), columns.view(), context);
    keep(scores, columns);
  }
  passes.softmin(s, 1.0f, a.softmins, context);
  passes.sample(s, 1.0f, Rng{2}, 3, a.drawn, context);
  passes.histogram(s, 1.0f, VectorView<const float>(a.softmins), {}, a.masses, context);
  passes.histogram(s, 0.0f, {}, {}, a.winners, context);
  const std::vector<double> f(a.softmins.begin(), a.softmins.end());
  passes.energy(s, 1.0f, f, {}, s.v, {a.energies.data(), n, 3}, context);
  Matrix<float> values(m, 5);
  fill_normal(Rng{6}, 0, {values.data(), 5 * m});
  passes.apply(s, 1.0f, values.view(), {a.means.data(), n, 5}, context);
  passes.store(s, a.stored.view(), context);
  for (const Index rounds : {0, 2}) {
    const Recombination r{
        .x = s.x, .y = s.y, .v = s.v, .y_ready = s.y_ready, .rounds = rounds, .signs = {4}, .window = 1};
    Matrix<float> scores(r.rows(), 5);
    Matrix<std::int32_t> columns(r.rows(), 5);
    room.recombine(r, scores.view(), columns.view(), context);
    keep(scores, columns);
  }
  return a;
}

void expect_same_scores(const Answers& a, const Answers& b) {
  EXPECT_EQ(a.scores, b.scores);
  EXPECT_EQ(a.columns, b.columns);
  EXPECT_EQ(a.drawn, b.drawn);
  EXPECT_EQ(a.winners, b.winners);
  for (Index k = 0; k < a.stored.rows() * a.stored.cols(); ++k) ASSERT_EQ(a.stored.data()[k], b.stored.data()[k]) << k;
}

// Points that are kept are multiplied as points that are read.
TEST_F(CudaRoomTest, PreparedPointsChangeNothing) {
  for (const Index d : {3, 20, 70}) {
    SCOPED_TRACE(d);
    PassProblem<float> p({64, 150, d}, normal<float>(21));
    Scores<float> s = p.scores();
    const Answers without = ask(*room_, s, context);
    const auto ready = room_->prepare(s.y, context);
    s.y_ready = ready.get();
    std::fill_n(p.y.data(), 150 * d, NAN);  // not looked at any more
    const Answers with = ask(*room_, s, context);
    expect_same_scores(with, without);
    EXPECT_EQ(with.softmins, without.softmins);
    EXPECT_EQ(with.masses, without.masses);
    EXPECT_EQ(with.energies, without.energies);
  }
}

// Nor are points that come in slabs, of which the device holds a few at a time: those of the host as floats, as
// bfloat16, as numbers in a table, and of these also such as the device holds. Sums are added up slab by slab.
TEST_F(CudaRoomTest, SlabsOfPointsChangeNothing) {
  constexpr Index n = 64, m = 600;
  constexpr std::size_t a_slab = 1, as_bytes = 3 * m * 33;
  struct Setting {
    const char* name;
    Index d;
    std::size_t memory;
    std::function<float(float)> round;
    int bytes;
    bool here;
  };
  const auto to_table = [](float x) { return std::round(std::clamp(20 * x, -90.0f, 90.0f)) / 40; };
  const auto to_short = [](float x) { return std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) & 0xffff0000u); };
  for (const Setting& c :
       {Setting{"floats", 70, a_slab, [](float x) { return x; }, 4, false},
        Setting{"bfloat16", 33, a_slab, to_short, 2, false}, Setting{"table", 33, a_slab, to_table, 1, false},
        Setting{"table on the device", 33, as_bytes, to_table, 1, true}}) {
    SCOPED_TRACE(c.name);
    const Index d = c.d;
    PassProblem<float> p({n, m, d}, normal<float>(22));
    Matrix<float> before(m, d);
    std::vector<std::int32_t> rows(m);
    std::vector<double> centre(static_cast<std::size_t>(d), 0.123);
    for (Index j = 0; j < m; ++j) {
      rows[static_cast<std::size_t>(j)] = static_cast<std::int32_t>(m - 1 - j);
      for (Index k = 0; k < d; ++k) {
        before(m - 1 - j, k) = c.round(p.y(j, k));
        p.y(j, k) = static_cast<float>(static_cast<double>(before(m - 1 - j, k)) - 0.123);
      }
    }
    Scores<float> s = p.scores();
    const Answers whole = ask(*room_, s, context);
    const auto ready = room_->prepare(s.y, context, {before.view(), rows, centre}, {c.memory, 1});
    const auto* streamed = dynamic_cast<const cuda::StreamedPoints*>(ready.get());
    ASSERT_TRUE(streamed);
    EXPECT_EQ(streamed->bytes, c.bytes);
    EXPECT_EQ(streamed->is_here(), c.here);
    EXPECT_EQ(streamed->slab, 256);
    s.y_ready = ready.get();
    if (c.bytes < 4) std::fill_n(p.y.data(), m * d, NAN);  // not looked at any more
    std::fill_n(before.data(), m * d, NAN);
    const Answers in_slabs = ask(*room_, s, context);
    expect_same_scores(in_slabs, whole);
    for (Index i = 0; i < n; ++i)
      EXPECT_NEAR(in_slabs.softmins[static_cast<std::size_t>(i)], whole.softmins[static_cast<std::size_t>(i)], 1e-5);
    for (Index j = 0; j < m; ++j)
      EXPECT_NEAR(in_slabs.masses[static_cast<std::size_t>(j)], whole.masses[static_cast<std::size_t>(j)], 1e-5);
    for (std::size_t k = 0; k < whole.energies.size(); ++k)
      EXPECT_NEAR(in_slabs.energies[k], whole.energies[k], 1e-4) << k;
    for (std::size_t k = 0; k < whole.means.size(); ++k) EXPECT_NEAR(in_slabs.means[k], whole.means[k], 1e-5) << k;
  }
}

// A verb whose results stay on the device still waits for what it reads of the host.
TEST_F(CudaRoomTest, SlabsOfTheHostAreReadWhenAVerbReturns) {
  Matrix<float> x(40, 20, device), y(600, 20), out(1, 40, device), first(1, 40), second(1, 40);
  room_->normals(Rng{1}, 0, x.view(), context);
  fill_normal(Rng{2}, 0, {y.data(), 600 * 20});
  const VectorView<float> there{out.data(), 40, device};
  Scores<float> s{.x = std::as_const(x).view(), .y = std::as_const(y).view()};
  room_->passes(float{}).softmin(s, 1.0f, {first.data(), 40}, context);
  auto ready = room_->prepare(s.y, context, {}, {1, 1});
  s.y_ready = ready.get();
  room_->passes(float{}).softmin(s, 1.0f, there, context);
  s.y_ready = nullptr, ready.reset();
  std::fill_n(y.data(), 600 * 20, NAN);
  copy(std::as_const(out).view(), second.view());
  for (Index i = 0; i < 40; ++i) EXPECT_NEAR(second(0, i), first(0, i), 1e-5) << i;
}

// So many dimensions that the points of few groups stay in the cache: the others' turn comes later.
TEST_F(CudaRoomTest, GroupsOfManyDimensionsComeInSteps) {
  constexpr Index d = 12400, groups = 5, atoms = 5, keep = 3;
  Matrix<float> x(groups * group_rows, d), y(atoms, d), v(1, atoms);
  fill_normal(Rng{1}, 0, {x.data(), x.rows() * d});
  fill_normal(Rng{2}, 0, {y.data(), atoms * d});
  fill_normal(Rng{3}, 0, {v.data(), atoms});
  Context coarse = context;
  coarse.products = Products::single;
  Recombination r{.x = x.view(), .y = y.view(), .v = {v.data(), atoms}, .rounds = 1, .signs = {4}, .window = 1e6f};
  Matrix<float> all(r.rows(), keep), some(group_rows, keep);
  Matrix<std::int32_t> columns(r.rows(), keep), some_columns(group_rows, keep);
  room_->recombine(r, all.view(), columns.view(), coarse);
  for (const Index q : {0, 3, 4}) {
    r.x = std::as_const(x).view().rows_from(q * group_rows, group_rows);
    r.first_group = static_cast<std::uint64_t>(q);
    room_->recombine(r, some.view(), some_columns.view(), coarse);
    for (Index i = 0; i < group_rows; ++i)
      for (Index k = 0; k < keep; ++k) ASSERT_EQ(all(q * group_rows + i, k), some(i, k)) << q << " " << i;
  }
}

TEST_F(CudaRoomTest, OneProductOfHalvesIsAsGoodAsElevenBits) {
  for (const Index d : {20, 64, 96}) {  // rows of one chunk and of two stay, of three they do not
    constexpr Index n = 64, m = 700;
    const PassProblem<float> p({n, m, d}, normal<float>(2));
    const auto s = reference::dense(p.scores());
    Matrix<float> full(n, m), single(n, m);
    Context coarse = context;
    coarse.products = Products::single;
    room_->passes(float{}).store(p.scores(), full.view(), context);
    room_->passes(float{}).store(p.scores(), single.view(), coarse);
    double worst = 0;
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j < m; ++j) {
        ASSERT_NEAR(full(i, j), s(i, j), rounding<float>(s, d)) << d << " " << i << " " << j;
        ASSERT_NEAR(single(i, j), s(i, j), 2 * 0x1p-11 * s.magnitude) << d << " " << i << " " << j;
        worst = std::max(worst, std::abs(single(i, j) - s(i, j)));
      }
    }
    EXPECT_GT(worst, 1e-4) << d;  // it is another product
  }
}

// Scores are the same but for their rounding, so candidates near the edge of a window may differ: every column well
// within it is there, in falling order. Groups that share a tile and one alone, several tiles and parts of the columns,
// all three ways of making products, more sets than one pass takes, labels.
TEST_F(CudaRoomTest, RecombinedCandidatesAreThoseOfTheCpu) {
  struct Setting {
    Index groups, atoms, d, rounds;
    bool labelled = false;
  };
  for (const Setting& c :
       {Setting{2, 150, 12, 0}, Setting{3, 150, 12, 2}, Setting{1, 1100, 3, 1}, Setting{1, 40, 70, 3},
        Setting{1, 3, 4, 66}, Setting{2, 140, 5, 2, true}, Setting{1, 20, 10, 0, true}}) {
    SCOPED_TRACE(
        concat(c.groups, " groups ", c.atoms, " atoms d=", c.d, " rounds=", c.rounds, c.labelled ? " labelled" : ""));
    const Index keep = 6;
    Matrix<float> x(64 * c.groups, c.d), y(c.atoms, c.d);
    Buffer<float> v(c.atoms);
    fill_normal(Rng{1}, 0, {x.data(), x.rows() * c.d});
    fill_normal(Rng{2}, 0, {y.data(), c.atoms * c.d});
    fill_normal(Rng{3}, 0, v.view());
    Recombination r{.x = x.view(),
                    .y = y.view(),
                    .v = v.view(),
                    .rounds = c.rounds,
                    .signs = {4},
                    .first_group = 11,
                    .window = 1.5f};
    std::vector<std::int32_t> row_labels(static_cast<std::size_t>(r.rows())),
        col_labels(static_cast<std::size_t>(c.atoms));
    for (Index i = 0; i < r.rows(); ++i) row_labels[i] = static_cast<std::int32_t>(i % 5 % 2);
    for (Index j = 0; j < c.atoms; ++j) col_labels[j] = static_cast<std::int32_t>(j % 3);
    if (c.labelled) r.row_labels = row_labels, r.col_labels = col_labels, r.label_penalty = 2;
    Matrix<float> here(r.rows(), keep), there(r.rows(), keep);
    Matrix<std::int32_t> columns(r.rows(), keep), expected(r.rows(), keep);
    room_->recombine(r, here.view(), columns.view(), context);
    recombined_candidates(r, there.view(), expected.view(), {});
    Index same = 0;
    for (Index i = 0; i < r.rows(); ++i) {
      ASSERT_NEAR(here(i, 0), there(i, 0), 1e-4);
      for (Index k = 0; k < keep; ++k) {
        same += columns(i, k) == expected(i, k);
        ASSERT_TRUE(columns(i, k) >= -1 && columns(i, k) < c.atoms);
        ASSERT_EQ(columns(i, k) == -1, here(i, k) == -INFINITY);
        if (columns(i, k) >= 0) {
          ASSERT_GE(here(i, k), here(i, 0) - r.window);
        }
        if (k > 0) {
          ASSERT_GE(here(i, k - 1), here(i, k));
        }
      }
    }
    EXPECT_GT(same, r.rows() * keep * 99 / 100);
  }
}

// Integers are exact, mixed ones too: the same scores, and of equals the lower columns.
TEST_F(CudaRoomTest, RecombinedCandidatesBreakTiesByTheLowerColumn) {
  const Index atoms = 300, d = 4, keep = 5;
  auto make = integers<float>(31);
  Matrix<float> x(64, d), y(atoms, d);
  std::vector<float> v(atoms, 0.0f);
  for (Index e = 0; e < 64 * d; ++e) x.data()[e] = make();
  for (Index e = 0; e < atoms * d; ++e) y.data()[e] = make();
  const Recombination r{.x = x.view(), .y = y.view(), .v = v, .rounds = 2, .signs = {5}, .window = 100};
  Matrix<float> scores(r.rows(), keep), noise(64, d);
  Matrix<std::int32_t> columns(r.rows(), keep);
  room_->recombine(r, scores.view(), columns.view(), context);
  for (Index set = 0; set < 2; ++set) {
    recombined_noise(x.view(), r.signs, static_cast<std::uint64_t>(set), noise.view());
    for (Index i = 0; i < 64; ++i) {
      std::vector<std::pair<float, Index>> order;
      for (Index j = 0; j < atoms; ++j) {
        float score = 0;
        for (Index k = 0; k < d; ++k) score += noise(i, k) * y(j, k);
        order.emplace_back(-score, j);
      }
      std::sort(order.begin(), order.end());
      for (Index k = 0; k < keep; ++k) {
        ASSERT_EQ(columns(64 * set + i, k), order[static_cast<std::size_t>(k)].second) << set << " " << i << " " << k;
        ASSERT_EQ(scores(64 * set + i, k), -order[static_cast<std::size_t>(k)].first);
      }
    }
  }
}

TEST_F(CudaRoomTest, WorkThatShouldEndDoes) {
  const PassProblem<float> p({5, 5, 2}, normal<float>(3));
  std::vector<float> f(5);
  const Stop stop({});
  stop.request();
  Context stopped = context;
  stopped.stop = &stop;
  EXPECT_FALSE(finishes([&] { room_->passes(float{}).softmin(p.scores(), 1.0f, f, stopped); }));
}

TEST_F(CudaRoomTest, ViewsOfOtherDevicesAreRefused) {
  const PassProblem<float> p({5, 5, 2}, normal<float>(3));
  std::vector<float> f(5);
  Scores<float> s = p.scores();
  s.x.device = {DeviceType::cuda, device.index + 1};
  EXPECT_THROW(room_->passes(float{}).softmin(s, 1.0f, f, context), Error);
}

TEST_F(CudaRoomTest, MoreMemoryThanThereIsIsRefusedAndNothingElse) {
  if (is_emulated()) GTEST_SKIP() << "the emulator has all the memory it is asked for";
  try {
    room_->deallocate(room_->allocate(std::size_t{1} << 50));
    FAIL() << "a petabyte";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::out_of_memory);
  }
  void* some = room_->allocate(1 << 20);
  EXPECT_NE(some, nullptr);
  room_->deallocate(some);
}

// With or without the room, in a machine with or without devices: no crash, and a reason.
TEST(Doctor, SaysWhatIsThereAndWhyNot) {
  const CudaReport report = cuda_report();
  EXPECT_EQ(cuda_available(), !report.devices.empty());
  EXPECT_EQ(report.devices.empty(), !report.why_not.empty());
  EXPECT_NE(doctor().find("cpu: "), std::string::npos);
  EXPECT_NE(doctor().find("cuda"), std::string::npos);
  try {
    backend_for({DeviceType::cuda, static_cast<int>(report.devices.size())});
    FAIL() << "a room without a device";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::backend_unavailable);
  }
}

}  // namespace
}  // namespace monge::ot
