#pragma once  // private: never installed
#include <cstdint>
#include <span>
#include <vector>

#include "monge/ot/core/array.h"

namespace monge::ot::detail {

template <class T>
struct ScoredColumn {
  T score;
  std::int32_t column;
};

// Finds the k largest of the m scores  scale s_j + w_j, descending; -infinity is left out. Of equal scores at the end
// of the list those come first that follow column `first` (round the end): rows that tie everywhere list different
// columns. Bits do not depend on the vector width. What it returns is good until the next call. k > 0.
template <class T>
class LargestScores {
 public:
  std::span<const ScoredColumn<T>> find(const T* s, T scale, const T* w, Index m, Index k, Index first);

 private:
  std::vector<T> tops_;
  std::vector<ScoredColumn<T>> found_;
};

}  // namespace monge::ot::detail
