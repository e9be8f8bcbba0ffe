#pragma once
#include "monge/ot/core/backend.h"

namespace monge::ot::cpu {

// The verbs of Passes<T> (ot/core/backend.h) on the CPU; each stands in the .cpp file of its name, for float and
// double.
template <class T>
void softmin(const Scores<T>& s, T epsilon, VectorView<T> out, const Context& context);
template <class T>
void hardmin(const Scores<T>& s, MatrixView<T> values, MatrixView<std::int32_t> columns, const Context& context);
template <class T>
void sample(const Scores<T>& s, T epsilon, const Rng& rng, std::uint64_t first, VectorView<std::int32_t> columns,
            const Context& context);
template <class T>
void histogram(const Scores<T>& s, T epsilon, VectorView<const T> f, VectorView<const T> weights,
               VectorView<double> mass, const Context& context);
template <class T>
void apply(const Scores<T>& s, T epsilon, MatrixView<const T> values, MatrixView<T> out, const Context& context);
template <class T>
void balance(const Scores<T>& s, T epsilon, VectorView<const double> weights, VectorView<double> f,
             VectorView<double> mass, const Context& context);
template <class T>
void energy(const Scores<T>& s, T epsilon, VectorView<const double> f, VectorView<const T> w, VectorView<const T> bias,
            MatrixView<double> out, const Context& context);
template <class T>
bool repeats(const Scores<T>& s);
template <class T>
void store(const Scores<T>& s, MatrixView<T> out, const Context& context);

template <class T>
void assign(MatrixView<const T> x, MatrixView<const T> y, Index n, VectorView<std::int32_t> columns,
            VectorView<double> f, VectorView<double> g, const Context& context);

// Backend::normals, Backend::recombine.
void normals(const Rng& rng, std::uint64_t first, MatrixView<float> out, const Context& context);
void recombine(const Recombination& r, MatrixView<float> scores, MatrixView<std::int32_t> columns,
               const Context& context);

}  // namespace monge::ot::cpu
