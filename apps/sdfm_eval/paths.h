#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "monge/apps/common/trained_model.h"
#include "monge/data/dataset.h"
#include "monge/flow/crossing.h"

namespace monge::apps {

// Paths in the plane, and how much they get into each other's way.
struct Paths {
  std::string title, caption;
  std::vector<Matrix<float>> frames;  // at equal times, n x 2 each; of straight paths the two ends
  flow::Crossing crossing;            // of the straight paths between first and last frame
};

// The straight paths of pairs as the model was trained on, beside its own paths from the same starting points: those of
// its velocity, or of a neural flow F(t, x0). About `count` of them, in whole batches of training. Throws Error:
// invalid_argument (not in the plane, other data than those of the training), not_finite, io, bad_file.
std::vector<Paths> gather_paths(const TrainedModel& model, const std::filesystem::path& checkpoint,
                                const data::Dataset& dataset, Index count, const Context& context);

// Panels beside each other as an SVG document: the first `drawn` paths of each, coloured by the direction that they
// start in, and below when those that cross are nearest to each other.
std::string paths_svg(const std::vector<Paths>& panels, Index drawn);

}  // namespace monge::apps
