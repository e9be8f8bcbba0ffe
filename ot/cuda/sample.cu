#include "monge/ot/cuda/passes.h"
#include "monge/ot/cuda/prepare.h"
#include "monge/ot/cuda/reduction_sample.h"

namespace monge::ot::cuda {

template <class T>
void sample(const Room& room, const Scores<T>& s, T epsilon, const Rng& rng, std::uint64_t first,
            VectorView<std::int32_t> columns, const Context& context) {
  Call call("sample", room, context);
  std::int32_t* target = call.out(columns);
  Problem<T> p = read_scores(call, s, context.products);
  const Rate<T> rate = rate_of(epsilon, p.cols);
  const Index parts = share_columns(p, group_cols / WarpTile<T>::tile_cols);
  Race<T>* races = call.scratch<Race<T>>(parts * p.rows);
  run_pass<SampleReduction>(call, p, parts, SampleArgs<T>{rate, rng, first, races});
  call.run(draw_kernel<T>, blocks_for(p.rows, block_warps), 1, 0, p, rate, races, parts, target);
  call.finish();
}

template void sample(const Room&, const Scores<float>&, float, const Rng&, std::uint64_t, VectorView<std::int32_t>,
                     const Context&);
template void sample(const Room&, const Scores<double>&, double, const Rng&, std::uint64_t, VectorView<std::int32_t>,
                     const Context&);

}  // namespace monge::ot::cuda
