#pragma once
#include <cmath>
#include <limits>

#include "monge/ot/core/array.h"

namespace monge::ot::cpu {

// sum = sum_j exp((s_j - best) / epsilon), best the largest score seen so far.
template <class T>
struct RunningSum {
  T best = -std::numeric_limits<T>::infinity();
  double sum = 0;

  // Measures the sum from `score` if that is larger than best; returns what it was multiplied by.
  double raise(T score, double epsilon) {
    if (!(score > best)) return 1;
    const double factor = std::exp((static_cast<double>(best) - static_cast<double>(score)) / epsilon);
    best = score;
    sum *= factor;
    return factor;
  }

  // Adds the sum over other columns; returns what those terms were multiplied by.
  double add(RunningSum other, double epsilon) {
    if (other.sum == 0) return 0;
    raise(other.best, epsilon);
    const double factor = other.raise(best, epsilon);
    sum += other.sum;
    return factor;
  }

  // log sum_j exp(s_j / epsilon), in units of the scores.
  double value(double epsilon) const {
    return sum > 0 ? static_cast<double>(best) + epsilon * std::log(sum) : -std::numeric_limits<double>::infinity();
  }
};

}  // namespace monge::ot::cpu
