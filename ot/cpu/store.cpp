#include <algorithm>
#include <vector>

#include "monge/ot/core/parallel.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/cpu/passes.h"
#include "monge/ot/cpu/row_products.h"
#include "monge/ot/cpu/sweep.h"
#include "monge/ot/cpu/tile_kernels.h"

namespace monge::ot::cpu {

// Nothing but a product: in blocks as large as BLAS likes them.
template <class T>
void store_product(const Scores<T>& s, MatrixView<T> out, const Context& context) {
  const Digits made = column_digits(s, context);
  const bool digits = made.rows() > 0 || digits_of(s.y_ready);
  // BLAS reads all columns anew for each block of rows; where these are few, columns are shared out, too.
  constexpr Index wanted = 16, least_width = 4096;
  const Index height = digits ? tile_rows : std::clamp<Index>(s.rows() / wanted, 256, 1024);
  const Index blocks = (s.rows() + height - 1) / height;
  const Index shares = std::clamp<Index>(wanted / blocks, 1, std::max<Index>(1, s.cols() / least_width));
  const Index width = round_up((s.cols() + shares - 1) / shares, tile_cols);
  const int threads = threads_worth(context.threads, s.rows() * s.cols());
  std::vector<RowProducts<T>> products;
  for (int t = 0; t < threads; ++t) products.emplace_back(s, made, std::min(height, s.rows()));
  parallel_for(threads, blocks * shares, [&](Index part, int worker) {
    if (context.stop) context.stop->look();
    const Index first = part / shares * height, count = std::min(height, s.rows() - first);
    const Index first_col = part % shares * width, cols = std::min(width, s.cols() - first_col);
    if (cols <= 0) return;
    const MatrixView<T> to(out.row(first) + first_col, count, cols, out.stride);
    products[static_cast<std::size_t>(worker)].make(first, first_col, to, true);
  });
}

template <class T>
void store(const Scores<T>& s, MatrixView<T> out, const Context& context) {
  const bool product = !s.is_stored() && s.metric == Metric::dot && s.x.cols > direct_dims;
  if (product && !s.is_labelled() && s.u.empty() && s.v.empty()) return store_product(s, out, context);
  sweep(s, Cut::along_rows(s.rows(), s.cols()), context, [&](const Part& part, TileSource<T>& source, int) {
    for_tiles(source, part, [&](const Tile<T>& tile) {
      for (Index i = 0; i < tile.rows; ++i) {
        const T u = s.u.empty() ? T(0) : s.u[tile.first_row + i];
        const T* from = tile.data + i * tile.stride;
        T* to = out.row(tile.first_row + i) + tile.first_col;
        for (Index j = 0; j < tile.cols; ++j) to[j] = tile.scale * from[j] + tile.v[j] + u;
      }
    });
  });
}

// Products of many dimensions may come from GEMM, which may add in another order at another place of a tile.
template <class T>
bool repeats(const Scores<T>& s) {
  return s.is_stored() || s.metric != Metric::dot || s.x.cols <= direct_dims;
}

template bool repeats(const Scores<float>&);
template bool repeats(const Scores<double>&);
template void store(const Scores<float>&, MatrixView<float>, const Context&);
template void store(const Scores<double>&, MatrixView<double>, const Context&);

}  // namespace monge::ot::cpu
