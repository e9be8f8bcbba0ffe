#include "monge/apps/common/starting_points.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "monge/apps/common/fitted.h"
#include "monge/data/dataset.h"
#include "monge/data/pairs.h"
#include "monge/flow/path.h"
#include "monge/flow/shuffle.h"
#include "monge/ot/core/error.h"
#include "monge/ot/source.h"

namespace monge::apps {
namespace {

struct Points {
  Matrix<float> x;
  std::vector<std::int32_t> labels;  // or none
};

bool starts_from_pairs(const TrainConfig& config) {
  return config.coupling == "pairs" && config.pairing.pairs_law != standard_normal;
}

Points load_points(const TrainConfig& config, const std::string& given) {
  const std::string file = start_file(config, given);
  if (given.empty() && starts_from_pairs(config)) {
    data::Pairs pairs = data::load_pairs(file);
    check_pairs_digest(config.pairing, pairs);
    return {std::move(pairs.x0), std::move(pairs.labels)};
  }
  data::Dataset source = data::load_dataset(file);
  const std::string& digest = config.pairing.source_digest;
  require(!given.empty() || digest.empty() || source.digest == digest, file,
          ": this is not the source of the run: its digest is ", source.digest, ", not ", digest);
  data::Split& split = source.test.rows() > 0 ? source.test : source.train;
  return {std::move(split.x), std::move(split.labels)};
}

// The row of each sample.
std::vector<Index> choose(const Points& points, const Start& start, bool within, const std::string& file) {
  const Rng rng = Rng{start.seed}.substream(0x7374617274);  // "start"
  std::vector<Index> rows(static_cast<std::size_t>(start.count));
  if (!within) {
    const flow::Shuffle shuffle(points.x.rows(), rng);
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = shuffle(i);
    return rows;
  }
  require(!points.labels.empty(), file, ": has no labels; the run pairs points within classes");
  std::map<std::int32_t, std::vector<Index>> classes;
  for (std::size_t i = 0; i < points.labels.size(); ++i) classes[points.labels[i]].push_back(static_cast<Index>(i));
  std::map<std::int32_t, std::uint64_t> taken;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::int32_t label = start.labels[static_cast<Index>(i)];
    const auto members = classes.find(label);
    require(members != classes.end(), file, ": has no point of class ", label, " to start from");
    const flow::Shuffle shuffle(static_cast<Index>(members->second.size()),
                                rng.substream(1 + static_cast<std::uint64_t>(label)));
    rows[i] = members->second[static_cast<std::size_t>(shuffle(taken[label]++))];
  }
  return rows;
}

Matrix<float> sampling_noise(const flow::ModelOptions& model, Index count, std::uint64_t seed, const Context& context) {
  require(count > 0, "starting_points: the number of samples must be positive, not ", count);
  Matrix<float> x0(count, model.dimensions);
  ot::draw({}, Rng{seed}.substream(0x73616D706C65), 0, x0.view(), context);  // "sample"
  const float deviation = static_cast<float>(flow::start_deviation(model.path));
  if (deviation == 1) return x0;
  std::for_each(x0.data(), x0.data() + count * model.dimensions, [&](float& x) { x *= deviation; });
  return x0;
}

}  // namespace

std::string start_file(const TrainConfig& config, const std::string& given) {
  if (!given.empty()) return given;
  return starts_from_pairs(config) ? config.pairing.pairs_file : config.pairing.source_file;
}

Matrix<float> starting_points(const TrainConfig& config, const flow::ModelOptions& model, const Start& start,
                              const Context& context) {
  Matrix<float> noise = sampling_noise(model, start.count, start.seed, context);
  const std::string file = start_file(config, start.file);
  if (file.empty()) return noise;
  const Points points = load_points(config, start.file);
  require(points.x.cols() == model.dimensions, file, ": points of ", points.x.cols(), " dimensions, the model has ",
          model.dimensions);
  const bool within = config.pairing.labels == "within" && !start.labels.empty();
  const std::vector<Index> rows = choose(points, start, within, file);
  // sigma x0 + noise e of the path; the noise drawn above has the deviation of both together.
  const flow::PathPoint at = flow::path_at(model.path, 0);
  const auto sigma = static_cast<float>(at.sigma);
  const auto width = static_cast<float>(at.noise / flow::start_deviation(model.path));
  for (Index i = 0; i < start.count; ++i)
    for (Index k = 0; k < model.dimensions; ++k)
      noise(i, k) = sigma * points.x(rows[static_cast<std::size_t>(i)], k) + width * noise(i, k);
  return noise;
}

}  // namespace monge::apps
