#pragma once
#include <string>
#include <vector>

namespace monge::apps {

struct PlotPoint {
  double x = 0, y = 0;
};

// A range of values at one x.
struct PlotBar {
  double x = 0, low = 0, high = 0;
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
  std::vector<PlotBar> bars = {};  // drawn as error bars; those of no height are left out
};

// One pair of axes; x is logarithmic.
struct PlotPanel {
  std::string title, x_label, y_label;
  bool log_y = false;
  std::vector<PlotSeries> series;  // finite points; positive where an axis is logarithmic
};

// Panels row by row, `columns` of them beside each other (0: all), with one legend below, as an SVG document. A name
// that several panels have is in the legend once. Throws Error(invalid_argument).
std::string plot_svg(const std::vector<PlotPanel>& panels, std::size_t columns = 0);

// Round numbers that divide [low, high]: 1, 2 or 5 times a power of ten apart, or, logarithmic, powers of ten, and
// within three decades above 0.001 also 2 and 5 times these. At least two unless low = high.
std::vector<double> axis_ticks(double low, double high, bool logarithmic);

}  // namespace monge::apps
