#include "monge/flow/objective.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "monge/flow/objective_recorder.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/random.h"

namespace monge::flow {
namespace {

constexpr std::uint64_t time_stream = 0x74696D65;     // "time"
constexpr std::uint64_t noise_stream = 0x6E6F697365;  // "noise"
constexpr std::uint64_t label_stream = 0x6C6162656C;  // "label"

void check_teacher(const ModelOptions& model, const ObjectiveOptions& o) {
  require(o.teacher != nullptr, "Objective: a distillation needs a teacher");
  const ModelOptions& teacher = o.teacher->model;
  require(teacher.dimensions == model.dimensions, "Objective: the teacher has ", teacher.dimensions,
          " dimensions, the model ", model.dimensions);
  require(teacher.classes == 0 || teacher.classes == model.classes, "Objective: the teacher has ", teacher.classes,
          " classes, the model ", model.classes);
  require(o.kind != ObjectiveKind::pfmm || teacher.role == Role::flow_map,
          "Objective: the teacher of pfmm must be a flow map");
  require(teacher.role != Role::neural_flow, "Objective: a neural flow has no velocity to teach");
  require(!o.teacher->to_data_only, "Objective: the teacher has learnt jumps to the data alone (consistency), ",
          "neither a velocity nor other jumps to teach");
  const double reach = static_cast<double>(o.jumps) * o.teacher->strip;
  require(o.kind != ObjectiveKind::pfmm || o.strip <= reach * (1 + 1e-9), "Objective: strip is ", o.strip,
          ", but the teacher has learnt jumps of at most ", o.teacher->strip, ", of which ", o.jumps, " make ", reach);
}

const ObjectiveOptions& checked(const ModelOptions& model, const ObjectiveOptions& o) {
  check(o.times);
  require(model.role == role_of(o.kind), "Objective: the model's role is not that of the objective");
  require(o.diagonal >= 0 && o.diagonal <= 1, "Objective: diagonal must be in [0, 1], not ", o.diagonal);
  require(o.strip > 0 && o.strip <= 1, "Objective: strip must be in (0, 1], not ", o.strip);
  require(o.jumps > 0, "Objective: jumps must be positive, not ", o.jumps);
  require(o.adaptive_power >= 0 && std::isfinite(o.adaptive_power),
          "Objective: adaptive_power must not be negative, not ", o.adaptive_power);
  require(o.adaptive_constant > 0, "Objective: adaptive_constant must be positive, not ", o.adaptive_constant);
  require(o.label_drop >= 0 && o.label_drop < 1, "Objective: label_drop must be in [0, 1), not ", o.label_drop);
  if (needs_teacher(o.kind)) check_teacher(model, o);
  return o;
}

double uniform(const Rng& rng, std::uint64_t index) {
  const Rng::Block b = rng.bits(index);
  return Rng::uniform(b.w[0], b.w[1]);
}

}  // namespace

Role role_of(ObjectiveKind kind) {
  if (kind == ObjectiveKind::velocity) return Role::velocity;
  return kind == ObjectiveKind::neural_flow ? Role::neural_flow : Role::flow_map;
}

bool needs_teacher(ObjectiveKind kind) {
  using enum ObjectiveKind;
  return kind == lmd || kind == emd || kind == consistency || kind == pfmm;
}

Objective::Objective(nn::Graph& graph, const ModelOptions& model, const ObjectiveOptions& options, Index batch)
    : model_(model), options_(checked(model, options)), batch_(batch), dropout_(model.dropout) {
  require(batch > 0, "Objective: batch must be positive, not ", batch);
  parts_.reserve(2);  // recorders hold references
  loss = Recorder{*this, graph}.record();
}

void Objective::draw_part(Part& p, std::size_t number, std::uint64_t seed, std::uint64_t step) const {
  const TimeLaw& law = options_.times;
  draw_times(law, seed, time_stream + number, step, p.t);
  p.s = p.t;
  if (!p.jumps) return;
  const Rng rng = Rng{seed, 0}.substream(time_stream + number);
  const Rng other = rng.substream(1), split = rng.substream(2);
  const bool in_strip =
      options_.kind == ObjectiveKind::fmm || (options_.kind == ObjectiveKind::pfmm && options_.strip < 1);
  for (std::size_t i = 0; i < p.t.size(); ++i) {
    const std::uint64_t index = step * p.t.size() + i;
    const double u = uniform(other, index);
    p.f[i] = options_.random_split ? uniform(split, index) : 0.5;
    if (options_.kind == ObjectiveKind::consistency) {
      p.t[i] = 1;
      continue;
    }
    const double low = std::max(0.0, p.s[i] - options_.strip), high = std::min(1.0, p.s[i] + options_.strip);
    p.t[i] = in_strip ? low + u * (high - low) : time_at(law, u);
    if (options_.kind != ObjectiveKind::fmm && p.t[i] < p.s[i]) std::swap(p.s[i], p.t[i]);
  }
}

template <class T>
void Objective::load_part(nn::Program<T>& program, const Part& p, std::size_t number, const Batch& batch,
                          std::uint64_t seed, std::uint64_t step) const {
  const auto write = [&](nn::Tensor column, Index i, double value) {
    if (const MatrixView<T> view = program.view(column); view.data) view(i, 0) = static_cast<T>(value);
  };
  const Rng drop = Rng{seed, 0}.substream(label_stream);
  const MatrixView<T> x0 = program.view(p.x0), x1 = program.view(p.x1);
  for (Index i = 0; i < p.rows; ++i) {
    const std::size_t row = static_cast<std::size_t>(i);
    for (const Clock& clock : p.clocks) {
      const double fraction = clock.fraction < 0 ? p.f[row] : clock.fraction;
      const double time = fraction == 1 ? p.t[row] : p.s[row] + fraction * (p.t[row] - p.s[row]);
      clock.columns.set(program, clock.model, i, time);
    }
    write(p.fraction, i, p.f[row]);
    const auto convert = [](float x) { return static_cast<T>(x); };
    if (x0.data) std::transform(batch.x0.row(p.first + i), batch.x0.row(p.first + i) + x0.cols, x0.row(i), convert);
    if (x1.data) std::transform(batch.x1.row(p.first + i), batch.x1.row(p.first + i) + x1.cols, x1.row(i), convert);
    if (p.labels.id < 0) continue;
    const std::uint64_t index = step * static_cast<std::uint64_t>(batch_) + static_cast<std::uint64_t>(p.first + i);
    const bool dropped = uniform(drop, index) < options_.label_drop;
    write(p.labels, i,
          static_cast<double>(dropped ? model_.classes : batch.labels[static_cast<std::size_t>(p.first + i)]));
  }
  if (const MatrixView<T> e = program.view(p.e); e.data) {
    const std::uint64_t size = static_cast<std::uint64_t>(e.rows * e.cols);
    fill_normal(Rng{seed, 0}.substream(noise_stream + number), step * size, VectorView<T>(e.data, e.rows * e.cols));
  }
}

template <class T>
void Objective::load(nn::Program<T>& program, const Batch& batch, std::uint64_t seed, std::uint64_t step) {
  require(batch.x0.rows == batch_ && batch.x1.rows == batch_ && batch.x0.cols == model_.dimensions &&
              batch.x1.cols == model_.dimensions,
          "Objective::load: x0 is ", batch.x0.rows, " x ", batch.x0.cols, " and x1 ", batch.x1.rows, " x ",
          batch.x1.cols, ", not ", batch_, " x ", model_.dimensions);
  require(model_.classes == 0 || static_cast<Index>(batch.labels.size()) == batch_,
          "Objective::load: ", batch.labels.size(), " labels for ", batch_, " rows");
  for (std::size_t k = 0; k < parts_.size(); ++k) {
    draw_part(parts_[k], k, seed, step);
    load_part(program, parts_[k], k, batch, seed, step);
  }
  dropout_.fill(program, seed, step);
}

template void Objective::load(nn::Program<float>&, const Batch&, std::uint64_t, std::uint64_t);
template void Objective::load(nn::Program<double>&, const Batch&, std::uint64_t, std::uint64_t);

}  // namespace monge::flow
