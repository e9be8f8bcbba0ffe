#pragma once  // private: never installed
#include "monge/ot/core/random.h"

// Which scores of a tile a thread holds: those that the accumulators of mma.m16n8k16 give it, whoever makes the tile.
namespace monge::ot::cuda {

// 2 x 4 warps, each of `across` x `along` blocks of 16 x 8 scores. A thread has `rows` x `cols` of the tile.
template <class T>
struct Shape {
  static constexpr int across = sizeof(T) == 4 ? 4 : 2, along = across;
  static constexpr int rows = 2 * across, cols = 2 * along;
  static constexpr int tile_rows = 2 * 16 * across, tile_cols = 4 * 8 * along;
  static constexpr int warp_columns = 4;  // warps that share a row
};

// The place of a thread in a tile.
template <class T>
struct Place {
  int thread;

  MONGE_HOST_DEVICE int lane() const { return thread % 32; }
  MONGE_HOST_DEVICE int warp() const { return thread / 32; }
  MONGE_HOST_DEVICE int warp_row() const { return warp() / Shape<T>::warp_columns; }
  MONGE_HOST_DEVICE int warp_column() const { return warp() % Shape<T>::warp_columns; }
  MONGE_HOST_DEVICE int first_row() const { return warp_row() * 16 * Shape<T>::across; }
  MONGE_HOST_DEVICE int first_col() const { return warp_column() * 8 * Shape<T>::along; }
  // Of its r-th row and c-th column, r < Shape<T>::rows, c < Shape<T>::cols.
  MONGE_HOST_DEVICE int row(int r) const { return first_row() + r / 2 * 16 + r % 2 * 8 + lane() / 4; }
  MONGE_HOST_DEVICE int col(int c) const { return first_col() + c / 2 * 8 + lane() % 4 * 2 + c % 2; }
};

// What lane l names to load_matrices: the left operand's blocks (rows 0-7 and 8-15) x (k 0-7 and 8-15) in the order of
// mma's registers, and two right operands' (8 columns each), first one's two halves of k, then the other's.
struct MatrixRow {
  int row, k;
};
MONGE_HOST_DEVICE constexpr MatrixRow left_row(int lane) { return {lane % 16, lane / 16 * 8}; }
MONGE_HOST_DEVICE constexpr MatrixRow right_row(int lane) { return {lane % 8 + lane / 16 * 8, lane / 8 % 2 * 8}; }

}  // namespace monge::ot::cuda
