#include "monge/ot/matcher.h"

#include <gtest/gtest.h>

#include <cmath>

#include "monge/ot/core/error.h"
#include "monge/ot/source.h"

namespace monge::ot {
namespace {

Matrix<float> normal(Index rows, Index cols, std::uint64_t seed) {
  Matrix<float> x(rows, cols);
  fill_normal(Rng{seed}, 0, {x.data(), rows * cols});
  return x;
}

SemidiscretePotentials potentials(Index atoms) {
  return {.cost = Cost::negative_dot, .epsilon = 0, .g = std::vector<double>(static_cast<std::size_t>(atoms), 0.0)};
}

template <class Call>
std::string message_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(Matcher, NoiseThatIsNoNumberIsRefusedWithItsPlace) {
  const Matrix<float> y = normal(20, 3, 1);
  for (const double bad : {NAN, INFINITY}) {
    Matrix<float> x = normal(5, 3, 2);
    x(4, 1) = static_cast<float>(bad);
    Buffer<std::int32_t> atoms(5);
    for (const auto& matcher : {pass_matcher(y.view(), potentials(20)), faiss_matcher(y.view(), potentials(20))}) {
      const std::string message = message_of([&] { matcher->match(x.view(), Rng{1}, 0, atoms.view()); });
      EXPECT_NE(message.find("row 4, column 1"), std::string::npos) << message;
    }
  }
}

TEST(Matcher, PotentialsThatMeanNothingAreRefused) {
  const Matrix<float> y = normal(20, 3, 1);
  for (const double epsilon : {-1.0, static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    SemidiscretePotentials p = potentials(20);
    p.epsilon = epsilon;
    EXPECT_NE(message_of([&] { pass_matcher(y.view(), p); }).find("epsilon"), std::string::npos) << epsilon;
  }
  SemidiscretePotentials p = potentials(20);
  p.cost = Cost::l1;
  EXPECT_NE(message_of([&] { pass_matcher(y.view(), p); }).find("l1"), std::string::npos);
}

// Kept digits of the atoms, or scores made anew: a row meets the same atom in whatever batch it comes.
TEST(Matcher, RowsMeetTheSameAtomInAnyBatch) {
  const Matrix<float> y = normal(500, 40, 3), x = normal(300, 40, 4);
  const auto matcher = pass_matcher(y.view(), potentials(500));
  Buffer<std::int32_t> all(300), one(1);
  matcher->match(x.view(), Rng{1}, 0, all.view());
  for (const Index i : {0, 17, 299}) {
    matcher->match(x.view().rows_from(i, 1), Rng{1}, static_cast<std::uint64_t>(i), one.view());
    EXPECT_EQ(one[0], all[i]);
  }
}

TEST(FaissMatcher, IndexesAreTheSameAtAnyNumberOfThreads) {
  const Matrix<float> y = normal(4000, 16, 5), x = normal(1000, 16, 6);
  for (const FaissIndex index : {FaissIndex::flat, FaissIndex::ivf, FaissIndex::hnsw}) {
    Buffer<std::int32_t> one(1000), two(1000);
    faiss_matcher(y.view(), potentials(4000), {.index = index}, {.threads = 1})->match(x.view(), Rng{1}, 0, one.view());
    faiss_matcher(y.view(), potentials(4000), {.index = index}, {.threads = 2})->match(x.view(), Rng{1}, 0, two.view());
    for (Index i = 0; i < 1000; ++i) ASSERT_EQ(one[i], two[i]) << static_cast<int>(index) << " " << i;
  }
}

TEST(FaissMatcher, OptionsThatMeanNothingAreRefused) {
  const Matrix<float> y = normal(200, 4, 7);
  const auto message = [&](const FaissOptions& options) {
    return message_of([&] { faiss_matcher(y.view(), potentials(200), options); });
  };
  EXPECT_NE(message({.index = FaissIndex::hnsw, .links = 0}).find("links is 0"), std::string::npos);
  EXPECT_NE(message({.index = FaissIndex::hnsw, .links = -1}).find("links is -1"), std::string::npos);
  EXPECT_NE(message({.index = FaissIndex::hnsw, .search_width = 0}).find("search_width is 0"), std::string::npos);
  EXPECT_NE(message({.index = FaissIndex::ivf, .probes = 0}).find("probes is 0"), std::string::npos);
  EXPECT_NE(message({.index = FaissIndex::ivf, .lists = -3}).find("lists is -3"), std::string::npos);
  EXPECT_NE(
      message({.index = FaissIndex::ivf, .lists = 201}).find("lists is 201, more than there are distinct atoms (200)"),
      std::string::npos);
}

// Cells of few atoms each are as good as any to who asks for them; a library says nothing of it.
TEST(FaissMatcher, IsSilent) {
  const Matrix<float> y = normal(200, 4, 7);
  Buffer<std::int32_t> found(200);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  for (const auto& [n, lists] : {std::pair<Index, int>{20, 0}, {200, 0}, {200, 100}, {200, 200}}) {
    const MatrixView<const float> some = y.view().rows_from(0, n);
    const auto matcher = faiss_matcher(some, potentials(n), {.index = FaissIndex::ivf, .lists = lists, .probes = 200});
    matcher->match(some, Rng{1}, 0, {found.data(), n});
  }
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Source, RowsAreTheSameInWhateverPartsTheyAreDrawn) {
  const SourceLaw shifted = [](const Rng& rng, std::uint64_t first, MatrixView<float> out) {
    for (Index i = 0; i < out.rows; ++i) {
      fill_normal(rng, (first + static_cast<std::uint64_t>(i)) * 5, {out.row(i), 5});
      for (Index k = 0; k < 5; ++k) out(i, k) += 1;
    }
  };
  for (const SourceLaw& law : {SourceLaw(), shifted}) {
    Matrix<float> all(200, 5), part(70, 5);
    draw(law, Rng{3}, 10, all.view(), {.threads = 2});
    draw(law, Rng{3}, 60, part.view(), {.threads = 1});
    for (Index i = 0; i < 70; ++i) {
      for (Index k = 0; k < 5; ++k) ASSERT_EQ(part(i, k), all(50 + i, k));
    }
  }
  const SourceLaw broken = [](const Rng&, std::uint64_t first, MatrixView<float> out) {
    for (Index i = 0; i < out.rows; ++i) out(i, 0) = first + static_cast<std::uint64_t>(i) == 130 ? NAN : 0;
  };
  Matrix<float> x(200, 1);
  const std::string message = message_of([&] { draw(broken, Rng{3}, 0, x.view(), {}); });
  EXPECT_NE(message.find("sample 130, dimension 0"), std::string::npos) << message;
}

}  // namespace
}  // namespace monge::ot
