#include "monge/ot/plan.h"

#include <algorithm>
#include <cmath>

#include "monge/ot/core/error.h"
#include "monge/ot/plan_body.h"
#include "monge/ot/weights.h"

namespace monge::ot {
namespace {

using detail::sum_of;

// Of w scaled to sum to one.
double entropy_of(const std::vector<double>& w) {
  const double total = sum_of(w);
  double h = 0;
  for (const double e : w) h -= e > 0 ? e / total * std::log(e / total) : 0;
  return h;
}

template <class T>
void check_shapes(const char* who, MatrixView<const T> values, MatrixView<T> out, Index from, Index to) {
  require(values.rows == from, who, ": values have ", values.rows, " rows, expected ", from);
  require(out.rows == to && out.cols == values.cols, who, ": out is ", out.rows, " x ", out.cols, ", expected ", to,
          " x ", values.cols);
}

template <class T>
void map(const detail::PlanBody& body, MatrixView<T> out) {
  require(body.dims() > 0, "plan: a dense cost has no points to map to");
  require(out.rows == static_cast<Index>(body.a.size()) && out.cols == body.dims(), "plan: out is ", out.rows, " x ",
          out.cols, ", expected ", body.a.size(), " x ", body.dims());
  body.map(out);
}

}  // namespace

Plan::Plan(const Problem<float>& problem, const SinkhornResult& result, const Context& context)
    : body_(detail::plan_body(problem, result, context)) {}
Plan::Plan(const Problem<double>& problem, const SinkhornResult& result, const Context& context)
    : body_(detail::plan_body(problem, result, context)) {}
Plan::Plan(Plan&&) noexcept = default;
Plan& Plan::operator=(Plan&&) noexcept = default;
Plan::~Plan() = default;

Index Plan::rows() const { return static_cast<Index>(body_->a.size()); }
Index Plan::cols() const { return static_cast<Index>(body_->b.size()); }
const std::vector<double>& Plan::row_masses() const { return body_->row_masses; }
std::vector<double> Plan::col_masses() const { return body_->col_masses(body_->row_masses); }
double Plan::mass() const { return sum_of(body_->row_masses); }

double Plan::entropy() const {
  const std::vector<double> of_rows = body_->row_entropies();
  const double total = mass();
  double h = entropy_of(body_->row_masses);
  for (std::size_t i = 0; i < of_rows.size(); ++i) h += row_masses()[i] > 0 ? row_masses()[i] / total * of_rows[i] : 0;
  return h;
}

double Plan::renormalised_entropy() const { return 2 * entropy() / (entropy_of(body_->a) + entropy_of(body_->b)) - 1; }

void Plan::apply(MatrixView<const float> values, MatrixView<float> out) const {
  check_shapes("plan: apply", values, out, cols(), rows());
  body_->apply(false, values, out);
}
void Plan::apply(MatrixView<const double> values, MatrixView<double> out) const {
  check_shapes("plan: apply", values, out, cols(), rows());
  body_->apply(false, values, out);
}
void Plan::apply_transposed(MatrixView<const float> values, MatrixView<float> out) const {
  check_shapes("plan: apply_transposed", values, out, rows(), cols());
  body_->apply(true, values, out);
}
void Plan::apply_transposed(MatrixView<const double> values, MatrixView<double> out) const {
  check_shapes("plan: apply_transposed", values, out, rows(), cols());
  body_->apply(true, values, out);
}

void Plan::map(MatrixView<float> out) const { ot::map(*body_, out); }
void Plan::map(MatrixView<double> out) const { ot::map(*body_, out); }

void Plan::argmax(VectorView<std::int32_t> columns) const {
  require(columns.size == rows(), "plan: argmax: columns has room for ", columns.size, " of ", rows(), " rows");
  body_->argmax(columns);
}

void Plan::sample_partners(const Rng& rng, VectorView<std::int32_t> columns) const {
  require(columns.size == rows(), "plan: sample_partners: columns has room for ", columns.size, " of ", rows(),
          " rows");
  body_->partners({}, rng, 0, columns);
}

std::vector<PlanEntry> Plan::sample(const Rng& rng, Index count) const {
  require(count >= 0, "plan: sample: count is ", count);
  std::vector<double> up_to(row_masses());  // running sums
  for (std::size_t i = 1; i < up_to.size(); ++i) up_to[i] += up_to[i - 1];
  const Rng of_rows = rng.substream(0), of_columns = rng.substream(1);
  std::vector<PlanEntry> entries;
  const Index most = std::clamp<Index>((Index{1} << 24) / cols(), 16, 1 << 16);
  for (Index first = 0; first < count; first += most) {
    std::vector<std::int32_t> drawn, columns(static_cast<std::size_t>(std::min(most, count - first)));
    for (std::size_t k = 0; k < columns.size(); ++k) {
      const Rng::Block w = of_rows.bits(static_cast<std::uint64_t>(first) + k);
      const auto at = std::upper_bound(up_to.begin(), up_to.end(), Rng::uniform(w.w[0], w.w[1]) * up_to.back());
      drawn.push_back(static_cast<std::int32_t>(at - up_to.begin()));
    }
    body_->partners(drawn, of_columns, static_cast<std::uint64_t>(first), columns);
    for (std::size_t k = 0; k < columns.size(); ++k) entries.push_back({drawn[k], columns[k]});
  }
  return entries;
}

Rounding Plan::rounding(double moved) const {
  const double all_a = sum_of(body_->a), all_b = sum_of(body_->b);
  require(moved >= 0 && moved <= std::min(all_a, all_b) * (1 + 1e-12), "plan: rounding: moved is ", moved, " of ",
          all_a, " and ", all_b);
  require(moved > 0 || std::abs(all_a - all_b) <= 1e-6 * std::max(all_a, all_b), "plan: rounding: a sums to ", all_a,
          ", b to ", all_b, ": no plan is feasible; of a partial problem, say what mass is moved");
  std::vector<double> b(body_->b);
  if (moved == 0) {
    for (double& w : b) w *= all_a / all_b;
    moved = all_a;
  }
  Rounding r{row_masses(), {}, body_->a, b};
  std::vector<double> sent(row_masses());
  for (std::size_t i = 0; i < sent.size(); ++i) {
    r.row_shares[i] = sent[i] > body_->a[i] ? body_->a[i] / sent[i] : 1;
    sent[i] *= r.row_shares[i];
  }
  const std::vector<double> received = body_->col_masses(sent);
  for (std::size_t j = 0; j < b.size(); ++j) {
    r.col_shares.push_back(received[j] > b[j] ? b[j] / received[j] : 1);
    r.q[j] = std::max(0.0, b[j] - r.col_shares[j] * received[j]);
  }
  // What rows still send once columns have taken their shares.
  Matrix<double> shares(cols(), 1), kept(rows(), 1);
  std::copy(r.col_shares.begin(), r.col_shares.end(), shares.data());
  body_->apply(false, shares.view(), kept.view());
  double still = moved;
  for (std::size_t i = 0; i < sent.size(); ++i) {
    const double keeps = r.row_shares[i] * kept(static_cast<Index>(i), 0);
    r.p[i] = std::max(0.0, body_->a[i] - keeps);
    still -= keeps;
  }
  // Of a partial problem's remainders only a share is needed; those of a balanced one differ by roundings.
  const double p = sum_of(r.p), q = sum_of(r.q);
  still = std::clamp(still, 0.0, std::min(p, q));
  for (double& e : r.p) e *= p > 0 ? still / p : 0;
  for (double& e : r.q) e *= q > 0 ? still / q : 0;
  return r;
}

}  // namespace monge::ot
