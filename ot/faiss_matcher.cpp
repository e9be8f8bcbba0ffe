#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVFFlat.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <exception>

#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/fitted_atoms.h"
#include "monge/ot/matcher.h"

namespace monge::ot {
namespace {

using FaissId = decltype(faiss::Index::ntotal);  // moved out of the class between FAISS releases

// FAISS takes its threads from OpenMP's setting for the calling thread.
class ThreadScope {
 public:
  explicit ThreadScope(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(resolve_threads(threads)); }
  ~ThreadScope() { omp_set_num_threads(before_); }
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
};

// The rows (z_k, last_k), so that a maximum inner product over d + 1 dimensions carries the bias.
Matrix<float> augmented(MatrixView<const float> z, const std::vector<float>* last) {
  Matrix<float> rows(z.rows, z.cols + 1);
  for (Index i = 0; i < z.rows; ++i) {
    std::copy_n(z.row(i), z.cols, rows.view().row(i));
    rows(i, z.cols) = last ? (*last)[static_cast<std::size_t>(i)] : 1.0f;
  }
  return rows;
}

void check(const FaissOptions& o) {
  require(o.lists >= 0, "faiss_matcher: lists is ", o.lists, ", expected 0 or more");
  require(o.probes > 0, "faiss_matcher: probes is ", o.probes, ", expected 1 or more");
  require(o.links >= 2 && o.links <= 4096, "faiss_matcher: links is ", o.links, ", expected 2 to 4096");
  require(o.search_width > 0, "faiss_matcher: search_width is ", o.search_width, ", expected 1 or more");
}

class FaissMatcher final : public Matcher {
 public:
  FaissMatcher(MatrixView<const float> y, const SemidiscretePotentials& potentials, const FaissOptions& o,
               const Context& context)
      : fitted_("faiss_matcher", y, potentials, context) {
    require(fitted_.epsilon == 0,
            "faiss_matcher: an index finds the best atom, it cannot draw one (epsilon = ", potentials.epsilon,
            "): use pass_matcher");
    require(!fitted_.is_labelled(), "faiss_matcher: an index knows no labels: use pass_matcher");
    check(o);
    // A graph comes out differently whenever several threads make it.
    const ThreadScope threads(o.index == FaissIndex::hnsw ? 1 : context.threads);
    const Matrix<float> rows = augmented(fitted_.atoms.y.view(), &fitted_.biases);
    const int d = static_cast<int>(rows.cols());
    if (o.index == FaissIndex::flat) {
      index_ = std::make_unique<faiss::IndexFlatIP>(d);
    } else if (o.index == FaissIndex::ivf) {
      const double cells = o.lists > 0 ? o.lists : std::ceil(4 * std::sqrt(static_cast<double>(rows.rows())));
      const int lists = std::clamp(static_cast<int>(cells), 1, static_cast<int>(std::max<Index>(1, rows.rows() / 39)));
      quantizer_ = std::make_unique<faiss::IndexFlatIP>(d);
      auto ivf = std::make_unique<faiss::IndexIVFFlat>(quantizer_.get(), d, lists, faiss::METRIC_INNER_PRODUCT);
      ivf->nprobe = static_cast<std::size_t>(std::clamp(o.probes, 1, lists));
      ivf->train(rows.rows(), rows.data());
      index_ = std::move(ivf);
    } else {
      auto hnsw = std::make_unique<faiss::IndexHNSWFlat>(d, o.links, faiss::METRIC_INNER_PRODUCT);
      hnsw->hnsw.efSearch = o.search_width;
      index_ = std::move(hnsw);
    }
    index_->add(rows.rows(), rows.data());
  }

  using Matcher::match;
  void match(MatrixView<const float> noise, VectorView<const std::int32_t> labels, const Rng& rng, std::uint64_t first,
             VectorView<std::int32_t> atoms) const override {
    fitted_.check("match", noise, labels, atoms);
    Matrix<float> projected;
    const Matrix<float> queries = augmented(fitted_.in_score_space(noise, projected), nullptr);
    std::vector<float> best(static_cast<std::size_t>(noise.rows));
    std::vector<FaissId> found(best.size());
    const ThreadScope threads(fitted_.context.threads);
    try {
      index_->search(static_cast<FaissId>(noise.rows), queries.data(), 1, best.data(), found.data());
    } catch (const std::exception& e) {
      throw Error(Errc::invalid_argument, concat("match: ", e.what()));
    }
    for (Index i = 0; i < atoms.size; ++i) {
      const FaissId id = found[static_cast<std::size_t>(i)];
      if (id < 0) {
        throw Error(Errc::infeasible, concat("match: the FAISS index found no atom for noise row ", i,
                                             "; search more cells or candidates"));
      }
      atoms[i] = static_cast<std::int32_t>(id);
    }
    fitted_.to_members(rng, first, atoms);
  }

  const LabelLaw& noise_labels() const override { return fitted_.noise_labels; }

 private:
  FittedAtoms fitted_;
  std::unique_ptr<faiss::IndexFlatIP> quantizer_;
  std::unique_ptr<faiss::Index> index_;
};

}  // namespace

std::unique_ptr<Matcher> faiss_matcher(MatrixView<const float> y, const SemidiscretePotentials& potentials,
                                       const FaissOptions& options, const Context& context) {
  try {
    return std::make_unique<FaissMatcher>(y, potentials, options, context);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& e) {
    throw Error(Errc::invalid_argument, concat("faiss_matcher: ", e.what()));
  }
}

}  // namespace monge::ot
