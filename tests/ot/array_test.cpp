#include "monge/ot/core/array.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"

namespace monge {
namespace {

TEST(Buffer, MemoryIsAlignedWhateverItsSize) {
  for (const Index size : {1, 3, 17, 1000, 123457}) {
    const Buffer<char> bytes(size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(bytes.data()) % 64, 0u) << size;
  }
}

TEST(Buffer, EmptyOwnsNothing) {
  const Buffer<double> none, zero(0);
  EXPECT_EQ(none.data(), nullptr);
  EXPECT_EQ(zero.data(), nullptr);
  EXPECT_EQ(zero.size(), 0);
}

TEST(Buffer, MovesHandOverTheMemory) {
  Buffer<int> a(3);
  a[2] = 7;
  int* memory = a.data();
  Buffer<int> b(std::move(a));
  EXPECT_EQ(b.data(), memory);
  EXPECT_EQ(a.data(), nullptr);
  EXPECT_EQ(a.size(), 0);
  Buffer<int> c(5);
  c = std::move(b);
  EXPECT_EQ(c.data(), memory);
  EXPECT_EQ(c.size(), 3);
  EXPECT_EQ(c[2], 7);
}

template <class F>
Errc code_of(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "no Error";
  return {};
}

TEST(Buffer, MoreThanThereIsMeansOutOfMemory) {
  EXPECT_EQ(code_of([] { Buffer<char>(std::numeric_limits<Index>::max() - 100); }), Errc::out_of_memory);
  EXPECT_EQ(code_of([] { Buffer<char>(Index{1} << 56); }), Errc::out_of_memory);
  EXPECT_EQ(code_of([] { allocate({}, std::numeric_limits<std::size_t>::max() - 3); }), Errc::out_of_memory);
}

TEST(Buffer, ADeviceThatIsNotThereIsAnError) {
  EXPECT_EQ(code_of([] { Buffer<char>(1, {DeviceType::cuda, 1000}); }), Errc::backend_unavailable);
  EXPECT_EQ(code_of([] { ot::passes_for<float>({DeviceType::cuda, 1000}); }), Errc::backend_unavailable);
}

TEST(Backend, TheCpuRoomIsOneAndKnowsItsDevice) {
  EXPECT_EQ(&ot::backend_for({}), &ot::backend_for({}));
  EXPECT_EQ(ot::backend_for({}).device(), Device{});
}

TEST(MatrixView, RowsLieAStrideApart) {
  std::vector<int> data(12);
  for (int i = 0; i < 12; ++i) data[static_cast<std::size_t>(i)] = i;
  const MatrixView<int> view(data.data(), 3, 2, 4);
  EXPECT_EQ(view(0, 1), 1);
  EXPECT_EQ(view(2, 1), 9);
  const MatrixView<const int> rest = view.rows_from(1, 2);
  EXPECT_EQ(rest.rows, 2);
  EXPECT_EQ(rest(0, 0), 4);
  EXPECT_EQ(rest(1, 1), 9);
  EXPECT_FALSE(rest.empty());
  EXPECT_TRUE(view.rows_from(3, 0).empty());
}

TEST(Array, CopiesKeepToTheirRows) {
  std::vector<int> from(12), to(15, -1);
  std::iota(from.begin(), from.end(), 0);
  copy(MatrixView<const int>{from.data(), 3, 2, 4}, MatrixView<int>{to.data(), 3, 2, 5});
  EXPECT_EQ(to, (std::vector<int>{0, 1, -1, -1, -1, 4, 5, -1, -1, -1, 8, 9, -1, -1, -1}));
  copy(VectorView<const int>(from), VectorView<int>(to.data(), 12));
  EXPECT_TRUE(std::equal(from.begin(), from.end(), to.begin()));
  copy(MatrixView<int>{from.data(), 0, 2, 4}, MatrixView<int>{nullptr, 0, 2, 2});  // nothing
}

}  // namespace
}  // namespace monge
