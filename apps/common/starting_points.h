#pragma once
#include <cstdint>
#include <string>

#include "monge/apps/common/train_config.h"

namespace monge::apps {

// What is asked of starting points.
struct Start {
  std::string file = "";                       // data file to start from; empty: what the run was trained from
  VectorView<const std::int32_t> labels = {};  // of the samples, `count` of them or none
  Index count = 0;
  std::uint64_t seed = 0;
};

// The file that samples start from; empty: from noise.
std::string start_file(const TrainConfig& config, const std::string& given);

// What samples of a run start from: noise of the stream `seed`, which training never draws from, as wide as the path is
// at t = 0 (the same seed gives the same noise, whatever the model, and more rows begin with the same ones); or points
// of a file, as the path has them at t = 0. Of a data file
// these are the test points (training points if it has none), of a file of pairs its x0; in random order, all once
// before any comes again. Where the run's pairs stay within classes, a sample with a label starts from a point of that
// class. Throws Error: invalid_argument (dimensions, another digest, no points of a class), io, bad_file.
Matrix<float> starting_points(const TrainConfig& config, const flow::ModelOptions& model, const Start& start,
                              const Context& context);

}  // namespace monge::apps
