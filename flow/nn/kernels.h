#pragma once
#include "monge/flow/nn/graph.h"

namespace monge::flow::nn {

// What a program asks of a device: one verb per operation. Matrices are contiguous; shapes are the caller's business.
// Every verb gives the same bits at any thread count.
template <class T>
class Kernels {
 public:
  virtual ~Kernels() = default;

  struct Matmul {
    MatrixView<const T> a, b;
    bool transpose_a = false, transpose_b = false;
    MatrixView<const T> bias;  // 1 x cols, or empty
    Function function = Function::gelu;
    int order = 0;
    MatrixView<T> activated;  // where f(out) goes, or empty
  };
  virtual void matmul(const Matmul& m, MatrixView<T> out, const Context& context) = 0;

  struct BlockMatmul {
    MatrixView<const T> a, b;
    bool transpose_a = false, transpose_b = false;
    Index batch = 0, heads = 0;
    Layout layouts[3] = {};  // of a, b, out
  };
  virtual void block_matmul(const BlockMatmul& m, MatrixView<T> out, const Context& context) = 0;

  // `op`: add, subtract or multiply; operands of out's shape, or with one column, or fewer rows by a whole factor.
  virtual void binary(Op op, MatrixView<const T> a, MatrixView<const T> b, MatrixView<T> out,
                      const Context& context) = 0;
  virtual void scale(MatrixView<const T> a, T factor, MatrixView<T> out, const Context& context) = 0;
  // out = f(x), or f(x) factor where `factor` is not empty (of x's shape).
  virtual void activation(Function function, int order, MatrixView<const T> x, MatrixView<const T> factor,
                          MatrixView<T> out, const Context& context) = 0;
  virtual void sum(MatrixView<const T> a, MatrixView<T> out, const Context& context) = 0;
  virtual void broadcast(MatrixView<const T> a, MatrixView<T> out, const Context& context) = 0;
  virtual void normalize(MatrixView<const T> x, MatrixView<T> out, const Context& context) = 0;
  virtual void normalize_jacobian(MatrixView<const T> x, MatrixView<const T> v, MatrixView<T> out,
                                  const Context& context) = 0;
  virtual void inverse_deviation(MatrixView<const T> x, MatrixView<T> out, const Context& context) = 0;
  virtual void softmax(MatrixView<const T> x, MatrixView<T> out, const Context& context) = 0;
  virtual void log_sum_exp(MatrixView<const T> x, MatrixView<T> out, const Context& context) = 0;
  // Images to patches, or patches to images where `inverse`.
  virtual void patches(const PatchGrid& grid, bool inverse, MatrixView<const T> a, MatrixView<T> out,
                       const Context& context) = 0;
  // Throw Error(invalid_argument) for an index outside of the table.
  virtual void gather_rows(MatrixView<const T> table, MatrixView<const T> index, MatrixView<T> out,
                           const Context& context) = 0;
  virtual void scatter_rows(MatrixView<const T> values, MatrixView<const T> index, MatrixView<T> out,
                            const Context& context) = 0;
};

// The kernels of a device; throws Error(backend_unavailable) when there are none.
template <class T>
Kernels<T>& kernels_for(Device device);

}  // namespace monge::flow::nn
