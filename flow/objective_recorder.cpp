#include "monge/flow/objective_recorder.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "monge/ot/core/error.h"

namespace monge::flow {

using nn::Tensor;

Tensor Objective::Recorder::record() {
  const Index batch = self.batch_;
  const auto jumping = [&](auto term) { return (this->*term)(part(0, batch, true)); };
  // Some rows on the diagonal s = t, the others not: at least one of each that there is a share of.
  const auto split = [&](auto on, auto off) {
    const double share = self.options_.diagonal;
    require(batch > 1 || share == 0 || share == 1,
            "Objective: a batch of 1 has no room for a diagonal and jumps; diagonal must be 0 or 1, not ", share);
    Index diagonal = std::lround(share * static_cast<double>(batch));
    if (share > 0) diagonal = std::max<Index>(diagonal, 1);
    if (share < 1) diagonal = std::min(diagonal, batch - 1);
    Tensor total;
    if (diagonal > 0) total = (this->*on)(part(0, diagonal, false));
    if (diagonal == batch) return total;
    const Tensor jumps = (this->*off)(part(diagonal, batch - diagonal, true));
    return total.id < 0 ? jumps : g.add(total, jumps);
  };
  const auto sum = [&] {
    switch (self.options_.kind) {
      case ObjectiveKind::velocity:
        return velocity(part(0, batch, false));
      case ObjectiveKind::neural_flow:
        return neural_flow(part(0, batch, false));
      case ObjectiveKind::fmm:
        return jumping(&Recorder::fmm);
      case ObjectiveKind::lmd:
        return split(&Recorder::taught, &Recorder::lmd);
      case ObjectiveKind::emd:
        return split(&Recorder::taught, &Recorder::emd);
      case ObjectiveKind::consistency:
        return jumping(&Recorder::emd);
      case ObjectiveKind::pfmm:
        return jumping(&Recorder::pfmm);
      case ObjectiveKind::lsd:
        return split(&Recorder::velocity, &Recorder::lsd);
      case ObjectiveKind::psd:
        return split(&Recorder::velocity, &Recorder::psd);
      case ObjectiveKind::mean_flow:
        return split(&Recorder::velocity, &Recorder::mean_flow);
    }
    return Tensor{};
  }();
  return g.scale(sum, 1 / static_cast<double>(batch * self.model_.dimensions));
}

Tensor Objective::Recorder::velocity(Part& p) {
  const TimeColumns t = clock(p, 1);
  const Tensor v = record_velocity(g, self.model_, t, place(p, t), {p.labels, &self.dropout_});
  const Tensor residual = g.subtract(v, rate(p, t));
  return self.options_.kind == ObjectiveKind::mean_flow ? weighted(residual) : sum_squares(residual);
}

Tensor Objective::Recorder::taught(Part& p) {
  const TimeColumns t = clock(p, 1);
  const Tensor x = place(p, t);
  return sum_squares(g.subtract(map(p, t, t.t, x).velocity, teacher_velocity(p, 1, x)));
}

Tensor Objective::Recorder::neural_flow(Part& p) {
  const TimeColumns t = clock(p, 1);
  const double start = path_at(self.model_.path, 0).sigma;
  const Tensor x = start == 1 ? p.x0 : g.scale(p.x0, start);
  return sum_squares(g.subtract(record_neural_flow(g, self.model_, t.t, x, {p.labels, &self.dropout_}), place(p, t)));
}

Tensor Objective::Recorder::fmm(Part& p) {
  const TimeColumns s = clock(p, 0), t = clock(p, 1);
  const Tensor there = place(p, t), back = map(p, t, s.t, there).x;
  const Tensor end = g.copy(t.t);  // the derivative is in this t alone, not in the one of the way back
  const Tensor again = map(p, s, end, back).x;
  return g.add(sum_squares(g.subtract(along_end(again, end), rate(p, t))), sum_squares(g.subtract(again, there)));
}

Tensor Objective::Recorder::lmd(Part& p) {
  const TimeColumns s = clock(p, 0), t = clock(p, 1);
  const Tensor x = map(p, s, t.t, place(p, s)).x;
  return sum_squares(g.subtract(along_end(x, t.t), g.stop(teacher_velocity(p, 1, x))));
}

Tensor Objective::Recorder::emd(Part& p) {
  const TimeColumns s = clock(p, 0), t = clock(p, 1);
  const Tensor x = place(p, s);
  return sum_squares(along_start(map(p, s, t.t, x).x, s, x, teacher_velocity(p, 0, x)));
}

Tensor Objective::Recorder::pfmm(Part& p) {
  const TimeColumns s = clock(p, 0), t = clock(p, 1);
  const Tensor x = place(p, s);
  const Teacher& teacher = *self.options_.teacher;
  const std::vector<nn::Parameter> table = parameter_table(teacher.model);
  const Index jumps = self.options_.jumps;
  const auto time = [&](Index k) {
    return clock(p, static_cast<double>(k) / static_cast<double>(jumps), teacher.model);
  };
  g.freeze(&table, teacher.weights);
  Tensor y = x;
  TimeColumns from = time(0);
  for (Index k = 1; k <= jumps; ++k) {
    const TimeColumns to = time(k);
    y = record_flow_map(g, teacher.model, from, to.t, y, teacher_extras(p)).x;
    from = to;
  }
  g.freeze(nullptr);
  return sum_squares(g.subtract(map(p, s, t.t, x).x, y));
}

Tensor Objective::Recorder::lsd(Part& p) {
  const TimeColumns s = clock(p, 0), t = clock(p, 1);
  const Tensor x = map(p, s, t.t, place(p, s)).x;
  const Tensor target = g.stop(map(p, t, t.t, x).velocity);
  return sum_squares(g.subtract(along_end(x, t.t), target));
}

Tensor Objective::Recorder::psd(Part& p) {
  const TimeColumns s = clock(p, 0), u = clock(p, -1), t = clock(p, 1);
  const Tensor x = place(p, s);
  const RecordedMap first = map(p, s, u.t, x);
  const Tensor second = map(p, u, t.t, first.x).velocity;
  // f v_{s,u} + (1 - f) v_{u,t}
  const Tensor target = g.add(second, g.multiply(g.subtract(first.velocity, second), p.fraction));
  return sum_squares(g.subtract(map(p, s, t.t, x).velocity, g.stop(target)));
}

Tensor Objective::Recorder::mean_flow(Part& p) {
  const TimeColumns s = clock(p, 0), t = clock(p, 1);
  const Tensor x = place(p, s), slope = rate(p, s), v = map(p, s, t.t, x).velocity;
  const Tensor target = g.add(slope, g.multiply(along_start(v, s, x, slope), g.subtract(t.t, s.t)));
  return weighted(g.subtract(v, g.stop(target)));
}

// d sum_i w_i e_i with e_i the mean square of row i and w_i = sg (e_i + c)^-p.
Tensor Objective::Recorder::weighted(Tensor residual) {
  const double power = self.options_.adaptive_power, d = static_cast<double>(self.model_.dimensions);
  if (power == 0) return sum_squares(residual);
  const Tensor e = g.scale(g.sum(g.multiply(residual, residual), g.node(residual).rows, 1), 1 / d);
  const Tensor shifted = g.add(g.stop(e), g.constant(1, 1, {self.options_.adaptive_constant}));
  const Tensor log = g.scale(g.activation(nn::Function::logarithm, shifted), -power);
  return g.scale(g.sum(g.multiply(g.stop(g.activation(nn::Function::exponential, log)), e), 1, 1), d);
}

Objective::Part& Objective::Recorder::part(Index first, Index rows, bool jumps) {
  const Index d = self.model_.dimensions;
  const bool noisy = self.model_.path.noise > 0 || self.model_.path.bridge > 0;
  const std::size_t count = static_cast<std::size_t>(rows);
  Part p{first, rows, jumps, g.input(rows, d), g.input(rows, d), {}, {}, {}, {}, {}, {}, {}};
  if (noisy) p.e = g.input(rows, d);
  if (self.model_.classes > 0) p.labels = g.input(rows, 1);
  if (jumps) p.fraction = g.input(rows, 1);
  p.s.resize(count), p.t.resize(count), p.f.resize(count);
  self.parts_.push_back(std::move(p));
  return self.parts_.back();
}

TimeColumns Objective::Recorder::clock(Part& p, double fraction, const ModelOptions& model) {
  p.clocks.push_back({TimeColumns(g, p.rows), model, fraction});
  return p.clocks.back().columns;
}

Tensor Objective::Recorder::place(const Part& p, const TimeColumns& at) {
  const Tensor x = g.add(g.multiply(p.x1, at.alpha), g.multiply(p.x0, at.sigma));
  return p.e.id < 0 ? x : g.add(x, g.multiply(p.e, at.noise));
}

Tensor Objective::Recorder::rate(const Part& p, const TimeColumns& at) {
  const Tensor v = g.add(g.multiply(p.x1, at.alpha_rate), g.multiply(p.x0, at.sigma_rate));
  return p.e.id < 0 ? v : g.add(v, g.multiply(p.e, at.noise_rate));
}

RecordedMap Objective::Recorder::map(const Part& p, const TimeColumns& start, Tensor end, Tensor x) {
  return record_flow_map(g, self.model_, start, end, x, {p.labels, &self.dropout_});
}

Tensor Objective::Recorder::along_start(Tensor value, const TimeColumns& start, Tensor x, Tensor along) {
  return nn::jvp(g, {value}, {x, start.t, start.output_factor, start.state_factor, start.input_factor},
                 {along, ones(g.node(x).rows), start.output_rate, start.state_rate, start.input_rate})[0];
}

Tensor Objective::Recorder::along_end(Tensor value, Tensor end) {
  return nn::jvp(g, {value}, {end}, {ones(g.node(end).rows)})[0];
}

Tensor Objective::Recorder::teacher_velocity(Part& p, double fraction, Tensor x) {
  const Teacher& teacher = *self.options_.teacher;
  const std::vector<nn::Parameter> table = parameter_table(teacher.model);
  const TimeColumns at = clock(p, fraction, teacher.model);
  g.freeze(&table, teacher.weights);
  const Tensor v = record_velocity(g, teacher.model, at, x, teacher_extras(p));
  g.freeze(nullptr);
  return v;
}

Extras Objective::Recorder::teacher_extras(const Part& p) const {
  return {self.options_.teacher->model.classes > 0 ? p.labels : Tensor{}, nullptr};
}

Tensor Objective::Recorder::ones(Index rows) {
  return g.constant(rows, 1, std::vector<double>(static_cast<std::size_t>(rows), 1.0));
}

}  // namespace monge::flow
