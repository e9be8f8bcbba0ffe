#include "monge/apps/common/metrics_log.h"

#include <gtest/gtest.h>

#include <string>

#include "monge/tests/data/support.h"

namespace monge::apps {
namespace {

using test::expect_error;
using test::read_bytes;
using test::write_bytes;

StepRecord record(std::uint64_t step) {
  const double x = static_cast<double>(step);
  return {step, 1 / (3 + x), 0.1 * x, 1e-3, 2.5 + x, 0.01 * x};
}

class MetricsLogTest : public testing::Test {
 protected:
  void write(std::uint64_t after, std::uint64_t first, std::uint64_t last) {
    MetricsLog log(path, after);
    for (std::uint64_t k = first; k <= last; ++k) log.append(record(k));
  }
  test::TemporaryFolder folder;
  const std::filesystem::path path = folder / "metrics.jsonl";
};

TEST_F(MetricsLogTest, ComesBackToTheSameBits) {
  write(0, 1, 5);
  const auto records = read_metrics(path);
  ASSERT_EQ(records.size(), 5u);
  for (std::uint64_t k = 1; k <= 5; ++k) {
    EXPECT_EQ(records[k - 1].step, k);
    EXPECT_EQ(records[k - 1].loss, record(k).loss);
    EXPECT_EQ(records[k - 1].gradient_norm, record(k).gradient_norm);
    EXPECT_EQ(records[k - 1].learning_rate, record(k).learning_rate);
    EXPECT_EQ(records[k - 1].step_ms, record(k).step_ms);
    EXPECT_EQ(records[k - 1].seconds, record(k).seconds);
  }
}

TEST_F(MetricsLogTest, ResumingDropsLaterAndCutLines) {
  write(0, 1, 9);
  const std::string whole = read_bytes(path);
  write_bytes(path, whole + "{\"step\":10,\"lo");  // killed while writing
  write(7, 8, 9);                                  // the checkpoint was of step 7
  EXPECT_EQ(read_bytes(path), whole);
  write(9, 10, 9);  // nothing to drop, nothing added
  EXPECT_EQ(read_bytes(path), whole);
  write(0, 1, 2);  // a run that starts has no past
  EXPECT_EQ(read_metrics(path).size(), 2u);
}

TEST_F(MetricsLogTest, BelongsToOneProcess) {
  const MetricsLog log(path, 0);
  expect_error(Errc::io, {"metrics.jsonl", "another process"}, [&] { MetricsLog(path, 0); });
}

TEST_F(MetricsLogTest, RefusesWhatIsNotMetrics) {
  write(0, 1, 2);
  write_bytes(path, read_bytes(path) + "not json\n");
  expect_error(Errc::bad_file, {"metrics.jsonl:3: "}, [&] { read_metrics(path); });
  write_bytes(path, "{\"step\":\"one\"}\n");
  expect_error(Errc::bad_file, {"metrics.jsonl:1: "}, [&] { MetricsLog(path, 0); });
  expect_error(Errc::io, {"missing"}, [&] { read_metrics(folder / "missing"); });
  expect_error(Errc::io, {"nowhere"}, [&] { MetricsLog(folder / "nowhere/metrics.jsonl", 0); });
}

}  // namespace
}  // namespace monge::apps
