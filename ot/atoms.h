#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/core/prepared.h"
#include "monge/ot/pca.h"
#include "monge/ot/semidiscrete.h"

namespace monge::ot {

// A weighted point cloud made ready for semidiscrete solvers: exact duplicates of one label merged (no potential can
// tell them apart), atoms of weight zero dropped, centred (which shifts all scores of a noise vector equally), and
// projected when a basis is given; what then coincides, up to rounding, is merged, too.
struct AtomSet {
  Matrix<float> y;                   // distinct atoms, as the scores see them
  std::vector<double> b;             // their weights, sum one
  std::vector<std::int32_t> labels;  // theirs; empty = no labels
  std::vector<double> centre;        // what was taken off the original cloud, projected like it
  bool is_projected = false;
  std::vector<double> squares;        // |.|^2 of the atoms as they were; empty if projected
  Matrix<double> exact;               // in up to 8 dimensions: y before it was rounded to float; y, if projected
  std::vector<Index> first_member;    // distinct + 1: members[first_member[j] ... first_member[j + 1]) ...
  std::vector<std::int32_t> members;  // ... are the original indices of distinct atom j
  std::vector<double> member_weight;  // original weight of each entry of `members`, relative to its atom's
  Index original = 0;
  std::shared_ptr<const PreparedPoints> ready;  // y as a room multiplies it, once kept; may be null

  Index size() const { return y.rows(); }
  Index dimensions() const { return y.cols(); }
  Index merged() const { return static_cast<Index>(members.size()) - size(); }
  double squared_norm(Index j) const;  // of distinct atom j as it was, before centring
  Index dropped() const { return original - static_cast<Index>(members.size()); }

  // For many passes over y on a device: 3 bytes for each of its values on a CPU that multiplies digits, 4 on a GPU,
  // where there may not be that much memory (docs/cuda.md). given: the cloud that the atoms were made of; not looked at
  // later.
  void keep_ready(MatrixView<const float> given, const Context& context);

  // The original index that a hit on distinct atom j stands for; u in [0, 1) chooses among duplicates by weight.
  std::int32_t member(Index j, double u) const;
};

// y is N x d, labels N or none. Errors: empty cloud, NaN or infinity (with row and column), weights that are negative,
// not finite, of the wrong number, or sum to zero, labels of the wrong number. Weights are normalised to sum one;
// empty = uniform.
AtomSet make_atoms(const char* caller, MatrixView<const float> y, VectorView<const double> b,
                   const std::optional<Pca>& pca, const Context& context, VectorView<const std::int32_t> labels = {});

// Between biases v of the centred inner-product scores <x, y_j> + v_j, one per distinct atom, and potentials g in units
// of the cost, one per original atom (-infinity for a dropped one): g = v, or 2 v + |y|^2 for squared Euclidean.
std::vector<double> to_potentials(const AtomSet& atoms, const std::vector<double>& v, Cost cost);
std::vector<double> to_biases(const AtomSet& atoms, const std::vector<double>& g, Cost cost);

// n weights that sum to one; uniform if none are given. Throws invalid_argument (count, negative, all zero),
// not_finite.
std::vector<double> normalised_weights(const char* caller, VectorView<const double> b, Index n);

}  // namespace monge::ot
