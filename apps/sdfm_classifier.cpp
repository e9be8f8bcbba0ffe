// sdfm_classifier: trains the classifier whose features sdfm_eval measures by.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "monge/apps/common/distinct_files.h"
#include "monge/apps/common/interrupt.h"
#include "monge/apps/common/progress.h"
#include "monge/apps/common/shell.h"
#include "monge/apps/common/validators.h"
#include "monge/data/atomic_file.h"
#include "monge/data/classifier.h"
#include "monge/data/dataset.h"
#include "monge/flow/classifier.h"
#include "monge/ot/core/error.h"

namespace {

using namespace monge;

struct Arguments {
  std::string data, out;
  flow::ClassifierOptions shape;
  flow::ClassifierTraining training;
  int threads = 0;
};

// The command that makes the same file, but for its paths.
std::string recipe(const Arguments& a) {
  std::string widths;
  for (const Index width : a.shape.hidden) widths += (widths.empty() ? "" : ",") + std::to_string(width);
  return concat("sdfm_classifier --hidden ", widths, " --epochs ", a.training.epochs, " --batch ", a.training.batch,
                " --learning-rate ", a.training.learning_rate, " --weight-decay ", a.training.weight_decay,
                " --dropout ", a.training.dropout, " --seed ", a.training.seed);
}

double test_accuracy(const flow::ClassifierOptions& shape, const std::vector<float>& weights, const data::Split& test,
                     const Context& context) {
  if (!test.labelled()) return std::numeric_limits<double>::quiet_NaN();
  return flow::accuracy(flow::Classifier(shape, weights, 512, context)(test.x.view()).logits.view(), test.labels);
}

void train(Arguments a) {
  apps::require_distinct_files({{"the data file", a.data}}, {{"--out", a.out}});
  data::require_writable("sdfm_classifier", a.out);
  const data::Dataset dataset = data::load_dataset(a.data);
  require(dataset.train.labelled(), a.data, ": has no labels to learn");
  a.shape.dimensions = dataset.dims();
  a.shape.classes = 1 + *std::max_element(dataset.train.labels.begin(), dataset.train.labels.end());
  a.training.context = {.threads = a.threads};
  apps::Progress progress("train", "", 1);
  a.training.progress = [&](const flow::ClassifierProgress& at) {
    char note[48];
    std::snprintf(note, sizeof note, "loss %.4f", at.loss);
    progress.update(static_cast<double>(at.step) / static_cast<double>(at.steps), note);
    return !apps::interrupted();
  };
  const flow::TrainedClassifier trained =
      flow::train_classifier(a.shape, dataset.train.x.view(), dataset.train.labels, a.training);
  progress.finish();
  apps::check_interrupt();

  data::ClassifierFile file{.widths = {dataset.dims()},
                            .weights = trained.weights,
                            .low = dataset.low,
                            .high = dataset.high,
                            .dataset_digest = dataset.digest,
                            .test_accuracy = test_accuracy(a.shape, trained.weights, dataset.test, a.training.context),
                            .seed = a.training.seed,
                            .recipe = recipe(a)};
  file.widths.insert(file.widths.end(), a.shape.hidden.begin(), a.shape.hidden.end());
  file.widths.push_back(a.shape.classes);
  data::save_classifier(file, a.out);
  std::printf("%s: %zu weights, %s, test accuracy %.2f%%\n", a.out.c_str(), file.weights.size(),
              data::content_digest(file).c_str(), 100 * file.test_accuracy);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Trains a small network to tell the classes of a data file apart. What its last hidden layer makes of a point "
      "are\n"
      "the features that sdfm_eval --features measures by (F-FID, KID, precision and recall).\n",
      "sdfm_classifier"};
  app.footer(
      "Example, the classifier that comes with the programs:\n"
      "  sdfm_classifier fashion.h5 --out fashion_mnist_classifier.h5\n\n"
      "The same seed gives the same file at any number of threads; another kind of processor rounds otherwise.\n"
      "Exit status: 0 when done, 1 for an error, 2 for wrong usage, 130 after Ctrl-C, which leaves no file.");
  Arguments a;
  flow::ClassifierTraining& t = a.training;
  app.add_option("data", a.data, "Data file with labels")->required()->type_name("FILE.h5");
  app.add_option("--out", a.out, "Classifier to write; an older one is replaced")->required()->type_name("FILE.h5");
  app.add_option("--hidden", a.shape.hidden, "Widths of the hidden layers; the last is the number of features")
      ->type_name("W,...")
      ->delimiter(',')
      ->check(apps::in_range<Index>(1, 1 << 16))
      ->capture_default_str();
  app.add_option("--epochs", t.epochs, "Passes over the training points")
      ->type_name("E")
      ->check(apps::in_range<double>(1e-3, 1e5))
      ->capture_default_str();
  app.add_option("--batch", t.batch, "Points a step")
      ->type_name("N")
      ->check(apps::in_range<Index>(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--learning-rate", t.learning_rate, "The peak, of AdamW; a cosine to zero")
      ->type_name("R")
      ->check(apps::in_range<double>(1e-12, 1e3))
      ->capture_default_str();
  app.add_option("--weight-decay", t.weight_decay, "AdamW, decoupled")
      ->type_name("D")
      ->check(apps::at_least<double>(0))
      ->capture_default_str();
  app.add_option("--dropout", t.dropout, "Share of each hidden layer set to zero in training")
      ->type_name("P")
      ->check(apps::in_range<double>(0, 0.999))
      ->capture_default_str();
  app.add_option("--seed", t.seed, "Of the first weights, the order and the dropout")
      ->type_name("N")
      ->check(apps::at_least<std::int64_t>(0))
      ->capture_default_str();
  apps::add_threads(app, a.threads, "The result does not depend on it");
  return apps::run_main(app, argc, argv, [&] { train(a); });
}
