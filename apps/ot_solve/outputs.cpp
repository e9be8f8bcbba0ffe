#include "monge/apps/ot_solve/outputs.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "monge/apps/common/interrupt.h"
#include "monge/apps/ot_solve/solvers.h"
#include "monge/data/cloud.h"
#include "monge/data/dataset.h"
#include "monge/data/hdf5_writer.h"
#include "monge/data/npy.h"
#include "monge/data/pairs.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/plan.h"

namespace monge::apps {
namespace {

double pairs(Index n, Index m) { return static_cast<double>(n) * static_cast<double>(m); }

bool is_hdf5(const std::string& path) { return std::filesystem::path(path).extension() == ".h5"; }

// Ctrl-C ends the passes that make files; one that came before leaves them a second.
Stop stop_of_files() {
  if (interrupted()) return Stop({}, Stop::Clock::now() + std::chrono::seconds(1));
  return Stop([] { return !interrupted(); });
}

// What a sparse plan takes besides its entries: the points in the plan's own units, some rows of it at a time, vectors.
template <class T>
double memory_of_sparse(const ot::Problem<T>& p) {
  const double points = static_cast<double>(p.rows() + p.cols()) * static_cast<double>(p.dims());
  const double block = std::max(static_cast<double>(p.cols()), std::min(pairs(p.rows(), p.cols()), 0x1p22));
  return (2 * points + 3 * block + 20 * static_cast<double>(p.rows() + p.cols())) * sizeof(double);
}
constexpr double bytes_of_entry = 40;  // while its arrays grow

template <class T>
ot::Plan entropic_plan(const Input<T>& input, const Request& r, const Solution& s, const Stop& stop) {
  Context context = r.context;
  context.stop = &stop;
  return ot::Plan(input.problem(), *s.sinkhorn, context);
}

// visit(row, column, mass) for each entry of a plan.
template <class Visit>
void for_entries(const ot::SparsePlan& plan, const Visit& visit) {
  for (Index i = 0; i < plan.rows; ++i)
    for (auto k = plan.offsets[static_cast<std::size_t>(i)]; k < plan.offsets[static_cast<std::size_t>(i) + 1]; ++k)
      visit(i, plan.columns[static_cast<std::size_t>(k)], plan.values[static_cast<std::size_t>(k)]);
}

// Leaves out so little that all of it is within the tolerance of the marginals.
template <class T>
ot::SparsePlan sparse_plan(const Input<T>& input, const Request& r, const Solution& s, const Stop& stop,
                           const MemoryBudget& budget) {
  const ot::Problem<T> problem = input.problem();
  if (!s.sinkhorn) return s.plan;
  ot::SparseOptions options;
  options.share = r.tolerance.value_or(ot::SinkhornOptions{}.tolerance) / static_cast<double>(problem.cols());
  options.share = std::min(options.share, 1e-4);
  options.most = static_cast<std::int64_t>(std::max(0.0, budget.left() - memory_of_sparse(problem)) / bytes_of_entry);
  try {
    return entropic_plan(input, r, s, stop).to_sparse(options);
  } catch (const Error& error) {
    if (error.code() != Errc::out_of_memory) throw;
    throw Error(Errc::out_of_memory, concat("--plan: more than ", options.most,
                                            " entries matter, too many for the memory: raise --memory-mb, or lower "
                                            "--epsilon for a sharper plan"));
  }
}

template <class T>
Matrix<double> dense_plan(const Input<T>& input, const Request& r, const Solution& s, const Stop& stop) {
  const ot::Problem<T> problem = input.problem();
  Matrix<double> plan(problem.rows(), problem.cols());
  if (s.sinkhorn) {
    entropic_plan(input, r, s, stop).to_dense(plan.view());
    return plan;
  }
  std::fill_n(plan.data(), problem.rows() * problem.cols(), 0.0);
  for_entries(s.plan, [&](Index i, Index j, double mass) { plan(i, j) = mass; });
  return plan;
}

// Points that no mass leaves stay where they are.
template <class T>
Matrix<T> mean_of_partners(const Input<T>& input, const ot::SparsePlan& plan) {
  const Index n = input.x.rows(), d = input.x.cols();
  std::vector<double> sent(static_cast<std::size_t>(n), 0.0);
  for_entries(plan, [&](Index i, Index, double mass) { sent[static_cast<std::size_t>(i)] += mass; });
  Matrix<double> mean(n, d);
  std::fill_n(mean.data(), n * d, 0.0);
  for_entries(plan, [&](Index i, Index j, double mass) {
    const double share = mass / sent[static_cast<std::size_t>(i)];
    for (Index k = 0; k < d; ++k) mean(i, k) += share * static_cast<double>(input.y(j, k));
  });
  Matrix<T> map(n, d);
  for (Index i = 0; i < n; ++i)
    for (Index k = 0; k < d; ++k)
      map(i, k) = sent[static_cast<std::size_t>(i)] > 0 ? static_cast<T>(mean(i, k)) : input.x(i, k);
  return map;
}

template <class T>
Matrix<T> barycentric_map(const Input<T>& input, const Request& r, const Solution& s, const Stop& stop) {
  if (!s.sinkhorn) return mean_of_partners(input, s.plan);
  Matrix<T> map(input.x.rows(), input.x.cols());
  entropic_plan(input, r, s, stop).map(map.view());
  return map;
}

void describe(data::Hdf5Writer& file, const char* format, const Request& r, const Solution& s) {
  file.attribute("", "format", format);
  file.attribute("", "version", std::uint64_t{1});
  file.attribute("", "solver", s.solver);
  file.attribute("", "status", ot::to_string(s.status));
  file.attribute("", "metric", r.cost.empty() ? r.metric_name() : "dense");
  file.attribute("", "cost", s.cost.value_or(NAN));
  file.attribute("", "certificate", ot::to_string(s.certificate.kind));
  file.attribute("", "lower", s.certificate.lower);
  file.attribute("", "upper", s.certificate.upper);
  file.attribute("", "epsilon", s.epsilon.value_or(0));
}

template <class V>
void write_vector(data::Hdf5Writer& file, const char* name, const std::vector<V>& values) {
  file.array(name, {static_cast<Index>(values.size())}, values.data());
}

void write_sparse(const ot::SparsePlan& plan, const Request& r, const Solution& s) {
  data::Hdf5Writer file("ot_solve", r.plan);
  describe(file, "monge.plan", r, s);
  file.attribute("", "rows", static_cast<std::uint64_t>(plan.rows));
  file.attribute("", "cols", static_cast<std::uint64_t>(plan.cols));
  file.attribute("", "left_out", plan.left_out);
  write_vector(file, "offsets", plan.offsets);
  write_vector(file, "columns", plan.columns);
  write_vector(file, "values", plan.values);
  write_vector(file, "f", s.f);
  write_vector(file, "g", s.g);
  file.commit();
}

template <class T>
std::string write_plan(const Input<T>& input, const Request& r, const Solution& s, const Stop& stop,
                       const MemoryBudget& budget) {
  if (!is_hdf5(r.plan)) {
    const Matrix<double> plan = dense_plan(input, r, s, stop);
    data::write_npy(r.plan, plan.view());
    return concat("plan, ", input.problem().rows(), " x ", input.problem().cols());
  }
  const ot::SparsePlan plan = sparse_plan(input, r, s, stop, budget);
  write_sparse(plan, r, s);
  return concat("plan, ", plan.values.size(), " entries",
                plan.left_out > 0 ? concat("; those left out sum to ", plan.left_out) : "");
}

template <class T>
void write_map(const Input<T>& input, const Request& r, const Solution& s, const Stop& stop) {
  const Matrix<T> map = barycentric_map(input, r, s, stop);
  if (!is_hdf5(r.map)) return data::write_npy(r.map, map.view());
  data::Hdf5Writer file("ot_solve", r.map);
  describe(file, "monge.map", r, s);
  file.array("map", {map.rows(), map.cols()}, map.data());
  file.commit();
}

void write_potentials(const Request& r, const Solution& s) {
  std::vector<double> both(s.f);
  both.insert(both.end(), s.g.begin(), s.g.end());
  data::write_npy(r.potentials, VectorView<const double>(both));
}

template <class T>
Matrix<float> to_float(const Matrix<T>& points) {
  Matrix<float> out(points.rows(), points.cols());
  std::transform(points.data(), points.data() + points.rows() * points.cols(), out.data(),
                 [](T value) { return static_cast<float>(value); });
  return out;
}

// Labels of X: those given, else those that a data file keeps beside its points.
template <class T>
std::vector<std::int32_t> labels_of_x(const Input<T>& input, const Request& r, const MemoryBudget& budget) {
  if (!input.x_labels.empty()) return input.x_labels;
  const std::string where = data::labels_beside(r.x);
  if (where.empty()) return {};
  std::vector<std::int32_t> labels = data::read_labels(where, budget.left());
  require(static_cast<Index>(labels.size()) == input.x.rows(), where, ": has ", labels.size(), " labels for ",
          input.x.rows(), " points");
  return labels;
}

constexpr const char* fit_for_pairs =
    "pairs are of points of equal weights, as many of X as of Y or a multiple (each y of a whole number of them)";

// Pairs count alike when they are trained on, so each x must have one partner and the weight of the others.
template <class T>
void check_weights_for_pairs(const Input<T>& input) {
  const auto& a = input.a;
  const auto& b = input.b;
  const double n = static_cast<double>(input.x.rows()), m = static_cast<double>(input.y.rows());
  for (std::size_t i = 0; i < a.size(); ++i)
    require(std::abs(a[i] / a[0] - 1) < 1e-9, "--pairs: x ", i, " weighs ", a[i], ", x 0 ", a[0], "; ", fit_for_pairs);
  const double total = std::accumulate(b.begin(), b.end(), 0.0);
  for (std::size_t j = 0; j < std::max<std::size_t>(b.size(), 1); ++j) {
    const double partners = b.empty() ? n / m : b[j] / total * n;
    require(std::abs(partners - std::round(partners)) <= 1e-9 * std::max(1.0, partners), "--pairs: y ", j, " of ", m,
            " would be the partner of ", partners, " of the ", n, " x; ", fit_for_pairs);
  }
}

template <class T>
void write_pairs(const Input<T>& input, const Request& r, const ot::SparsePlan& plan, const MemoryBudget& budget) {
  data::Pairs made;
  double weight = 0;
  for_entries(plan, [&](Index i, Index j, double mass) {
    if (mass == 0) return;
    if (made.atoms.empty()) weight = mass;
    require(static_cast<Index>(made.atoms.size()) == i && std::abs(mass / weight - 1) < 1e-9, "--pairs: x ", i,
            " is split, or of another weight; ", fit_for_pairs);
    made.atoms.push_back(static_cast<std::int32_t>(j));
  });
  require(static_cast<Index>(made.atoms.size()) == plan.rows, "--pairs: x ", made.atoms.size(), " has no partner");
  made.x0 = to_float(input.x);
  made.labels = labels_of_x(input, r, budget);
  data::Dataset dataset;
  dataset.train.x = to_float(input.y);
  made.dataset_digest = data::content_digest(dataset);
  data::save_pairs(made, r.pairs);
}

template <class Write>
void unless_interrupted(const std::string& path, const Write& write) {
  if (!finishes(write)) throw Interrupted("interrupted before " + path + " was made; it is not written");
}

}  // namespace

template <class T>
void check_outputs(const Input<T>& input, const Request& r, const std::string& solver, const MemoryBudget& budget) {
  if (!r.pairs.empty()) check_weights_for_pairs(input);
  const ot::Problem<T> p = input.problem();
  const double means = is_exact(solver) ? sizeof(double) : 0;
  if (!r.map.empty()) budget.require(pairs(p.rows(), p.dims()) * (sizeof(T) + means), "--map");
  if (r.plan.empty()) return;
  if (!is_hdf5(r.plan))
    return budget.require(pairs(p.rows(), p.cols()) * sizeof(double), "--plan as a dense .npy (.h5 is sparse)");
  // No row or column without an entry.
  const double entries = static_cast<double>(std::max(p.rows(), p.cols()));
  budget.require(entries * bytes_of_entry + (solver == "sinkhorn" ? memory_of_sparse(p) : 0),
                 "--plan, were it one to one,");
}

template <class T>
std::vector<std::string> write_outputs(const Input<T>& input, const Request& r, const Solution& s,
                                       const MemoryBudget& budget) {
  const Stop stop = stop_of_files();
  std::vector<std::string> lines;
  if (!r.potentials.empty()) {
    write_potentials(r, s);
    lines.push_back(r.potentials + " (potentials: " + (s.f.empty() ? "g)" : "f, then g)"));
  }
  if (!r.map.empty()) {
    unless_interrupted(r.map, [&] { write_map(input, r, s, stop); });
    lines.push_back(r.map + " (where each x goes)");
  }
  if (!r.pairs.empty()) {
    write_pairs(input, r, s.plan, budget);
    lines.push_back(r.pairs + " (each x with its partner)");
  }
  if (!r.plan.empty()) {
    unless_interrupted(r.plan, [&] { lines.push_back(r.plan + " (" + write_plan(input, r, s, stop, budget) + ")"); });
  }
  return lines;
}

template void check_outputs(const Input<float>&, const Request&, const std::string&, const MemoryBudget&);
template void check_outputs(const Input<double>&, const Request&, const std::string&, const MemoryBudget&);
template std::vector<std::string> write_outputs(const Input<float>&, const Request&, const Solution&,
                                                const MemoryBudget&);
template std::vector<std::string> write_outputs(const Input<double>&, const Request&, const Solution&,
                                                const MemoryBudget&);

}  // namespace monge::apps
