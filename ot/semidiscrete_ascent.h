#pragma once  // private: never installed
#include <optional>
#include <vector>

#include "monge/ot/semidiscrete_curvature.h"
#include "monge/ot/semidiscrete_fit.h"
#include "monge/ot/semidiscrete_start.h"

namespace monge::ot::detail {

// The ascent itself: steps of each atom for itself, or of Newton's where batches have links, damped as 1/S, and an
// average weighted by S, S being the samples per atom so far and what the start was worth.
class Ascent {
 public:
  Ascent(const SemidualProblem& problem, const ScoreScale& scale, double expected_end);

  // As if worth[j] samples per atom had led to v_j.
  void start_from(std::vector<double> v, const std::vector<double>& worth);

  // gap: mean distance between a row's best and second best score; width: of a row from the nearest border of its cell,
  // where the batch has links.
  void update(const BatchMass& batch, double gap, double width = 0);

  // Where the last step was Newton's: atoms that get next to nothing, if together they weigh more than this, to be
  // raised.
  std::vector<std::int32_t> lost(double worth) const;
  void raise(const std::vector<std::int32_t>& atoms, const std::vector<double>& by);

  const std::vector<double>& current() const { return v_; }
  std::vector<double> average() const;
  double samples() const { return samples_; }
  double drawn() const { return drawn_; }  // without what the start was worth
  double mean_step() const { return mean_step_; }

 private:
  void own_steps(const BatchMass& batch, double gap);
  void newton_step(const BatchMass& batch, double width);
  void forget_worse(const BatchMass& batch);
  bool step_back(const BatchMass& batch);
  double trust(std::size_t j, double error, double expected);

  // The last step of Newton's: from where it was taken, what the curvature asked for, and how steep the dual was that
  // way.
  struct Leap {
    std::vector<double> from, change;
    double slope = 0;
  };

  const SemidualProblem& problem_;
  double expected_end_;
  std::vector<double> v_, step_, sum_, trust_, last_error_;
  std::vector<double> worth_, weight_, last_weight_;  // per atom: samples before the start; of the average; of v_ in it
  std::optional<Curvature> curvature_;                // once there are links
  std::optional<Leap> leap_;
  double past_ = 0, past_weight_ = 0;  // chi-squares of what is in the average, weighted as it is
  double leap_share_ = 1;              // of what the curvature asks for
  double mean_step_ = 0, samples_ = 0, drawn_ = 0;
};

}  // namespace monge::ot::detail
