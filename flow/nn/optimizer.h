#pragma once
#include <cstdint>
#include <span>

#include "monge/ot/core/array.h"
#include "monge/ot/core/device.h"

namespace monge::flow::nn {

// One step of AdamW (Loshchilov and Hutter, Decoupled weight decay regularization, 2019) and of the moving average of
// the weights, over flat buffers of one size.
struct AdamW {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;    // w -= learning_rate weight_decay w
  double gradient_scale = 1;  // gradients are multiplied by it first (clipping)
  double ema_decay = 0;       // ema = ema_decay ema + (1 - ema_decay) w, after w has moved
  std::uint64_t step = 1;     // 1 for the first, for the bias corrections
};

// w, m, v, ema are updated in place in one pass. Same bits at any thread count.
void adamw_step(const AdamW& options, std::span<const float> gradient, std::span<float> w, std::span<float> m,
                std::span<float> v, std::span<float> ema, const Context& context = {});

// sqrt(sum x^2), summed in double in a fixed order; NaN or infinity comes through. `partial` is scratch with room for
// norm_partials(x.size()) elements.
double norm(std::span<const float> x, std::span<double> partial, const Context& context = {});
Index norm_partials(std::size_t size);

}  // namespace monge::flow::nn
