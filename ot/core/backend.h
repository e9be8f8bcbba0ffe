#pragma once
#include <cstdint>
#include <memory>

#include "monge/ot/core/array.h"
#include "monge/ot/core/device.h"
#include "monge/ot/core/prepared.h"
#include "monge/ot/core/random.h"
#include "monge/ot/core/scores.h"

namespace monge::ot {

struct Recombination;  // ot/recombine.h

inline constexpr Index most_assigned = 1024;

// Everything an algorithm may ask of a device for scores of type T: one verb, one pass over the n x m scores, none of
// which are ever stored. Argument checks are the caller's; verbs assume matching shapes. Results are the same bits at
// any thread count. A view may be of the room's device or of the CPU; what is not the room's own is copied by the verb.
// Verbs wait for results that go to another device only (docs/cuda.md).
template <class T>
class Passes {
 public:
  virtual ~Passes() = default;

  // out_i = -epsilon log sum_j exp(s_ij / epsilon), epsilon > 0. A row whose scores are all -infinity gives +infinity.
  virtual void softmin(const Scores<T>& s, T epsilon, VectorView<T> out, const Context& context) = 0;

  // The k = values.cols largest scores of each row, descending, and their columns; the lower column wins ties.
  virtual void hardmin(const Scores<T>& s, MatrixView<T> values, MatrixView<std::int32_t> columns,
                       const Context& context) = 0;

  // columns_i ~ softmax_j(s_ij / epsilon), row i drawing from block `first + i` onwards of its own substreams of `rng`.
  virtual void sample(const Scores<T>& s, T epsilon, const Rng& rng, std::uint64_t first,
                      VectorView<std::int32_t> columns, const Context& context) = 0;

  // mass_j = sum_i weights_i exp((s_ij + f_i) / epsilon), f being what softmin returned; epsilon = 0: the sum of the
  // weights of the rows whose largest score is in column j (f is not read). Empty weights: all one.
  virtual void histogram(const Scores<T>& s, T epsilon, VectorView<const T> f, VectorView<const T> weights,
                         VectorView<double> mass, const Context& context) = 0;

  // out_i = sum_j softmax_j(s_ij / epsilon) values_j, values m x p, out n x p.
  virtual void apply(const Scores<T>& s, T epsilon, MatrixView<const T> values, MatrixView<T> out,
                     const Context& context) = 0;

  // Softmin of the rows and what columns then receive: f_i = softmin(s)_i, mass_j = sum_i weights_i
  // exp((s_ij + f_i) / epsilon). Faster when f holds a guess within some tens of epsilon on entry; NaN: no guess.
  virtual void balance(const Scores<T>& s, T epsilon, VectorView<const double> weights, VectorView<double> f,
                       VectorView<double> mass, const Context& context) = 0;

  // What a soft assignment costs, c_ij = bias_j - s_ij (without u_i), and what is left of it when column j keeps a
  // share w_j (empty: all): with p_ij = exp((s_ij + f_i) / epsilon), row i of out (n x 3) gets sum_j p_ij c_ij, sum_j
  // p_ij w_j and sum_j p_ij w_j c_ij.
  virtual void energy(const Scores<T>& s, T epsilon, VectorView<const double> f, VectorView<const T> w,
                      VectorView<const T> bias, MatrixView<double> out, const Context& context) = 0;

  // Whether all passes see the same bits of a score, so that they differ by what they make of it alone.
  virtual bool repeats(const Scores<T>& s) const = 0;

  // Optimal assignments, not of scores: of problems of n <= most_assigned points each, one after the other in x and y
  // (B n x d), at costs |x_i - y_j|^2 in double, whose squares must neither over- nor underflow. columns (B n): of each
  // row, counted within its problem; potentials g (B n) and f_i = min_j c_ij - g_j (B n).
  virtual void assign(MatrixView<const T> x, MatrixView<const T> y, Index n, VectorView<std::int32_t> columns,
                      VectorView<double> f, VectorView<double> g, const Context& context) = 0;

  // out_ij = s_ij: the one pass whose result is n x m, for those who ask for it.
  virtual void store(const Scores<T>& s, MatrixView<T> out, const Context& context) = 0;
};

// One room: a device, its memory, and its passes.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual Device device() const = 0;
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void deallocate(void* memory) noexcept = 0;
  // For Context::stream, so that work of one thread does not wait for another's; null on the CPU, which has none.
  virtual void* make_stream() = 0;
  virtual void destroy_stream(void* stream) noexcept = 0;
  // One side is of this device, the other of it or the CPU; waits until it is done.
  virtual void copy(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t width,
                    std::size_t rows) = 0;
  // y made ready for many passes of this room (Scores::y_ready, Recombination::y_ready), which are still told y, for
  // its shape at least; null where that gains nothing. A device that has no room for it keeps what `before` says of y,
  // or reads y anew in each pass: then y, but not `before`, has to live as long.
  virtual std::shared_ptr<const PreparedPoints> prepare(MatrixView<const float> y, const Context& context,
                                                        const Uncentred& before = {},
                                                        const PreparedBytes& most = {}) = 0;
  // Standard normals: row i is elements (first + i) out.cols onwards of the stream's sequence (fill_normal), the same
  // bits in every room.
  virtual void normals(const Rng& rng, std::uint64_t first, MatrixView<float> out, const Context& context) = 0;
  // See recombined_candidates (ot/recombine.h).
  virtual void recombine(const Recombination& r, MatrixView<float> scores, MatrixView<std::int32_t> columns,
                         const Context& context) = 0;
  virtual Passes<float>& passes(float) = 0;
  virtual Passes<double>& passes(double) = 0;
};

std::unique_ptr<Backend> make_cpu_backend();
std::unique_ptr<Backend> make_cuda_backend(int index);  // cuda/ or no_cuda.cpp defines it
bool cuda_available() noexcept;

// The room a device belongs to; throws Error(backend_unavailable) when it is not there.
Backend& backend_for(Device device);

template <class T>
Passes<T>& passes_for(Device device) {
  return backend_for(device).passes(T{});
}

}  // namespace monge::ot
