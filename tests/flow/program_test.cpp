#include "monge/flow/nn/program.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "monge/ot/core/error.h"
#include "operations.h"

namespace monge::flow::nn {
namespace {

class Vjp : public testing::TestWithParam<Case> {};

TEST_P(Vjp, MatchesFiniteDifferences) {
  expect_gradient_is_right([&](Graph& g) { return project(g, GetParam().record(g)); });
}

INSTANTIATE_TEST_SUITE_P(Operations, Vjp, testing::ValuesIn(cases()), [](const auto& info) { return info.param.name; });

TEST(Program, GradientOfAGradient) {
  // d/dw of |d/dx sum f(x w)|^2, recorded by running the reverse pass twice.
  expect_gradient_is_right([](Graph& g) {
    const Tensor x = free_parameter(g, 4, 3), w = free_parameter(g, 5, 3);
    const Tensor y = g.sum(g.activation(Function::gelu, g.linear(x, w)), 1, 1);
    return g.mean_square(gradient(g, y, {x})[0]);
  });
}

TEST(Program, GradientsThatShareATensorEachArrive) {
  Graph g;
  const Tensor a = free_parameter(g, 2, 3), b = free_parameter(g, 2, 3);
  free_parameter(g, 1, 2);  // the scalar does not depend on it
  const Tensor loss = g.sum(g.add(a, b), 1, 1);
  Program<double> program(g, {loss}, gradient(g, loss, g.parameter_tensors()));
  const std::vector<double> weights(14, 3.0);
  std::vector<double> result(14, -1);
  program.run(weights, result);
  EXPECT_EQ(result, (std::vector<double>{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0}));
}

template <class T>
class Products : public testing::Test {};
using Reals = testing::Types<float, double>;
TYPED_TEST_SUITE(Products, Reals);

// Products larger than a tile, odd sizes, against plain loops in double; the activation is fused to the tiles.
TYPED_TEST(Products, MatchPlainLoops) {
  using T = TypeParam;
  constexpr Index rows = 261, cols = 519, inner = 70;
  for (const int form : {0, 1, 2, 3}) {
    const bool ta = form & 1, tb = form & 2;
    Graph g;
    const Tensor a = ta ? g.input(inner, rows) : g.input(rows, inner);
    const Tensor b = tb ? g.input(cols, inner) : g.input(inner, cols);
    const Tensor product = g.matmul(a, b, ta, tb), gate = g.activation(Function::silu, product);
    Program<T> program(g, {product, gate}, {});
    EXPECT_EQ(program.steps().size(), 1u) << "the activation belongs to the product";
    const std::vector<double> x = normals(rows * inner, 1), y = normals(cols * inner, 2);
    std::copy(x.begin(), x.end(), program.view(a).data);
    std::copy(y.begin(), y.end(), program.view(b).data);
    program.run({});
    const double tolerance = sizeof(T) == 4 ? 1e-5 : 1e-13;
    for (Index i = 0; i < rows; ++i) {
      for (Index j = 0; j < cols; ++j) {
        double sum = 0;
        for (Index k = 0; k < inner; ++k) {
          sum += x[static_cast<std::size_t>(ta ? k * rows + i : i * inner + k)] *
                 y[static_cast<std::size_t>(tb ? j * inner + k : k * cols + j)];
        }
        ASSERT_NEAR(program.view(product)(i, j), sum, tolerance * 30) << form << ": " << i << ", " << j;
        ASSERT_NEAR(program.view(gate)(i, j), sum / (1 + std::exp(-sum)), tolerance * 30);
      }
    }
  }
}

TYPED_TEST(Products, ActivationsMatchTheirFormulasEverywhere) {
  using T = TypeParam;
  Graph g;
  const Tensor x = g.input(1, 2003);
  const Tensor gelu = g.activation(Function::gelu, x), silu = g.activation(Function::silu, x),
               cosine = g.activation(Function::cosine, x), slope = g.activation(Function::gelu, x, 1),
               selu = g.activation(Function::selu, x), tanh = g.activation(Function::tanh, x);
  Program<T> program(g, {gelu, silu, cosine, slope, selu, tanh}, {});
  for (Index i = 0; i < 2003; ++i) program.view(x)(0, i) = static_cast<T>((static_cast<double>(i) - 1001) * 0.1);
  program.view(x)(0, 0) = static_cast<T>(-1e4);
  program.view(x)(0, 2002) = static_cast<T>(1e4);
  program.run({});
  const double e = sizeof(T) == 4 ? 2e-6 : 1e-14;
  for (Index i = 0; i < 2003; ++i) {
    const double v = program.view(x)(0, i), u = std::sqrt(2 / std::numbers::pi) * (v + 0.044715 * v * v * v);
    ASSERT_NEAR(program.view(gelu)(0, i), 0.5 * v * (1 + std::tanh(u)), e * (1 + std::abs(v))) << v;
    ASSERT_NEAR(program.view(silu)(0, i), v / (1 + std::exp(-v)), e * (1 + std::abs(v))) << v;
    ASSERT_NEAR(program.view(cosine)(0, i), std::cos(v), e * 4) << v;
    const double selu_v = 1.0507009873554805 * (v > 0 ? v : 1.6732632423543772 * std::expm1(v));
    ASSERT_NEAR(program.view(selu)(0, i), selu_v, e * (1 + std::abs(selu_v))) << v;
    ASSERT_NEAR(program.view(tanh)(0, i), std::tanh(v), e) << v;
    if (std::abs(v) > 20) {
      ASSERT_NEAR(program.view(slope)(0, i), v > 0, e) << v;
    }
  }
}

TYPED_TEST(Products, NormalizedRowsHaveMeanZeroAndVarianceOne) {
  using T = TypeParam;
  for (const Index cols : {1, 3, 16, 37, 512}) {
    Graph g;
    const Tensor x = g.input(7, cols), z = g.normalize(x);
    Program<T> program(g, {z}, {});
    const std::vector<double> values = normals(7 * cols, 3);
    for (Index i = 0; i < 7 * cols; ++i)
      program.view(x).data[i] = static_cast<T>(5 + 3 * values[static_cast<std::size_t>(i)]);
    program.run({});
    for (Index i = 0; i < 7; ++i) {
      double mean = 0, variance = 0;
      for (Index j = 0; j < cols; ++j) mean += program.view(z)(i, j) / static_cast<double>(cols);
      for (Index j = 0; j < cols; ++j)
        variance += std::pow(program.view(z)(i, j) - mean, 2) / static_cast<double>(cols);
      EXPECT_NEAR(mean, 0, 1e-5);
      EXPECT_NEAR(variance, cols > 1 ? 1 : 0, cols > 3 ? 1e-4 : 1e-2);
    }
  }
}

TYPED_TEST(Products, BlocksMatchPlainLoops) {
  using T = TypeParam;
  constexpr Index count = 3, heads = 2, rows = 5, inner = 7, cols = 4;
  const auto at = [](Layout layout, Index height, Index width, Index i, Index h, Index r, Index c) {
    return layout == Layout::stacked ? ((i * heads + h) * height + r) * width + c
                                     : (i * height + r) * heads * width + h * width + c;
  };
  const std::vector<double> x = normals(count * heads * rows * inner, 1), y = normals(count * heads * inner * cols, 2);
  for (int form = 0; form < 8; ++form) {
    const auto layout = [form](int bit) { return form >> bit & 1 ? Layout::stacked : Layout::beside; };
    const auto input = [](Graph& g, Layout l, Index r, Index c) {
      return l == Layout::stacked ? g.input(count * heads * r, c) : g.input(count * r, heads * c);
    };
    Graph g;
    const Tensor a = input(g, layout(0), rows, inner), b = input(g, layout(1), cols, inner);  // b is transposed
    const Tensor product = g.block_matmul({a, layout(0)}, {b, layout(1)}, false, true, layout(2), count, heads);
    Program<T> program(g, {product}, {});
    std::copy(x.begin(), x.end(), program.view(a).data);
    std::copy(y.begin(), y.end(), program.view(b).data);
    program.run({});
    for (Index i = 0; i < count; ++i) {
      for (Index h = 0; h < heads; ++h) {
        for (Index r = 0; r < rows; ++r) {
          for (Index c = 0; c < cols; ++c) {
            double sum = 0;
            for (Index k = 0; k < inner; ++k) {
              sum += x[static_cast<std::size_t>(at(layout(0), rows, inner, i, h, r, k))] *
                     y[static_cast<std::size_t>(at(layout(1), cols, inner, i, h, c, k))];
            }
            ASSERT_NEAR(program.view(product).data[at(layout(2), rows, cols, i, h, r, c)], sum,
                        sizeof(T) == 4 ? 1e-5 : 1e-13);
          }
        }
      }
    }
  }
}

TYPED_TEST(Products, SoftmaxMatchesItsFormula) {
  using T = TypeParam;
  for (const Index cols : {1, 3, 16, 49}) {
    Graph g;
    const Tensor x = g.input(7, cols), y = g.softmax(x);
    Program<T> program(g, {y}, {});
    const std::vector<double> values = normals(7 * cols, 3);
    for (Index i = 0; i < 7 * cols; ++i) {
      program.view(x).data[i] = static_cast<T>(1000 + 5 * values[static_cast<std::size_t>(i)]);
    }
    program.run({});
    for (Index i = 0; i < 7; ++i) {
      double sum = 0;
      for (Index j = 0; j < cols; ++j) sum += std::exp(static_cast<double>(program.view(x)(i, j)) - 1000);
      for (Index j = 0; j < cols; ++j) {
        const double expected = std::exp(static_cast<double>(program.view(x)(i, j)) - 1000) / sum;
        ASSERT_NEAR(program.view(y)(i, j), expected, (sizeof(T) == 4 ? 1e-6 : 1e-13) * expected);
      }
    }
  }
}

TEST(Program, PatchesAreSquaresOfTheImage) {
  const PatchGrid grid{.height = 4, .width = 6, .channels = 2, .patch = 2};
  Graph g;
  const Tensor images = g.input(3, grid.image_size()), patches = g.patches(images, grid),
               back = g.unpatch(patches, grid);
  Program<double> program(g, {patches, back}, {});
  const std::vector<double> values = normals(3 * grid.image_size(), 1);
  std::copy(values.begin(), values.end(), program.view(images).data);
  program.run({});
  // Image i, row y, column x, channel c: patch (y / 2, x / 2), inside of it (y % 2, x % 2, c).
  for (Index i = 0; i < 3; ++i) {
    for (Index y = 0; y < 4; ++y) {
      for (Index x = 0; x < 6; ++x) {
        for (Index c = 0; c < 2; ++c) {
          EXPECT_EQ(program.view(patches)(i * 6 + y / 2 * 3 + x / 2, (y % 2 * 2 + x % 2) * 2 + c),
                    program.view(images)(i, (y * 6 + x) * 2 + c));
        }
      }
    }
  }
  EXPECT_TRUE(std::equal(values.begin(), values.end(), program.view(back).data));
}

TEST(Program, RowsOutsideOfATableAreRefused) {
  Graph g;
  const Tensor table = g.input(3, 2), index = g.input(2, 1), rows = g.gather_rows(table, index);
  Program<float> program(g, {rows}, {});
  program.view(index)(1, 0) = 3;
  EXPECT_THROW(program.run({}), Error);
  program.view(index)(1, 0) = -1;
  EXPECT_THROW(program.run({}), Error);
}

TEST(Program, ReusesMemoryAndDropsWhatIsNotNeeded) {
  Graph g;
  Tensor h = g.input(64, 64);
  g.scale(h, 5);  // nobody reads it
  for (int k = 0; k < 50; ++k) h = g.activation(Function::silu, h);
  Program<float> program(g, {h}, {});
  EXPECT_EQ(program.steps().size(), 50u);
  EXPECT_LE(program.workspace_size(), 3 * 64 * 64);
}

TEST(Program, RefusesShapesThatDoNotFit) {
  Graph g;
  const Tensor a = g.input(2, 3), b = g.input(4, 5);
  EXPECT_THROW(g.matmul(a, b), Error);
  EXPECT_THROW(g.add(a, b), Error);
  EXPECT_THROW(g.sum(a, 2, 2), Error);
  EXPECT_THROW(g.broadcast(a, 5, 3), Error);
  EXPECT_THROW(g.input(0, 3), Error);
  EXPECT_THROW(gradient(g, a, {b}), Error);
  const Tensor w = free_parameter(g, 2, 3);
  EXPECT_THROW(g.parameter("p0", 1, 1, {}), Error);
  Program<float> program(g, {g.add(a, w)}, {});
  EXPECT_THROW(program.run(std::vector<float>(5)), Error);
  EXPECT_THROW(Program<float>(g, {a}, {}, {.device = {DeviceType::cuda, 0}}), Error);
}

}  // namespace
}  // namespace monge::flow::nn
