#include "monge/flow/semidiscrete_coupling.h"

#include <algorithm>
#include <limits>
#include <set>
#include <vector>

#include "monge/flow/source_points.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/finite.h"
#include "monge/ot/fitted_atoms.h"
#include "monge/ot/matcher.h"
#include "monge/ot/recombine.h"
#include "monge/ot/source.h"

namespace monge::flow {
namespace {

constexpr Index group = ot::group_rows;

void check_batch(MatrixView<const float> x0, VectorView<const std::int32_t> atoms, Index dimensions) {
  require(x0.rows == atoms.size, "semidiscrete_coupling: ", x0.rows, " rows of noise but room for ", atoms.size,
          " atoms");
  require(x0.cols == dimensions, "semidiscrete_coupling: noise of ", x0.cols, " dimensions, atoms of ", dimensions);
}

void check_labels(const char* who, VectorView<const std::int32_t> of_points, const std::vector<ot::LabelShare>& noise) {
  require(noise.empty() || !of_points.empty(), who, ": the potentials have labels, the source points have none");
  const std::set<std::int32_t> known(of_points.begin(), of_points.end());
  for (const ot::LabelShare& share : noise)
    require(known.count(share.label) > 0, who, ": no source point has the label ", share.label,
            ", which noise of the potentials has");
}

class RecombinedCoupling final : public Coupling {
 public:
  RecombinedCoupling(ot::FittedAtoms fitted, const SemidiscreteCouplingOptions& options)
      : fitted_(std::move(fitted)), options_(options), rng_{options.seed, 0} {
    if (options_.rounds == 0) options_.rounds = fitted_.atoms.dimensions() <= 256 ? 32 : 128;
    for (int w = 0; w < resolve_threads(options_.context.threads); ++w)
      scratch_.emplace_back(group, fitted_.dimensions);
  }

  void draw(std::uint64_t step, MatrixView<float> x0, VectorView<std::int32_t> atoms) override {
    check_batch(x0, atoms, fitted_.dimensions);
    const Index batch = x0.rows, groups = std::max(options_.groups, (batch + group - 1) / group);
    const auto batches_per_round = static_cast<std::uint64_t>(groups * group / batch);
    const std::uint64_t batches_per_pool = batches_per_round * static_cast<std::uint64_t>(options_.rounds);
    fill_pool(step / batches_per_pool, groups);

    const std::uint64_t place = step % batches_per_pool;
    const auto round = static_cast<Index>(place / batches_per_round);
    const Index first = static_cast<Index>(place % batches_per_round) * batch;
    const Index first_group = first / group, last_group = (first + batch - 1) / group;
    parallel_for(options_.context.threads, last_group - first_group + 1, [&](Index task, int worker) {
      const Index q = first_group + task;
      const Index begin = std::max(first, q * group), end = std::min(first + batch, (q + 1) * group);
      const bool whole = end - begin == group;  // groups that the batch cuts take a detour
      const MatrixView<float> rows =
          whole ? x0.rows_from(begin - first, group) : scratch_[static_cast<std::size_t>(worker)].view();
      ot::recombined_noise(noise_.view().rows_from(q * group, group), signs(), block(q, round), rows);
      for (Index i = begin; i < end; ++i) {
        if (!whole) std::copy_n(rows.row(i - q * group), rows.cols, x0.row(i - first));
        atoms[i - first] = partners_((q * options_.rounds + round) * group + i - q * group, 0);
      }
    });
    fitted_.to_members(rng_.substream(2), step * static_cast<std::uint64_t>(batch), atoms);
  }

 private:
  Rng signs() const { return rng_.substream(1); }
  std::uint64_t block(Index q, Index round) const {
    return (pool_ * static_cast<std::uint64_t>(noise_.rows() / group) + static_cast<std::uint64_t>(q)) *
               static_cast<std::uint64_t>(options_.rounds) +
           static_cast<std::uint64_t>(round);
  }

  void fill_pool(std::uint64_t pool, Index groups) {
    if (pool == pool_ && noise_.rows() == groups * group) return;
    pool_ = pool;
    if (noise_.rows() != groups * group) {
      noise_ = Matrix<float>(groups * group, fitted_.dimensions);
      partners_ = Matrix<std::int32_t>(groups * group * options_.rounds, 1);
      scores_ = Matrix<float>(groups * group * options_.rounds, 1);
    }
    ot::draw({}, rng_.substream(0), pool * static_cast<std::uint64_t>(noise_.rows()), noise_.view(), options_.context);
    Matrix<float> projected;
    ot::Recombination r{.x = fitted_.in_score_space(noise_.view(), projected),
                        .y = fitted_.atoms.y.view(),
                        .v = fitted_.biases,
                        .rounds = options_.rounds,
                        .signs = signs(),
                        .first_group = pool * static_cast<std::uint64_t>(groups)};
    std::vector<std::int32_t> labels(static_cast<std::size_t>(fitted_.is_labelled() ? r.rows() : 0));
    if (fitted_.is_labelled()) {
      fitted_.noise_labels.draw(rng_.substream(3), pool * static_cast<std::uint64_t>(r.rows()), labels);
      r.row_labels = labels;
      r.col_labels = fitted_.atoms.labels;
      r.label_penalty = fitted_.label_penalty;
    }
    ot::recombined_candidates(r, scores_.view(), partners_.view(), options_.context);
  }

  ot::FittedAtoms fitted_;
  SemidiscreteCouplingOptions options_;
  Rng rng_;
  std::uint64_t pool_ = std::numeric_limits<std::uint64_t>::max();
  Matrix<float> noise_;                 // 64 groups x d, the pool's fresh rows
  Matrix<std::int32_t> partners_;       // distinct atom of each recombined row, group by group, round by round
  Matrix<float> scores_;                // theirs
  std::vector<Matrix<float>> scratch_;  // a group of rows per worker
};

class DrawnCoupling final : public Coupling {
 public:
  DrawnCoupling(MatrixView<const float> y, const ot::SemidiscretePotentials& potentials,
                const SemidiscreteCouplingOptions& options)
      : dimensions_(y.cols),
        matcher_(ot::pass_matcher(y, potentials, options.context)),
        context_(options.context),
        rng_{options.seed, 0} {
    const auto& [points, labels] = options.source;
    if (points.data) source_ = is_labelled() ? ot::source_of_points(points, labels, {}) : ot::source_of_points(points);
  }

  void draw(std::uint64_t step, MatrixView<float> x0, VectorView<std::int32_t> atoms) override {
    check_batch(x0, atoms, dimensions_);
    const std::uint64_t first = step * static_cast<std::uint64_t>(x0.rows);
    std::vector<std::int32_t> labels(static_cast<std::size_t>(is_labelled() ? x0.rows : 0));
    if (is_labelled()) matcher_->noise_labels().draw(rng_.substream(3), first, labels);
    ot::draw(source_, rng_.substream(0), first, labels, x0, context_);
    matcher_->match(x0, labels, rng_.substream(2), first, atoms);
  }

 private:
  bool is_labelled() const { return !matcher_->noise_labels().empty(); }

  Index dimensions_;
  std::unique_ptr<ot::Matcher> matcher_;
  ot::SourceLaw source_;
  Context context_;
  Rng rng_;
};

}  // namespace

std::unique_ptr<Coupling> semidiscrete_coupling(MatrixView<const float> y, const ot::SemidiscretePotentials& potentials,
                                                const SemidiscreteCouplingOptions& options) {
  constexpr const char* who = "semidiscrete_coupling";
  require(options.groups > 0 && options.rounds >= 0, who, ": groups and rounds must be positive");
  const bool points = options.source.points.data != nullptr;
  check_pairing(who, y.rows, y.cols, options.source, {});
  if (points) check_labels(who, options.source.labels, potentials.noise_labels);
  if (points) require_finite(options.source.points, concat(who, ": source.points").c_str());
  if (points || potentials.epsilon > 0) return std::make_unique<DrawnCoupling>(y, potentials, options);
  return std::make_unique<RecombinedCoupling>(ot::FittedAtoms(who, y, potentials, options.context), options);
}

}  // namespace monge::flow
