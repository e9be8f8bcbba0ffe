#pragma once  // private: never installed
#include <optional>
#include <vector>

#include "monge/ot/core/array.h"

namespace monge::ot::detail {

// The largest eigenvalues of a symmetric positive semidefinite matrix, and their eigenvectors.
struct Eigenpairs {
  std::vector<double> values;  // k, descending
  Matrix<double> vectors;      // k x n, orthonormal rows
};

// The k largest of c, n x n with both triangles. Large matrices of which little is wanted are iterated, the others, and
// those where that would take longer, go to LAPACK. Throws Error(stopped) between products; LAPACK is not interrupted,
// and takes some 8 n^3 operations.
Eigenpairs leading_eigenpairs(MatrixView<const double> c, Index k, const Context& context);

// All of it by LAPACK.
Eigenpairs dense_eigenpairs(MatrixView<const double> c, Index k, const Context& context);

// Subspace iteration with Chebyshev polynomials, until |c v - lambda v| of all k is at most 1e-12 of the largest
// eigenvalue: about what rounding leaves of a dense solution. Nothing if it takes more products than are worth it. See
// Zhou, Saad, Tiago, Chelikowsky, Self-consistent-field calculations using Chebyshev-filtered subspace iteration, 2006.
std::optional<Eigenpairs> iterated_eigenpairs(MatrixView<const double> c, Index k, const Context& context);

// out = a b, in stripes of columns. Throws Error(stopped).
void multiply(MatrixView<const double> a, MatrixView<const double> b, MatrixView<double> out, const Context& context);

// Replaces rows (at most as many as columns), of any rank, by orthonormal ones: the first j span the first j before.
void orthonormalise(Matrix<double>& rows);

}  // namespace monge::ot::detail
