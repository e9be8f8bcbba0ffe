#pragma once  // private: never installed
#include "monge/flow/objective.h"

namespace monge::flow {

// Records the losses, each as its paper writes it.
struct Objective::Recorder {
  Objective& self;
  nn::Graph& g;

  nn::Tensor record();  // of the kind asked for

  // Each the sum of squares, or of weighted means of squares, over the rows of a part.
  nn::Tensor velocity(Part& p);
  nn::Tensor taught(Part& p);  // the velocity, by the teacher's
  nn::Tensor neural_flow(Part& p);
  nn::Tensor fmm(Part& p);
  nn::Tensor lmd(Part& p);
  nn::Tensor emd(Part& p);
  nn::Tensor pfmm(Part& p);
  nn::Tensor lsd(Part& p);
  nn::Tensor psd(Part& p);
  nn::Tensor mean_flow(Part& p);

  Part& part(Index first, Index rows, bool jumps);
  TimeColumns clock(Part& p, double fraction) { return clock(p, fraction, self.model_); }
  TimeColumns clock(Part& p, double fraction, const ModelOptions& model);

  nn::Tensor place(const Part& p, const TimeColumns& at);  // I
  nn::Tensor rate(const Part& p, const TimeColumns& at);   // I'
  RecordedMap map(const Part& p, const TimeColumns& start, nn::Tensor end, nn::Tensor x);
  // The derivative of `value` as x moves with `along` and s, the time of `start`, with speed one.
  nn::Tensor along_start(nn::Tensor value, const TimeColumns& start, nn::Tensor x, nn::Tensor along);
  nn::Tensor along_end(nn::Tensor value, nn::Tensor end);  // the derivative in t
  nn::Tensor teacher_velocity(Part& p, double fraction, nn::Tensor x);
  Extras teacher_extras(const Part& p) const;
  nn::Tensor ones(Index rows);
  nn::Tensor sum_squares(nn::Tensor a) { return g.sum(g.multiply(a, a), 1, 1); }
  nn::Tensor weighted(nn::Tensor residual);
};

}  // namespace monge::flow
