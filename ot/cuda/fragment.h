#pragma once  // private: never installed
#include "monge/ot/core/random.h"

// Which scores of a tile a thread holds: those that the accumulators of the matrix instructions give it, whoever makes
// the tile. A Tile says how many (rows x cols), and its Place where they are. Four lanes share a row of a warp.
namespace monge::ot::cuda {

// mma.m16n8k16: 2 x 4 warps, each of `across` x `along` blocks of 16 x 8 scores.
template <class T_>
struct WarpTile {
  using T = T_;
  static constexpr int across = sizeof(T) == 4 ? 4 : 2, along = across;
  static constexpr int rows = 2 * across, cols = 2 * along;
  static constexpr int tile_rows = 2 * 16 * across, tile_cols = 4 * 8 * along;
  static constexpr int warp_columns = 4;  // warps that share a row

  struct Place {
    int thread;

    MONGE_HOST_DEVICE int lane() const { return thread % 32; }
    MONGE_HOST_DEVICE int warp() const { return thread / 32; }
    MONGE_HOST_DEVICE int warp_row() const { return warp() / warp_columns; }
    MONGE_HOST_DEVICE int warp_column() const { return warp() % warp_columns; }
    MONGE_HOST_DEVICE int first_row() const { return warp_row() * 16 * across; }
    MONGE_HOST_DEVICE int first_col() const { return warp_column() * 8 * along; }
    // Of its r-th row and c-th column, r < rows, c < cols.
    MONGE_HOST_DEVICE int row(int r) const { return first_row() + r / 2 * 16 + r % 2 * 8 + lane() / 4; }
    MONGE_HOST_DEVICE int col(int c) const { return first_col() + c / 2 * 8 + lane() % 4 * 2 + c % 2; }
    // Columns c and c + 1, c even, are the pair'th two of the tile.
    MONGE_HOST_DEVICE int pair(int c) const { return first_col() / 2 + c / 2 * 4 + lane() % 4; }
    // Where it is in its slice (below).
    MONGE_HOST_DEVICE int slot(int c) const { return warp_column() * 8 + lane() % 4 * 2 + c % 2; }
  };

  // Slices are 32 columns of a tile, to which each thread adds so many of its own; slot `slot` of a slice is this
  // column.
  static constexpr int slice_cols = 2;
  static MONGE_HOST_DEVICE constexpr int slice_col(int slice, int slot) {
    return slot / 8 * 8 * along + 8 * slice + slot % 8;
  }
};

// wgmma.m64n128k16: 2 groups of 4 warps, a warp having 16 rows and all columns.
struct WideTile {
  using T = float;
  static constexpr int rows = 2, cols = 32, tile_rows = 128, tile_cols = 128, warp_columns = 1, group_rows = 64;

  struct Place {
    int thread;

    MONGE_HOST_DEVICE int lane() const { return thread % 32; }
    MONGE_HOST_DEVICE int warp() const { return thread / 32; }
    MONGE_HOST_DEVICE int warp_column() const { return 0; }
    MONGE_HOST_DEVICE int group() const { return thread / 128; }
    MONGE_HOST_DEVICE int row(int r) const { return warp() * 16 + r * 8 + lane() / 4; }
    MONGE_HOST_DEVICE int col(int c) const { return c / 2 * 8 + lane() % 4 * 2 + c % 2; }
    MONGE_HOST_DEVICE int pair(int c) const { return c / 2 * 4 + lane() % 4; }
    MONGE_HOST_DEVICE int slot(int c) const { return col(c) % 32; }
  };

  static constexpr int slice_cols = 8;
  static MONGE_HOST_DEVICE constexpr int slice_col(int slice, int slot) { return 32 * slice + slot; }
};

// Tiles of either kind are equally large, so that all but the kernels need not know which it is.
static_assert(WideTile::tile_rows == WarpTile<float>::tile_rows && WideTile::tile_cols == WarpTile<float>::tile_cols);

// What lane l names to load_matrices: the left operand's blocks (rows 0-7 and 8-15) x (k 0-7 and 8-15) in the order of
// mma's registers, and two right operands' (8 columns each), first one's two halves of k, then the other's.
struct MatrixRow {
  int row, k;
};
MONGE_HOST_DEVICE constexpr MatrixRow left_row(int lane) { return {lane % 16, lane / 16 * 8}; }
MONGE_HOST_DEVICE constexpr MatrixRow right_row(int lane) { return {lane % 8 + lane / 16 * 8, lane / 8 % 2 * 8}; }

}  // namespace monge::ot::cuda
