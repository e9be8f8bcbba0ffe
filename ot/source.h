#pragma once
#include <concepts>
#include <cstdint>
#include <functional>
#include <utility>

#include "monge/ot/core/array.h"
#include "monge/ot/core/random.h"

namespace monge::ot {

// A law that can be sampled, on several threads at once; or a law for each label, of points whose labels are given. Row
// i of `out` must be sample number first + i of the stream, whatever rows are asked for with it, and must be finite.
// Empty = the standard normal, for which recombined noise is exact and used.
class SourceLaw {
 public:
  SourceLaw() = default;
  // law(const Rng& rng, std::uint64_t first, MatrixView<float> out)
  template <std::invocable<const Rng&, std::uint64_t, MatrixView<float>> Law>
  SourceLaw(Law law) : plain_(std::move(law)) {}
  // law(const Rng& rng, std::uint64_t first, VectorView<const std::int32_t> labels, MatrixView<float> out): row i of
  // `out` is drawn given labels[i].
  template <std::invocable<const Rng&, std::uint64_t, VectorView<const std::int32_t>, MatrixView<float>> Law>
  SourceLaw(Law law) : by_label_(std::move(law)) {}

  explicit operator bool() const { return plain_ || by_label_; }
  bool is_by_label() const { return static_cast<bool>(by_label_); }

  // Samples first, first + 1, ... of a law that is not empty, on this thread; `labels` are theirs where it is by label.
  void fill(const Rng& rng, std::uint64_t first, VectorView<const std::int32_t> labels, MatrixView<float> out) const {
    is_by_label() ? by_label_(rng, first, labels, out) : plain_(rng, first, out);
  }

 private:
  std::function<void(const Rng&, std::uint64_t, MatrixView<float>)> plain_;
  std::function<void(const Rng&, std::uint64_t, VectorView<const std::int32_t>, MatrixView<float>)> by_label_;
};

// Draws the rows of x (n x d, borrowed, the CPU's) with replacement, as likely as their weights have it (n, of any
// positive scale; empty = all alike), into rows of d columns. Throws Error(invalid_argument): no rows, weights that are
// no weights; when drawn, other dimensions.
SourceLaw source_of_points(MatrixView<const float> x, VectorView<const double> weights = {});

// The same by label: among the rows of the label asked for (n labels, copied). Throws also for labels that are not n;
// when drawn, for a label that no row of any weight has.
SourceLaw source_of_points(MatrixView<const float> x, VectorView<const std::int32_t> labels,
                           VectorView<const double> weights);

// Rows first, first + 1, ... of the stream, on the device of `out`; the same bits at any thread count. Normals are made
// there, what a law of the caller's gives is copied. A law by label takes the rows' labels, another ignores them.
void draw(const SourceLaw& law, const Rng& rng, std::uint64_t first, VectorView<const std::int32_t> labels,
          MatrixView<float> out, const Context& context);
inline void draw(const SourceLaw& law, const Rng& rng, std::uint64_t first, MatrixView<float> out,
                 const Context& context) {
  draw(law, rng, first, {}, out, context);
}

}  // namespace monge::ot
