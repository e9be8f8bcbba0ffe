#include "monge/apps/common/feature_metrics.h"

#include <filesystem>

#include "monge/apps/common/shell.h"
#include "monge/flow/features.h"
#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

namespace fs = std::filesystem;

// Beside the programs, in the build tree, a bundle and once installed: bin/../share/monge.
fs::path shipped_classifier() {
  std::error_code unknown;
  const fs::path program = fs::read_symlink("/proc/self/exe", unknown);
  return program.parent_path().parent_path() / "share/monge/fashion_mnist_classifier.h5";
}

// Why a classifier has nothing to say of these points; empty if it has.
std::string obstacle(const data::ClassifierFile& file, const data::Dataset& dataset) {
  if (file.widths.front() != dataset.dims())
    return concat("it takes points of ", file.widths.front(), " dimensions, the data have ", dataset.dims());
  if (file.low != dataset.low || file.high != dataset.high)
    return concat("it was trained on values from ", file.low, " to ", file.high, ", the data go from ", dataset.low,
                  " to ", dataset.high);
  return "";
}

flow::ClassifierOptions shape_of(const data::ClassifierFile& file) {
  return {.dimensions = file.widths.front(),
          .hidden = {file.widths.begin() + 1, file.widths.end() - 1},
          .classes = file.widths.back()};
}

}  // namespace

std::optional<data::ClassifierFile> choose_classifier(const std::string& choice, const data::Dataset& dataset) {
  if (choice == "none") return {};
  if (choice != "auto") {
    data::ClassifierFile file = data::load_classifier(choice);
    const std::string why = obstacle(file, dataset);
    require(why.empty(), choice, ": not for these data: ", why);
    return file;
  }
  const data::ImageShape& image = dataset.image;
  if (image.height != 28 || image.width != 28 || image.channels != 1) return {};
  const fs::path shipped = shipped_classifier();
  std::optional<data::ClassifierFile> file;
  if (fs::exists(shipped)) file = data::load_classifier(shipped);
  const std::string why = file ? obstacle(*file, dataset) : "it is not there";
  if (why.empty()) return file;
  say("sdfm_eval", concat("no features: ", shipped.string(), ": ", why));
  return {};
}

FeatureMetrics::FeatureMetrics(const data::ClassifierFile& file, MatrixView<const float> held_out,
                               const Context& context)
    : context_(context),
      digest_(file.digest),
      classifier_(shape_of(file), file.weights, 512, context),
      held_out_(classifier_(held_out).features) {}

FeatureFigures FeatureMetrics::compare(MatrixView<const float> x) {
  const Matrix<float> features = classifier_(x).features;
  const MatrixView<const float> a = features.view(), b = held_out_.view();
  const flow::KernelDistance kid = flow::kernel_distance(a, b, {.context = context_});
  const flow::PrecisionRecall shares = flow::precision_recall(a, b, 3, context_);
  return {.f_fid = flow::frechet_distance(a, b, context_),
          .kid = kid.value,
          .kid_error = kid.standard_error,
          .precision = shares.precision,
          .recall = shares.recall};
}

}  // namespace monge::apps
