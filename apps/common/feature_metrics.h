#pragma once
#include <limits>
#include <optional>
#include <string>

#include "monge/data/classifier.h"
#include "monge/data/dataset.h"
#include "monge/flow/classifier.h"

namespace monge::apps {

// The classifier that `choice` names for the points of `dataset`: "none"; a file; or "auto": the one that comes with
// the programs, for images of its size and range, of none else. Throws Error: io, bad_file, invalid_argument (a file
// for other points).
std::optional<data::ClassifierFile> choose_classifier(const std::string& choice, const data::Dataset& dataset);

// How far a set of points is from another by their features (flow/features.h).
struct FeatureFigures {
  double f_fid = std::numeric_limits<double>::quiet_NaN();
  double kid = f_fid, kid_error = f_fid;  // the latter NaN for less than two blocks of 1,000
  double precision = f_fid, recall = f_fid;
};

// Measures sets of samples against one held-out set by the features of a classifier.
class FeatureMetrics {
 public:
  FeatureMetrics(const data::ClassifierFile& file, MatrixView<const float> held_out, const Context& context);

  FeatureFigures compare(MatrixView<const float> x);  // samples x dimensions
  const std::string& digest() const { return digest_; }

 private:
  Context context_;
  std::string digest_;
  flow::Classifier classifier_;
  Matrix<float> held_out_;  // features
};

}  // namespace monge::apps
