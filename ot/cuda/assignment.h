#pragma once  // private: never installed
#include "monge/ot/cuda/ops.h"
#include "monge/ot/cuda/partial.h"
#include "monge/ot/cuda/problem.h"

// Small assignment problems, one for each block: the search of ot/assignment_search.cpp on a dense matrix of doubles,
// without its phases of auction, after Jonker and Volgenant, with a block where that has a vector. All threads follow
// the same steps; what there is one of is written by thread 0 between two barriers.
namespace monge::ot::cuda {

inline constexpr Index most_on_chip = 128;  // points whose costs stay in shared memory

template <class T>
struct AssignmentBatch {
  MatrixView<const T> x, y;  // problems x n points
  int n = 0;
  Index first = 0;              // problem of the first block
  double* workspace = nullptr;  // n x n costs for each block; null: in shared memory
  std::int32_t* columns = nullptr;
  double* f = nullptr;
  double* g = nullptr;
};

// The smallest of some values, the next, and where the smallest is: of equals at the lowest place.
struct Smallest {
  double first = std::numeric_limits<double>::infinity(), second = std::numeric_limits<double>::infinity();
  std::int32_t place = no_column;

  MONGE_HOST_DEVICE void add(double value, std::int32_t at) {
    if (value < first || (value == first && at < place)) {
      second = first;
      first = value;
      place = at;
    } else if (value < second) {
      second = value;
    }
  }
  MONGE_HOST_DEVICE void add(const Smallest& other) {
    const bool wins = other.first < first || (other.first == first && other.place < place);
    const double behind = wins ? first : other.first;  // the smallest of those that lost
    const double next = second < other.second ? second : other.second;
    second = behind < next ? behind : next;
    if (wins) {
      first = other.first;
      place = other.place;
    }
  }
};

MONGE_DEVICE Smallest shuffle_whole(const Smallest& known, int mask) {
  Smallest other;
  other.first = shuffle_xor(known.first, mask);
  other.second = shuffle_xor(known.second, mask);
  other.place = shuffle_xor(known.place, mask);
  return other;
}
MONGE_DEVICE void add_over_warp(Smallest& known) {
  for (int mask = 1; mask < warp_threads; mask *= 2) known.add(shuffle_whole(known, mask));
}

// What a problem keeps in shared memory: n of each, unless it says otherwise.
struct AssignmentMemory {
  static constexpr int tile = 64, chunk = 8, stride = tile + 2;  // points and coordinates of a tile of costs
  Smallest* met;                                                 // 2 x block_warps
  double* v;                                                     // column potentials
  double* key;                                                   // distances of columns
  double* points;                                                // of a tile: 2 x chunk x stride
  double* cost;                                                  // n x n, if on chip
  std::int32_t* from;                                            // the row from which a column was reached
  std::int32_t* row_of;
  std::int32_t* column_of;
  std::int32_t* free;    // a stack
  std::int32_t* closed;  // columns, 0 or 1
  std::int32_t* next;    // 2: the row whose turn it is; how many are on the stack

  static constexpr Index costs(Index n) { return n <= most_on_chip ? n * n : 0; }
  static constexpr std::size_t bytes(Index n) {
    const Index doubles = 2 * n + 2 * chunk * stride + costs(n), ints = 5 * n + 2;
    return 2 * block_warps * sizeof(Smallest) + static_cast<std::size_t>(doubles) * sizeof(double) +
           static_cast<std::size_t>(ints) * sizeof(std::int32_t);
  }
  MONGE_DEVICE AssignmentMemory(unsigned char* memory, int n) {
    met = reinterpret_cast<Smallest*>(memory);
    v = reinterpret_cast<double*>(met + 2 * block_warps);
    key = v + n;
    points = key + n;
    cost = points + 2 * chunk * stride;
    from = reinterpret_cast<std::int32_t*>(cost + (n <= most_on_chip ? n * n : 0));
    row_of = from + n;
    column_of = row_of + n;
    free = column_of + n;
    closed = free + n;
    next = closed + n;
  }
};
static_assert(AssignmentMemory::bytes(most_on_chip) <= 163 * 1024 && AssignmentMemory::bytes(1024) <= 163 * 1024,
              "what compute capability 8.0 has");

template <class T>
class AssignmentSearch {
 public:
  MONGE_DEVICE AssignmentSearch(const AssignmentBatch<T>& batch, Index block, unsigned char* memory)
      : n_(batch.n),
        m_(memory, batch.n),
        cost_(batch.workspace ? batch.workspace + block * batch.n * batch.n : m_.cost) {
    const Index first = (batch.first + block) * n_;
    price(batch.x.data + first * batch.x.stride, batch.x.stride, batch.y.data + first * batch.y.stride, batch.y.stride,
          batch.x.cols);
  }

  MONGE_DEVICE void run() {
    reduce_columns();
    reduce_rows();
    for (int i = 0; i < n_; ++i) {
      if (m_.column_of[i] < 0) augment(i);
    }
  }

  // columns, f, g: of this problem.
  MONGE_DEVICE void write(std::int32_t* columns, double* f, double* g) {
    for (int i = warp(); i < n_; i += block_warps) {
      const Smallest best = best_of_row(i, m_.v);
      if (lane() == 0) f[i] = best.first;
    }
    for (int i = thread(); i < n_; i += block_threads) {
      columns[i] = m_.column_of[i];
      g[i] = m_.v[i];
    }
  }

 private:
  static MONGE_DEVICE int lane() { return thread() % warp_threads; }
  static MONGE_DEVICE int warp() { return thread() / warp_threads; }
  MONGE_DEVICE double cost(int i, int j) const { return cost_[static_cast<Index>(i) * n_ + j]; }

  // |x_i - y_j|^2 from differences, 64 x 64 pairs at a time, 4 x 4 for each thread, coordinates in turn.
  MONGE_DEVICE void price(const T* x, Index x_stride, const T* y, Index y_stride, Index dims) {
    constexpr int tile = AssignmentMemory::tile, chunk = AssignmentMemory::chunk, stride = AssignmentMemory::stride;
    double* const xs = m_.points;
    double* const ys = m_.points + chunk * stride;
    const int across = thread() % 16, down = thread() / 16;
    for (int first_row = 0; first_row < n_; first_row += tile) {
      for (int first_col = 0; first_col < n_; first_col += tile) {
        double sums[4][4] = {};
        for (Index first = 0; first < dims; first += chunk) {
          barrier();
          for (int e = thread(); e < tile * chunk; e += block_threads) {
            const int point = e / chunk, k = e % chunk, row = first_row + point, col = first_col + point;
            const bool inside = first + k < dims;
            xs[k * stride + point] = inside && row < n_ ? static_cast<double>(x[row * x_stride + first + k]) : 0.0;
            ys[k * stride + point] = inside && col < n_ ? static_cast<double>(y[col * y_stride + first + k]) : 0.0;
          }
          barrier();
          for (int k = 0; k < chunk; ++k) {
#pragma unroll
            for (int r = 0; r < 4; ++r) {
#pragma unroll
              for (int c = 0; c < 4; ++c) {
                const double difference = xs[k * stride + down + 16 * r] - ys[k * stride + across + 16 * c];
                sums[r][c] = fma(difference, difference, sums[r][c]);
              }
            }
          }
        }
#pragma unroll
        for (int r = 0; r < 4; ++r) {
#pragma unroll
          for (int c = 0; c < 4; ++c) {
            const int row = first_row + down + 16 * r, col = first_col + across + 16 * c;
            if (row < n_ && col < n_) cost_[static_cast<Index>(row) * n_ + col] = sums[r][c];
          }
        }
      }
    }
    barrier();
  }

  // Of c_ij - v_j, v null: 0; by one warp.
  MONGE_DEVICE Smallest best_of_row(int i, const double* v) const {
    Smallest best;
    for (int j = lane(); j < n_; j += warp_threads) best.add(v ? cost(i, j) - v[j] : cost(i, j), j);
    add_over_warp(best);
    return best;
  }

  // All threads' together, known to all of them. One barrier: the next call writes to other memory, and the one after
  // that comes behind a barrier all have left this one for.
  MONGE_DEVICE Smallest meet(Smallest mine) {
    add_over_warp(mine);
    Smallest* const met = m_.met + turn_ * block_warps;
    turn_ = 1 - turn_;
    if (lane() == 0) met[warp()] = mine;
    barrier();
    Smallest all = met[0];
    for (int w = 1; w < block_warps; ++w) all.add(met[w]);
    return all;
  }

  // v_j = min_i c_ij - u_i, u the row minima; then each column goes to the row where its minimum is, if no lower column
  // has.
  MONGE_DEVICE void reduce_columns() {
    double* const u = m_.key;
    for (int i = warp(); i < n_; i += block_warps) {
      const Smallest best = best_of_row(i, nullptr);
      if (lane() == 0) u[i] = best.first;
    }
    barrier();
    for (int j = thread(); j < n_; j += block_threads) {
      Smallest best;
      for (int i = 0; i < n_; ++i) best.add(cost(i, j) - u[i], i);
      m_.v[j] = best.first;
      m_.from[j] = best.place;
      m_.row_of[j] = m_.column_of[j] = -1;
    }
    barrier();
    if (thread() == 0) {
      for (int j = 0; j < n_; ++j) {
        const std::int32_t i = m_.from[j];
        if (m_.column_of[i] >= 0) continue;
        m_.column_of[i] = j;
        m_.row_of[j] = i;
      }
    }
    barrier();
  }

  // Augmenting row reduction: a free row takes its best column and lowers it until its second best is as good; the row
  // put out goes next. At most 32 bids a row: what they leave is left to augment().
  MONGE_DEVICE void reduce_rows() {
    std::int32_t& free = m_.next[1];
    if (thread() == 0) {
      free = 0;
      for (int i = n_; i-- > 0;) {
        if (m_.column_of[i] < 0) m_.free[free++] = i;
      }
      call_next();
    }
    barrier();
    for (int bids = 32 * n_; bids > 0 && m_.next[0] >= 0; --bids) {
      const std::int32_t i = m_.next[0];
      Smallest best;
      for (int j = thread(); j < n_; j += block_threads) best.add(cost(i, j) - m_.v[j], j);
      best = meet(best);
      if (thread() == 0) {
        bid(i, best);
        call_next();
      }
      barrier();
    }
  }
  MONGE_DEVICE void call_next() {
    std::int32_t& free = m_.next[1];
    m_.next[0] = free > 0 ? m_.free[--free] : -1;
  }
  MONGE_DEVICE void bid(std::int32_t i, const Smallest& best) {
    const std::int32_t j = best.place, owner = m_.row_of[j];
    const double lowered = m_.v[j] - (best.second - best.first);
    const bool lowers = lowered < m_.v[j] && best.second < std::numeric_limits<double>::infinity();
    if (lowers) m_.v[j] = lowered;
    if (owner >= 0) {
      if (!lowers) return;
      m_.column_of[owner] = -1;
      m_.free[m_.next[1]++] = owner;
    }
    m_.column_of[i] = j;
    m_.row_of[j] = i;
  }

  // Dijkstra's from row `source` over reduced costs to the nearest free column, and the swap along the path there. A
  // thread keeps the distances of its own columns.
  MONGE_DEVICE void augment(std::int32_t source) {
    for (int j = thread(); j < n_; j += block_threads) {
      m_.key[j] = std::numeric_limits<double>::infinity();
      m_.closed[j] = 0;
    }
    std::int32_t i = source, sink;
    double shift = 0, level = -std::numeric_limits<double>::infinity();
    for (;;) {
      Smallest best;  // of equals a free column, if there is one
      for (int j = thread(); j < n_; j += block_threads) {
        if (m_.closed[j]) continue;
        const double reached = shift + (cost(i, j) - m_.v[j]);
        if (reached < m_.key[j]) {
          m_.key[j] = reached;
          m_.from[j] = i;
        }
        best.add(m_.key[j], m_.row_of[j] < 0 ? j : j + n_);
      }
      best = meet(best);
      level = level > best.first ? level : best.first;
      const std::int32_t j = best.place % n_;
      if (best.place < n_) {
        sink = j;
        break;
      }
      if (j % block_threads == thread()) m_.closed[j] = 1;
      i = m_.row_of[j];
      shift = level - (cost(i, j) - m_.v[j]);
    }
    for (int j = thread(); j < n_; j += block_threads) {
      if (m_.closed[j] && m_.key[j] < level) m_.v[j] += m_.key[j] - level;
    }
    if (thread() == 0) {
      for (std::int32_t j = sink, row = -1; row != source;) {
        row = m_.from[j];
        m_.row_of[j] = row;
        exchange_values(j, m_.column_of[row]);
      }
    }
    barrier();
  }

  int n_;
  AssignmentMemory m_;
  double* cost_;
  int turn_ = 0;
};

template <class T>
MONGE_KERNEL(1)
assign_kernel(AssignmentBatch<T> batch) {
  AssignmentSearch<T> search(batch, block_x(), shared_memory());
  search.run();
  const Index first = (batch.first + block_x()) * batch.n;
  search.write(batch.columns + first, batch.f + first, batch.g + first);
}

}  // namespace monge::ot::cuda
