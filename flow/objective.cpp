#include "monge/flow/objective.h"

#include "monge/ot/core/random.h"

namespace monge::flow {

VelocityObjective::VelocityObjective(nn::Graph& graph, const ModelOptions& options, Index batch)
    : x0(graph.input(batch, options.dimensions)), x1(graph.input(batch, options.dimensions)), times(graph, batch) {
  const nn::Tensor x = graph.add(graph.multiply(x1, times.alpha), graph.multiply(x0, times.sigma));
  const nn::Tensor u = graph.add(graph.multiply(x1, times.alpha_rate), graph.multiply(x0, times.sigma_rate));
  loss = graph.mean_square(graph.subtract(record_velocity(graph, options, times, x), u));
}

template <class T>
void VelocityObjective::set_times(nn::Program<T>& program, const ModelOptions& options, std::uint64_t seed,
                                  std::uint64_t step) const {
  const Rng rng = Rng{seed, 0}.substream(0x74696D65);  // "time"
  const Index batch = program.view(x0).rows;
  for (Index i = 0; i < batch; ++i) {
    const Rng::Block b = rng.bits(step * static_cast<std::uint64_t>(batch) + static_cast<std::uint64_t>(i));
    times.set(program, options, i,
              (static_cast<double>(i) + Rng::uniform(b.w[0], b.w[1])) / static_cast<double>(batch));
  }
}

template void VelocityObjective::set_times(nn::Program<float>&, const ModelOptions&, std::uint64_t,
                                           std::uint64_t) const;
template void VelocityObjective::set_times(nn::Program<double>&, const ModelOptions&, std::uint64_t,
                                           std::uint64_t) const;

}  // namespace monge::flow
