#include "monge/data/potentials.h"

#include <cmath>
#include <limits>
#include <numeric>

#include "monge/data/hdf5_writer.h"
#include "monge/ot/core/error.h"

namespace monge::data {
namespace {

constexpr const char* format = "monge-potentials";
constexpr std::uint64_t version = 1;

// Index of the first value that is NaN or infinite, or -1.
template <class T>
Index first_not_finite(const T* values, Index count) {
  for (Index i = 0; i < count; ++i)
    if (!std::isfinite(values[i])) return i;
  return -1;
}

template <class T>
void require_finite(const std::string& where, const T* values, Index count) {
  if (const Index i = first_not_finite(values, count); i >= 0)
    throw Error(Errc::not_finite, concat(where, ": element ", i, ": ", values[i]));
}

void require_finite(const std::string& where, const PotentialsFile& p) {
  for (std::size_t i = 0; i < p.g.size(); ++i) {
    const bool left_out = !p.b.empty() && p.b[i] == 0 && p.g[i] == -std::numeric_limits<double>::infinity();
    if (!std::isfinite(p.g[i]) && !left_out)
      throw Error(Errc::not_finite, concat(where, "g: element ", i, ": ", p.g[i]));
  }
  require_finite(where + "b", p.b.data(), static_cast<Index>(p.b.size()));
  if (!p.pca) return;
  require_finite(where + "pca/basis", p.pca->basis.data(), p.pca->basis.rows() * p.pca->basis.cols());
  require_finite(where + "pca/mean", p.pca->mean.data(), static_cast<Index>(p.pca->mean.size()));
  require_finite(where + "pca/variance", p.pca->variance.data(), static_cast<Index>(p.pca->variance.size()));
}

// The enumerator whose name is `text`.
template <class Enum>
Enum parse(const Hdf5Reader& file, const std::string& attribute, std::initializer_list<Enum> values) {
  const auto text = file.attribute<std::string>("", attribute);
  for (const Enum value : values)
    if (text == ot::to_string(value)) return value;
  file.fail("", "attribute " + attribute + " has the unknown value '" + text + "'");
}

std::vector<double> read_doubles(const Hdf5Reader& file, const std::string& name, Index size) {
  if (file.info(name).type != ElementType::f32) return file.read_vector<double>(name, size);
  const auto values = file.read_vector<float>(name, size);
  file.reserve(name, values.size() * sizeof(double));
  return {values.begin(), values.end()};
}

// Labels, their price and the noise's law of them, and the price of masses: files without are of a time before these.
void read_labels_and_tau(const Hdf5Reader& file, PotentialsFile& p) {
  const double infinity = std::numeric_limits<double>::infinity();
  if (file.has("labels")) p.labels = file.read_vector<std::int32_t>("labels", static_cast<Index>(p.g.size()));
  p.label_penalty = file.attribute_or<double>("", "label_penalty", infinity);
  if (!(p.label_penalty >= 0)) file.fail("", concat("attribute label_penalty is ", p.label_penalty));
  if (file.has("noise_labels")) {
    const auto labels = file.read_vector<std::int32_t>("noise_labels/label", -1);
    const auto shares = file.read_vector<double>("noise_labels/share", static_cast<Index>(labels.size()));
    for (std::size_t k = 0; k < labels.size(); ++k) {
      if (!(shares[k] > 0) || !std::isfinite(shares[k]))
        file.fail("noise_labels/share", concat("element ", k, ": ", shares[k]));
      p.noise_labels.push_back({labels[k], shares[k]});
    }
    if (p.labels.empty()) file.fail("noise_labels", "the atoms have no labels");
  }
  p.tau = file.attribute_or<double>("", "tau", infinity);
  if (!(p.tau > 0)) file.fail("", concat("attribute tau is ", p.tau));
}

void check_labels_and_tau(const PotentialsFile& p) {
  require(p.labels.empty() || p.labels.size() == p.g.size(), "save_potentials: ", p.labels.size(), " labels for ",
          p.g.size(), " atoms");
  require(p.label_penalty >= 0, "save_potentials: label_penalty is ", p.label_penalty);
  require(p.noise_labels.empty() || !p.labels.empty(), "save_potentials: noise has labels, the atoms have none");
  for (const NoiseLabel& noise : p.noise_labels)
    require(noise.share > 0 && std::isfinite(noise.share), "save_potentials: the share of label ", noise.label, " is ",
            noise.share);
  require(p.tau > 0, "save_potentials: tau is ", p.tau);
}

void write_labels(Hdf5Writer& file, const PotentialsFile& p) {
  if (!p.labels.empty()) file.array("labels", {static_cast<Index>(p.labels.size())}, p.labels.data());
  if (p.noise_labels.empty()) return;
  std::vector<std::int32_t> labels;
  std::vector<double> shares;
  for (const auto& [label, share] : p.noise_labels) labels.push_back(label), shares.push_back(share);
  file.array("noise_labels/label", {static_cast<Index>(labels.size())}, labels.data());
  file.array("noise_labels/share", {static_cast<Index>(shares.size())}, shares.data());
}

PcaBasis read_pca(const Hdf5Reader& file) {
  PcaBasis pca;
  pca.basis = file.read_matrix<float>("pca/basis");
  if (pca.basis.view().empty() || pca.basis.rows() > pca.basis.cols())
    file.fail("pca/basis", concat(pca.basis.rows(), " x ", pca.basis.cols(), " is not a basis of rows"));
  pca.mean = file.read_vector<float>("pca/mean", pca.basis.cols());
  pca.variance = file.read_vector<double>("pca/variance", pca.basis.rows());
  pca.total_variance = file.attribute<double>("pca", "total_variance");
  return pca;
}

}  // namespace

double PcaBasis::explained() const {
  const double kept = std::accumulate(variance.begin(), variance.end(), 0.0);
  return total_variance > 0 ? kept / total_variance : 1;
}

PotentialsFile load_potentials(const std::filesystem::path& path, const ReadLimits& limits) {
  const Hdf5Reader file("load_potentials", path, limits);
  file.check_format(format, version, true);
  PotentialsFile p;
  p.g = read_doubles(file, "g", -1);
  if (p.g.empty()) file.fail("g", "is empty");
  if (file.has("b")) p.b = read_doubles(file, "b", static_cast<Index>(p.g.size()));
  if (file.has("pca")) p.pca = read_pca(file);
  read_labels_and_tau(file, p);
  require_finite("load_potentials: " + path.string() + ": /", p);

  p.dims = static_cast<Index>(file.attribute<std::uint64_t>("", "dims"));
  if (p.pca && p.dims != p.pca->basis.rows())
    file.fail("pca/basis", concat("has ", p.pca->basis.rows(), " rows, attribute dims is ", p.dims));
  p.cost = file.attribute<std::string>("", "cost");
  p.epsilon = file.attribute<double>("", "epsilon");
  if (!(p.epsilon >= 0) || !std::isfinite(p.epsilon)) file.fail("", concat("attribute epsilon is ", p.epsilon));
  p.source_law = file.attribute<std::string>("", "source_law");
  p.dataset_digest = file.attribute<std::string>("", "dataset_digest");
  p.samples_per_atom = file.attribute<double>("", "samples_per_atom");
  p.gemm_rows_per_atom = file.attribute<double>("", "gemm_rows_per_atom");
  p.chi2 = file.attribute<double>("", "chi2");
  p.chi2_lower = file.attribute<double>("", "chi2_lower");
  p.chi2_upper = file.attribute<double>("", "chi2_upper");
  p.check_samples = file.attribute<std::uint64_t>("", "check_samples");
  p.seed = file.attribute<std::uint64_t>("", "seed");
  p.seconds = file.attribute<double>("", "seconds");
  p.check_seconds = file.attribute<double>("", "check_seconds");
  p.plan_cost = file.attribute<double>("", "plan_cost");
  p.plan_cost_error = file.attribute_or<double>("", "plan_cost_error", std::numeric_limits<double>::quiet_NaN());
  using Kind = ot::Certificate::Kind;
  p.certificate = {parse(file, "certificate_kind", {Kind::none, Kind::proven, Kind::confidence}),
                   file.attribute<double>("", "certificate_lower"), file.attribute<double>("", "certificate_upper")};
  using ot::Status;
  p.status = parse(file, "status",
                   {Status::converged, Status::iteration_limit, Status::time_limit, Status::stopped_by_caller,
                    Status::numerical_failure});
  return p;
}

void save_potentials(const PotentialsFile& p, const std::filesystem::path& path) {
  const Index n = static_cast<Index>(p.g.size());
  require(n > 0, "save_potentials: g is empty");
  require(p.b.empty() || p.b.size() == p.g.size(), "save_potentials: b has ", p.b.size(), " entries for ", n, " atoms");
  require(p.epsilon >= 0 && std::isfinite(p.epsilon), "save_potentials: epsilon is ", p.epsilon);
  if (p.pca) {
    const auto basis = p.pca->basis.view();
    require(!basis.empty() && basis.rows <= basis.cols && basis.rows == p.dims, "save_potentials: pca: a basis of ",
            basis.rows, " x ", basis.cols, " does not fit ", p.dims, " dimensions");
    require(static_cast<Index>(p.pca->mean.size()) == basis.cols, "save_potentials: pca: mean has ", p.pca->mean.size(),
            " entries, not ", basis.cols);
    require(static_cast<Index>(p.pca->variance.size()) == p.dims, "save_potentials: pca: variance has ",
            p.pca->variance.size(), " entries, not ", p.dims);
  }
  require_finite("save_potentials: ", p);
  check_labels_and_tau(p);

  Hdf5Writer file("save_potentials", path);
  file.attribute("", "format", format);
  file.attribute("", "version", version);
  file.array("g", {n}, p.g.data());
  if (!p.b.empty()) file.array("b", {n}, p.b.data());
  write_labels(file, p);
  if (p.pca) {
    file.array("pca/basis", {p.pca->basis.rows(), p.pca->basis.cols()}, p.pca->basis.data());
    file.array("pca/mean", {p.pca->basis.cols()}, p.pca->mean.data());
    file.array("pca/variance", {p.pca->basis.rows()}, p.pca->variance.data());
    file.attribute("pca", "total_variance", p.pca->total_variance);
    file.attribute("pca", "explained", p.pca->explained());
  }
  file.attribute("", "dims", static_cast<std::uint64_t>(p.dims));
  file.attribute("", "cost", p.cost);
  file.attribute("", "epsilon", p.epsilon);
  file.attribute("", "label_penalty", p.label_penalty);
  file.attribute("", "tau", p.tau);
  file.attribute("", "source_law", p.source_law);
  file.attribute("", "dataset_digest", p.dataset_digest);
  file.attribute("", "samples_per_atom", p.samples_per_atom);
  file.attribute("", "gemm_rows_per_atom", p.gemm_rows_per_atom);
  file.attribute("", "chi2", p.chi2);
  file.attribute("", "chi2_lower", p.chi2_lower);
  file.attribute("", "chi2_upper", p.chi2_upper);
  file.attribute("", "check_samples", p.check_samples);
  file.attribute("", "seed", p.seed);
  file.attribute("", "seconds", p.seconds);
  file.attribute("", "check_seconds", p.check_seconds);
  file.attribute("", "plan_cost", p.plan_cost);
  file.attribute("", "plan_cost_error", p.plan_cost_error);
  file.attribute("", "certificate_kind", ot::to_string(p.certificate.kind));
  file.attribute("", "certificate_lower", p.certificate.lower);
  file.attribute("", "certificate_upper", p.certificate.upper);
  file.attribute("", "status", ot::to_string(p.status));
  file.commit();
}

}  // namespace monge::data
