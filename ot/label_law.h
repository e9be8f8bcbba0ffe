#pragma once
#include <cstdint>
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/core/random.h"

namespace monge::ot {

// How likely a label is to come with a noise vector.
struct LabelShare {
  std::int32_t label = 0;
  double share = 0;  // any positive scale
};

// How often each label comes, by ascending label: the sum of its weights (as many as labels; empty = 1 each). Labels of
// no weight are left out.
std::vector<LabelShare> label_shares(VectorView<const std::int32_t> labels, VectorView<const double> weights = {});

// The law of the label that comes with each noise vector, drawn before it.
class LabelLaw {
 public:
  LabelLaw() = default;  // no labels
  // Each label once. Throws invalid_argument, not_finite (shares), in the name of `caller`.
  LabelLaw(const char* caller, std::vector<LabelShare> shares);

  bool empty() const { return shares_.empty(); }
  // By ascending label, of sum one.
  const std::vector<LabelShare>& shares() const { return shares_; }
  double share(std::int32_t label) const;  // 0 for a label that never comes
  Index place(std::int32_t label) const;   // in shares(), -1 for none

  // Labels number first, first + 1, ... of the stream.
  void draw(const Rng& rng, std::uint64_t first, VectorView<std::int32_t> labels) const;

 private:
  std::vector<LabelShare> shares_;
  std::vector<double> up_to_;  // cumulated
};

}  // namespace monge::ot
