#include "monge/data/classifier.h"

#include <algorithm>
#include <cmath>

#include "monge/data/digest.h"
#include "monge/data/hdf5_writer.h"
#include "monge/ot/core/error.h"

namespace monge::data {
namespace {

constexpr const char* format = "monge-classifier";
constexpr std::uint64_t version = 1;

std::string layer_name(std::size_t k, const char* part) { return concat("layers/", k, "/", part); }

std::size_t weight_count(const std::vector<Index>& widths) {
  Index count = 0;
  for (std::size_t k = 0; k + 1 < widths.size(); ++k) count += widths[k + 1] * (widths[k] + 1);
  return static_cast<std::size_t>(count);
}

}  // namespace

ClassifierFile load_classifier(const std::filesystem::path& path, const ReadLimits& limits) {
  const Hdf5Reader file("load_classifier", path, limits);
  file.check_format(format, version, true);
  ClassifierFile classifier;
  const auto append = [&](const std::string& name, const std::vector<float>& values) {
    if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); }))
      file.fail(name, "holds NaN or infinity");
    classifier.weights.insert(classifier.weights.end(), values.begin(), values.end());
  };
  for (std::size_t k = 0; k < 2 || file.has(layer_name(k, "weight")); ++k) {
    const std::string weight = layer_name(k, "weight"), bias = layer_name(k, "bias");
    const ArrayInfo info = file.info(weight);
    if (info.shape.size() != 2 || info.size() == 0) file.fail(weight, "is no matrix, but " + info.describe());
    if (k == 0) classifier.widths.push_back(info.shape[1]);
    if (info.shape[1] != classifier.widths.back())
      file.fail(weight, concat("takes ", info.shape[1], " values, the layer before gives ", classifier.widths.back()));
    classifier.widths.push_back(info.shape[0]);
    append(weight, file.read<float>(weight));
    append(bias, file.read_vector<float>(bias, info.shape[0]));
  }
  const auto range = file.attribute<std::vector<double>>("", "range");
  if (range.size() != 2 || !(range[0] < range[1])) file.fail("", "attribute range is no interval");
  classifier.low = range[0];
  classifier.high = range[1];
  classifier.dataset_digest = file.attribute<std::string>("", "dataset_digest");
  classifier.test_accuracy = file.attribute<double>("", "test_accuracy");
  classifier.seed = file.attribute<std::uint64_t>("", "seed");
  classifier.recipe = file.attribute<std::string>("", "recipe");
  classifier.digest = content_digest(classifier);
  if (file.attribute<std::string>("", "digest") != classifier.digest)
    file.fail("", "its layers do not match its digest: the file is damaged");
  return classifier;
}

void save_classifier(const ClassifierFile& classifier, const std::filesystem::path& path) {
  const std::vector<Index>& widths = classifier.widths;
  require(widths.size() >= 3 && *std::min_element(widths.begin(), widths.end()) > 0,
          "save_classifier: needs the positive widths of a point, of hidden layers and of the logits");
  require(classifier.weights.size() == weight_count(widths), "save_classifier: ", classifier.weights.size(),
          " weights, the layers take ", weight_count(widths));
  Hdf5Writer file("save_classifier", path);
  file.attribute("", "format", format);
  file.attribute("", "version", version);
  file.attribute("", "range", std::vector<double>{classifier.low, classifier.high});
  file.attribute("", "dataset_digest", classifier.dataset_digest);
  file.attribute("", "test_accuracy", classifier.test_accuracy);
  file.attribute("", "seed", classifier.seed);
  file.attribute("", "recipe", classifier.recipe);
  file.attribute("", "digest", content_digest(classifier));
  const float* values = classifier.weights.data();
  for (std::size_t k = 0; k + 1 < widths.size(); ++k) {
    file.array(layer_name(k, "weight"), {widths[k + 1], widths[k]}, values);
    values += widths[k + 1] * widths[k];
    file.array(layer_name(k, "bias"), {widths[k + 1]}, values);
    values += widths[k + 1];
  }
  file.commit();
}

std::string content_digest(const ClassifierFile& classifier) {
  return digest(classifier.weights.data(), classifier.weights.size() * sizeof(float));
}

}  // namespace monge::data
