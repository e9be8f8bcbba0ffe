#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "monge/apps/common/config.h"
#include "monge/apps/common/pairing_config.h"
#include "monge/flow/train.h"

namespace monge::apps {

// Everything that decides what sdfm_train computes. docs/sdfm_train.md lists the keys.
struct TrainConfig {
  std::uint64_t seed = 0;

  std::string data_file = "";    // HDF5, as ot_data makes it
  std::string data_digest = "";  // what it must hold; filled in when the run starts

  std::string coupling = "independent";
  std::string potentials_file = "";    // HDF5, as ot_fit makes it; empty: fitted when the run starts
  std::string potentials_digest = "";  // what it must hold; filled in when the run starts
  std::string potentials_status = "";  // how its fit must have ended; filled in when the run starts
  Index fit_pca = 64;                  // for potentials fitted here
  double fit_epsilon = 0;
  double fit_tolerance = 0.05;
  PairingConfig pairing;  // all else of section `coupling`

  std::string path = "linear";
  std::string objective = "velocity";
  std::string times = "uniform";
  std::string split = "half";
  std::string teacher_file = "";    // a checkpoint, of distillations
  std::string teacher_digest = "";  // what its weights must be; filled in when the run starts
  std::string network = "residual_mlp";
  std::string activation = "gelu";
  std::string prediction = "data";
  std::string schedule = "cosine";
  flow::TrainOptions train;  // what the names above say, seed and context are set by train_options()

  std::uint64_t checkpoint_every = 500;  // steps
  std::uint64_t log_every = 1;           // steps
  Index sample_rows = 8;                 // of the grid at the end; 0: none
  Index sample_steps = 16;
};

// "what: a, b or c"
std::string choice(const std::string& what, const std::vector<std::string>& names);

// The keys, bound to `config`, which must outlive what is returned.
Config bind(TrainConfig& config);

// The keys that say where things are, which a resumed run may be given anew, and what they are set to in `config`.
struct Place {
  std::string key;
  std::string* file;
};
std::vector<Place> places(TrainConfig& config);
bool names_a_place(const std::string& key);

// Takes over from `other` where things are.
void inherit_places(TrainConfig& config, TrainConfig& other);

// Takes over from `other` what a run records when it starts and `config` leaves open.
void inherit_records(TrainConfig& config, const TrainConfig& other);

// Without the teacher, and without what only the data say (dimensions, size of images).
flow::TrainOptions train_options(const TrainConfig& config, const Context& context);

}  // namespace monge::apps
