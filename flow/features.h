#pragma once
#include "monge/ot/core/array.h"

namespace monge::flow {

// Distances between sets of images by their features: x (n x d) of those made, y (m x d) of real ones, a row per image.
// What makes the features is the caller's; figures compare only where it was the same. All throw Error:
// invalid_argument (shapes, options), not_finite (row and column).

// The Frechet distance of the Gaussians of their moments, |m_x - m_y|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2), squared as
// usual (Heusel et al., GANs trained by a two time-scale update rule, NeurIPS 2017), covariances over n - 1. Biased
// upwards, the more the fewer points: compare sets of one size. n, m >= 2.
double frechet_distance(MatrixView<const float> x, MatrixView<const float> y, const Context& context = {});

struct KernelDistanceOptions {
  Index block = 1000;  // rows of x and of y that are compared at a time, at least 2
  Context context = {};
};

struct KernelDistance {
  double value = 0;           // the mean over the blocks
  double standard_error = 0;  // of that mean; NaN for one block
  Index blocks = 0;
};

// The squared maximum mean discrepancy for the kernel (<x, y> / d + 1)^3, unbiased (KID; Binkowski et al., Demystifying
// MMD GANs, ICLR 2018): its mean over the consecutive blocks that both sets have; rows must be in no order. Rows beyond
// the last whole block are left out; sets smaller than a block are one.
KernelDistance kernel_distance(MatrixView<const float> x, MatrixView<const float> y,
                               const KernelDistanceOptions& options = {});

struct PrecisionRecall {
  double precision = 0;  // share of x that lies among y: within the k-th neighbour's distance of some y_j
  double recall = 0;     // share of y that lies among x
};

// Kynkaanniemi et al., Improved precision and recall metric for assessing generative models, NeurIPS 2019. k: which
// neighbour of its own set makes a point's radius, itself not counted; n, m > k. Streaming: no distances are kept.
PrecisionRecall precision_recall(MatrixView<const float> x, MatrixView<const float> y, Index k = 3,
                                 const Context& context = {});

}  // namespace monge::flow
