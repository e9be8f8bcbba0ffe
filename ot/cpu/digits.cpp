#include "monge/ot/cpu/digits.h"

#include <algorithm>

#include "monge/ot/core/parallel.h"
#include "monge/ot/cpu/tile_kernels.h"

namespace monge::ot::cpu {

bool multiplies_digits(Index d) { return d > direct_dims && d <= most_digit_dims && has_digit_products(); }

Digits read_digits(MatrixView<const float> y, const Context& context) {
  constexpr Index share = 16 * Digits::block;
  Digits digits(Digits::Operand::right, y.rows, y.cols);
  parallel_for(threads_worth(context.threads, y.rows * y.cols), (y.rows + share - 1) / share, [&](Index k, int) {
    digits.read(y.rows_from(k * share, std::min(share, y.rows - k * share)), k * share);
  });
  return digits;
}

}  // namespace monge::ot::cpu
