#pragma once  // private: never installed
#include <cstdint>
#include <limits>
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/core/device.h"
#include "monge/ot/kd_tree.h"

namespace monge::ot {

// The largest scores <x_i, y_j> + v_j of rows, found without looking at all atoms y_j, of few dimensions. Scores are
// doubles: along a curve, and where sizes differ much, cells are so narrow that floats cannot tell some thousands of
// them apart. With labels, rows meet atoms of their own label alone.
class ScoreTree {
 public:
  // Whether there is anything to search. Beyond six dimensions the pass over all scores, which are floats, is faster
  // than a search of some thousand atoms.
  static bool pays(Index atoms, Index dims);

  // y: N x d, d <= KdTree::most_dims. labels: N, or none.
  ScoreTree(MatrixView<const double> y, VectorView<const std::int32_t> labels, const Context& context);
  ScoreTree(MatrixView<const float> y, VectorView<const std::int32_t> labels, const Context& context);

  // To be told of v before the first search, and whenever it changes; N, -infinity allowed.
  void set_biases(VectorView<const double> v, const Context& context);

  // The k = values.cols largest scores of each row, descending, the lower column before its equals, as far as they are
  // within `window` of the row's best; places left over hold -infinity and column -1. row_labels: n, or none.
  void find(MatrixView<const double> x, VectorView<const std::int32_t> row_labels, double window,
            MatrixView<double> values, MatrixView<std::int32_t> columns, const Context& context) const;
  void find(MatrixView<const float> x, VectorView<const std::int32_t> row_labels, double window,
            MatrixView<double> values, MatrixView<std::int32_t> columns, const Context& context) const;

  // The best atom j of each row, and those atoms k whose border with it is no further than `width` from the row,
  // <x, y_j> + v_j - (<x, y_k> + v_k) <= width |y_j - y_k|; if they are more than values.cols, the best. In the order
  // of `find`, which places left over are as well.
  void find_near(MatrixView<const float> x, VectorView<const std::int32_t> row_labels, double width,
                 MatrixView<double> values, MatrixView<std::int32_t> columns, const Context& context) const;

  // The atoms of one label, in kd_order.
  struct Part {
    std::int32_t label;
    std::vector<std::int32_t> column;  // of each
    Matrix<double> points;
    detail::KdTree tree;
    // Blocks of 16 atoms: their first coordinates, their second ones, ..., their biases, -infinity in padding.
    Buffer<double> blocks;
    double largest = 0, highest = 0;  // norm and modulus of a bias
  };

 private:
  const Part* part_of(std::int32_t label) const;
  template <class T>
  void build(MatrixView<const T> y, VectorView<const std::int32_t> labels, const Context& context);
  // Calls search(part, row in double, its list) for all rows.
  template <class T, class Search>
  void for_rows(MatrixView<const T> x, VectorView<const std::int32_t> row_labels, MatrixView<double> values,
                MatrixView<std::int32_t> columns, const Context& context, const Search& search) const;

  std::vector<Part> parts_;   // by label
  std::vector<Index> place_;  // of each atom in its part
  bool labelled_;
};

}  // namespace monge::ot
