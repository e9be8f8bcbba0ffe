#include "monge/ot/faiss_search.h"

#include <faiss/Clustering.h>
#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVFFlat.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>

#include "monge/ot/blocks.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/normal_law.h"

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

// Rows with two more coordinates. Queries are (x, 1, 0), atoms (y_j, v_j, filler_j), so that inner products carry the
// bias; graphs are made for distances, and order atoms by inner products where the filler gives all the same length.
Matrix<float> augmented(MatrixView<const float> z) {
  Matrix<float> rows(z.rows, z.cols + 2);
  for (Index i = 0; i < z.rows; ++i) {
    std::copy_n(z.row(i), z.cols, rows.view().row(i));
    rows(i, z.cols) = 1;
    rows(i, z.cols + 1) = 0;
  }
  return rows;
}

void check(const char* caller, const FaissOptions& o) {
  require(o.lists >= 0, caller, ": lists is ", o.lists, ", expected 0 or more");
  require(o.probes > 0, caller, ": probes is ", o.probes, ", expected 1 or more");
  require(o.links >= 2 && o.links <= 4096, caller, ": links is ", o.links, ", expected 2 to 4096");
  require(o.search_width > 0, caller, ": search_width is ", o.search_width, ", expected 1 or more");
}

// The extreme-value level of independent scores, -|y_j| Phi^-1(1 - b_j), less its mean.
std::vector<float> layout_biases(const AtomSet& atoms, const std::vector<double>& squares) {
  std::vector<double> v(squares.size());
  double mean = 0;
  for (std::size_t j = 0; j < v.size(); ++j) {
    v[j] = -std::sqrt(squares[j]) * detail::upper_quantile(std::min(atoms.b[j], 1 - 1e-9));
    mean += atoms.b[j] * v[j];
  }
  for (double& value : v) value -= mean;
  return {v.begin(), v.end()};
}

// For each atom what brings the square of its length to that of the longest.
std::vector<float> fillers(const std::vector<double>& squares, const std::vector<float>& v) {
  std::vector<float> filler(v.size());
  double most = 0;
  const auto square = [&](std::size_t j) { return squares[j] + static_cast<double>(v[j]) * static_cast<double>(v[j]); };
  for (std::size_t j = 0; j < v.size(); ++j) most = std::max(most, square(j));
  for (std::size_t j = 0; j < v.size(); ++j) filler[j] = static_cast<float>(std::sqrt(most - square(j)));
  return filler;
}

}  // namespace

const char* to_string(FaissIndex index) {
  return index == FaissIndex::flat ? "flat" : index == FaissIndex::ivf ? "ivf" : "hnsw";
}

struct FaissSearch::Body {
  Index dimensions = 0;
  Context context;
  std::unique_ptr<faiss::IndexFlatIP> quantizer;
  std::unique_ptr<faiss::Index> index;
  std::vector<double> squares;  // |y_j|^2
  std::vector<float*> tail;     // where the index keeps the last two coordinates of each atom
  bool filled = false;          // with fillers
};

FaissSearch::FaissSearch(const char* caller, const AtomSet& atoms, const FaissOptions& o, const Context& context)
    : body_(std::make_unique<Body>()) {
  check(caller, o);
  body_->dimensions = atoms.dimensions();
  body_->context = context;
  // A graph comes out differently whenever several threads make it.
  const ThreadScope threads(o.index == FaissIndex::hnsw ? 1 : context.threads);
  for (Index j = 0; j < atoms.size(); ++j)
    body_->squares.push_back(dot(atoms.y.view().row(j), atoms.y.view().row(j), atoms.dimensions()));
  body_->filled = o.index == FaissIndex::hnsw;
  Matrix<float> rows = augmented(atoms.y.view());
  const int d = static_cast<int>(rows.cols());
  for (Index j = 0; j < atoms.size(); ++j) body_->tail.push_back(rows.view().row(j) + d - 2);
  set_biases(layout_biases(atoms, body_->squares));
  const auto remember = [&](std::uint8_t* codes, std::size_t count, const auto& id) {
    for (std::size_t i = 0; i < count; ++i)
      body_->tail[static_cast<std::size_t>(id(i))] =
          reinterpret_cast<float*>(codes) + (i + 1) * static_cast<std::size_t>(d) - 2;
  };
  const auto in_order = [](std::size_t i) { return i; };
  if (o.index == FaissIndex::ivf) {
    // Cells are Voronoi's, of k-means; a query looks into those whose centres have the largest scores.
    const Index n = rows.rows();
    require(o.lists <= n, caller, ": lists is ", o.lists, ", more than there are distinct atoms (", n, ")");
    const double usual = std::min(std::ceil(4 * std::sqrt(static_cast<double>(n))), static_cast<double>(n) / 39);
    const int lists = o.lists > 0 ? o.lists : std::max(1, static_cast<int>(usual));
    faiss::IndexFlatL2 nearest(d);
    faiss::ClusteringParameters training;
    training.min_points_per_centroid = 1;  // of fewer than that FAISS warns on the terminal
    faiss::Clustering means(d, lists, training);
    means.train(n, rows.data(), nearest);
    std::vector<FaissId> cell(static_cast<std::size_t>(n));
    nearest.assign(n, rows.data(), cell.data());
    body_->quantizer = std::make_unique<faiss::IndexFlatIP>(d);
    body_->quantizer->add(lists, means.centroids.data());
    auto ivf = std::make_unique<faiss::IndexIVFFlat>(body_->quantizer.get(), d, lists, faiss::METRIC_INNER_PRODUCT);
    ivf->nprobe = static_cast<std::size_t>(std::clamp(o.probes, 1, lists));
    ivf->add_core(n, rows.data(), nullptr, cell.data());
    auto& kept = dynamic_cast<faiss::ArrayInvertedLists&>(*ivf->invlists);
    for (std::size_t l = 0; l < kept.nlist; ++l)
      remember(kept.codes[l].data(), kept.ids[l].size(), [&](std::size_t i) { return kept.ids[l][i]; });
    body_->index = std::move(ivf);
  } else if (o.index == FaissIndex::hnsw) {
    auto hnsw = std::make_unique<faiss::IndexHNSWFlat>(d, o.links);
    hnsw->hnsw.efSearch = o.search_width;
    hnsw->add(rows.rows(), rows.data());
    remember(dynamic_cast<faiss::IndexFlat&>(*hnsw->storage).codes.data(), body_->tail.size(), in_order);
    body_->index = std::move(hnsw);
  } else {
    auto flat = std::make_unique<faiss::IndexFlatIP>(d);
    flat->add(rows.rows(), rows.data());
    remember(flat->codes.data(), body_->tail.size(), in_order);
    body_->index = std::move(flat);
  }
}

FaissSearch::~FaissSearch() = default;
FaissSearch::FaissSearch(FaissSearch&&) noexcept = default;

void FaissSearch::set_biases(const std::vector<float>& v) {
  const std::vector<float> filler = body_->filled ? fillers(body_->squares, v) : std::vector<float>(v.size(), 0.0f);
  for (std::size_t j = 0; j < v.size(); ++j) {
    body_->tail[j][0] = v[j];
    body_->tail[j][1] = filler[j];
  }
}

void FaissSearch::search(MatrixView<const float> x, VectorView<std::int32_t> found) const {
  const Matrix<float> queries = augmented(x);
  std::vector<float> best(static_cast<std::size_t>(x.rows));
  std::vector<FaissId> ids(best.size());
  const ThreadScope threads(body_->context.threads);
  try {
    body_->index->search(static_cast<FaissId>(x.rows), queries.data(), 1, best.data(), ids.data());
  } catch (const std::exception& e) {
    throw Error(Errc::invalid_argument, concat("match: ", e.what()));
  }
  for (Index i = 0; i < x.rows; ++i) {
    const FaissId id = ids[static_cast<std::size_t>(i)];
    if (id < 0) {
      throw Error(Errc::infeasible, concat("match: the FAISS index found no atom for noise row ", i,
                                           "; search more cells or candidates"));
    }
    found[i] = static_cast<std::int32_t>(id);
  }
}

}  // namespace monge::ot
