#pragma once  // private: never installed
#include "monge/ot/cuda/call.h"
#include "monge/ot/cuda/engine.h"
#include "monge/ot/cuda/reductions.h"

namespace monge::ot::cuda {

inline constexpr Index direct_dims = 8;  // products of more dimensions are made by tensor cores, if of floats

template <class T>
Rate<T> rate_of(T epsilon, Index cols);

// What kernels read of scores, brought to the device; for tensor cores the points are split first.
template <class T>
Problem<T> read_scores(Call& call, const Scores<T>& s, Products products);

// How many parts the columns are shared out in, a function of the shape alone: enough blocks for a large chip, each
// with at least `least` tiles, in multiples of it.
template <class T>
Index share_columns(Problem<T>& p, Index least = 2);

// For row i: shift_i, a T, nearest to f_i + u_i, and factor_i = weight_i / unit exp(what is left of it / epsilon), so
// that masses do not suffer from f being a T. Rows that send nothing have -infinity and 0. Any input but f may be null
// (0, or weight 1); unit is on the device, null: 1.
template <class T, class F, class W>
void shift_rows(Call& call, Index rows, const F* f, const T* u, const W* weights, const double* unit, double epsilon,
                T* shift, T* factor);

// On the device: the power of two at the largest of some weights, for exponentials times weights to stay above the
// smallest normal number.
template <class W>
const double* weight_unit(Call& call, const W* weights, Index count);

// Runs a pass over the source that suits the problem.
template <class Reduction>
void run_pass(Call& call, const Problem<typename Reduction::T>& p, Index parts, const typename Reduction::Args& args) {
  using T = typename Reduction::T;
  const Index blocks = (p.rows + Shape<T>::tile_rows - 1) / Shape<T>::tile_rows;
  const auto over = [&]<class Source>(Source*) {
    static_assert(Source::shared_bytes + Reduction::shared_bytes <= 163 * 1024, "what compute capability 8.0 has");
    call.run(pass_kernel<Source, Reduction>, blocks, parts, Source::shared_bytes + Reduction::shared_bytes, p, args);
  };
  if constexpr (sizeof(T) == 4) {
    if (p.maker == Maker::halves && p.padded_dims <= 2 * HalvesSource<true>::chunk)
      return over(static_cast<HalvesSource<true>*>(nullptr));
    if (p.maker == Maker::halves) return over(static_cast<HalvesSource<false>*>(nullptr));
  }
  over(static_cast<DirectSource<T>*>(nullptr));
}

// body(i) for each i, one thread each.
template <class Body>
MONGE_KERNEL(4)
for_each_kernel(Index count, Body body) {
  const Index i = block_x() * block_threads + thread();
  if (i < count) body(i);
}
template <class Body>
void for_each(Call& call, Index count, const Body& body) {
  call.run(for_each_kernel<Body>, blocks_for(count), 1, 0, count, body);
}

}  // namespace monge::ot::cuda
