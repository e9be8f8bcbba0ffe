// For processors and compilers without an integer matrix unit: nobody calls more than the first of these.
#include "monge/ot/cpu/digits.h"

namespace monge::ot::cpu {

bool has_digit_products() { return false; }
Digits::Digits(Operand, Index, Index) {}
void Digits::read(MatrixView<const float>, Index) {}
void digit_products(float, const Digits&, Index, Index, const Digits&, Index, Index, float*, Index, bool) {}

}  // namespace monge::ot::cpu
