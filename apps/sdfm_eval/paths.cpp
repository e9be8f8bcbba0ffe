#include "monge/apps/sdfm_eval/paths.h"

#include <algorithm>
#include <memory>

#include "monge/apps/common/generate_map.h"
#include "monge/apps/common/interrupt.h"
#include "monge/apps/common/pairing.h"
#include "monge/apps/common/table.h"
#include "monge/flow/trajectory.h"
#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

constexpr Index frames = 48;  // of curved paths

// Pairs of the batches that the training would go on with.
struct Pairs {
  Matrix<float> x0, x1;
};

Pairs draw_pairs(const TrainedModel& model, const std::filesystem::path& file, const data::Dataset& dataset,
                 Index count, const Context& context) {
  TrainConfig config = model.config;
  const auto coupling = make_coupling(config, dataset, file.parent_path() / "potentials.h5", context);
  const data::Checkpoint checkpoint = data::load_checkpoint(file);
  const auto state = checkpoint.lists.find("coupling");
  coupling->restore(checkpoint.step,
                    state == checkpoint.lists.end() ? VectorView<const std::int32_t>() : state->second);
  const Index batch = config.train.batch, steps = (count + batch - 1) / batch;
  Pairs pairs{Matrix<float>(steps * batch, 2), Matrix<float>(steps * batch, 2)};
  std::vector<std::int32_t> atoms(static_cast<std::size_t>(batch));
  for (Index k = 0; k < steps; ++k) {
    check_interrupt();
    const MatrixView<float> x1 = pairs.x1.view().rows_from(k * batch, batch);
    coupling->draw(checkpoint.step + static_cast<std::uint64_t>(k), pairs.x0.view().rows_from(k * batch, batch), atoms);
    if (coupling->has_targets()) coupling->targets(x1);
    for (Index i = 0; i < batch && !coupling->has_targets(); ++i)
      std::copy_n(dataset.train.x.view().row(atoms[static_cast<std::size_t>(i)]), 2, x1.row(i));
  }
  const auto deviation = static_cast<float>(flow::start_deviation(model.options.path));
  std::for_each(pairs.x0.data(), pairs.x0.data() + 2 * pairs.x0.rows(), [&](float& x) { x *= deviation; });
  return pairs;
}

std::string share(const flow::Crossing& crossing) {
  const double percent = 100 * crossing.share;
  return fixed(percent, percent < 10 ? 1 : 0) + "% of pairs cross";
}

Paths own_paths(const TrainedModel& model, const Matrix<float>& x0, const Context& context) {
  Paths own{.title = "the model's paths", .caption = "", .frames = {}, .crossing = {}};
  std::string curvature;
  if (model.options.role == flow::Role::neural_flow) {
    flow::FlowMapModel map(model.options, model.weights, 512, context);
    for (Index k = 0; k <= frames; ++k) {
      own.frames.push_back(copy_of(x0.view()));
      const MatrixView<float> x = own.frames.back().view();
      map(0, static_cast<double>(k) / static_cast<double>(frames), x, x);
    }
  } else {
    flow::VelocityModel velocity(model.options, model.weights, 512, context);
    const flow::SampleOptions options{.solver = flow::Solver::rk4, .steps = frames, .context = context};
    own.frames = flow::trajectories(interruptible(velocity), x0.view(), frames, options);
    Matrix<float> x = copy_of(x0.view());
    curvature =
        ", curvature " + fixed(flow::trajectory_statistics(interruptible(velocity), x.view(), options).curvature, 3);
  }
  const MatrixView<const float> x1 = own.frames.back().view();
  own.crossing = flow::crossing(x0.view(), x1, 20, context);
  own.caption = share(own.crossing) + curvature;
  return own;
}

}  // namespace

std::vector<Paths> gather_paths(const TrainedModel& model, const std::filesystem::path& checkpoint,
                                const data::Dataset& dataset, Index count, const Context& context) {
  require(model.options.dimensions == 2, "--picture: paths are drawn in the plane, the model has ",
          model.options.dimensions, " dimensions");
  if (model.options.role != flow::Role::neural_flow) check_velocity("--picture", model);
  check_without_class("--picture", model.config);
  require(dataset.digest == model.config.data_digest,
          "--picture: pairs are drawn as in the training, but --data are not the data of the run: digest ",
          dataset.digest, ", not ", model.config.data_digest);
  Pairs pairs = draw_pairs(model, checkpoint, dataset, count, context);
  Paths own = own_paths(model, pairs.x0, context);
  Paths straight{.title = "pairs trained on: " + model.config.coupling, .caption = "", .frames = {}, .crossing = {}};
  straight.crossing = flow::crossing(pairs.x0.view(), pairs.x1.view(), 20, context);
  straight.caption = share(straight.crossing);
  straight.frames.push_back(std::move(pairs.x0));
  straight.frames.push_back(std::move(pairs.x1));
  std::vector<Paths> panels;
  panels.push_back(std::move(straight));
  panels.push_back(std::move(own));
  return panels;
}

}  // namespace monge::apps
