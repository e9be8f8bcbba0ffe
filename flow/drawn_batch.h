#pragma once  // private: never installed
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "monge/flow/coupling.h"
#include "monge/flow/shuffle.h"
#include "monge/flow/source_points.h"

namespace monge::flow {

// Source points and atoms that are to be matched. Labels are empty where classes play no part.
struct DrawnBatch {
  Matrix<float> x0, y;                           // n x d
  std::vector<std::int32_t> atoms;               // n: which atom row j of y is
  std::vector<std::int32_t> x_labels, y_labels;  // n, or empty
};

// Draws batches of n of the source and of the atoms y, each batch a function of the seed and its number.
class BatchDrawer {
 public:
  BatchDrawer(MatrixView<const float> y, std::uint64_t seed, const CouplingSource& source, const CouplingLabels& labels,
              const Context& context);

  void draw(std::uint64_t number, Index n, DrawnBatch& batch) const;
  bool within_classes() const { return !labels_.atoms.empty() && std::isinf(labels_.penalty); }

 private:
  MatrixView<const float> y_;
  CouplingSource source_points_;
  CouplingLabels labels_;
  SourcePoints source_;
  Shuffle order_;
  Context context_;
};

// Calls match(x, y, x_labels, y_labels, members) for the whole batch (members empty), or, within classes, for each
// class on its own: members are its places in the batch, on both sides alike.
using MatchClass =
    std::function<void(MatrixView<const float> x, MatrixView<const float> y, const std::vector<std::int32_t>& members)>;
void for_classes(const DrawnBatch& batch, bool within_classes, const MatchClass& match);

// x and y with further coordinates, between which rows of different labels are `penalty` apart in squared distance and
// others at the same place; as they are where there are no labels.
class PenalisedPoints {
 public:
  PenalisedPoints(MatrixView<const float> x, MatrixView<const float> y, const std::vector<std::int32_t>& x_labels,
                  const std::vector<std::int32_t>& y_labels, double penalty);
  MatrixView<const float> x, y;

 private:
  Matrix<float> x_, y_;
};

// The threads that matching n points of d dimensions is worth: small matches are many short loops, which waking threads
// takes longer than running. Results do not depend on it.
Context matching_context(Context context, Index n, Index d);

}  // namespace monge::flow
