#include <gtest/gtest.h>

#include <string>

#include "monge/apps/common/progress.h"
#include "monge/apps/common/table.h"

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
