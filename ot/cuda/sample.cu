#include "monge/ot/cuda/passes.h"
#include "monge/ot/cuda/prepare.h"
#include "monge/ot/cuda/reduction_sample.h"
#include "monge/ot/cuda/slabs.h"

namespace monge::ot::cuda {
namespace {

// The winners of all slabs so far, `all`.
template <class T>
struct EndSlab {
  const Race<T>* races;
  Index rows, parts;
  double epsilon;
  Turn turn;
  Race<T>* all;

  MONGE_HOST_DEVICE void operator()(Index i) const {
    Race<T> winner;
    if (!turn.first) winner = all[i];
    for (Index part = 0; part < parts; ++part) winner.run_against(races[part * rows + i], epsilon);
    all[i] = winner;
  }
};

}  // namespace

template <class T>
void sample(const Room& room, const Scores<T>& s, T epsilon, const Rng& rng, std::uint64_t first,
            VectorView<std::int32_t> columns, const Context& context) {
  Call call("sample", room, context);
  std::int32_t* target = call.out(columns);
  const Problem<T> p = read_scores(call, s, context.products);
  const Rate<T> rate = rate_of(epsilon, p.cols);
  Race<T>* winners = call.scratch<Race<T>>(p.rows);
  for_slabs(call, p, [&](Problem<T> slab, Turn turn) {
    const Index parts = share_columns(slab, group_cols / WarpTile<T>::tile_cols);
    Race<T>* races = call.scratch<Race<T>>(parts * p.rows);
    run_pass<SampleReduction>(call, slab, parts, SampleArgs<T>{rate, rng, first, races});
    for_each(call, p.rows, EndSlab<T>{races, p.rows, parts, rate.epsilon, turn, winners});
  });
  for_slabs(call, p, [&](const Problem<T>& slab, Turn) {
    call.run(draw_kernel<T>, blocks_for(p.rows, block_warps), 1, 0, slab, rate, winners, target);
  });
  call.finish();
}

template void sample(const Room&, const Scores<float>&, float, const Rng&, std::uint64_t, VectorView<std::int32_t>,
                     const Context&);
template void sample(const Room&, const Scores<double>&, double, const Rng&, std::uint64_t, VectorView<std::int32_t>,
                     const Context&);

}  // namespace monge::ot::cuda
