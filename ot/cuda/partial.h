#pragma once  // private: never installed
#include <math.h>

#include <cstdint>
#include <limits>

#include "monge/ot/core/random.h"

// What reductions keep of a row, and how two such are put together. On host and device.
namespace monge::ot::cuda {

template <class T>
MONGE_HOST_DEVICE constexpr T minus_infinity() {
  return -std::numeric_limits<T>::infinity();
}

// sum = sum_j exp((s_j - best) / epsilon), best a score, not much below the largest seen so far.
template <class T>
struct LogSum {
  T best = minus_infinity<T>();
  double sum = 0;

  // In the order (this, other): the same bits for the same order.
  MONGE_HOST_DEVICE void add(const LogSum& other, double epsilon) {
    if (other.sum == 0) return;
    if (sum == 0) {
      *this = other;
    } else if (other.best > best) {
      sum = sum * exp((static_cast<double>(best) - static_cast<double>(other.best)) / epsilon) + other.sum;
      best = other.best;
    } else {
      sum += other.sum * exp((static_cast<double>(other.best) - static_cast<double>(best)) / epsilon);
    }
  }

  // log sum_j exp(s_j / epsilon), in units of the scores.
  MONGE_HOST_DEVICE double value(double epsilon) const {
    return sum > 0 ? static_cast<double>(best) + epsilon * log(sum) : minus_infinity<double>();
  }
};

// A score and its column. Places nobody took hold -infinity and a column behind all others.
inline constexpr std::int32_t no_column = std::numeric_limits<std::int32_t>::max();
template <class T>
struct Scored {
  T value = minus_infinity<T>();
  std::int32_t column = no_column;

  // The larger score, of equals the lower column, comes first.
  MONGE_HOST_DEVICE bool before(const Scored& other) const {
    return value > other.value || (value == other.value && column < other.column);
  }
};

template <int count>
struct Sums {
  double v[count] = {};

  MONGE_HOST_DEVICE void add(const Sums& other) {
    for (int k = 0; k < count; ++k) v[k] += other.v[k];
  }
};

// A draw as a race (cpu/sample.cpp): the group of columns in the lead, when it arrived with weights measured from
// `best`, and how much of its weight, measured from `drawn_from`, lies before the column drawn.
template <class T>
struct Race {
  T best = minus_infinity<T>();
  T drawn_from = minus_infinity<T>();
  double time = std::numeric_limits<double>::infinity();
  double left = 0;
  std::int64_t group = -1;

  MONGE_HOST_DEVICE void raise(T score, double epsilon) {
    if (!(score > best)) return;
    time *= exp((static_cast<double>(score) - static_cast<double>(best)) / epsilon);
    best = score;
  }
  MONGE_HOST_DEVICE void run_against(Race other, double epsilon) {
    raise(other.best, epsilon);
    other.raise(best, epsilon);
    if (!(other.time < time)) return;
    time = other.time;
    drawn_from = other.drawn_from;
    left = other.left;
    group = other.group;
  }
};

}  // namespace monge::ot::cuda
