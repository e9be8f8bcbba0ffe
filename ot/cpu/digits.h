#pragma once
#include <cstdint>

#include "monge/ot/core/array.h"
#include "monge/ot/core/prepared.h"

// Inner products of floats by a processor's integer matrix unit, some times as fast as by its float units and no less
// accurate. A row is cut into three signed digits of base 256,
//   x_k = 2^(e - 23) (65536 X0_k + 256 X1_k + X2_k) + error,  |error| <= 2^(e - 24),  2^e <= 2.01 |x|_inf,
// and all products of digits but the smallest are added up, exactly. With u = 2^-24, <x, y> is off by at most
//   u (2.1 sqrt(d) (|x|_inf |y|_2 + |x|_2 |y|_inf) + 0.1 d |x|_inf |y|_inf + 8 |x|_2 |y|_2).
// Sums being exact, a product does not depend on where in a tile its points are. After Ozaki, Ogita, Oishi and Rump,
// Error-free transformations of matrix multiplication by using fast routines of matrix multiplication and its
// applications, Numer. Algorithms 59, 2012.
namespace monge::ot::cpu {

inline constexpr Index most_digit_dims = 32768;  // sums of three products of digits stay below 2^31

// Whether this machine has such a unit (Intel's AMX) and the system lets us use it.
bool has_digit_products();

// Whether products of points of d coordinates are better made of digits.
bool multiplies_digits(Index d);

// The left or the right operand of products: the digits of some rows, in tiles as the unit reads them.
class Digits final : public PreparedPoints {
 public:
  enum class Operand { left, right };
  static constexpr Index block = 16;  // rows that lie together

  Digits() = default;
  // Room for `rows` rows of d values.
  Digits(Operand operand, Index rows, Index d);

  Index rows() const { return rows_; }
  // Reads x into rows first, first + 1, ...; first is a multiple of `block`, and so is x.rows unless it is at the end.
  void read(MatrixView<const float> x, Index first);

 private:
  friend void digit_products(float, const Digits&, Index, Index, const Digits&, Index, Index, float*, Index, bool);
  template <bool past>
  static void multiply(float alpha, const Digits& x, Index first_x, Index rows, const Digits& y, Index first_y,
                       Index cols, float* out, Index stride);

  Operand operand_ = Operand::left;
  Index rows_ = 0, steps_ = 0;  // steps: of 64 values
  Buffer<std::int8_t> tiles_;
  Buffer<float> powers_;  // e - 19 of each row
};

// What is ready, if it is digits; else null.
inline const Digits* digits_of(const PreparedPoints* ready) { return dynamic_cast<const Digits*>(ready); }

// The right operand, read on several threads.
Digits read_digits(MatrixView<const float> y, const Context& context);

// out_ij = alpha <x_i, y_j> for rows of x from first_x and rows of y from first_y, both multiples of Digits::block.
// Rows of out are `stride` apart. past_caches: out is larger than the caches, and not read again soon.
void digit_products(float alpha, const Digits& x, Index first_x, Index rows, const Digits& y, Index first_y, Index cols,
                    float* out, Index stride, bool past_caches = false);

}  // namespace monge::ot::cpu
