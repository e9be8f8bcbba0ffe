// Thousands of damaged files: each is refused with an Error or read exactly as it was saved; nothing crashes, nothing
// comes back with another shape or another value.
#include <cstring>
#include <functional>

#include "monge/data/checkpoint.h"
#include "monge/data/classifier.h"
#include "monge/data/dataset.h"
#include "monge/data/potentials.h"
#include "support.h"

namespace monge::data {
namespace {

using test::read_bytes;
using test::TemporaryFolder;
using test::write_bytes;

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : state_(seed) {}

  std::string operator()(std::string bytes) {
    for (std::uint64_t hits = 1 + below(3); hits > 0; --hits) {
      const std::size_t at = below(bytes.size());
      const std::size_t length = std::min<std::size_t>(1 + below(8), bytes.size() - at);
      switch (below(7)) {
        case 0:
          bytes[at] ^= static_cast<char>(1u << below(8));
          break;
        case 1:
          bytes[at] = static_cast<char>(below(256));
          break;
        case 2:
          std::memset(&bytes[at], 0xff, length);
          break;  // huge sizes, undefined addresses
        case 3:
          std::memset(&bytes[at], 0, length);
          break;
        case 4:
          bytes.resize(at + 1);
          break;
        case 5:
          std::memmove(&bytes[at], &bytes[below(bytes.size() - length + 1)], length);
          break;
        case 6:
          bytes.insert(at, length, static_cast<char>(below(256)));
          break;
      }
    }
    return bytes;
  }

 private:
  std::size_t below(std::size_t n) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::size_t>((state_ >> 33) % n);
  }
  std::uint64_t state_;
};

// `load_and_compare` loads the file and says whether it is what was saved.
void mutate(const std::filesystem::path& path, int count, const std::function<bool()>& load_and_compare) {
  const std::string whole = read_bytes(path);
  ASSERT_TRUE(load_and_compare());
  Mutator mutator(whole.size());
  int refused = 0;
  ::testing::internal::CaptureStderr();
  for (int i = 0; i < count; ++i) {
    const std::string mutant = mutator(whole);
    write_bytes(path, mutant);
    try {
      EXPECT_TRUE(load_and_compare()) << "mutation " << i << " went unnoticed";
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_GT(refused, count / 2);
}

TEST(Mutations, Dataset) {
  const TemporaryFolder folder;
  Dataset saved;
  saved.storage = Storage::u8;
  saved.low = -1;
  saved.high = 1;
  Matrix<std::uint8_t> pixels(20, 9);
  for (Index i = 0; i < 180; ++i) pixels.data()[i] = static_cast<std::uint8_t>(i);
  saved.train = {pixels_to_float(pixels.view(), -1, 1), std::vector<std::int32_t>(20, 3)};
  saved.test = {pixels_to_float(pixels.view(), -1, 1), std::vector<std::int32_t>(20, 4)};
  saved.image = {3, 3, 1};
  saved.source = "here";
  save_dataset(saved, folder / "a.h5");
  mutate(folder / "a.h5", 2000, [&] {
    const Dataset d = load_dataset(folder / "a.h5");
    const auto same = [](const Split& a, const Split& b) {
      return a.rows() == b.rows() && a.x.cols() == b.x.cols() && a.labels == b.labels &&
             std::memcmp(a.x.data(), b.x.data(), static_cast<std::size_t>(a.rows() * a.x.cols()) * sizeof(float)) == 0;
    };
    return same(d.train, saved.train) && same(d.test, saved.test) && d.image.width == 3 && d.source == "here" &&
           d.storage == saved.storage && d.low == -1 && d.high == 1;
  });
}

TEST(Mutations, Potentials) {
  const TemporaryFolder folder;
  PotentialsFile saved;
  saved.g = std::vector<double>(50, 1.5);
  saved.dims = 2;
  saved.cost = "negative_dot";
  saved.seed = 4;
  PcaBasis pca;
  pca.basis = Matrix<float>(2, 3);
  std::fill_n(pca.basis.data(), 6, 0.5f);
  pca.mean = {1, 2, 3};
  pca.variance = {2, 1};
  pca.total_variance = 4;
  saved.pca = std::move(pca);
  save_potentials(saved, folder / "a.h5");
  mutate(folder / "a.h5", 2000, [&] {
    const PotentialsFile p = load_potentials(folder / "a.h5");
    return p.g == saved.g && p.b.empty() && p.dims == 2 && p.cost == saved.cost && p.seed == 4 && p.pca &&
           p.pca->basis.rows() == 2 && p.pca->basis.cols() == 3 && p.pca->mean == saved.pca->mean &&
           p.pca->variance == saved.pca->variance && p.pca->total_variance == 4;
  });
}

TEST(Mutations, Checkpoint) {
  const TemporaryFolder folder;
  Checkpoint saved;
  saved.config = "steps = 3";
  saved.step = 12;
  saved.groups["ema"].push_back({"t", {}, {7}});
  for (int i = 0; i < 10; ++i)
    saved.groups["weights"].push_back({concat("t", i), {3, 2}, std::vector<float>(6, static_cast<float>(i))});
  for (int i = 0; i < 12; ++i) saved.counters[concat("c", i)] = static_cast<std::uint64_t>(i);
  saved.scalars["s"] = 2.5;
  save_checkpoint(saved, folder / "a.h5");
  mutate(folder / "a.h5", 2000, [&] {
    const Checkpoint c = load_checkpoint(folder / "a.h5");
    bool same = c.config == saved.config && c.step == 12 && c.seed == 0 && c.counters == saved.counters &&
                c.scalars == saved.scalars && c.groups.size() == saved.groups.size();
    for (const auto& [name, tensors] : saved.groups)
      for (std::size_t i = 0; same && i < tensors.size(); ++i) {
        const NamedTensor &a = tensors[i], &b = c.groups.at(name).at(i);
        same = a.name == b.name && a.shape == b.shape && a.values == b.values;
      }
    return same;
  });
}

TEST(Mutations, Classifier) {
  const TemporaryFolder folder;
  ClassifierFile saved;
  saved.widths = {4, 3, 2};
  for (int i = 0; i < 23; ++i) saved.weights.push_back(static_cast<float>(i) - 10);
  saved.low = -1;
  saved.high = 1;
  saved.test_accuracy = 0.5;
  saved.recipe = "none";
  save_classifier(saved, folder / "a.h5");
  mutate(folder / "a.h5", 2000, [&] {
    const ClassifierFile c = load_classifier(folder / "a.h5");
    return c.widths == saved.widths && c.weights == saved.weights && c.low == -1 && c.high == 1 &&
           c.test_accuracy == 0.5 && c.recipe == "none" && c.dataset_digest.empty() && c.seed == 0;
  });
}

}  // namespace
}  // namespace monge::data
