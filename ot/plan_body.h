#pragma once  // private: never installed
#include <memory>

#include "monge/ot/plan.h"

namespace monge::ot::detail {

// What a plan needs of the type it is computed in.
class PlanBody {
 public:
  virtual ~PlanBody() = default;
  virtual Index dims() const = 0;
  virtual std::vector<double> col_masses(const std::vector<double>& row_weights) const = 0;  // of row_weights P / P 1
  virtual std::vector<double> row_entropies() const = 0;  // of each row, scaled to sum to one
  // P, or its transpose, times values; types other than the body's own are converted.
  virtual void apply(bool transposed, MatrixView<const float> values, MatrixView<float> out) const = 0;
  virtual void apply(bool transposed, MatrixView<const double> values, MatrixView<double> out) const = 0;
  virtual void map(MatrixView<float> out) const = 0;
  virtual void map(MatrixView<double> out) const = 0;
  virtual void argmax(VectorView<std::int32_t> columns) const = 0;
  // Partners of the rows `of`, the k-th drawing from block first + k; empty `of`: all rows.
  virtual void partners(const std::vector<std::int32_t>& of, const Rng& rng, std::uint64_t first,
                        VectorView<std::int32_t> columns) const = 0;
  // log P_ij for count rows from `first`; out: count x m.
  virtual void logs(Index first, Index count, MatrixView<double> out) const = 0;

  std::vector<double> a, b;        // weights
  std::vector<double> row_masses;  // P 1
  std::vector<double> row_shares;  // the same over a
  Context context;
};

std::unique_ptr<PlanBody> plan_body(const Problem<float>& problem, const SinkhornResult& result,
                                    const Context& context);
std::unique_ptr<PlanBody> plan_body(const Problem<double>& problem, const SinkhornResult& result,
                                    const Context& context);

}  // namespace monge::ot::detail
