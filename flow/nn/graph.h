#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/core/device.h"

namespace monge::flow::nn {

enum class Op : std::uint8_t {
  input,               // a leaf the caller fills before each run
  constant,            // a leaf filled once
  parameter,           // a leaf in the flat weights
  matmul,              // op(a) op(b) [+ row]
  add,                 // a + b; the operands of add, subtract and multiply broadcast
  subtract,            // a - b
  multiply,            // a b, elementwise
  scale,               // factor a
  activation,          // f(a), or a derivative of f
  sum,                 // over rows, columns or both
  broadcast,           // along rows, columns or both
  normalize,           // rows to mean 0 and variance 1
  normalize_jacobian,  // (a, b): the Jacobian of normalize at a times b; it is symmetric, so it serves both directions
};

// tanh-GELU, x sigmoid(x), cos x.
enum class Function : std::uint8_t { gelu, silu, cosine };

inline constexpr double normalize_epsilon = 1e-5;  // added to the variance of a row

// A value of a graph: a handle, nothing more.
struct Tensor {
  int id = -1;
  friend bool operator==(const Tensor&, const Tensor&) = default;
};

// One recorded operation and the shape of its result.
struct Node {
  Op op = Op::input;
  Index rows = 0, cols = 0;
  int operands[3] = {-1, -1, -1};
  bool transpose_a = false, transpose_b = false;  // matmul
  double factor = 1;                              // scale
  Function function = Function::gelu;             // activation
  int order = 0;                                  // activation: which derivative
  Index offset = 0;                               // parameter: first element in the weights; constant: in `constants`
};

// What a parameter starts as.
struct Initial {
  enum class Law : std::uint8_t { constant, normal } law = Law::constant;
  double value = 0;  // the constant, or the standard deviation
};

// A named tensor inside a flat buffer.
struct Parameter {
  std::string name;
  Index rows = 0, cols = 0;
  Index offset = 0;  // elements from the start
  Initial initial;
  Index size() const { return rows * cols; }
};

// Records operations on two-dimensional row-major tensors. Recording computes nothing and checks every shape; Program
// plans the memory and runs it. A vector (a bias, a column of times) is a tensor with one row or one column.
class Graph {
 public:
  Tensor input(Index rows, Index cols);
  Tensor constant(Index rows, Index cols, const std::vector<double>& values);
  // The next rows * cols elements of the flat weights.
  Tensor parameter(std::string name, Index rows, Index cols, Initial initial);

  Tensor matmul(Tensor a, Tensor b, bool transpose_a = false, bool transpose_b = false);
  Tensor linear(Tensor x, Tensor weight);               // x W', x n x k, W m x k
  Tensor linear(Tensor x, Tensor weight, Tensor bias);  // x W' + b, b 1 x m
  // Operands broadcast: each is of the result's shape, or has one row, one column, or one element.
  Tensor add(Tensor a, Tensor b);
  Tensor subtract(Tensor a, Tensor b);
  Tensor multiply(Tensor a, Tensor b);
  Tensor scale(Tensor a, double factor);
  Tensor copy(Tensor a);
  Tensor activation(Function function, Tensor x, int order = 0);  // the order-th derivative of f, order <= 2
  Tensor sum(Tensor a, Index rows, Index cols);                   // rows and cols: a's own, or 1
  Tensor broadcast(Tensor a, Index rows, Index cols);             // to rows x cols from one row, column or element
  Tensor normalize(Tensor x);
  Tensor normalize_jacobian(Tensor x, Tensor v);
  Tensor mean_square(Tensor a);  // 1 x 1

  const Node& node(Tensor t) const { return nodes_[static_cast<std::size_t>(t.id)]; }
  const std::vector<Node>& nodes() const { return nodes_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  const std::vector<Tensor>& parameter_tensors() const { return parameter_tensors_; }
  const std::vector<double>& constants() const { return constants_; }
  Index weight_count() const { return weight_count_; }

 private:
  Tensor record(Node node);
  Tensor binary(Op op, const char* name, Tensor a, Tensor b);

  std::vector<Node> nodes_;  // in the order of recording, which is an order of evaluation
  std::vector<Parameter> parameters_;
  std::vector<Tensor> parameter_tensors_;
  std::vector<double> constants_;
  Index weight_count_ = 0;
};

// Records the derivatives of `scalar` (1 x 1) with respect to each of `variables` into the same graph (reverse mode:
// one vector-Jacobian rule per operation). A variable that `scalar` does not depend on gets a constant zero.
std::vector<Tensor> gradient(Graph& graph, Tensor scalar, const std::vector<Tensor>& variables);

}  // namespace monge::flow::nn
