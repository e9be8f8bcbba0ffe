#include "monge/data/classifier.h"

#include <cmath>
#include <functional>
#include <limits>

#include "monge/data/checkpoint.h"
#include "monge/data/hdf5_writer.h"
#include "support.h"

namespace monge::data {
namespace {

using test::expect_error;
using test::read_bytes;
using test::TemporaryFolder;
using test::write_bytes;

ClassifierFile sample() {
  ClassifierFile c;
  c.widths = {5, 4, 3, 2};
  for (int i = 0; i < 5 * 4 + 4 + 4 * 3 + 3 + 3 * 2 + 2; ++i) c.weights.push_back(0.1f * static_cast<float>(i) - 2);
  c.low = -1;
  c.high = 1;
  c.dataset_digest = "xxh64:0123456789abcdef";
  c.test_accuracy = 0.89;
  c.seed = 7;
  c.recipe = "made up";
  return c;
}

TEST(Classifier, ComesBackAsItWas) {
  const TemporaryFolder folder;
  save_classifier(sample(), folder / "a.h5");
  const ClassifierFile back = load_classifier(folder / "a.h5"), was = sample();
  EXPECT_EQ(back.widths, was.widths);
  EXPECT_EQ(back.weights, was.weights);
  EXPECT_EQ(back.low, was.low);
  EXPECT_EQ(back.high, was.high);
  EXPECT_EQ(back.dataset_digest, was.dataset_digest);
  EXPECT_EQ(back.test_accuracy, was.test_accuracy);
  EXPECT_EQ(back.seed, was.seed);
  EXPECT_EQ(back.recipe, was.recipe);
  EXPECT_EQ(back.digest, content_digest(was));
  ClassifierFile other = sample();
  other.weights[20] += 1e-6f;
  EXPECT_NE(content_digest(other), back.digest);
  save_classifier(sample(), folder / "b.h5");
  EXPECT_EQ(read_bytes(folder / "a.h5"), read_bytes(folder / "b.h5"));
  other.test_accuracy = std::numeric_limits<double>::quiet_NaN();
  save_classifier(other, folder / "a.h5");
  EXPECT_TRUE(std::isnan(load_classifier(folder / "a.h5").test_accuracy));
}

TEST(Classifier, DamageIsSeen) {
  const TemporaryFolder folder;
  save_classifier(sample(), folder / "a.h5");
  std::string bytes = read_bytes(folder / "a.h5");
  const float value = sample().weights[10];
  const std::size_t at = bytes.find(std::string(reinterpret_cast<const char*>(&value), sizeof value));
  ASSERT_NE(at, std::string::npos);
  bytes[at] ^= 1;
  write_bytes(folder / "a.h5", bytes);
  expect_error(Errc::bad_file, {"load_classifier", "a.h5", "/layers/0/weight", "does not match its digest"},
               [&] { load_classifier(folder / "a.h5"); });
  bytes.resize(bytes.size() / 2);
  write_bytes(folder / "a.h5", bytes);
  expect_error(Errc::bad_file, {"load_classifier", "a.h5"}, [&] { load_classifier(folder / "a.h5"); });
  save_checkpoint({}, folder / "a.h5");
  expect_error(Errc::bad_file, {"is monge-checkpoint, not monge-classifier"},
               [&] { load_classifier(folder / "a.h5"); });
  expect_error(Errc::io, {"nowhere"}, [&] { load_classifier(folder / "nowhere.h5"); });
}

TEST(Classifier, LayersMustFollowOneAnother) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::vector<std::string>& words, const std::function<void(Hdf5Writer&)>& layers) {
    {
      Hdf5Writer file("test", folder / "a.h5");
      file.attribute("", "format", "monge-classifier");
      file.attribute("", "version", std::uint64_t{1});
      file.attribute("", "range", std::vector<double>{-1, 1});
      file.attribute("", "digest", "xxh64:0000000000000000");
      file.attribute("", "dataset_digest", "");
      file.attribute("", "recipe", "");
      file.attribute("", "test_accuracy", 0.5);
      file.attribute("", "seed", std::uint64_t{1});
      layers(file);
      file.commit();
    }
    expect_error(Errc::bad_file, words, [&] { load_classifier(folder / "a.h5"); });
  };
  const std::vector<float> zeros(100);
  const auto layer = [&](Hdf5Writer& file, const std::string& k, Index out, Index in, Index bias) {
    file.array("layers/" + k + "/weight", {out, in}, zeros.data());
    file.array("layers/" + k + "/bias", {bias}, zeros.data());
  };
  refused({"/layers/0/weight", "missing"}, [&](Hdf5Writer&) {});
  refused({"/layers/1/weight", "missing"}, [&](Hdf5Writer& file) { layer(file, "0", 4, 5, 4); });
  refused({"/layers/1/weight", "takes 3 values, the layer before gives 4"}, [&](Hdf5Writer& file) {
    layer(file, "0", 4, 5, 4);
    layer(file, "1", 2, 3, 2);
  });
  refused({"/layers/1/bias", "has 3 elements, not 2"}, [&](Hdf5Writer& file) {
    layer(file, "0", 4, 5, 4);
    layer(file, "1", 2, 4, 3);
  });
  refused({"its layers do not match its digest"}, [&](Hdf5Writer& file) {
    layer(file, "0", 4, 5, 4);
    layer(file, "1", 2, 4, 2);
  });
  refused({"/layers/0/weight", "NaN"}, [&](Hdf5Writer& file) {
    const std::vector<float> nan(20, NAN);
    file.array("layers/0/weight", {4, 5}, nan.data());
  });
}

TEST(Classifier, WhatDoesNotFitIsNotSaved) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::vector<std::string>& words, const std::function<void(ClassifierFile&)>& change) {
    ClassifierFile c = sample();
    change(c);
    expect_error(Errc::invalid_argument, words, [&] { save_classifier(c, folder / "a.h5"); });
  };
  refused({"46 weights, the layers take 47"}, [](ClassifierFile& c) { c.weights.pop_back(); });
  refused({"widths"}, [](ClassifierFile& c) { c.widths = {5, 2}; });
  refused({"widths"}, [](ClassifierFile& c) { c.widths[1] = 0; });
  EXPECT_TRUE(folder.files().empty());
}

}  // namespace
}  // namespace monge::data
