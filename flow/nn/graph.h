#pragma once
#include <cstdint>
#include <span>
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
  block_matmul,        // op(a) op(b) block by block
  add,                 // a + b; the operands of add, subtract and multiply broadcast
  subtract,            // a - b
  multiply,            // a b, elementwise
  scale,               // factor a
  stop,                // a, taken as a constant by derivatives
  activation,          // f(a), or a derivative of f
  sum,                 // over rows, groups of rows, columns
  broadcast,           // along rows, groups of rows, columns
  normalize,           // rows to mean 0 and variance 1
  normalize_jacobian,  // (a, b): the Jacobian of normalize at a times b; it is symmetric, so it serves both directions
  inverse_deviation,   // rows to what normalize divides them by, inverted
  softmax,             // rows to exp(a) / sum exp(a)
  log_sum_exp,         // rows to log sum exp(a)
  patches,             // images to rows of patches, or back
  gather_rows,         // (a, b): row i is row b_i of a
  scatter_rows,        // (a, b): row i of a is added to row b_i
};

// tanh-GELU, x sigmoid(x), SELU (Klambauer et al., Self-normalizing neural networks, 2017), tanh x, cos x, exp x, log
// x.
enum class Function : std::uint8_t { gelu, silu, selu, tanh, cosine, exponential, logarithm };

inline constexpr double normalize_epsilon = 1e-5;  // added to the variance of a row

// A value of a graph: a handle, nothing more.
struct Tensor {
  int id = -1;
  friend bool operator==(const Tensor&, const Tensor&) = default;
};

// How a tensor holds batch x heads blocks of r x c.
enum class Layout : std::uint8_t {
  beside,   // batch r rows, heads c columns: the heads of a row lie beside each other
  stacked,  // batch heads r rows, c columns
};

// Images of height x width x channels, channels last, and the square patches they are cut into, row by row.
struct PatchGrid {
  Index height = 0, width = 0, channels = 1, patch = 1;
  Index patches() const { return height / patch * (width / patch); }  // of one image
  Index patch_size() const { return patch * patch * channels; }       // elements
  Index image_size() const { return height * width * channels; }
};

// One recorded operation and the shape of its result.
struct Node {
  Op op = Op::input;
  Index rows = 0, cols = 0;
  int operands[3] = {-1, -1, -1};
  bool transpose_a = false, transpose_b = false;  // matmul, block_matmul
  double factor = 1;                              // scale
  Function function = Function::gelu;             // activation
  int order = 0;                                  // activation: which derivative
  Index offset = 0;                               // parameter: first element in the weights; constant: in `constants`
  Index batch = 0, heads = 0;                     // block_matmul
  Layout layouts[3] = {};                         // block_matmul: of a, b and the result
  PatchGrid grid = {};                            // patches
  bool inverse = false;                           // patches: from patches to images
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
  bool state = false;  // not trained: each step leaves what the graph's update of it says
  Index size() const { return rows * cols; }
};

// Records operations on two-dimensional row-major tensors. Recording computes nothing and checks every shape; Program
// plans the memory and runs it. A vector (a bias, a column of times) is a tensor with one row or one column.
class Graph {
 public:
  Tensor input(Index rows, Index cols);
  Tensor constant(Index rows, Index cols, const std::vector<double>& values);
  // The next rows * cols elements of the flat weights, or, where the name is known, the parameter of that name, whose
  // shape it must have: a network recorded twice is the same network.
  Tensor parameter(std::string name, Index rows, Index cols, Initial initial);
  // While `table` is set, parameter() gives constants: those of `table`, with `values` laid out by it. Null: as before.
  void freeze(const std::vector<Parameter>* table, std::span<const float> values = {});

  Tensor matmul(Tensor a, Tensor b, bool transpose_a = false, bool transpose_b = false);
  Tensor linear(Tensor x, Tensor weight);               // x W', x n x k, W m x k
  Tensor linear(Tensor x, Tensor weight, Tensor bias);  // x W' + b, b 1 x m
  struct Blocks {
    Tensor tensor;
    Layout layout;
  };
  // One product for each of batch x heads blocks, of a's with b's.
  Tensor block_matmul(Blocks a, Blocks b, bool transpose_a, bool transpose_b, Layout result, Index batch, Index heads);
  // Operands broadcast: each is of the result's shape, or has one column, or fewer rows, by a whole factor, so that
  // each stands for a group of neighbours (one row for all of them).
  Tensor add(Tensor a, Tensor b);
  Tensor subtract(Tensor a, Tensor b);
  Tensor multiply(Tensor a, Tensor b);
  Tensor scale(Tensor a, double factor);
  Tensor copy(Tensor a);
  Tensor stop(Tensor a);
  Tensor activation(Function function, Tensor x, int order = 0);  // the order-th derivative of f, order <= 2
  Tensor sum(Tensor a, Index rows, Index cols);  // cols: a's own, or 1; rows: a divisor of a's, sums of neighbours
  Tensor broadcast(Tensor a, Index rows, Index cols);  // the other way round
  Tensor normalize(Tensor x);
  Tensor normalize_jacobian(Tensor x, Tensor v);
  Tensor inverse_deviation(Tensor x);  // rows x 1
  Tensor softmax(Tensor x);
  Tensor log_sum_exp(Tensor x);                   // rows x 1
  Tensor patches(Tensor images, PatchGrid grid);  // batch x image_size to batch patches x patch_size
  Tensor unpatch(Tensor patches, PatchGrid grid);
  // index: rows x 1, whole numbers in [0, rows of the table); no derivative is taken in it.
  Tensor gather_rows(Tensor table, Tensor index);
  Tensor scatter_rows(Tensor values, Tensor index, Index rows);
  Tensor mean_square(Tensor a);  // 1 x 1

  // After each training step the parameter takes the value of `next`, which has its shape.
  void update(Tensor parameter, Tensor next);
  struct Update {
    std::size_t parameter;  // its number
    Tensor next;
  };
  const std::vector<Update>& updates() const { return updates_; }

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
  std::vector<Update> updates_;
  std::vector<double> constants_;
  Index weight_count_ = 0;
  const std::vector<Parameter>* frozen_ = nullptr;
  std::span<const float> frozen_values_;
};

// Records the derivatives of `scalar` (1 x 1) with respect to each of `variables` into the same graph (reverse mode:
// one vector-Jacobian rule per operation). A variable that `scalar` does not depend on gets a constant zero.
std::vector<Tensor> gradient(Graph& graph, Tensor scalar, const std::vector<Tensor>& variables);

// Records the derivatives of `outputs` along `tangents`, one of each variable's shape, into the same graph (forward
// mode: one Jacobian-vector rule per operation), so that gradients pass through them. One per output, of its shape; an
// output that no variable reaches gets a constant zero.
std::vector<Tensor> jvp(Graph& graph, const std::vector<Tensor>& outputs, const std::vector<Tensor>& variables,
                        const std::vector<Tensor>& tangents);

}  // namespace monge::flow::nn
