#include "monge/ot/label_law.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "monge/ot/core/error.h"

namespace monge::ot {

std::vector<LabelShare> label_shares(VectorView<const std::int32_t> labels, VectorView<const double> weights) {
  require(weights.empty() || weights.size == labels.size, "label_shares: ", weights.size, " weights for ", labels.size,
          " labels");
  std::map<std::int32_t, double> weight;
  for (Index i = 0; i < labels.size; ++i) {
    const double own = weights.empty() ? 1.0 : weights[i];
    if (own > 0) weight[labels[i]] += own;
  }
  std::vector<LabelShare> shares;
  for (const auto& [label, share] : weight) shares.push_back({label, share});
  return shares;
}

LabelLaw::LabelLaw(const char* caller, std::vector<LabelShare> shares) : shares_(std::move(shares)) {
  const auto by_label = [](const LabelShare& p, const LabelShare& q) { return p.label < q.label; };
  std::sort(shares_.begin(), shares_.end(), by_label);
  double total = 0;
  for (std::size_t k = 0; k < shares_.size(); ++k) {
    const auto [label, share] = shares_[k];
    if (!std::isfinite(share))
      throw Error(Errc::not_finite, concat(caller, ": the share of label ", label, " is ", share));
    require(share > 0, caller, ": the share of label ", label, " is ", share, ", expected more than 0");
    require(k == 0 || shares_[k - 1].label != label, caller, ": label ", label, " has two shares");
    total += share;
  }
  require(std::isfinite(total), caller, ": the shares of the labels overflow");
  double sum = 0;
  for (LabelShare& s : shares_) {
    s.share /= total;
    up_to_.push_back(sum += s.share);
  }
}

Index LabelLaw::place(std::int32_t label) const {
  const auto at = std::lower_bound(shares_.begin(), shares_.end(), label,
                                   [](const LabelShare& s, std::int32_t wanted) { return s.label < wanted; });
  return at != shares_.end() && at->label == label ? at - shares_.begin() : -1;
}

double LabelLaw::share(std::int32_t label) const {
  const Index at = place(label);
  return at < 0 ? 0.0 : shares_[static_cast<std::size_t>(at)].share;
}

void LabelLaw::draw(const Rng& rng, std::uint64_t first, VectorView<std::int32_t> labels) const {
  for (Index i = 0; i < labels.size; ++i) {
    const Rng::Block w = rng.bits(first + static_cast<std::uint64_t>(i));
    const auto at = std::upper_bound(up_to_.begin(), up_to_.end(), Rng::uniform(w.w[0], w.w[1]) * up_to_.back());
    labels[i] = shares_[std::min(static_cast<std::size_t>(at - up_to_.begin()), shares_.size() - 1)].label;
  }
}

}  // namespace monge::ot
