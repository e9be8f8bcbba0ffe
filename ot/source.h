#pragma once
#include <functional>

#include "monge/ot/core/array.h"
#include "monge/ot/core/random.h"

namespace monge::ot {

// A law that can be sampled, on several threads at once. Row i of `out` must be sample number first + i of the stream,
// whatever rows are asked for with it, and must be finite. Empty = the standard normal, for which recombined noise is
// exact and used.
using SourceLaw = std::function<void(const Rng& rng, std::uint64_t first, MatrixView<float> out)>;

// Draws the rows of x (n x d, borrowed, the CPU's) with replacement, as likely as their weights have it (n, of any
// positive scale; empty = all alike), into rows of d columns. Throws Error(invalid_argument): no rows, weights that are
// no weights; when drawn, other dimensions.
SourceLaw source_of_points(MatrixView<const float> x, VectorView<const double> weights = {});

// Rows first, first + 1, ... of the stream, on the device of `out`; the same bits at any thread count. Normals are made
// there, what a law of the caller's gives is copied.
void draw(const SourceLaw& law, const Rng& rng, std::uint64_t first, MatrixView<float> out, const Context& context);

}  // namespace monge::ot
