#include "monge/flow/pairs_coupling.h"

#include <algorithm>

#include "monge/flow/shuffle.h"
#include "monge/ot/core/error.h"
#include "monge/ot/finite.h"

namespace monge::flow {
namespace {

class PairsCoupling final : public Coupling {
 public:
  PairsCoupling(MatrixView<const float> x0, VectorView<const std::int32_t> atoms, std::uint64_t seed)
      : x0_(x0), atoms_(atoms), order_(x0.rows, Rng{seed}.substream(2)) {}

  void draw(std::uint64_t step, MatrixView<float> x0, VectorView<std::int32_t> atoms) override {
    require(x0.rows == atoms.size, "pairs_coupling: ", x0.rows, " rows of x0 but room for ", atoms.size, " atoms");
    require(x0.cols == x0_.cols, "pairs_coupling: x0 of ", x0.cols, " dimensions, the pairs have ", x0_.cols);
    const std::uint64_t first = step * static_cast<std::uint64_t>(x0.rows);
    for (Index i = 0; i < x0.rows; ++i) {
      const Index pair = order_(first + static_cast<std::uint64_t>(i));
      std::copy_n(x0_.row(pair), x0.cols, x0.row(i));
      atoms[i] = atoms_[pair];
    }
  }

 private:
  MatrixView<const float> x0_;
  VectorView<const std::int32_t> atoms_;
  Shuffle order_;
};

void check_labels(VectorView<const std::int32_t> atoms, Index atom_count, VectorView<const std::int32_t> labels,
                  VectorView<const std::int32_t> atom_labels) {
  require(labels.empty() == atom_labels.empty(), "pairs_coupling: labels of ",
          labels.empty() ? "the atoms, but not of x0" : "x0, but not of the atoms");
  if (labels.empty()) return;
  require(labels.size == atoms.size, "pairs_coupling: ", labels.size, " labels for ", atoms.size, " source points");
  require(atom_labels.size == atom_count, "pairs_coupling: ", atom_labels.size, " labels for ", atom_count, " atoms");
  for (Index k = 0; k < atoms.size; ++k)
    require(labels[k] == atom_labels[atoms[k]], "pairs_coupling: pair ", k, " goes from label ", labels[k], " to atom ",
            atoms[k], " of label ", atom_labels[atoms[k]]);
}

}  // namespace

std::unique_ptr<Coupling> pairs_coupling(MatrixView<const float> x0, VectorView<const std::int32_t> atoms,
                                         Index atom_count, std::uint64_t seed, VectorView<const std::int32_t> labels,
                                         VectorView<const std::int32_t> atom_labels) {
  require(!x0.empty(), "pairs_coupling: there are no pairs: x0 is ", x0.rows, " x ", x0.cols);
  require(atoms.size == x0.rows, "pairs_coupling: ", atoms.size, " atoms for ", x0.rows, " source points");
  require_finite(x0, "pairs_coupling: x0");
  for (Index k = 0; k < atoms.size; ++k)
    require(atoms[k] >= 0 && atoms[k] < atom_count, "pairs_coupling: pair ", k, " has atom ", atoms[k], " of ",
            atom_count);
  check_labels(atoms, atom_count, labels, atom_labels);
  return std::make_unique<PairsCoupling>(x0, atoms, seed);
}

}  // namespace monge::flow
