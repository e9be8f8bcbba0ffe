#include "monge/apps/common/plot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

// The numbers of the first attribute points="...": x1, y1, x2, ...
std::vector<double> polyline(const std::string& svg) {
  std::vector<double> values;
  const std::size_t begin = svg.find("points=\"") + 8;
  std::string text = svg.substr(begin, svg.find('"', begin) - begin);
  for (char& c : text) c = c == ',' ? ' ' : c;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t used = 0;
    values.push_back(std::stod(text.substr(at), &used));
    at += used + 1;
  }
  return values;
}

PlotPanel panel() {
  return {"title", "x", "y", true, {{"a <b> & c", "#123456", {{1, 0.1}, {2, 0.2}, {4, 0.4}, {16, 1.6}}}}};
}

TEST(Plot, PutsPointsWhereTheyBelong) {
  const std::string svg = plot_svg({panel()});
  const std::vector<double> at = polyline(svg);
  ASSERT_EQ(at.size(), 8u);
  // Both axes logarithmic and y = x / 10: equal factors are equal distances, and y grows upwards.
  EXPECT_NEAR(at[4] - at[2], at[2] - at[0], 0.02);
  EXPECT_NEAR(at[6] - at[4], 2 * (at[2] - at[0]), 0.02);
  EXPECT_NEAR(at[3] - at[5], at[1] - at[3], 0.02);
  EXPECT_GT(at[1], at[7]);
}

TEST(Plot, IsWholeAndEscaped) {
  PlotPanel two = panel();
  two.series.push_back({"floor", "#654321", {{1, 0.3}, {16, 0.3}}, PlotSeries::Marker::none, true, true});
  const std::string svg = plot_svg({two, panel()});
  EXPECT_EQ(svg.find("<svg "), 0u);
  EXPECT_EQ(svg.substr(svg.size() - 7), "</svg>\n");
  EXPECT_EQ(count(svg, "a &lt;b&gt; &amp; c"), 1u);  // one legend
  EXPECT_EQ(count(svg, ">title<"), 2u);
  EXPECT_EQ(count(svg, "<circle"), 9u);  // 4 + 4 points and one in the legend
  EXPECT_EQ(count(svg, "stroke-dasharray"), 2u);
  EXPECT_EQ(count(svg, ">16<"), 2u);
  EXPECT_EQ(count(svg, "nan"), 0u);
}

TEST(Plot, HasErrorBarsWhereThereIsARange) {
  PlotPanel bars = panel();
  const std::size_t lines = count(plot_svg({bars}), "<line");
  bars.series[0].bars = {{1, 0.1, 0.1}, {4, 0.3, 0.5}};
  EXPECT_EQ(count(plot_svg({bars}), "<line"), lines + 3);
  bars.series[0].bars[0].low = -1;
  EXPECT_THROW(plot_svg({bars}), Error);
}

TEST(Plot, StandsInRowsUnderOneLegend) {
  PlotPanel other = panel();
  for (int k = 0; k < 12; ++k) other.series.push_back({"another " + std::to_string(k), "#000000", {{1, 1}}});
  const std::string svg = plot_svg({panel(), other, panel()}, 2);
  EXPECT_NE(svg.find("width=\"860\" height=\"738\""), std::string::npos) << svg.substr(0, 100);  // two rows, two lines
  EXPECT_EQ(count(svg, "another 7<"), 1u);
  EXPECT_EQ(count(svg, "a &lt;b&gt; &amp; c"), 1u);
}

TEST(Plot, WritesSmallPowersOfTenWithExponents) {
  PlotPanel small = panel();
  for (PlotPoint& p : small.series[0].points) p.y *= 1e-5;
  const std::string svg = plot_svg({small});
  EXPECT_EQ(count(svg, ">10<tspan dy=\"-5\" font-size=\"9\">-5</tspan>"), 1u);
  EXPECT_EQ(count(svg, "e-05"), 0u);
}

TEST(Plot, RefusesWhatHasNoPlace) {
  PlotPanel bad = panel();
  bad.series[0].points[1].y = 0;
  EXPECT_THROW(plot_svg({bad}), Error);
  bad.series[0].points[1].y = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(plot_svg({bad}), Error);
  bad.series.clear();
  EXPECT_THROW(plot_svg({bad}), Error);
  EXPECT_THROW(plot_svg({}), Error);
}

TEST(Plot, OnePointIsEnough) {
  PlotPanel one = panel();
  one.series[0].points = {{4, 0.5}};
  EXPECT_EQ(count(plot_svg({one}), "nan"), 0u);
}

TEST(AxisTicks, AreRoundAndInside) {
  const std::vector<double> linear = {10, 12, 14, 16, 18}, log = {0.02, 0.05, 0.1, 0.2, 0.5};
  const auto near = [](const std::vector<double>& a, const std::vector<double>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-12);
  };
  near(axis_ticks(9.3, 19.1, false), linear);
  near(axis_ticks(0.012, 0.6, true), log);
  near(axis_ticks(0.5, 2e4, true), {1, 10, 100, 1000, 10000});
  near(axis_ticks(-1, 1, false), {-1, -0.5, 0, 0.5, 1});
  EXPECT_FALSE(std::signbit(axis_ticks(-1, 1, false)[2]));
  EXPECT_GE(axis_ticks(11, 14, true).size(), 2u);  // no room for 1, 2, 5: linear ones
  EXPECT_EQ(axis_ticks(3, 3, false), std::vector<double>{3});
}

}  // namespace
}  // namespace monge::apps
