#pragma once
#include <cstdint>
#include <memory>

#include "monge/ot/core/array.h"
#include "monge/ot/core/random.h"
#include "monge/ot/semidiscrete.h"

namespace monge::ot {

struct CellSamplerOptions {
  Index steps = 64;         // of each chain; more = closer to the cell's law, each as dear as matching one noise vector
  Index max_moves = 10000;  // to find a first point of a cell, then Error(infeasible): the cell is empty, or all but
  Context context = {};
};

// The inverse of matching: noise x ~ N(0, I), with its label where there are labels, given that potentials send it to
// an atom. One of N plain draws does; here each draw is the end of a Markov chain of its own, elliptical slice sampling
// (Murray, Adams and MacKay, AISTATS 2010), whose law is the cell's in the limit of many steps. At epsilon = 0 every
// draw is in the cell. On a line (epsilon = 0, labels that never meet or none) cells are intervals, and draws exact.
class CellSampler {
 public:
  // y: the N x d atoms the potentials were fitted on; copied. Errors: as pass_matcher; options out of range.
  CellSampler(MatrixView<const float> y, const SemidiscretePotentials& potentials,
              const CellSamplerOptions& options = {});
  ~CellSampler();
  CellSampler(CellSampler&&) noexcept;

  // noise row i (n x d): a draw from the cell of atoms[i], and labels[i] its label where the potentials have labels
  // (else none). A function of block first + i of `rng`, whatever other rows are asked for: of the same bits at any
  // number of threads, and but for rounding in any batch, as kernels of BLAS differ at the edges of a product. Throws
  // invalid_argument (shapes, atoms that there are not), infeasible (atoms of weight zero; max_moves).
  void draw(VectorView<const std::int32_t> atoms, const Rng& rng, std::uint64_t first, MatrixView<float> noise,
            VectorView<std::int32_t> labels = {}) const;

 private:
  struct Body;
  std::unique_ptr<Body> body_;
};

}  // namespace monge::ot
