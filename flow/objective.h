#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "monge/flow/model.h"
#include "monge/flow/time_law.h"

namespace monge::flow {

// A trained model that a distillation learns from; its weights stay as they are.
struct Teacher {
  ModelOptions model;
  std::vector<float> weights;
  double strip = 1;           // a flow map: the longest jump that it has learnt
  bool to_data_only = false;  // a flow map of consistency: it has learnt no other jumps, nor a velocity
};

// The loss of a batch: means over rows and dimensions of squares. I_t = alpha x1 + sigma x0 + noise e is the path of a
// pair, I_t' its velocity, sg what derivatives take as a constant, b the teacher's velocity. Pairs of times are s < t,
// the two ordered draws of `times`, where nothing else is said.
enum class ObjectiveKind : std::uint8_t {
  velocity,     // |v(t, I_t) - I_t'|^2 (flow matching)
  neural_flow,  // |F(t, x0) - I_t|^2 (OT-NFM)
  // Flow map matching (Boffi et al. 2024), X_{s,t}(x) = x + (t - s) v_{s,t}(x); d_s and d_t are derivatives in the
  // times.
  fmm,  // |d_t X_{s,t}(X_{t,s}(I_t)) - I_t'|^2 + |X_{s,t}(X_{t,s}(I_t)) - I_t|^2, any s, t with |t - s| <= strip
  // Of these two a share `diagonal` of the rows has s = t, where both are |v_{t,t}(I_t) - b_t(I_t)|^2.
  lmd,          // |d_t X_{s,t}(I_s) - sg b_t(X_{s,t}(I_s))|^2
  emd,          // |d_s X_{s,t}(I_s) + grad X_{s,t}(I_s) b_s(I_s)|^2
  consistency,  // emd with t = 1
  pfmm,         // |X_{s,t}(I_s) - (as many jumps of the teacher, a flow map, from s to t)|^2
  // Self-distillation (Boffi et al. 2025): a share `diagonal` of the rows learns |v_{t,t}(I_t) - I_t'|^2, the others
  lsd,        // |d_t X_{s,t}(I_s) - sg v_{t,t}(X_{s,t}(I_s))|^2
  psd,        // |v_{s,t}(I_s) - sg[f v_{s,u}(I_s) + (1 - f) v_{u,t}(X_{s,u}(I_s))]|^2, u = s + f (t - s)
  mean_flow,  // |v_{s,t}(I_s) - sg[I_s' + (t - s) D v_{s,t}(I_s)]|^2, D along x: I_s', s: 1 (Geng et al. 2025), each
              // row's mean e over the dimensions weighted by sg (e + adaptive_constant)^-adaptive_power
};

struct ObjectiveOptions {
  ObjectiveKind kind = ObjectiveKind::velocity;
  TimeLaw times{};
  double diagonal = 0.75;  // lmd, emd, lsd, psd, mean_flow: share of the batch with s = t
  // fmm, pfmm: largest |t - s|. Given one time, the other is uniform where that lets it (pfmm: but of `times` at 1). Of
  // pfmm it is at most `jumps` times the teacher's.
  double strip = 1;
  Index jumps = 2;                  // pfmm
  bool random_split = false;        // psd: f uniform in [0, 1) instead of 1/2
  double adaptive_power = 1;        // mean_flow: 0 = no weights
  double adaptive_constant = 1e-3;  // mean_flow
  double label_drop = 0.1;          // models with classes: share of rows trained as of no class, for guidance
  std::shared_ptr<const Teacher> teacher =
      nullptr;  // lmd, emd, consistency: a velocity or a flow map; pfmm: a flow map
};

Role role_of(ObjectiveKind kind);  // of the model that it trains
bool needs_teacher(ObjectiveKind kind);

// A loss recorded for batches of one size.
class Objective {
 public:
  // Records into `graph`; model.role must be role_of(options.kind). Throws Error(invalid_argument).
  Objective(nn::Graph& graph, const ModelOptions& model, const ObjectiveOptions& options, Index batch);

  struct Batch {
    MatrixView<const float> x0, x1;             // batch x dimensions
    std::span<const std::int32_t> labels = {};  // batch, of models with classes
  };
  // Writes a batch, and the times, noise and masks of step `step`, which are a function of (seed, step): the inputs of
  // one run. Allocates nothing.
  template <class T>
  void load(nn::Program<T>& program, const Batch& batch, std::uint64_t seed, std::uint64_t step);

  // The times of the batch loaded last: of rows `first` and on, from s to t, with the f of psd. Rows of one time have
  // s = t. Rows come in at most two parts, in order.
  struct Times {
    Index first;
    std::span<const double> s, t, f;
  };
  Times times(std::size_t part) const { return {parts_[part].first, parts_[part].s, parts_[part].t, parts_[part].f}; }
  std::size_t part_count() const { return parts_.size(); }

  nn::Tensor loss;  // 1 x 1

 private:
  // Columns of the time s + fraction (t - s), as seen by one model; a negative fraction is that of the row.
  struct Clock {
    TimeColumns columns;
    ModelOptions model;
    double fraction;
  };
  // Some rows of the batch: those with one time, or those with two.
  struct Part {
    Index first, rows;
    bool jumps;
    nn::Tensor x0, x1, e, labels, fraction;
    std::vector<Clock> clocks;
    std::vector<double> s, t, f;
  };
  struct Recorder;

  void draw_part(Part& part, std::size_t number, std::uint64_t seed, std::uint64_t step) const;
  template <class T>
  void load_part(nn::Program<T>& program, const Part& part, std::size_t number, const Batch& batch, std::uint64_t seed,
                 std::uint64_t step) const;

  ModelOptions model_;
  ObjectiveOptions options_;
  Index batch_;
  Dropout dropout_;
  std::vector<Part> parts_;
};

}  // namespace monge::flow
