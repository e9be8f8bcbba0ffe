// The CUDA room around its passes: memory, copies, views of either device, recombined noise, refusals.
#include <cmath>

#include "../ot/passes_problem.h"
#include "monge/ot/core/doctor.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/recombine.h"
#include "rooms.h"

namespace monge::ot {
namespace {

constexpr Device device{DeviceType::cuda, 0};

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

TEST_F(CudaRoomTest, OneProductOfHalvesIsAsGoodAsElevenBits) {
  const PassProblem<float> p({64, 100, 96}, normal<float>(2));
  const auto s = reference::dense(p.scores());
  Matrix<float> full(64, 100), single(64, 100);
  Context coarse = context;
  coarse.products = Products::single;
  room_->passes(float{}).store(p.scores(), full.view(), context);
  room_->passes(float{}).store(p.scores(), single.view(), coarse);
  double worst = 0;
  for (Index i = 0; i < 64; ++i) {
    for (Index j = 0; j < 100; ++j) {
      EXPECT_NEAR(full(i, j), s(i, j), rounding<float>(s, 96));
      EXPECT_NEAR(single(i, j), s(i, j), 2 * 0x1p-11 * s.magnitude);
      worst = std::max(worst, std::abs(single(i, j) - s(i, j)));
    }
  }
  EXPECT_GT(worst, 1e-4);  // it is another product
}

// Noise is the same to the last bits but those of other orders of adding, so candidates near the edge of a window may
// differ: every column well within it is there, in falling order.
TEST_F(CudaRoomTest, RecombinedCandidatesAreThoseOfTheCpu) {
  for (const Index rounds : {0, 2}) {
    const Index groups = 2, atoms = 150, d = 12, keep = 6;
    Matrix<float> x(64 * groups, d), y(atoms, d);
    Buffer<float> v(atoms);
    fill_normal(Rng{1}, 0, {x.data(), 64 * groups * d});
    fill_normal(Rng{2}, 0, {y.data(), atoms * d});
    fill_normal(Rng{3}, 0, v.view());
    const Recombination r{
        .x = x.view(), .y = y.view(), .v = v.view(), .rounds = rounds, .signs = {4}, .first_group = 11, .window = 1.5f};
    Matrix<float> here(r.rows(), keep), there(r.rows(), keep);
    Matrix<std::int32_t> columns(r.rows(), keep), expected(r.rows(), keep);
    room_->recombine(r, here.view(), columns.view(), context);
    recombined_candidates(r, there.view(), expected.view(), {});
    Index same = 0;
    for (Index i = 0; i < r.rows(); ++i) {
      ASSERT_NEAR(here(i, 0), there(i, 0), 1e-4);
      for (Index k = 0; k < keep; ++k) {
        same += columns(i, k) == expected(i, k);
        ASSERT_TRUE(columns(i, k) >= -1 && columns(i, k) < atoms);
        ASSERT_EQ(columns(i, k) == -1, here(i, k) == -INFINITY);
        if (columns(i, k) >= 0) {
          ASSERT_GE(here(i, k), here(i, 0) - r.window);
        }
      }
    }
    EXPECT_GT(same, r.rows() * keep * 99 / 100);
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
  s.x.device = {DeviceType::cuda, 1};
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
