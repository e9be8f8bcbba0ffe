#include "monge/ot/matcher.h"

#include <algorithm>

#include "monge/ot/atoms.h"
#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"
#include "monge/ot/fitted_atoms.h"
#include "monge/ot/on_device.h"
#include "monge/ot/score_tree.h"
#include "monge/ot/semidiscrete_fit.h"
#include "monge/ot/semidual.h"

namespace monge::ot {
namespace {

class PassMatcher final : public Matcher {
 public:
  PassMatcher(MatrixView<const float> y, const SemidiscretePotentials& potentials, const Context& context)
      : fitted_("pass_matcher", y, potentials, context),
        biases_(fitted_.biases, context.device),
        labels_(fitted_.atoms.labels, context.device) {
    tree_ =
        detail::tree_where_it_pays(fitted_.atoms, fitted_.epsilon, static_cast<double>(fitted_.label_penalty), context);
    if (tree_)
      tree_->set_biases(to_biases(fitted_.atoms, potentials.g, potentials.cost), context);
    else
      fitted_.atoms.keep_ready(y, context);
  }

  using Matcher::match;
  void match(MatrixView<const float> noise, VectorView<const std::int32_t> labels, const Rng& rng, std::uint64_t first,
             VectorView<std::int32_t> atoms) const override {
    fitted_.check("match", noise, labels, atoms);
    if (atoms.device.type != DeviceType::cpu && !fitted_.is_plain()) {  // duplicates are told apart by the CPU
      Buffer<std::int32_t> here(atoms.size);
      match(noise, labels, rng, first, here.view());
      return copy(here.view(), atoms);
    }
    Matrix<float> projected;
    const MatrixView<const float> x = fitted_.in_score_space(noise, projected);
    if (tree_) {
      Buffer<double> best(noise.rows);
      tree_->find(x, labels, 0, {best.data(), noise.rows, 1}, {atoms.data, noise.rows, 1}, fitted_.context);
      return fitted_.to_members(rng, first, atoms);
    }
    const Scores<float> s{.x = x,
                          .y = fitted_.atoms.y.view(),
                          .v = biases_,
                          .row_labels = labels,
                          .col_labels = labels_,
                          .y_ready = fitted_.atoms.ready.get(),
                          .label_penalty = fitted_.label_penalty};
    auto& passes = passes_for<float>(fitted_.context.device);
    if (fitted_.epsilon > 0) {
      passes.sample(s, static_cast<float>(fitted_.epsilon), rng.substream(0), first, atoms, fitted_.context);
    } else {
      Buffer<float> best(noise.rows, atoms.device);
      passes.hardmin(s, {best.data(), noise.rows, 1, 1, atoms.device}, {atoms.data, noise.rows, 1, 1, atoms.device},
                     fitted_.context);
    }
    if (!fitted_.is_plain()) fitted_.to_members(rng, first, atoms);
  }

  const LabelLaw& noise_labels() const override { return fitted_.noise_labels; }

 private:
  FittedAtoms fitted_;
  detail::OnDevice<float> biases_;
  detail::OnDevice<std::int32_t> labels_;
  std::shared_ptr<ScoreTree> tree_;  // in few dimensions
};

}  // namespace

std::unique_ptr<Matcher> pass_matcher(MatrixView<const float> y, const SemidiscretePotentials& potentials,
                                      const Context& context) {
  return std::make_unique<PassMatcher>(y, potentials, context);
}

namespace {

// Calls visit(noise rows, their labels, index of the first) on fresh noise, a chunk at a time.
template <class Visit>
void on_fresh_noise(const LabelLaw& law, Index dimensions, Index samples, std::uint64_t seed, const SourceLaw& source,
                    const Context& context, const Visit& visit) {
  constexpr Index chunk = 4096;
  Matrix<float> x(std::min(chunk, samples), dimensions);
  std::vector<std::int32_t> labels;
  for (Index first = 0; first < samples; first += chunk) {
    const MatrixView<float> rows = x.view().rows_from(0, std::min(chunk, samples - first));
    labels.resize(static_cast<std::size_t>(law.empty() ? 0 : rows.rows));
    if (!law.empty()) law.draw(Rng{seed}.substream(8), static_cast<std::uint64_t>(first), labels);
    draw(source, Rng{seed}.substream(6), static_cast<std::uint64_t>(first), labels, rows, context);
    visit(MatrixView<const float>(rows), VectorView<const std::int32_t>(labels), static_cast<std::uint64_t>(first));
  }
}

}  // namespace

double recall(const Matcher& approximate, const Matcher& exact, Index dimensions, Index samples, std::uint64_t seed,
              const SourceLaw& source, const Context& context) {
  require(samples > 0, "recall: no samples");
  Index same = 0;
  const Rng rng = Rng{seed}.substream(7);
  const auto compare = [&](MatrixView<const float> x, VectorView<const std::int32_t> labels, std::uint64_t first) {
    Buffer<std::int32_t> a(x.rows), b(x.rows);
    approximate.match(x, labels, rng, first, a.view());
    exact.match(x, labels, rng, first, b.view());
    for (Index i = 0; i < x.rows; ++i) same += a[i] == b[i];
  };
  on_fresh_noise(exact.noise_labels(), dimensions, samples, seed, source, context, compare);
  return static_cast<double>(same) / static_cast<double>(samples);
}

MarginalError marginal_error(const Matcher& matcher, Index atoms, Index dimensions, Index samples, std::uint64_t seed,
                             VectorView<const double> b, const SourceLaw& source, const Context& context) {
  require(samples > 2, "marginal_error: needs more than two samples");
  require(b.empty() || b.size == atoms, "marginal_error: ", b.size, " weights for ", atoms, " atoms");
  std::vector<double> counts(static_cast<std::size_t>(atoms), 0.0), weights(b.begin(), b.end());
  if (b.empty()) weights.assign(counts.size(), 1.0 / static_cast<double>(atoms));
  double total = 0;
  for (double weight : weights) total += weight;
  for (double& weight : weights) weight /= total;
  const Rng rng = Rng{seed}.substream(7);
  const auto hit = [&](MatrixView<const float> x, VectorView<const std::int32_t> labels, std::uint64_t first) {
    Buffer<std::int32_t> partner(x.rows);
    matcher.match(x, labels, rng, first, partner.view());
    for (Index i = 0; i < x.rows; ++i) {
      require(partner[i] >= 0 && partner[i] < atoms, "marginal_error: the matcher gave atom ", partner[i], " of ",
              atoms);
      counts[static_cast<std::size_t>(partner[i])] += 1;
    }
  };
  on_fresh_noise(matcher.noise_labels(), dimensions, samples, seed, source, context, hit);
  return detail::marginal_error(counts, weights);
}

}  // namespace monge::ot
