#include "monge/flow/source_points.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "monge/ot/core/error.h"

namespace monge::flow {
namespace {

constexpr Index most = std::numeric_limits<std::int32_t>::max();

}  // namespace

void check_pairing(const char* who, Index atoms, Index dimensions, const CouplingSource& source,
                   const CouplingLabels& labels) {
  require(atoms > 0 && atoms <= most, who, ": the number of atoms must be in [1, 2^31), not ", atoms);
  require(labels.atoms.empty() || labels.atoms.size == atoms, who, ": ", labels.atoms.size, " labels for ", atoms,
          " atoms");
  require(labels.penalty >= 0, who, ": the label penalty must not be negative, not ", labels.penalty);
  const bool points = source.points.data != nullptr;
  if (points) {
    require(!source.points.empty() && source.points.rows <= most, who, ": the source has ", source.points.rows, " x ",
            source.points.cols, " points");
    require(dimensions == 0 || source.points.cols == dimensions, who, ": source points of ", source.points.cols,
            " dimensions, atoms of ", dimensions);
  }
  require(source.labels.empty() || (points && source.labels.size == source.points.rows), who, ": ", source.labels.size,
          " source labels for ", source.points.rows, " points");
  if (labels.atoms.empty() || !points) return;
  require(!source.labels.empty(), who, ": the atoms have labels, the source points have none");
  if (!std::isinf(labels.penalty)) return;
  const std::set<std::int32_t> known(source.labels.begin(), source.labels.end());
  for (Index i = 0; i < atoms; ++i)
    require(known.count(labels.atoms[i]) > 0, who, ": no source point has the label ", labels.atoms[i], " of atom ", i);
}

SourcePoints::SourcePoints(const CouplingSource& source, bool within_classes, const Rng& rng)
    : source_(source),
      noise_(rng.substream(1)),
      choice_(rng.substream(3)),
      within_(within_classes && source.points.data) {
  if (!within_) return;
  for (Index i = 0; i < source.labels.size; ++i) classes_[source.labels[i]].push_back(static_cast<std::int32_t>(i));
}

Index SourcePoints::draw(std::uint64_t sample, std::int32_t label, VectorView<float> x0) const {
  if (standard_normal()) {
    fill_normal(noise_, sample * static_cast<std::uint64_t>(x0.size), x0);
    return -1;
  }
  Index row = 0;
  if (within_) {
    const std::vector<std::int32_t>& members = classes_.at(label);
    row = members[static_cast<std::size_t>(uniform_below(choice_, sample, members.size()))];
  } else {
    row = static_cast<Index>(uniform_below(choice_, sample, static_cast<std::uint64_t>(source_.points.rows)));
  }
  std::copy_n(source_.points.row(row), x0.size, x0.data);
  return row;
}

}  // namespace monge::flow
