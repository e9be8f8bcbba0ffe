#include "monge/flow/nn/graph.h"

#include <algorithm>
#include <utility>

#include "monge/ot/core/error.h"

namespace monge::flow::nn {
namespace {

std::string shape(const Node& n) { return concat(n.rows, " x ", n.cols); }

bool broadcasts(const Node& from, Index rows, Index cols) {
  return rows % from.rows == 0 && (from.cols == cols || from.cols == 1);
}

}  // namespace

Tensor Graph::record(Node node) {
  nodes_.push_back(node);
  return {static_cast<int>(nodes_.size()) - 1};
}

Tensor Graph::input(Index rows, Index cols) {
  require(rows > 0 && cols > 0, "Graph::input: empty shape ", rows, " x ", cols);
  return record({.op = Op::input, .rows = rows, .cols = cols});
}

Tensor Graph::constant(Index rows, Index cols, const std::vector<double>& values) {
  require(rows > 0 && cols > 0 && static_cast<Index>(values.size()) == rows * cols, "Graph::constant: ", values.size(),
          " values for the shape ", rows, " x ", cols);
  const Index offset = static_cast<Index>(constants_.size());
  constants_.insert(constants_.end(), values.begin(), values.end());
  return record({.op = Op::constant, .rows = rows, .cols = cols, .offset = offset});
}

Tensor Graph::parameter(std::string name, Index rows, Index cols, Initial initial) {
  require(rows > 0 && cols > 0, "Graph::parameter: ", name, " has the empty shape ", rows, " x ", cols);
  const std::vector<Parameter>& table = frozen_ ? *frozen_ : parameters_;
  const auto known = std::find_if(table.begin(), table.end(), [&](const Parameter& p) { return p.name == name; });
  if (known != table.end()) {
    require(known->rows == rows && known->cols == cols, "Graph::parameter: ", name, " is ", known->rows, " x ",
            known->cols, " already, not ", rows, " x ", cols);
    if (!frozen_) return parameter_tensors_[static_cast<std::size_t>(known - table.begin())];
    const auto first = frozen_values_.begin() + known->offset;
    return constant(rows, cols, std::vector<double>(first, first + known->size()));
  }
  require(!frozen_, "Graph::parameter: ", name, " is not among the frozen ones");
  parameters_.push_back({std::move(name), rows, cols, weight_count_, initial, false});
  parameter_tensors_.push_back(record({.op = Op::parameter,
                                       .rows = rows,
                                       .cols = cols,
                                       .offset = std::exchange(weight_count_, weight_count_ + rows * cols)}));
  return parameter_tensors_.back();
}

void Graph::update(Tensor parameter, Tensor next) {
  const auto found = std::find(parameter_tensors_.begin(), parameter_tensors_.end(), parameter);
  if (found == parameter_tensors_.end()) return;  // frozen
  const std::size_t number = static_cast<std::size_t>(found - parameter_tensors_.begin());
  require(node(next).rows == node(parameter).rows && node(next).cols == node(parameter).cols,
          "Graph::update: ", parameters_[number].name, " has the shape ", shape(node(parameter)), ", what replaces it ",
          shape(node(next)));
  if (std::exchange(parameters_[number].state, true)) return;  // a network recorded twice is updated once
  updates_.push_back({number, next});
}

void Graph::freeze(const std::vector<Parameter>* table, std::span<const float> values) {
  for (std::size_t i = 0; table && i < table->size(); ++i) {
    require(static_cast<std::size_t>((*table)[i].offset + (*table)[i].size()) <= values.size(),
            "Graph::freeze: ", (*table)[i].name, " lies beyond the ", values.size(), " values given");
  }
  frozen_ = table;
  frozen_values_ = values;
}

Tensor Graph::matmul(Tensor a, Tensor b, bool transpose_a, bool transpose_b) {
  const Node &na = node(a), &nb = node(b);
  const Index rows = transpose_a ? na.cols : na.rows, inner = transpose_a ? na.rows : na.cols;
  const Index cols = transpose_b ? nb.rows : nb.cols, inner_b = transpose_b ? nb.cols : nb.rows;
  require(inner == inner_b, "Graph::matmul: inner sizes differ, ", shape(na), transpose_a ? " transposed" : "",
          " times ", shape(nb), transpose_b ? " transposed" : "");
  return record({.op = Op::matmul,
                 .rows = rows,
                 .cols = cols,
                 .operands = {a.id, b.id, -1},
                 .transpose_a = transpose_a,
                 .transpose_b = transpose_b});
}

Tensor Graph::linear(Tensor x, Tensor weight) { return matmul(x, weight, false, true); }

Tensor Graph::linear(Tensor x, Tensor weight, Tensor bias) {
  const Tensor y = linear(x, weight);
  require(node(bias).rows == 1 && node(bias).cols == node(y).cols, "Graph::linear: a bias of shape ", shape(node(bias)),
          " for an output of shape ", shape(node(y)));
  nodes_.back().operands[2] = bias.id;
  return y;
}

Tensor Graph::block_matmul(Blocks a, Blocks b, bool transpose_a, bool transpose_b, Layout result, Index batch,
                           Index heads) {
  require(batch > 0 && heads > 0, "Graph::block_matmul: ", batch, " x ", heads, " blocks");
  const auto block = [&](const Blocks& m) {
    const Node& n = node(m.tensor);
    const Index down = m.layout == Layout::stacked ? batch * heads : batch, across = batch * heads / down;
    require(n.rows % down == 0 && n.cols % across == 0, "Graph::block_matmul: ", shape(n), " does not hold ", batch,
            " x ", heads, " blocks");
    return std::pair{n.rows / down, n.cols / across};
  };
  const auto [rows_a, cols_a] = block(a);
  const auto [rows_b, cols_b] = block(b);
  const Index rows = transpose_a ? cols_a : rows_a, inner = transpose_a ? rows_a : cols_a;
  const Index cols = transpose_b ? rows_b : cols_b, inner_b = transpose_b ? cols_b : rows_b;
  require(inner == inner_b, "Graph::block_matmul: inner sizes differ, ", inner, " and ", inner_b);
  const Index down = result == Layout::stacked ? batch * heads : batch;
  return record({.op = Op::block_matmul,
                 .rows = down * rows,
                 .cols = batch * heads / down * cols,
                 .operands = {a.tensor.id, b.tensor.id, -1},
                 .transpose_a = transpose_a,
                 .transpose_b = transpose_b,
                 .batch = batch,
                 .heads = heads,
                 .layouts = {a.layout, b.layout, result}});
}

Tensor Graph::binary(Op op, const char* name, Tensor a, Tensor b) {
  // Operands broadcast anyway: a broadcast to the shape the other operand has already need not be written out.
  const auto same_shape = [&](Tensor s, Tensor t) {
    return node(s).rows == node(t).rows && node(s).cols == node(t).cols;
  };
  if (same_shape(a, b) && node(a).op != Op::broadcast && node(b).op == Op::broadcast) b = {node(b).operands[0]};
  if (same_shape(a, b) && node(b).op != Op::broadcast && node(a).op == Op::broadcast) a = {node(a).operands[0]};
  const Node &na = node(a), &nb = node(b);
  const Index rows = std::max(na.rows, nb.rows), cols = std::max(na.cols, nb.cols);
  require(broadcasts(na, rows, cols) && broadcasts(nb, rows, cols), "Graph::", name, ": shapes ", shape(na), " and ",
          shape(nb), " do not broadcast");
  return record({.op = op, .rows = rows, .cols = cols, .operands = {a.id, b.id, -1}});
}

Tensor Graph::add(Tensor a, Tensor b) { return binary(Op::add, "add", a, b); }
Tensor Graph::subtract(Tensor a, Tensor b) { return binary(Op::subtract, "subtract", a, b); }
Tensor Graph::multiply(Tensor a, Tensor b) { return binary(Op::multiply, "multiply", a, b); }

Tensor Graph::scale(Tensor a, double factor) {
  const Node n = node(a);
  if (n.op == Op::broadcast) return broadcast(scale({n.operands[0]}, factor), n.rows, n.cols);
  return record({.op = Op::scale, .rows = n.rows, .cols = n.cols, .operands = {a.id, -1, -1}, .factor = factor});
}

Tensor Graph::copy(Tensor a) {
  return record({.op = Op::scale, .rows = node(a).rows, .cols = node(a).cols, .operands = {a.id, -1, -1}});
}

Tensor Graph::stop(Tensor a) {
  return record({.op = Op::stop, .rows = node(a).rows, .cols = node(a).cols, .operands = {a.id, -1, -1}});
}

Tensor Graph::activation(Function function, Tensor x, int order) {
  require(order >= 0 && order <= 2, "Graph::activation: derivatives of order 0 to 2 are known, not ", order);
  return record({.op = Op::activation,
                 .rows = node(x).rows,
                 .cols = node(x).cols,
                 .operands = {x.id, -1, -1},
                 .function = function,
                 .order = order});
}

Tensor Graph::sum(Tensor a, Index rows, Index cols) {
  const Node& n = node(a);
  require(rows > 0 && n.rows % rows == 0 && (cols == n.cols || cols == 1), "Graph::sum: ", shape(n),
          " cannot be summed to ", rows, " x ", cols);
  if (rows == n.rows && cols == n.cols) return a;
  return record({.op = Op::sum, .rows = rows, .cols = cols, .operands = {a.id, -1, -1}});
}

Tensor Graph::broadcast(Tensor a, Index rows, Index cols) {
  const Node& n = node(a);
  require(rows > 0 && broadcasts(n, rows, cols), "Graph::broadcast: ", shape(n), " cannot become ", rows, " x ", cols);
  if (rows == n.rows && cols == n.cols) return a;
  return record({.op = Op::broadcast, .rows = rows, .cols = cols, .operands = {a.id, -1, -1}});
}

Tensor Graph::normalize(Tensor x) {
  return record({.op = Op::normalize, .rows = node(x).rows, .cols = node(x).cols, .operands = {x.id, -1, -1}});
}

Tensor Graph::normalize_jacobian(Tensor x, Tensor v) {
  require(node(x).rows == node(v).rows && node(x).cols == node(v).cols, "Graph::normalize_jacobian: shapes ",
          shape(node(x)), " and ", shape(node(v)), " differ");
  return record(
      {.op = Op::normalize_jacobian, .rows = node(x).rows, .cols = node(x).cols, .operands = {x.id, v.id, -1}});
}

Tensor Graph::inverse_deviation(Tensor x) {
  return record({.op = Op::inverse_deviation, .rows = node(x).rows, .cols = 1, .operands = {x.id, -1, -1}});
}

Tensor Graph::softmax(Tensor x) {
  return record({.op = Op::softmax, .rows = node(x).rows, .cols = node(x).cols, .operands = {x.id, -1, -1}});
}

Tensor Graph::log_sum_exp(Tensor x) {
  return record({.op = Op::log_sum_exp, .rows = node(x).rows, .cols = 1, .operands = {x.id, -1, -1}});
}

Tensor Graph::patches(Tensor images, PatchGrid grid) {
  const Node& n = node(images);
  require(grid.patch > 0 && grid.height % grid.patch == 0 && grid.width % grid.patch == 0,
          "Graph::patches: ", grid.height, " x ", grid.width, " images cannot be cut into patches of ", grid.patch);
  require(n.cols == grid.image_size() && n.cols > 0, "Graph::patches: rows of ", n.cols, " are not images of ",
          grid.image_size());
  return record({.op = Op::patches,
                 .rows = n.rows * grid.patches(),
                 .cols = grid.patch_size(),
                 .operands = {images.id, -1, -1},
                 .grid = grid});
}

Tensor Graph::unpatch(Tensor patches, PatchGrid grid) {
  const Node& n = node(patches);
  require(grid.patches() > 0 && n.rows % grid.patches() == 0 && n.cols == grid.patch_size(),
          "Graph::unpatch: ", shape(n), " does not hold images of ", grid.patches(), " patches of ", grid.patch_size());
  return record({.op = Op::patches,
                 .rows = n.rows / grid.patches(),
                 .cols = grid.image_size(),
                 .operands = {patches.id, -1, -1},
                 .grid = grid,
                 .inverse = true});
}

Tensor Graph::gather_rows(Tensor table, Tensor index) {
  require(node(index).cols == 1, "Graph::gather_rows: the index has the shape ", shape(node(index)));
  return record({.op = Op::gather_rows,
                 .rows = node(index).rows,
                 .cols = node(table).cols,
                 .operands = {table.id, index.id, -1}});
}

Tensor Graph::scatter_rows(Tensor values, Tensor index, Index rows) {
  require(node(index).cols == 1 && node(index).rows == node(values).rows && rows > 0,
          "Graph::scatter_rows: the index has the shape ", shape(node(index)), ", the values ", shape(node(values)));
  return record(
      {.op = Op::scatter_rows, .rows = rows, .cols = node(values).cols, .operands = {values.id, index.id, -1}});
}

Tensor Graph::mean_square(Tensor a) {
  const double count = static_cast<double>(node(a).rows * node(a).cols);
  return scale(sum(multiply(a, a), 1, 1), 1 / count);
}

}  // namespace monge::flow::nn
