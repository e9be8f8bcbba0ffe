// The example of the README: fit potentials to a cloud, match fresh noise with it, keep the cloud in a file.
#include <cstdio>
#include <vector>

#include "monge/data/dataset.h"
#include "monge/flow/sample.h"
#include "monge/ot/matcher.h"
#include "monge/ot/semidiscrete.h"

int main() {
  const monge::Index n = 500, d = 8;
  monge::Matrix<float> y(n, d), noise(4, d);
  monge::fill_normal(monge::Rng{1}, 0, {y.data(), n * d});
  monge::fill_normal(monge::Rng{2}, 0, {noise.data(), 4 * d});

  const auto result = monge::ot::semidiscrete(y.view());
  std::printf("%s, chi2 at most %.3f, optimum in [%.3f, %.3f]\n", to_string(result.status), result.marginal.upper,
              result.certificate.lower, result.certificate.upper);
  std::vector<std::int32_t> partner(4);
  monge::ot::pass_matcher(y.view(), result.potentials)->match(noise.view(), monge::Rng{3}, 0, partner);

  monge::data::Dataset dataset;
  dataset.train.x = std::move(y);
  monge::data::save_dataset(dataset, "consumer.h5");
  const bool kept = monge::data::load_dataset("consumer.h5").train.rows() == n;

  const auto done = monge::flow::integrate([](double, auto x, auto v) { std::copy_n(x.data, x.rows * x.cols, v.data); },
                                           noise.view(), {});
  return result.status == monge::ot::Status::converged && partner[0] >= 0 && kept && done.nfe > 0 ? 0 : 1;
}
