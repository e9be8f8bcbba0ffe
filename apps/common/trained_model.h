#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "monge/apps/common/train_config.h"
#include "monge/data/checkpoint.h"
#include "monge/data/dataset.h"
#include "monge/flow/train.h"

namespace monge::apps {

// What a run keeps: all that the trainer needs to go on, and what is to be known of the data to show samples.
// `seconds`: wall time of the training loop so far.
data::Checkpoint make_checkpoint(const flow::Trainer& trainer, const flow::Coupling& coupling,
                                 const std::string& config, const data::Dataset& dataset, double seconds);

// Puts a trainer of the same model, and its coupling, where the checkpoint was made. Throws Error(bad_file), prefixed
// by `name`.
void restore(flow::Trainer& trainer, flow::Coupling& coupling, const data::Checkpoint& checkpoint,
             const std::string& name);

// A checkpoint as those see it who only want samples.
struct TrainedModel {
  TrainConfig config;
  flow::ModelOptions options;
  std::vector<float> weights;  // averaged, or as trained
  std::uint64_t step = 0;      // steps made
  data::ImageShape image;      // of a sample; size 0: samples are plain points
  double low = -1, high = 1;   // of the values of the training data
};

// What a model on images has to know of them.
void set_image(flow::ModelOptions& options, const data::ImageShape& image);

// Throws Error: io, bad_file.
TrainedModel load_model(const std::filesystem::path& path, bool averaged = true);

}  // namespace monge::apps
