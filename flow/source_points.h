#pragma once  // private: never installed
#include <cstdint>
#include <map>
#include <vector>

#include "monge/flow/coupling.h"
#include "monge/ot/core/random.h"

namespace monge::flow {

// Checks source and labels of a coupling of `atoms` atoms; dimensions 0: not known. `who` is the caller's name.
void check_pairing(const char* who, Index atoms, Index dimensions, const CouplingSource& source,
                   const CouplingLabels& labels);

// x0 of any sample, each a function of (rng, its number).
class SourcePoints {
 public:
  // `within_classes`: samples ask for a class, whose points alone are drawn from then.
  SourcePoints(const CouplingSource& source, bool within_classes, const Rng& rng);

  bool standard_normal() const { return source_.points.data == nullptr; }

  // Fills one row; returns which point it is, -1 for noise. `label` counts within classes only.
  Index draw(std::uint64_t sample, std::int32_t label, VectorView<float> x0) const;

 private:
  CouplingSource source_;
  Rng noise_, choice_;
  bool within_ = false;
  std::map<std::int32_t, std::vector<std::int32_t>> classes_;  // rows of the points of each class
};

}  // namespace monge::flow
