#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "monge/apps/common/json.h"
#include "monge/apps/common/progress.h"
#include "monge/apps/common/table.h"
#include "monge/apps/common/validators.h"

namespace monge::apps {
namespace {

TEST(Progress, WritesDurations) {
  EXPECT_EQ(format_duration(0), "0:00");
  EXPECT_EQ(format_duration(59.4), "0:59");
  EXPECT_EQ(format_duration(59.6), "1:00");
  EXPECT_EQ(format_duration(754), "12:34");
  EXPECT_EQ(format_duration(3723), "1:02:03");
  EXPECT_EQ(format_duration(-5), "0:00");
  EXPECT_EQ(format_duration(1e300), format_duration(1e9));
}

TEST(Progress, SaysRateAndTimeLeft) {
  EXPECT_EQ(progress_line("train", "step", 500, 2000, 20, "loss 0.1", 0),
            "train  25%  500/2000 steps  25 steps/s  1:00 left  loss 0.1");
  EXPECT_EQ(progress_line("train", "step", 2, 10, 20, "", 0), "train  20%  2/10 steps  10.0 s/step  1:20 left");
  EXPECT_EQ(progress_line("train", "step", 10, 10, 65, "", 0), "train 100%  10/10 steps  in 1:05");
  EXPECT_EQ(progress_line("fit", "", 0.5, 1, 7, "", 10), "fit [=====>----]  50%  0:07 left");
  EXPECT_EQ(progress_line("fit", "", 0, 1, 0, "", 0), "fit   0%");
  EXPECT_EQ(progress_line("fit", "", 1.7, 1, 3, "", 4), "fit [====] 100%  in 0:03");
  EXPECT_EQ(progress_line("fit", "step", 999, 1000, 1, "", 0).substr(0, 8), "fit  99%");  // 100% is the end
}

// 400 of 500 steps were an earlier process's: 60 steps of this one in 6 s.
TEST(Progress, RatesAreOfItsOwnWork) {
  EXPECT_EQ(progress_line("train", "step", 460, 500, 6, "", 0, 400),
            "train  92%  460/500 steps  10 steps/s  0:04 left");
  EXPECT_EQ(progress_line("train", "step", 400, 500, 6, "", 0, 400), "train  80%  400/500 steps");
  EXPECT_EQ(progress_line("train", "step", 500, 500, 10, "", 0, 400), "train 100%  500/500 steps  in 0:10");
}

// Off a terminal: stderr is a file here.
TEST(Progress, FinishSaysTheLastStateOnce) {
  const auto said = [](const auto& work) {
    testing::internal::CaptureStderr();
    work();
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(said([] {
              Progress progress("train", "step", 10);
              progress.update(9, "loss 2");
              progress.update(10, "loss 1");
              progress.finish();
              progress.finish();
            }),
            "train 100%  10/10 steps  in 0:00  loss 1\n");
  EXPECT_EQ(said([] {
              Progress progress("train", "step", 10, 4);
              progress.update(4, "loss 3");
              progress.finish();
            }),
            "train  40%  4/10 steps  loss 3\n");
  EXPECT_EQ(said([] { Progress("train", "step", 10).update(3); }), "");
}

TEST(Json, HoldsWhatJsonCannot) {
  EXPECT_EQ(json_text({{"path",
                        "a\xff"
                        "b"},
                       {"chi2", std::numeric_limits<double>::quiet_NaN()}}),
            "{\n  \"path\": \"a\xEF\xBF\xBD"
            "b\",\n  \"chi2\": null\n}\n");
}

TEST(Validators, RefuseInShortWords) {
  const auto refusal = [](const CLI::Validator& validator, std::string text) { return validator(text); };
  const auto count = at_least<std::int64_t>(1);
  EXPECT_EQ(refusal(count, "1"), "");
  EXPECT_EQ(refusal(count, "9223372036854775807"), "");
  EXPECT_EQ(refusal(count, "0"), "must be a whole number of at least 1, not 0");
  EXPECT_EQ(refusal(count, "9223372036854775808"),
            "must be a whole number of at most 9223372036854775807, not 9223372036854775808");
  for (const char* text : {"", "-1", "1.5", "1e3", "+1", " 1", "1 ", "0x10", "010", "nan", "many"}) {
    EXPECT_EQ(refusal(count, text), std::string("must be a whole number of at least 1, not ") + text);
  }
  EXPECT_LT(refusal(count, std::string(309, '9')).size(), 120u);
  EXPECT_EQ(refusal(at_least<std::uint64_t>(0), "-1"), "must be a whole number of at least 0, not -1");
  EXPECT_EQ(refusal(at_least<std::uint64_t>(0), "18446744073709551615"), "");

  const auto number = at_least<double>(0);
  for (const char* text : {"0", "0.05", "1e-300", ".5", "007"}) EXPECT_EQ(refusal(number, text), "") << text;
  for (const char* text : {"-1e-9", "nan", "1,5", ""}) {
    EXPECT_EQ(refusal(number, text), std::string("must be a number of at least 0, not ") + text);
  }
  for (const char* text : {"inf", "-inf", "infinity"})
    EXPECT_EQ(refusal(number, text), std::string("must be a finite number of at least 0, not ") + text);
  EXPECT_EQ(refusal(at_least_or_infinite(0), "inf"), "");
  EXPECT_EQ(refusal(at_least_or_infinite(0), "-inf"), "must be a finite number of at least 0, not -inf");
  EXPECT_EQ(refusal(number, "1e999"), "must be a number of at most 1.79769e+308, not 1e999");
  EXPECT_EQ(refusal(in_range<double>(0, 1), "1.5"), "must be a number from 0 to 1, not 1.5");
}

TEST(Validators, FiniteAndAboveZero) {
  for (const char* text : {"-1e300", "0", "2.5"}) EXPECT_EQ(finite()(text), "") << text;
  for (const char* text : {"nan", "inf", "1e999", "x", ""})
    EXPECT_EQ(finite()(text), std::string("must be a finite number, not ") + text);
  EXPECT_EQ(above_zero()("1e-300"), "");
  EXPECT_EQ(above_zero()("0"), "must be a number above 0, not 0");
  EXPECT_EQ(above_zero()("-1"), "must be a number of at least 0, not -1");
  EXPECT_EQ(above_zero()("nan"), "must be a number of at least 0, not nan");
}

TEST(Table, WhatIsNotKnownIsADash) {
  EXPECT_EQ(fixed(1.25, 1), "1.2");
  EXPECT_EQ(fixed(std::nan(""), 3), "-");
}

TEST(Table, AlignsColumns) {
  EXPECT_EQ(format_table({{"name", "x"}, {}, {"a", "1.25"}, {"longer", ""}}),
            "name       x\n"
            "------------\n"
            "a       1.25\n"
            "longer\n");
  EXPECT_EQ(format_table({}), "");
  EXPECT_EQ(fixed(1.0 / 3, 3), "0.333");
  EXPECT_EQ(fixed(-2, 0), "-2");
}

}  // namespace
}  // namespace monge::apps
