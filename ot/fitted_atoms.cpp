#include "monge/ot/fitted_atoms.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "monge/ot/core/error.h"
#include "monge/ot/finite.h"
#include "monge/ot/semidual.h"

namespace monge::ot {
namespace {

AtomSet fitted_set(const char* caller, MatrixView<const float> y, const SemidiscretePotentials& potentials,
                   const Context& context) {
  require(static_cast<Index>(potentials.g.size()) == y.rows, caller, ": ", potentials.g.size(), " potentials for ",
          y.rows, " atoms");
  require(potentials.cost == Cost::negative_dot || potentials.cost == Cost::squared_euclidean, caller,
          ": potentials of the cost ", to_string(potentials.cost), ", which no inner product gives");
  require(std::isfinite(potentials.epsilon) && potentials.epsilon >= 0, caller, ": epsilon is ", potentials.epsilon,
          ", expected 0 or more");
  require(!potentials.pca || potentials.pca->basis.cols() == y.cols, caller, ": the atoms have ", y.cols,
          " dimensions, the potentials were fitted in ", potentials.pca ? potentials.pca->basis.cols() : 0);
  require(potentials.labels.empty() || potentials.labels.size() == potentials.g.size(), caller, ": ",
          potentials.labels.size(), " labels for ", potentials.g.size(), " potentials");
  require(potentials.label_penalty >= 0, caller, ": label_penalty is ", potentials.label_penalty,
          ", expected 0 or more");
  const VectorView<const std::int32_t> labels(potentials.labels);
  return make_atoms(caller, y, potentials.b, potentials.pca, context,
                    potentials.label_penalty > 0 ? labels : VectorView<const std::int32_t>());
}

}  // namespace

FittedAtoms::FittedAtoms(const char* caller, MatrixView<const float> y, const SemidiscretePotentials& potentials,
                         const Context& context_)
    : atoms(fitted_set(caller, y, potentials, context_)), dimensions(y.cols), context(context_) {
  if (potentials.pca) pca = potentials.pca->clone();
  const double unit = potentials.cost == Cost::squared_euclidean ? 2 : 1;
  epsilon = potentials.epsilon / unit;
  if (!potentials.labels.empty() && potentials.label_penalty > 0) {
    label_penalty = static_cast<float>(potentials.label_penalty / unit);
    noise_labels = LabelLaw(caller, potentials.noise_labels);
    require(!noise_labels.empty(), caller, ": the potentials have labels, but no law of the noise's");
    for (const LabelShare& s : noise_labels.shares()) {
      if (std::isfinite(label_penalty) ||
          std::find(atoms.labels.begin(), atoms.labels.end(), s.label) != atoms.labels.end())
        continue;
      throw Error(Errc::infeasible,
                  concat(caller, ": noise has label ", s.label, ", no atom has it, and label_penalty is infinite"));
    }
  }
  const std::vector<double> v = to_biases(atoms, potentials.g, potentials.cost);
  for (std::size_t j = 0; j < v.size(); ++j) {
    if (std::isfinite(v[j])) continue;
    throw Error(Errc::not_finite,
                concat(caller, ": the potential of atom ",
                       atoms.members[static_cast<std::size_t>(atoms.first_member[j])], " is not finite"));
  }
  biases = detail::score_biases(atoms, epsilon, v);
}

void FittedAtoms::check(const char* caller, MatrixView<const float> noise, VectorView<const std::int32_t> labels,
                        VectorView<std::int32_t> out) const {
  require(noise.cols == dimensions, caller, ": the noise has ", noise.cols, " dimensions, the atoms ", dimensions);
  require(noise.rows == out.size, caller, ": ", noise.rows, " noise rows, room for ", out.size, " answers");
  require(labels.size == (is_labelled() ? noise.rows : 0), caller, ": ", labels.size, " labels for ", noise.rows,
          is_labelled() ? " noise rows" : " noise rows, of potentials without labels");
  for (Index i = 0; i < labels.size && std::isinf(label_penalty); ++i) {
    require(noise_labels.place(labels[i]) >= 0, caller, ": noise row ", i, " has label ", labels[i],
            ", which no noise of these potentials has");
  }
  require(labels.device.type == DeviceType::cpu, caller, ": labels are of cuda:", labels.device.index,
          ", expected the CPU's memory");
  if (noise.device.type == DeviceType::cpu) require_finite(noise, concat(caller, ": noise").c_str());
}

MatrixView<const float> FittedAtoms::in_score_space(MatrixView<const float> noise, Matrix<float>& storage) const {
  if (!pca) return noise;
  Matrix<float> here;
  if (noise.device.type != DeviceType::cpu) {
    here = Matrix<float>(noise.rows, noise.cols);
    copy(noise, here.view());
    noise = std::as_const(here).view();
  }
  storage = Matrix<float>(noise.rows, pca->dimensions());
  project(*pca, noise, storage.view(), context);
  return storage.view();
}

void FittedAtoms::to_members(const Rng& rng, std::uint64_t first, VectorView<std::int32_t> out) const {
  const Rng split = rng.substream(1);
  for (Index i = 0; i < out.size && !is_plain(); ++i) {
    const Rng::Block w = split.bits(first + static_cast<std::uint64_t>(i));
    out[i] = atoms.member(out[i], Rng::uniform(w.w[0], w.w[1]));
  }
}

}  // namespace monge::ot
