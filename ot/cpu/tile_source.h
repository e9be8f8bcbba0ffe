#pragma once
#include <algorithm>
#include <type_traits>

#include "monge/ot/core/device.h"
#include "monge/ot/core/scores.h"
#include "monge/ot/cpu/digits.h"

namespace monge::ot::cpu {

// Tiles are cut at fixed places, whatever the number of threads: OpenBLAS rounds differently for different shapes. A
// tile of floats takes 256 KB of cache. Reductions look at `granule` columns of a row at a time.
inline constexpr Index tile_rows = 256, tile_cols = 256, granule = 128;

// A rectangle of the n x m scores.
struct Box {
  Index first_row = 0, rows = 0, first_col = 0, cols = 0;
};

// The scores of a box, before scale and biases: s_ij = scale data[i stride + j] + v[j] + u_i, i and j counted from the
// box's corner. (With labels, scale is in the data already.) Columns are padded to whole vectors of any width by
// `padded` - cols columns of score -infinity.
template <class T>
struct Tile : Box {
  const T* data = nullptr;
  Index stride = 0;
  Index padded = 0;
  T scale = 1;
  const T* v = nullptr;  // aligned, padded
};

// What fills a tile.
enum class Maker { stored, gemm, digits, products, distances };

// The digits of the columns' points if tiles are to be products of digits, else none; for all sources of a pass.
template <class T>
Digits column_digits(const Scores<T>& s, const Context& context);

// An int as wide as T.
template <class T>
using Label = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

// Makes tiles from points (a GEMM or products of digits, direct products when d is small, or differences) or from a
// stored matrix. One per thread.
template <class T>
class TileSource {
 public:
  // Borrows all. made: column_digits(s). stop: looked at once in every so many scores, for read to throw what it says;
  // may be null.
  TileSource(const Scores<T>& s, const Digits& made, const Stop* stop);

  // Few rows of a stored matrix: the memory likes to be read along them, and not along many at a time.
  Index rows_per_tile() const { return s_.is_stored() ? 16 : tile_rows; }

  // The tile of `box`, at most tile_rows x tile_cols, whose corner lies on multiples of 16; good until the next call.
  Tile<T> read(const Box& box);

 private:
  void look_at_stop(const Box& box);
  void copy_biases(const Box& box, Index padded);
  void fill(const Box& box, Index padded);
  void fill_from_digits(const Box& box);
  void fill_from_points(const Box& box, Index padded);
  void transpose(const Box& box, Index padded, Index first, Index count);
  void subtract_penalty(const Box& box, Index padded);

  const Scores<T>& s_;
  const Digits& columns_;
  const Stop* stop_;
  Index since_look_ = 0;  // scores read since it was looked at
  Maker maker_;
  Index stride_;
  Buffer<T> tile_, bias_, transposed_;
  Buffer<Label<T>> labels_;
  Digits rows_;
  Box rows_read_;  // whose rows these are
};

inline Index round_up(Index count, Index multiple) { return (count + multiple - 1) / multiple * multiple; }

}  // namespace monge::ot::cpu
