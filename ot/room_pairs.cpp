#include "monge/ot/room_pairs.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "monge/ot/assignment_start.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/on_device.h"

namespace monge::ot::detail {
namespace {

constexpr double kUnit = 0x1p-24;  // of float

// Of products of halves on tensor cores, or of sums in any order (docs/cuda.md).
double product_error(Index dims) {
  const double d = static_cast<double>(dims);
  return std::max(d, 480 + d / 32);
}

Context in_full(Context context) {
  context.products = Products::full;  // what bounds the rest counts on it
  return context;
}

}  // namespace

RoomPairs::RoomPairs(const CentredClouds& clouds, const Context& context)
    : CentredPairs(clouds, product_error(clouds.x.cols())),
      context_(in_full(context)),
      passes_(passes_for<float>(context.device)),
      x_there_(rows(), clouds.x.cols(), context.device),
      y_there_(backend_for(context.device).prepare(std::as_const(y_).view(), context)) {
  copy(x_.view(), x_there_.view());
}

Scores<float> RoomPairs::scores(MatrixView<const float> x, VectorView<const float> biases) const {
  return {.x = x, .y = y_.view(), .scale = 2, .v = biases, .y_ready = y_there_.get()};
}

double RoomPairs::list_row(Index i, Index k, const float* values, const std::int32_t* columns, Index count,
                           std::vector<Pair>& pairs) {
  std::vector<ScoredColumn<float>> found(static_cast<std::size_t>(count));
  for (Index p = 0; p < count; ++p) found[p] = {values[p], columns[p]};
  // The bias is taken off again, and what rounding may have taken from the score is added: too large does no harm.
  const auto raw = [&](Index p) {
    const double score = static_cast<double>(values[p]), plain = score - static_cast<double>(bias_[columns[p]]);
    return static_cast<float>(plain + 4 * kUnit * (std::abs(score) + std::abs(plain)));
  };
  set_aside(i, found, raw);
  return list(i, k, found, pairs);
}

Shortlists RoomPairs::shortlists(Index k, const std::vector<double>& v) {
  constexpr Index chunk = 4096, tile = 32, laid_aside = 1024;
  set_biases(v);
  lay_aside(laid_aside);
  const OnDevice<float> biases(bias_, context_.device);
  const Index count = std::max(k, aside());
  Shortlists lists(rows(), k);
  Matrix<float> values(std::min(chunk, rows()), count);
  Matrix<std::int32_t> columns(values.rows(), count);
  for (Index first = 0; first < rows(); first += chunk) {
    const Index height = std::min(chunk, rows() - first);
    passes_.hardmin(scores(std::as_const(x_there_).view().rows_from(first, height), biases),
                    values.view().rows_from(0, height), columns.view().rows_from(0, height), context_);
    parallel_for(threads_worth(context_.threads, height * count), (height + tile - 1) / tile, [&](Index t, int) {
      std::vector<Pair> pairs;
      for (Index i = t * tile; i < std::min(height, (t + 1) * tile); ++i) {
        const double rest = list_row(first + i, k, values.view().row(i), columns.view().row(i), count, pairs);
        lists.set(first + i, pairs.data(), static_cast<Index>(pairs.size()), rest);
      }
    });
  }
  return lists;
}

double RoomPairs::look_again(Index i, Index k, const std::vector<double>& v, std::vector<Pair>& pairs) {
  set_biases(v);
  const Index count = std::max(k, aside());
  Matrix<float> values(1, count);
  Matrix<std::int32_t> columns(1, count);
  passes_.hardmin(scores(std::as_const(x_there_).view().rows_from(i, 1), bias_), values.view(), columns.view(),
                  context_);
  return list_row(i, k, values.data(), columns.data(), count, pairs);
}

std::vector<double> RoomPairs::start() {
  const Index n = rows(), m = cols();
  // Some rows whose scores tell how epsilon may fall.
  Matrix<float> some(std::min<Index>(n, spacing_rows), x_.cols()), sample(some.rows(), m);
  for (Index i = 0; i < some.rows(); ++i)
    std::copy_n(x_.view().row(i * n / some.rows()), x_.cols(), some.view().row(i));
  passes_.store(scores(std::as_const(some).view(), {}), sample.view(), context_);
  const std::vector<double> ones(static_cast<std::size_t>(n), 1.0);
  const OnDevice<double> weights(ones, context_.device);
  Buffer<double> f(n, context_.device);
  const auto pass = [&](const std::vector<float>& w, float epsilon, std::vector<double>& mass) {
    passes_.balance(scores(std::as_const(x_there_).view(), w), epsilon, weights, f.view(), mass, context_);
    return score_spacing(std::as_const(sample).view(), w);
  };
  return start_from([&](double first, std::vector<double>& w) { sinkhorn_start(pass, {.first = first}, w); });
}

}  // namespace monge::ot::detail
