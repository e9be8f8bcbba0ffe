// How much noise a fit with default options takes.
#include <gtest/gtest.h>

#include <cmath>

#include "monge/ot/semidiscrete.h"
#include "semidiscrete_truth.h"

namespace monge::ot {
namespace {

using truth::normal_cloud;

struct Cloud {
  Matrix<float> y;
  std::vector<double> b = {};
};

Cloud mixture() {
  Cloud c{normal_cloud(4096, 128, 1)};
  const Matrix<float> centres = normal_cloud(32, 128, 2);
  for (Index i = 0; i < 4096; ++i)
    for (Index k = 0; k < 128; ++k) c.y(i, k) = centres(i % 32, k) + 0.3f * c.y(i, k);
  return c;
}

Cloud steep() {
  Cloud c{normal_cloud(4096, 256, 3)};
  for (Index i = 0; i < 4096; ++i)
    for (Index k = 0; k < 256; ++k) c.y(i, k) /= static_cast<float>(k + 1);
  return c;
}

Cloud isotropic() { return {normal_cloud(4096, 8, 4)}; }

Cloud duplicates() {
  Cloud c{normal_cloud(2048, 16, 5)};
  for (Index i = 1024; i < 2048; ++i) std::copy_n(c.y.view().row(i % 100), 16, c.y.view().row(i));
  return c;
}

Cloud decades() {
  Cloud c{normal_cloud(2048, 16, 6)};
  for (Index j = 0; j < 2048; ++j) c.b.push_back(std::pow(10.0, 3.0 * static_cast<double>(j) / 2048));
  return c;
}

struct SampleCase {
  const char* name;
  Cloud (*make)();
};

class Samples : public testing::TestWithParam<SampleCase> {};

TEST_P(Samples, FortyAnAtomAreEnough) {
  const Cloud c = GetParam().make();
  const SemidiscreteResult r = semidiscrete(c.y.view(), c.b);
  EXPECT_EQ(r.status, Status::converged);
  EXPECT_LE(r.marginal.upper, 0.05);
  EXPECT_LE(r.samples_per_atom, 40);
}

INSTANTIATE_TEST_SUITE_P(Clouds, Samples,
                         testing::Values(SampleCase{"mixture", mixture}, SampleCase{"steep", steep},
                                         SampleCase{"isotropic", isotropic}, SampleCase{"duplicates", duplicates},
                                         SampleCase{"decades", decades}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace monge::ot
