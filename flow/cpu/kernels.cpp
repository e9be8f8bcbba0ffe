#include "monge/flow/nn/kernels.h"

#include <algorithm>

#include "monge/flow/cpu/gemm.h"
#include "monge/flow/cpu/rows.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"

namespace monge::flow::nn {
namespace {

constexpr Index grain = 8192;        // elements a task of an elementwise pass takes, about
constexpr Index strip_columns = 64;  // of a sum over rows

Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }

// Runs body(first row, rows) over blocks of rows of about `grain` elements.
template <class Body>
void over_rows(const Context& context, Index rows, Index cols, const Body& body) {
  const Index block = std::max<Index>(1, grain / std::max<Index>(1, cols));
  parallel_for(context.threads, ceil_div(rows, block),
               [&](Index b, int) { body(b * block, std::min(block, rows - b * block)); });
}

// An operand that broadcasts: steps of 0 where it has one row, and one element where it has one column.
template <class T>
struct Operand {
  Operand(MatrixView<const T> m, MatrixView<T> out)
      : data(m.data), row_step(m.rows == 1 && out.rows > 1 ? 0 : m.stride), single(m.cols == 1 && out.cols > 1) {}
  const T* row(Index i) const { return data + i * row_step; }

  const T* data;
  Index row_step;
  bool single;
};

template <class T>
class CpuKernels final : public Kernels<T> {
 public:
  using typename Kernels<T>::Matmul;

  void matmul(const Matmul& m, MatrixView<T> out, const Context& context) override {
    const Index inner = m.transpose_a ? m.a.rows : m.a.cols;
    const Index across = ceil_div(out.cols, cpu::tile_cols);
    parallel_for(context.threads, ceil_div(out.rows, cpu::tile_rows) * across, [&](Index tile, int) {
      const Index i = tile / across * cpu::tile_rows, j = tile % across * cpu::tile_cols;
      const Index rows = std::min(cpu::tile_rows, out.rows - i), cols = std::min(cpu::tile_cols, out.cols - j);
      const MatrixView<T> c(out.row(i) + j, rows, cols, out.stride);
      for (Index r = 0; r < rows && m.bias.data; ++r) std::copy_n(m.bias.data + j, cols, c.row(r));
      MatrixView<const T> a = m.a, b = m.b;
      a.data += m.transpose_a ? i : i * a.stride;
      b.data += m.transpose_b ? j * b.stride : j;
      cpu::gemm(m.transpose_a, m.transpose_b, inner, a, b, m.bias.data != nullptr, c);
      for (Index r = 0; r < rows && m.activated.data; ++r) {
        cpu::activation_row<T>(m.function, m.order, c.row(r), nullptr, m.activated.row(i + r) + j, cols);
      }
    });
  }

  void binary(Op op, MatrixView<const T> a, MatrixView<const T> b, MatrixView<T> out, const Context& context) override {
    const Operand<T> left(a, out), right(b, out);
    const bool flat = a.rows == out.rows && b.rows == out.rows && a.cols == out.cols && b.cols == out.cols;
    over_rows(context, out.rows, out.cols, [&](Index first, Index rows) {
      if (flat) {
        cpu::binary_row(op, a.row(first), false, b.row(first), false, out.row(first), rows * out.cols);
        return;
      }
      for (Index i = first; i < first + rows; ++i) {
        cpu::binary_row(op, left.row(i), left.single, right.row(i), right.single, out.row(i), out.cols);
      }
    });
  }

  void scale(MatrixView<const T> a, T factor, MatrixView<T> out, const Context& context) override {
    over_rows(context, out.rows, out.cols,
              [&](Index first, Index rows) { cpu::scale_row(a.row(first), factor, out.row(first), rows * out.cols); });
  }

  void activation(Function function, int order, MatrixView<const T> x, MatrixView<const T> factor, MatrixView<T> out,
                  const Context& context) override {
    over_rows(context, out.rows, out.cols, [&](Index first, Index rows) {
      const T* times = factor.data ? factor.row(first) : nullptr;
      cpu::activation_row(function, order, x.row(first), times, out.row(first), rows * out.cols);
    });
  }

  void sum(MatrixView<const T> a, MatrixView<T> out, const Context& context) override {
    if (out.cols == 1 && out.rows == 1) {
      double total = 0;
      for (Index i = 0; i < a.rows; ++i) total += cpu::sum_row(a.row(i), a.cols);
      out(0, 0) = static_cast<T>(total);
    } else if (out.cols == 1) {
      over_rows(context, a.rows, a.cols, [&](Index first, Index rows) {
        for (Index i = first; i < first + rows; ++i) out(i, 0) = static_cast<T>(cpu::sum_row(a.row(i), a.cols));
      });
    } else {
      parallel_for(context.threads, ceil_div(a.cols, strip_columns), [&](Index strip, int) {
        const Index j = strip * strip_columns, cols = std::min(strip_columns, a.cols - j);
        T* total = out.data + j;
        std::copy_n(a.data + j, cols, total);
        for (Index i = 1; i < a.rows; ++i) cpu::binary_row(Op::add, total, false, a.row(i) + j, false, total, cols);
      });
    }
  }

  void broadcast(MatrixView<const T> a, MatrixView<T> out, const Context& context) override {
    const Operand<T> from(a, out);
    over_rows(context, out.rows, out.cols, [&](Index first, Index rows) {
      for (Index i = first; i < first + rows; ++i) {
        if (from.single)
          std::fill_n(out.row(i), out.cols, *from.row(i));
        else
          std::copy_n(from.row(i), out.cols, out.row(i));
      }
    });
  }

  void normalize(MatrixView<const T> x, MatrixView<T> out, const Context& context) override {
    over_rows(context, x.rows, x.cols, [&](Index first, Index rows) {
      for (Index i = first; i < first + rows; ++i) cpu::normalize_row(x.row(i), out.row(i), x.cols);
    });
  }

  void normalize_jacobian(MatrixView<const T> x, MatrixView<const T> v, MatrixView<T> out,
                          const Context& context) override {
    over_rows(context, x.rows, x.cols, [&](Index first, Index rows) {
      for (Index i = first; i < first + rows; ++i) cpu::normalize_jacobian_row(x.row(i), v.row(i), out.row(i), x.cols);
    });
  }
};

}  // namespace

template <class T>
Kernels<T>& kernels_for(Device device) {
  if (device.type != DeviceType::cpu) {
    throw Error(Errc::backend_unavailable, "kernels_for: networks run on the CPU only in this build");
  }
  static CpuKernels<T> kernels;
  return kernels;
}

template Kernels<float>& kernels_for<float>(Device);
template Kernels<double>& kernels_for<double>(Device);

}  // namespace monge::flow::nn
