#pragma once  // private: never installed
#include "monge/ot/core/backend.h"
#include "monge/ot/cuda/call.h"
#include "monge/ot/cuda/partial.h"

namespace monge::ot::cuda {

// The verbs of Passes<T> (ot/core/backend.h) on CUDA; each stands in the .cu file of its name, for float and double.
template <class T>
void softmin(const Room& room, const Scores<T>& s, T epsilon, VectorView<T> out, const Context& context);
template <class T>
void hardmin(const Room& room, const Scores<T>& s, MatrixView<T> values, MatrixView<std::int32_t> columns,
             const Context& context);
template <class T>
void sample(const Room& room, const Scores<T>& s, T epsilon, const Rng& rng, std::uint64_t first,
            VectorView<std::int32_t> columns, const Context& context);
template <class T>
void histogram(const Room& room, const Scores<T>& s, T epsilon, VectorView<const T> f, VectorView<const T> weights,
               VectorView<double> mass, const Context& context);
template <class T>
void apply(const Room& room, const Scores<T>& s, T epsilon, MatrixView<const T> values, MatrixView<T> out,
           const Context& context);
template <class T>
void balance(const Room& room, const Scores<T>& s, T epsilon, VectorView<const double> weights, VectorView<double> f,
             VectorView<double> mass, const Context& context);
template <class T>
void energy(const Room& room, const Scores<T>& s, T epsilon, VectorView<const double> f, VectorView<const T> w,
            VectorView<const T> bias, MatrixView<double> out, const Context& context);
template <class T>
bool repeats(const Scores<T>& s);
template <class T>
void store(const Room& room, const Scores<T>& s, MatrixView<T> out, const Context& context);
template <class T>
void assign(const Room& room, MatrixView<const T> x, MatrixView<const T> y, Index n, VectorView<std::int32_t> columns,
            VectorView<double> f, VectorView<double> g, const Context& context);
// Backend::prepare, normals, recombine.
std::shared_ptr<const PreparedPoints> prepare(const Room& room, MatrixView<const float> y, const Context& context,
                                              const Uncentred& before, const PreparedBytes& most);
void normals(const Room& room, const Rng& rng, std::uint64_t first, MatrixView<float> out, const Context& context);
void recombine(const Room& room, const Recombination& r, MatrixView<float> scores, MatrixView<std::int32_t> columns,
               const Context& context);

// Parts of verbs that other verbs use, on device memory. f_i = -epsilon log sum_j exp(s_ij / epsilon) to `out`, U being
// T or double.
template <class T, class U>
void softmin_into(Call& call, const Problem<T>& p, T epsilon, U* out);
// What makes shares of scores, p_ij = factor_i exp((s_ij + shift_i) / epsilon), each row's sum being 1 (without scores:
// 0).
template <class T>
void shares_into(Call& call, const Problem<T>& p, T epsilon, T* shift, T* factor);
// The largest score of each row, without u_i, and its column.
template <class T>
void largest_into(Call& call, Problem<T> p, Scored<T>* out);
// The values.cols <= list_places best of each row behind `after` (null: of all), with u_i, into values and columns; the
// last of them into `after` (null: nowhere), so that the next call goes on from there. `started`: whether `after` holds
// something.
template <class T>
void best_into(Call& call, Problem<T> p, MatrixView<T> values, MatrixView<std::int32_t> columns, Scored<T>* after,
               bool started);
// mass_j = unit sum_i factor_i exp((s_ij + shift_i) / epsilon); unit on the device, null: 1.
template <class T>
void mass_into(Call& call, Problem<T> p, T epsilon, const T* shift, const T* factor, const double* unit, double* mass);

}  // namespace monge::ot::cuda
