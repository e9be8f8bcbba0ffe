#include "monge/data/potentials.h"

#include <cmath>
#include <limits>

#include "monge/data/hdf5_writer.h"
#include "support.h"

namespace monge::data {
namespace {

using test::expect_error;
using test::TemporaryFolder;

const double infinity = std::numeric_limits<double>::infinity();

PotentialsFile sample() {
  PotentialsFile p;
  for (int i = 0; i < 40; ++i) p.g.push_back(std::sin(i) * 1e3);
  p.b.assign(40, 1.0 / 40);
  p.b[7] = 0;
  p.g[7] = -infinity;
  PcaBasis pca;
  pca.basis = Matrix<float>(3, 5);
  for (int i = 0; i < 15; ++i) pca.basis.data()[i] = std::cos(static_cast<float>(i));
  pca.mean = {1, 2, 3, 4, 5};
  pca.variance = {3, 2, 1};
  pca.total_variance = 8;
  p.pca = std::move(pca);
  p.dims = 3;
  for (int i = 0; i < 40; ++i) p.labels.push_back(i % 3 == 0 ? 5 : -2);
  p.label_penalty = 12.5;
  p.noise_labels = {{-2, 0.75}, {5, 0.25}};
  p.tau = 3.5;
  p.cost = "negative_dot";
  p.epsilon = 0.125;
  p.source_law = "standard_normal";
  p.dataset_digest = "xxh64:0123456789abcdef";
  p.samples_per_atom = 37.5;
  p.gemm_rows_per_atom = 3.25;
  p.chi2 = 0.031;
  p.chi2_lower = 0.028;
  p.chi2_upper = 0.034;
  p.check_samples = std::uint64_t{1} << 63;
  p.seed = std::numeric_limits<std::uint64_t>::max();
  p.seconds = 61.5;
  p.check_seconds = 12.5;
  p.plan_cost = -100.25;
  p.plan_cost_error = 0.5;
  p.certificate = {ot::Certificate::Kind::confidence, -101, -100};
  p.status = ot::Status::stopped_by_caller;
  return p;
}

TEST(Potentials, ComeBackBitForBit) {
  const TemporaryFolder folder;
  const PotentialsFile a = sample();
  save_potentials(a, folder / "p.h5");
  const PotentialsFile b = load_potentials(folder / "p.h5");
  EXPECT_EQ(a.g, b.g);
  EXPECT_EQ(a.b, b.b);
  ASSERT_TRUE(b.pca);
  ASSERT_EQ(b.pca->basis.rows(), 3);
  ASSERT_EQ(b.pca->basis.cols(), 5);
  for (int i = 0; i < 15; ++i) EXPECT_EQ(a.pca->basis.data()[i], b.pca->basis.data()[i]);
  EXPECT_EQ(a.pca->mean, b.pca->mean);
  EXPECT_EQ(a.pca->variance, b.pca->variance);
  EXPECT_EQ(b.pca->total_variance, 8);
  EXPECT_EQ(b.pca->explained(), 0.75);
  EXPECT_EQ(a.dims, b.dims);
  EXPECT_EQ(a.cost, b.cost);
  EXPECT_EQ(a.epsilon, b.epsilon);
  EXPECT_EQ(a.source_law, b.source_law);
  EXPECT_EQ(a.dataset_digest, b.dataset_digest);
  EXPECT_EQ(a.samples_per_atom, b.samples_per_atom);
  EXPECT_EQ(a.gemm_rows_per_atom, b.gemm_rows_per_atom);
  EXPECT_EQ(a.chi2, b.chi2);
  EXPECT_EQ(a.chi2_lower, b.chi2_lower);
  EXPECT_EQ(a.chi2_upper, b.chi2_upper);
  EXPECT_EQ(a.check_samples, b.check_samples);
  EXPECT_EQ(a.seed, b.seed);
  EXPECT_EQ(a.seconds, b.seconds);
  EXPECT_EQ(a.check_seconds, b.check_seconds);
  EXPECT_EQ(a.plan_cost, b.plan_cost);
  EXPECT_EQ(a.plan_cost_error, b.plan_cost_error);
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_EQ(a.label_penalty, b.label_penalty);
  ASSERT_EQ(b.noise_labels.size(), 2u);
  for (std::size_t k = 0; k < 2; ++k) {
    EXPECT_EQ(a.noise_labels[k].label, b.noise_labels[k].label);
    EXPECT_EQ(a.noise_labels[k].share, b.noise_labels[k].share);
  }
  EXPECT_EQ(a.tau, b.tau);
  EXPECT_EQ(a.certificate.kind, b.certificate.kind);
  EXPECT_EQ(a.certificate.lower, b.certificate.lower);
  EXPECT_EQ(a.certificate.upper, b.certificate.upper);
  EXPECT_EQ(a.status, b.status);
}

TEST(Potentials, UniformWithoutPca) {
  const TemporaryFolder folder;
  PotentialsFile a;
  a.g = {1, 2, 3};
  a.dims = 784;
  save_potentials(a, folder / "p.h5");
  const PotentialsFile b = load_potentials(folder / "p.h5");
  EXPECT_EQ(a.g, b.g);
  EXPECT_TRUE(b.b.empty());
  EXPECT_FALSE(b.pca);
  EXPECT_EQ(b.dims, 784);
  EXPECT_TRUE(b.labels.empty());
  EXPECT_TRUE(b.noise_labels.empty());
  EXPECT_EQ(b.label_penalty, infinity);
  EXPECT_EQ(b.tau, infinity);
}

TEST(Potentials, RefusesToSaveNonsense) {
  const TemporaryFolder folder;
  const auto save = [&](const auto& change) {
    return [&folder, change] {
      PotentialsFile p = sample();
      change(p);
      save_potentials(p, folder / "p.h5");
    };
  };
  expect_error(Errc::not_finite, {"g: element 3", "nan"}, save([](PotentialsFile& p) { p.g[3] = std::nan(""); }));
  expect_error(Errc::not_finite, {"g: element 3", "-inf"}, save([](PotentialsFile& p) { p.g[3] = -infinity; }));
  expect_error(Errc::not_finite, {"g: element 7", "inf"}, save([](PotentialsFile& p) { p.g[7] = infinity; }));
  expect_error(Errc::not_finite, {"b: element 9"}, save([](PotentialsFile& p) { p.b[9] = infinity; }));
  expect_error(Errc::not_finite, {"pca/basis: element 14"},
               save([](PotentialsFile& p) { p.pca->basis.data()[14] = std::nanf(""); }));
  expect_error(Errc::invalid_argument, {"empty"}, save([](PotentialsFile& p) { p.g.clear(); }));
  expect_error(Errc::invalid_argument, {"b has 39"}, save([](PotentialsFile& p) { p.b.pop_back(); }));
  expect_error(Errc::invalid_argument, {"epsilon"}, save([](PotentialsFile& p) { p.epsilon = -1; }));
  expect_error(Errc::invalid_argument, {"pca", "3 x 5", "4"}, save([](PotentialsFile& p) { p.dims = 4; }));
  expect_error(Errc::invalid_argument, {"mean has 4"}, save([](PotentialsFile& p) { p.pca->mean.pop_back(); }));
  expect_error(Errc::invalid_argument, {"variance has 2"}, save([](PotentialsFile& p) { p.pca->variance.pop_back(); }));
  expect_error(Errc::invalid_argument, {"39 labels"}, save([](PotentialsFile& p) { p.labels.pop_back(); }));
  expect_error(Errc::invalid_argument, {"atoms have none"}, save([](PotentialsFile& p) { p.labels.clear(); }));
  expect_error(Errc::invalid_argument, {"label_penalty"},
               save([](PotentialsFile& p) { p.label_penalty = std::nan(""); }));
  expect_error(Errc::invalid_argument, {"share of label 5"},
               save([](PotentialsFile& p) { p.noise_labels[1].share = 0; }));
  expect_error(Errc::invalid_argument, {"tau is 0"}, save([](PotentialsFile& p) { p.tau = 0; }));
  EXPECT_TRUE(folder.files().empty());
}

// What every file has, and had before there were labels, tau and plan_cost_error.
void write_first_version(Hdf5Writer& file) {
  file.array("g", {2}, std::vector<double>{1, 2}.data());
  file.attribute("", "dims", std::uint64_t{7});
  for (const char* name : {"epsilon", "samples_per_atom", "gemm_rows_per_atom", "chi2", "chi2_lower", "chi2_upper",
                           "seconds", "check_seconds", "plan_cost", "certificate_lower", "certificate_upper"})
    file.attribute("", name, 0.5);
  for (const char* name : {"check_samples", "seed"}) file.attribute("", name, std::uint64_t{3});
  file.attribute("", "cost", "negative_dot");
  file.attribute("", "source_law", "standard_normal");
  file.attribute("", "dataset_digest", "xxh64:0123456789abcdef");
  file.attribute("", "certificate_kind", "confidence");
  file.attribute("", "status", "converged");
}

TEST(Potentials, FilesOfBeforeLabelsLoad) {
  const TemporaryFolder folder;
  const auto load = [&](const auto& more) {
    Hdf5Writer file("test", folder / "p.h5");
    file.attribute("", "format", "monge-potentials");
    file.attribute("", "version", std::uint64_t{1});
    write_first_version(file);
    more(file);
    file.commit();
    return load_potentials(folder / "p.h5");
  };
  const PotentialsFile p = load([](Hdf5Writer&) {});
  EXPECT_EQ(p.g, (std::vector<double>{1, 2}));
  EXPECT_TRUE(p.labels.empty());
  EXPECT_EQ(p.label_penalty, infinity);
  EXPECT_EQ(p.tau, infinity);
  EXPECT_TRUE(std::isnan(p.plan_cost_error));

  const auto refused = [&](const char* part, const auto& more) {
    expect_error(Errc::bad_file, {part}, [&] { load(more); });
  };
  const std::int32_t labels[] = {1, 2, 3};
  const double shares[] = {0.5, -0.5};
  refused("/labels", [&](Hdf5Writer& file) { file.array("labels", {3}, labels); });
  refused("label_penalty", [](Hdf5Writer& file) { file.attribute("", "label_penalty", -1.0); });
  refused("tau is 0", [](Hdf5Writer& file) { file.attribute("", "tau", 0.0); });
  refused("no labels", [&](Hdf5Writer& file) {
    file.array("noise_labels/label", {1}, labels);
    file.array("noise_labels/share", {1}, shares);
  });
  refused("element 1", [&](Hdf5Writer& file) {
    file.array("labels", {2}, labels);
    file.array("noise_labels/label", {2}, labels);
    file.array("noise_labels/share", {2}, shares);
  });
}

TEST(Potentials, RefusesOtherFiles) {
  const TemporaryFolder folder;
  const auto load = [&] { load_potentials(folder / "p.h5"); };
  {
    Hdf5Writer file("test", folder / "p.h5");
    file.array("g", {3}, std::vector<double>(3).data());
    file.commit();
  }
  expect_error(Errc::bad_file, {"load_potentials", "unmarked", "monge-potentials"}, load);
  const auto with = [&](const auto& fill) {
    Hdf5Writer file("test", folder / "p.h5");
    file.attribute("", "format", "monge-potentials");
    file.attribute("", "version", std::uint64_t{1});
    fill(file);
    file.commit();
  };
  with([](Hdf5Writer&) {});
  expect_error(Errc::bad_file, {"/g: missing"}, load);
  with([](Hdf5Writer& file) { file.array("g", {0}, static_cast<const double*>(nullptr)); });
  expect_error(Errc::bad_file, {"/g: is empty"}, load);
  with([](Hdf5Writer& file) { file.array("g", {2, 2}, std::vector<double>(4).data()); });
  expect_error(Errc::bad_file, {"/g", "2 dimensions, not 1"}, load);
  with([](Hdf5Writer& file) { file.array("g", {2}, std::vector<float>{1, std::nanf("")}.data()); });
  expect_error(Errc::not_finite, {"/g: element 1", "nan"}, load);
  with([](Hdf5Writer& file) {
    file.array("g", {2}, std::vector<float>(2).data());
    file.array("b", {3}, std::vector<float>(3).data());
  });
  expect_error(Errc::bad_file, {"/b", "3 elements, not 2"}, load);
  with([](Hdf5Writer& file) { file.array("g", {2}, std::vector<float>(2).data()); });
  expect_error(Errc::bad_file, {"attribute dims is missing"}, load);
}

}  // namespace
}  // namespace monge::data
