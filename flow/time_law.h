#pragma once
#include <cstdint>
#include <functional>
#include <span>

namespace monge::flow {

// The law that training times are drawn from, by its quantile function, so that times can be stratified.
struct TimeLaw {
  enum class Kind : std::uint8_t {
    uniform,       // on [0, 1)
    logit_normal,  // log(t / (1 - t)) ~ N(mean, deviation^2) (Esser et al., Scaling rectified flow transformers, 2024)
  };
  Kind kind = Kind::uniform;
  double mean = 0;                                   // logit_normal
  double deviation = 1;                              // logit_normal
  std::function<double(double)> quantile = nullptr;  // a law of one's own instead: u in [0, 1) to a time in [0, 1]
};

void check(const TimeLaw& law);  // throws Error(invalid_argument)

double time_at(const TimeLaw& law, double u);  // u in [0, 1): the law's u-quantile

// Times of step `step`: one in each of times.size() equally likely parts of the law, in order, which leaves a loss
// unbiased with less variance than independent times. A function of (seed, stream, step).
void draw_times(const TimeLaw& law, std::uint64_t seed, std::uint64_t stream, std::uint64_t step,
                std::span<double> times);

}  // namespace monge::flow
