#pragma once  // private: never installed
#include <array>
#include <utility>

#include "monge/flow/sample.h"

namespace monge::flow {

// An explicit Runge-Kutta method of at most seven stages.
struct Tableau {
  int stages = 1;
  int order = 1;
  std::array<double, 7> c{};                 // stage times
  std::array<std::array<double, 7>, 7> a{};  // stage i starts from x + h sum_{j<i} a_ij k_j
  std::array<double, 7> b{};                 // the step ends at x + h sum_j b_j k_j
  std::array<double, 7> e{};                 // its error is about h sum_j e_j k_j; all zero: no estimate
  bool last_is_first = false;                // the last stage is evaluated at the end of the step: the next one's first

  bool adaptive() const { return e[0] != 0; }
};

const Tableau& tableau(Solver solver);

// Makes steps of one method for one batch. All memory is set up by the constructor.
class RungeKutta {
 public:
  // x (rows x dimensions) is the state at the start; it is copied.
  RungeKutta(const Tableau& tableau, const Velocity& velocity, MatrixView<const float> x, const Context& context);

  // Tries a step from time t to `end`. False if a velocity or the state reached is not finite: the state is then as it
  // was. True: accept() makes the step; another attempt forgets it.
  bool attempt(double t, double end);
  void accept();

  // The RMS over the batch of (error of the attempt) / (atol + rtol max(|x before|, |x after|)).
  double error_norm(double h, double rtol, double atol);

  // The length of a first step towards `end` that suits the tolerance, after Hairer, Norsett and Wanner (Solving
  // Ordinary Differential Equations I, II.4); two evaluations, the first of which attempt() will not repeat. 0 if a
  // velocity is not finite.
  double first_step(double t, double end, double rtol, double atol);

  MatrixView<const float> state() const { return std::as_const(state_).view(); }
  Index evaluations() const { return evaluations_; }

 private:
  bool evaluate(double t, const Matrix<float>& x, int stage);
  bool combine(const std::array<double, 7>& weights, double h, Matrix<float>& out);
  void weigh(const std::array<double, 7>& weights, double h, Index first, Index last, float* out) const;
  template <class Element>
  double rms(const Element& element);

  const Tableau& tableau_;
  const Velocity& velocity_;
  Context context_;
  Matrix<float> state_, next_, stage_;
  std::array<Matrix<float>, 7> k_;
  Buffer<double> sums_;  // one for each tile: reductions have a fixed order
  Index evaluations_ = 0;
  bool first_known_ = false;  // k_[0] is the velocity at the state
};

}  // namespace monge::flow
