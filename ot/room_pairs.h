#pragma once  // private: never installed
#include <memory>

#include "monge/ot/centred_pairs.h"
#include "monge/ot/core/backend.h"

namespace monge::ot::detail {

// Shortlists between centred clouds from the passes of another room than the CPU's, which keeps the points; the best
// pairs of each row are laid aside here.
class RoomPairs final : public CentredPairs {
 public:
  RoomPairs(const CentredClouds& clouds, const Context& context);

  Shortlists shortlists(Index k, const std::vector<double>& v) override;
  // Column potentials that few Sinkhorn passes find, for as many rows as columns.
  std::vector<double> start();

 private:
  double look_again(Index i, Index k, const std::vector<double>& v, std::vector<Pair>& pairs) override;
  Scores<float> scores(MatrixView<const float> x, VectorView<const float> biases) const;
  // What the room's list of a row comes to here.
  double list_row(Index i, Index k, const float* values, const std::int32_t* columns, Index count,
                  std::vector<Pair>& pairs);

  Context context_;
  Passes<float>& passes_;
  Matrix<float> x_there_;
  std::shared_ptr<const PreparedPoints> y_there_;
};

}  // namespace monge::ot::detail
