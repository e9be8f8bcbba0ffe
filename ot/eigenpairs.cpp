#include "monge/ot/eigenpairs.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "monge/ot/blocks.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/core/random.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/cpu/gemm.h"

// Of LAPACK, which OpenBLAS contains but Debian has no C header of. Columns come first: a row-major matrix is its own
// transpose. Lengths of character arguments come last, as Fortran compilers pass them.
extern "C" {
void dsyevd_(const char* job, const char* triangle, const blasint* n, double* a, const blasint* lda, double* w,
             double* work, const blasint* lwork, blasint* iwork, const blasint* liwork, blasint* info, std::size_t,
             std::size_t);
void dgeqrf_(const blasint* m, const blasint* n, double* a, const blasint* lda, double* tau, double* work,
             const blasint* lwork, blasint* info);
void dorgqr_(const blasint* m, const blasint* n, const blasint* k, double* a, const blasint* lda, const double* tau,
             double* work, const blasint* lwork, blasint* info);
}

namespace monge::ot::detail {
namespace {

constexpr double tolerance = 1e-12;     // of residuals, in units of the largest eigenvalue
constexpr double dynamic_range = 1e12;  // of a filter: what is amplified more leaves the others to rounding
constexpr Index most_degrees = 20;      // of a filter
constexpr Index least_iterated = 1024;  // LAPACK takes a fraction of a second below
constexpr Index iterated_share = 8;     // and is as fast where more than so much of the matrix is in the block

// Twice what is wanted: the last of these converges as fast as eigenvalues fall from there to the block's end.
Index block_size(Index k) { return 2 * k + 16; }

void look(const Context& context) {
  if (context.stop) context.stop->look();
}

// out = a b^T.
void multiply_transposed(const Matrix<double>& a, const Matrix<double>& b, Matrix<double>& out,
                         const Context& context) {
  constexpr Index tile = 32;
  parallel_for(context.threads, (a.rows() + tile - 1) / tile, [&](Index task, int) {
    const Index first = task * tile, count = std::min(tile, a.rows() - first);
    cpu::gemm(1.0, a.view().rows_from(first, count), b.view(), out.view().row(first), out.cols());
  });
}

// The rows of an orthonormal basis and of its product with c, turned to Ritz vectors; their values, descending.
std::vector<double> rayleigh_ritz(Matrix<double>& v, Matrix<double>& w, Matrix<double>& spare, const Context& context) {
  Matrix<double> t(v.rows(), v.rows());
  multiply_transposed(v, w, t, context);
  Eigenpairs ritz = dense_eigenpairs(std::as_const(t).view(), t.rows(), context);
  for (Matrix<double>* rows : {&v, &w}) {
    multiply(std::as_const(ritz.vectors).view(), std::as_const(*rows).view(), spare.view(), context);
    std::swap(*rows, spare);
  }
  return std::move(ritz.values);
}

// The largest |c v - lambda v| of the first k rows.
double residual(const Matrix<double>& v, const Matrix<double>& w, const std::vector<double>& values, Index k) {
  double largest = 0;
  std::vector<double> rest(static_cast<std::size_t>(v.cols()));
  for (Index i = 0; i < k; ++i) {
    for (Index j = 0; j < v.cols(); ++j)
      rest[static_cast<std::size_t>(j)] = w(i, j) - values[static_cast<std::size_t>(i)] * v(i, j);
    largest = std::max(largest, std::sqrt(dot(rest.data(), rest.data(), v.cols())));
  }
  return largest;
}

// v becomes T(2 c / edge - 1) v, T the Chebyshev polynomial of this degree: at most 1 on [0, edge], and it grows faster
// than any other beyond. w = c v.
void filter(MatrixView<const double> c, double edge, Index degree, Matrix<double>& v, Matrix<double>& w,
            Matrix<double>& spare, const Context& context) {
  const Index size = v.rows() * v.cols();
  for (Index i = 0; i < size; ++i) w.data()[i] = 2 / edge * w.data()[i] - v.data()[i];
  for (Index done = 1; done < degree; ++done) {
    multiply(std::as_const(w).view(), c, spare.view(), context);
    for (Index i = 0; i < size; ++i) spare.data()[i] = 2 * (2 / edge * spare.data()[i] - w.data()[i]) - v.data()[i];
    std::swap(v, w);
    std::swap(w, spare);
  }
  std::swap(v, w);
}

}  // namespace

void multiply(MatrixView<const double> a, MatrixView<const double> b, MatrixView<double> out, const Context& context) {
  constexpr Index stripe = 256;
  parallel_for(context.threads, (b.cols + stripe - 1) / stripe, [&](Index task, int) {
    look(context);
    const Index first = task * stripe, count = std::min(stripe, b.cols - first);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, static_cast<blasint>(a.rows), static_cast<blasint>(count),
                static_cast<blasint>(a.cols), 1.0, a.data, static_cast<blasint>(a.stride), b.data + first,
                static_cast<blasint>(b.stride), 0.0, out.data + first, static_cast<blasint>(out.stride));
  });
}

void orthonormalise(Matrix<double>& rows) {
  const auto n = static_cast<blasint>(rows.cols()), k = static_cast<blasint>(rows.rows()), work_size = 64 * k;
  std::vector<double> tau(static_cast<std::size_t>(k)), work(static_cast<std::size_t>(work_size));
  parallel_for(1, 1, [&](Index, int) {
    blasint info = 0;  // nonzero for wrong arguments alone
    dgeqrf_(&n, &k, rows.data(), &n, tau.data(), work.data(), &work_size, &info);
    dorgqr_(&n, &k, &k, rows.data(), &n, tau.data(), work.data(), &work_size, &info);
  });
}

Eigenpairs dense_eigenpairs(MatrixView<const double> c, Index k, const Context& context) {
  look(context);
  Matrix<double> a(c.rows, c.rows);
  copy(c, a.view());
  const auto n = static_cast<blasint>(c.rows), index_size = 3 + 5 * n;
  const Index work_size = 1 + (6 + 2 * c.rows) * c.rows;
  require(work_size < (Index{1} << 31), "fit_pca: an eigenproblem of ", c.rows, " x ", c.rows, " is too large");
  const auto doubles = static_cast<blasint>(work_size);
  std::vector<double> values(static_cast<std::size_t>(n));
  Buffer<double> work(work_size);
  std::vector<blasint> indices(static_cast<std::size_t>(index_size));
  blasint info = 0;
  parallel_for(1, 1, [&](Index, int) {
    dsyevd_("V", "U", &n, a.data(), &n, values.data(), work.data(), &doubles, indices.data(), &index_size, &info, 1, 1);
  });
  require(info == 0, "fit_pca: the eigenproblem of the covariance did not converge");
  look(context);
  Eigenpairs pairs{{values.rbegin(), values.rbegin() + k}, Matrix<double>(k, c.rows)};
  for (Index i = 0; i < k; ++i) std::copy_n(a.view().row(n - 1 - i), n, pairs.vectors.view().row(i));
  return pairs;
}

std::optional<Eigenpairs> iterated_eigenpairs(MatrixView<const double> c, Index k, const Context& context) {
  const Index n = c.rows, m = std::min(n, block_size(k));
  const Index worth = 4 * n / m;  // products, in which time LAPACK is done
  Matrix<double> v(m, n), w(m, n), spare(m, n);
  fill_normal(Rng{0x70636Bull}, 0, VectorView<double>(spare.data(), m * n));
  multiply(std::as_const(spare).view(), c, v.view(), context);
  for (Index products = 1;;) {
    orthonormalise(v);
    multiply(std::as_const(v).view(), c, w.view(), context);
    ++products;
    std::vector<double> values = rayleigh_ritz(v, w, spare, context);
    const double largest = values.front();
    if (residual(v, w, values, k) <= tolerance * largest) {
      values.resize(static_cast<std::size_t>(k));
      Matrix<double> vectors(k, n);
      copy(std::as_const(v).view().rows_from(0, k), vectors.view());
      return Eigenpairs{std::move(values), std::move(vectors)};
    }
    if (products >= worth) return std::nullopt;
    // What the block does not reach is damped, as far as the range of doubles allows in one go.
    const double edge = std::max(values.back(), 1e-10 * largest);
    const double growth = std::acosh(std::max(1.0, 2 * largest / edge - 1)), most = std::log(dynamic_range);
    const Index degree =
        most < growth * most_degrees ? std::max<Index>(1, static_cast<Index>(most / growth)) : most_degrees;
    filter(c, edge, degree, v, w, spare, context);
    products += degree - 1;
  }
}

Eigenpairs leading_eigenpairs(MatrixView<const double> c, Index k, const Context& context) {
  if (c.rows > least_iterated && iterated_share * block_size(k) <= c.rows) {
    if (std::optional<Eigenpairs> pairs = iterated_eigenpairs(c, k, context)) return std::move(*pairs);
  }
  return dense_eigenpairs(c, k, context);
}

}  // namespace monge::ot::detail
