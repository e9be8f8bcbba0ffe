#include "monge/flow/nn/kernels.h"

#include <algorithm>
#include <cmath>

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

// An operand that broadcasts: one row for a group of neighbours, and one element where it has one column.
template <class T>
struct Operand {
  Operand(MatrixView<const T> m, MatrixView<T> out)
      : data(m.data), stride(m.stride), group(out.rows / m.rows), single(m.cols == 1 && out.cols > 1) {}
  const T* row(Index i) const { return data + (group == 1 ? i : i / group) * stride; }

  const T* data;
  Index stride, group;
  bool single;
};

// In double and without lanes: rows of logits are short.
template <class T>
T log_sum_exp_row(const T* x, Index n) {
  const double largest = *std::max_element(x, x + n);
  double sum = 0;
  for (Index j = 0; j < n; ++j) sum += std::exp(static_cast<double>(x[j]) - largest);
  return static_cast<T>(largest + std::log(sum));
}

template <class T>
class CpuKernels final : public Kernels<T> {
 public:
  using typename Kernels<T>::Matmul;
  using typename Kernels<T>::BlockMatmul;

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

  void block_matmul(const BlockMatmul& m, MatrixView<T> out, const Context& context) override {
    // Block (i, h) of a matrix, as a view with the whole matrix's stride.
    const auto block = [&m](auto view, Layout layout, Index i, Index h) {
      const bool stacked = layout == Layout::stacked;
      const Index rows = view.rows / (stacked ? m.batch * m.heads : m.batch),
                  cols = stacked ? view.cols : view.cols / m.heads;
      view.data += (stacked ? i * m.heads + h : i) * rows * view.stride + (stacked ? 0 : h * cols);
      view.rows = rows;
      view.cols = cols;
      return view;
    };
    parallel_for(context.threads, m.batch * m.heads, [&](Index task, int) {
      const Index i = task / m.heads, h = task % m.heads;
      const MatrixView<const T> a = block(m.a, m.layouts[0], i, h), b = block(m.b, m.layouts[1], i, h);
      const Index inner = m.transpose_a ? a.rows : a.cols;
      cpu::gemm(m.transpose_a, m.transpose_b, inner, a, b, false, block(out, m.layouts[2], i, h));
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
    const Index group = a.rows / out.rows;  // rows summed to one
    if (out.cols == 1) {
      over_rows(context, out.rows, a.cols * group, [&](Index first, Index rows) {
        for (Index i = first; i < first + rows; ++i) {
          double total = 0;
          for (Index k = i * group; k < (i + 1) * group; ++k) total += cpu::sum_row(a.row(k), a.cols);
          out(i, 0) = static_cast<T>(total);
        }
      });
      return;
    }
    const Index strips = ceil_div(a.cols, strip_columns);
    parallel_for(context.threads, out.rows * strips, [&](Index task, int) {
      const Index i = task / strips, j = task % strips * strip_columns, cols = std::min(strip_columns, a.cols - j);
      T* total = out.row(i) + j;
      std::copy_n(a.row(i * group) + j, cols, total);
      for (Index k = i * group + 1; k < (i + 1) * group; ++k) {
        cpu::binary_row(Op::add, total, false, a.row(k) + j, false, total, cols);
      }
    });
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

  void inverse_deviation(MatrixView<const T> x, MatrixView<T> out, const Context& context) override {
    over_rows(context, x.rows, x.cols, [&](Index first, Index rows) {
      for (Index i = first; i < first + rows; ++i) out(i, 0) = cpu::inverse_deviation_row(x.row(i), x.cols);
    });
  }

  void softmax(MatrixView<const T> x, MatrixView<T> out, const Context& context) override {
    over_rows(context, x.rows, x.cols, [&](Index first, Index rows) {
      for (Index i = first; i < first + rows; ++i) cpu::softmax_row(x.row(i), out.row(i), x.cols);
    });
  }

  void log_sum_exp(MatrixView<const T> x, MatrixView<T> out, const Context& context) override {
    over_rows(context, x.rows, x.cols, [&](Index first, Index rows) {
      for (Index i = first; i < first + rows; ++i) out(i, 0) = log_sum_exp_row(x.row(i), x.cols);
    });
  }

  void patches(const PatchGrid& grid, bool inverse, MatrixView<const T> a, MatrixView<T> out,
               const Context& context) override {
    const Index images = inverse ? out.rows : a.rows;
    const Index across = grid.width / grid.patch, line = grid.patch * grid.channels;  // contiguous in both
    over_rows(context, images, grid.image_size(), [&](Index first, Index count) {
      for (Index i = first; i < first + count; ++i) {
        for (Index y = 0; y < grid.height; ++y) {
          for (Index p = 0; p < across; ++p) {
            const Index row = i * grid.patches() + y / grid.patch * across + p, col = y % grid.patch * line;
            const Index pixel = (y * across + p) * line;
            if (inverse) {
              std::copy_n(a.row(row) + col, line, out.row(i) + pixel);
            } else {
              std::copy_n(a.row(i) + pixel, line, out.row(row) + col);
            }
          }
        }
      }
    });
  }

  void gather_rows(MatrixView<const T> table, MatrixView<const T> index, MatrixView<T> out,
                   const Context& context) override {
    check_index(index, table.rows);
    over_rows(context, out.rows, out.cols, [&](Index first, Index rows) {
      for (Index i = first; i < first + rows; ++i) {
        std::copy_n(table.row(static_cast<Index>(index(i, 0))), out.cols, out.row(i));
      }
    });
  }

  void scatter_rows(MatrixView<const T> values, MatrixView<const T> index, MatrixView<T> out,
                    const Context& context) override {
    check_index(index, out.rows);
    parallel_for(context.threads, ceil_div(out.cols, strip_columns), [&](Index strip, int) {
      const Index j = strip * strip_columns, cols = std::min(strip_columns, out.cols - j);
      for (Index i = 0; i < out.rows; ++i) std::fill_n(out.row(i) + j, cols, T(0));
      for (Index i = 0; i < values.rows; ++i) {
        T* total = out.row(static_cast<Index>(index(i, 0))) + j;
        cpu::binary_row(Op::add, total, false, values.row(i) + j, false, total, cols);
      }
    });
  }

 private:
  static void check_index(MatrixView<const T> index, Index rows) {
    for (Index i = 0; i < index.rows; ++i) {
      require(index(i, 0) >= 0 && index(i, 0) < static_cast<T>(rows), "Program: row ", i, " asks for row ", index(i, 0),
              " of ", rows);
    }
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
