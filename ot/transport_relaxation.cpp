#include "monge/ot/transport_relaxation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace monge::ot::detail {

Relaxation::Relaxation(std::vector<Int128>& supply, std::vector<Int128>& demand, std::vector<double>& v,
                       const std::vector<MassOnArc>& arcs)
    : supply_(supply),
      demand_(demand),
      v_(v),
      u_(supply.size()),
      row_begin_(supply.size() + 1),
      col_begin_(demand.size() + 1),
      arcs_(arcs.size()),
      mass_(arcs.size()),
      into_(arcs.size()),
      waits_(supply.size() + demand.size()) {
  for (const MassOnArc& a : arcs) ++row_begin_[a.arc.row + 1], ++col_begin_[a.arc.column + 1];
  std::partial_sum(row_begin_.begin(), row_begin_.end(), row_begin_.begin());
  std::partial_sum(col_begin_.begin(), col_begin_.end(), col_begin_.begin());
  std::vector<std::int32_t> place(row_begin_.begin(), row_begin_.end() - 1);
  for (const MassOnArc& a : arcs) {
    const std::int32_t e = place[a.arc.row]++;
    arcs_[e] = a.arc, mass_[e] = a.mass;
  }
  place.assign(col_begin_.begin(), col_begin_.end() - 1);
  for (std::size_t e = 0; e < arcs_.size(); ++e) into_[place[arcs_[e].column]++] = static_cast<std::int32_t>(e);
}

double Relaxation::spacing() const {
  double sum = 0, count = 0;
  for (std::size_t i = 0; i < supply_.size(); ++i) {
    double least = HUGE_VAL, mean = 0;
    for (std::int32_t e = row_begin_[i]; e < row_begin_[i + 1]; ++e) {
      const double price = arcs_[e].cost - v_[arcs_[e].column];
      least = std::min(least, price), mean += price;
    }
    const double choices = row_begin_[i + 1] - row_begin_[i];
    if (choices > 1) sum += (mean / choices - least) * 2 / choices, count += 1;
  }
  return count > 0 ? sum / count : 0;
}

void Relaxation::relax(double epsilon) {
  constexpr Index steps_of_a_node = 40;
  const std::int32_t n = static_cast<std::int32_t>(supply_.size());
  for (std::int32_t i = 0; i < n; ++i) {
    u_[i] = HUGE_VAL;
    for (std::int32_t e = row_begin_[i]; e < row_begin_[i + 1]; ++e)
      u_[i] = std::min(u_[i], arcs_[e].cost - v_[arcs_[e].column]);
    for (std::int32_t e = row_begin_[i]; e < row_begin_[i + 1]; ++e)
      if (mass_[e] > 0 && arcs_[e].cost - v_[arcs_[e].column] - u_[i] > epsilon) give_back(e, mass_[e]);
    if (supply_[i] > 0) wait(i);
  }
  for (std::size_t j = 0; j < demand_.size(); ++j)
    if (demand_[j] < 0) wait(n + static_cast<std::int32_t>(j));
  Index left = steps_of_a_node * static_cast<Index>(waits_.size());
  for (; !queue_.empty() && left > 0; --left) {
    const std::int32_t x = queue_.front();
    queue_.pop_front();
    waits_[x] = false;
    if (x < n)
      bid(x, epsilon);
    else
      settle(x - n, epsilon);
  }
  for (const std::int32_t x : queue_) waits_[x] = false;
  queue_.clear();
}

std::vector<MassOnArc> Relaxation::plan() const {
  std::vector<MassOnArc> plan;
  for (std::size_t e = 0; e < arcs_.size(); ++e)
    if (mass_[e] > 0) plan.push_back({arcs_[e], mass_[e]});
  return plan;
}

void Relaxation::wait(std::int32_t x) {
  if (!waits_[x]) queue_.push_back(x);
  waits_[x] = true;
}

void Relaxation::give_back(std::int32_t e, Int128 mass) {
  mass_[e] -= mass;
  supply_[arcs_[e].row] += mass;
  demand_[arcs_[e].column] += mass;
}

void Relaxation::bid(std::int32_t i, double epsilon) {
  double least = HUGE_VAL;
  std::int32_t best = -1;
  for (std::int32_t e = row_begin_[i]; e < row_begin_[i + 1]; ++e) {
    const double price = arcs_[e].cost - v_[arcs_[e].column];
    if (price < least) least = price, best = e;
  }
  if (best < 0) return;
  u_[i] = std::max(u_[i], least + epsilon);
  const std::int32_t j = arcs_[best].column;
  mass_[best] += supply_[i];
  demand_[j] -= supply_[i];
  supply_[i] = 0;
  if (demand_[j] < 0) wait(static_cast<std::int32_t>(supply_.size()) + j);
}

void Relaxation::settle(std::int32_t j, double epsilon) {
  offers_.clear();
  for (std::int32_t k = col_begin_[j]; k < col_begin_[j + 1]; ++k) {
    const std::int32_t e = into_[k];
    if (mass_[e] > 0) offers_.push_back({arcs_[e].cost - u_[arcs_[e].row], e});
  }
  std::sort(offers_.begin(), offers_.end(),
            [](const Offer& a, const Offer& b) { return a.price != b.price ? a.price > b.price : a.arc < b.arc; });
  for (const Offer& offer : offers_) {
    if (demand_[j] >= 0) return;
    v_[j] = std::min(v_[j], offer.price - epsilon);
    give_back(offer.arc, std::min(mass_[offer.arc], -demand_[j]));
    wait(arcs_[offer.arc].row);
  }
}

}  // namespace monge::ot::detail
