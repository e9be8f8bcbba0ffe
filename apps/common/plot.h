#pragma once
#include <string>
#include <vector>

namespace monge::apps {

struct PlotPoint {
  double x = 0, y = 0;
};

struct PlotSeries {
  enum class Marker { none, circle, diamond };
  std::string name;   // in the legend; empty: not there
  std::string color;  // "#rrggbb"
  std::vector<PlotPoint> points;
  Marker marker = Marker::circle;
  bool line = true;
  bool dashed = false;
  double opacity = 1;
};

// One pair of axes; x is logarithmic.
struct PlotPanel {
  std::string title, x_label, y_label;
  bool log_y = false;
  std::vector<PlotSeries> series;  // finite points; positive where an axis is logarithmic
};

// Panels side by side with one legend below, as an SVG document. Throws Error(invalid_argument).
std::string plot_svg(const std::vector<PlotPanel>& panels);

// Round numbers that divide [low, high]: 1, 2 or 5 times a power of ten apart, or, logarithmic, 1, 2 and 5 times the
// powers of ten. At least two unless low = high.
std::vector<double> axis_ticks(double low, double high, bool logarithmic);

}  // namespace monge::apps
