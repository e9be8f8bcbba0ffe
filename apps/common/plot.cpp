#include "monge/apps/common/plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <sstream>

#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

constexpr double panel_width = 430, panel_height = 340;  // pixels, labels included
constexpr double left = 66, right = 18, top = 40, bottom = 58, legend_height = 34;
constexpr const char* ink = "#333333";
constexpr const char* grid = "#e3e3e3";

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

std::string pixel(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", value);
  return text;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : std::string(1, c);
  return out;
}

// Where a value lies on the page.
class Axis {
 public:
  Axis(double low, double high, bool logarithmic, double begin, double end)
      : low_(scaled(low, logarithmic)),
        high_(scaled(high, logarithmic)),
        logarithmic_(logarithmic),
        begin_(begin),
        end_(end) {}
  double operator()(double value) const {
    return begin_ + (scaled(value, logarithmic_) - low_) / (high_ - low_) * (end_ - begin_);
  }

 private:
  static double scaled(double v, bool logarithmic) { return logarithmic ? std::log(v) : v; }
  double low_, high_;
  bool logarithmic_;
  double begin_, end_;
};

struct Extent {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  void add(double v, bool logarithmic) {
    require(std::isfinite(v) && (v > 0 || !logarithmic), "plot_svg: the value ", v, " has no place on its axis");
    low = std::min(low, v);
    high = std::max(high, v);
  }
  // A little air on both sides.
  Extent padded(bool logarithmic) const {
    require(low <= high, "plot_svg: a panel without points");
    if (logarithmic) {
      const double factor = low < high ? std::pow(high / low, 0.06) : 2;
      return {low / factor, high * factor};
    }
    const double pad = low < high ? 0.06 * (high - low) : std::max(1.0, std::abs(low));
    return {low - pad, high + pad};
  }
};

class Svg {
 public:
  void line(double x1, double y1, double x2, double y2, const std::string& color, double width) {
    out << "<line x1=\"" << pixel(x1) << "\" y1=\"" << pixel(y1) << "\" x2=\"" << pixel(x2) << "\" y2=\"" << pixel(y2)
        << "\" stroke=\"" << color << "\" stroke-width=\"" << width << "\"/>\n";
  }
  void text(double x, double y, const std::string& value, const std::string& anchor, double size,
            const std::string& more = "") {
    out << "<text x=\"" << pixel(x) << "\" y=\"" << pixel(y) << "\" text-anchor=\"" << anchor << "\" font-size=\""
        << size << "\"" << more << ">" << escaped(value) << "</text>\n";
  }
  void marker(const PlotSeries& s, double x, double y) {
    if (s.marker == PlotSeries::Marker::circle) {
      out << "<circle cx=\"" << pixel(x) << "\" cy=\"" << pixel(y) << "\" r=\"3.6\" fill=\"" << s.color
          << "\" stroke=\"white\" stroke-width=\"0.8\" opacity=\"" << s.opacity << "\"/>\n";
    } else if (s.marker == PlotSeries::Marker::diamond) {
      out << "<path d=\"M" << pixel(x) << " " << pixel(y - 5) << "l5 5l-5 5l-5 -5z\" fill=\"white\" stroke=\""
          << s.color << "\" stroke-width=\"1.8\" opacity=\"" << s.opacity << "\"/>\n";
    }
  }
  void path(const PlotSeries& s, const std::vector<PlotPoint>& page) {
    if (!s.line || page.size() < 2) return;
    out << "<polyline fill=\"none\" stroke=\"" << s.color
        << "\" stroke-width=\"2\" stroke-linejoin=\"round\" opacity=\"" << s.opacity << "\""
        << (s.dashed ? " stroke-dasharray=\"5 4\"" : "") << " points=\"";
    for (const PlotPoint& p : page) out << pixel(p.x) << "," << pixel(p.y) << " ";
    out << "\"/>\n";
  }
  std::ostringstream out;
};

std::vector<double> doublings(double low, double high) {
  std::vector<double> ticks;
  for (double v = std::exp2(std::ceil(std::log2(low))); v <= high; v *= 2) ticks.push_back(v);
  return ticks;
}

void draw_panel(Svg& svg, const PlotPanel& panel, double x0) {
  Extent xs, ys;
  for (const PlotSeries& s : panel.series) {
    for (const PlotPoint& p : s.points) xs.add(p.x, true), ys.add(p.y, panel.log_y);
  }
  xs = xs.padded(true);
  ys = ys.padded(panel.log_y);
  const double x1 = x0 + left, x2 = x0 + panel_width - right, y1 = panel_height - bottom, y2 = top;
  const Axis x(xs.low, xs.high, true, x1, x2), y(ys.low, ys.high, panel.log_y, y1, y2);

  for (const double v : axis_ticks(ys.low, ys.high, panel.log_y)) {
    svg.line(x1, y(v), x2, y(v), grid, 1);
    svg.text(x1 - 8, y(v) + 4, number(v), "end", 12);
  }
  const bool by_two = xs.high / xs.low < 4096;
  for (const double v : by_two ? doublings(xs.low, xs.high) : axis_ticks(xs.low, xs.high, true)) {
    svg.line(x(v), y1, x(v), y1 + 5, ink, 1);
    svg.text(x(v), y1 + 19, number(v), "middle", 12);
  }
  svg.line(x1, y1, x2, y1, ink, 1);
  svg.line(x1, y1, x1, y2, ink, 1);
  svg.text((x1 + x2) / 2, 22, panel.title, "middle", 14, " font-weight=\"bold\"");
  svg.text((x1 + x2) / 2, y1 + 42, panel.x_label, "middle", 13);
  const std::string middle = pixel((y1 + y2) / 2), edge = pixel(x0 + 16);
  svg.text(x0 + 16, (y1 + y2) / 2, panel.y_label, "middle", 13,
           " transform=\"rotate(-90 " + edge + " " + middle + ")\"");

  for (const PlotSeries& s : panel.series) {
    std::vector<PlotPoint> page;
    for (const PlotPoint& p : s.points) page.push_back({x(p.x), y(p.y)});
    svg.path(s, page);
    for (const PlotPoint& p : page) svg.marker(s, p.x, p.y);
  }
}

void draw_legend(Svg& svg, const std::vector<PlotSeries>& series, double width) {
  constexpr double letter = 6.9, swatch = 34, gap = 22;
  const auto size = [](const PlotSeries& s) { return swatch + letter * static_cast<double>(s.name.size()) + gap; };
  double total = -gap;
  for (const PlotSeries& s : series) total += s.name.empty() ? 0 : size(s);
  double x = (width - total) / 2;
  const double y = panel_height + 14;
  for (const PlotSeries& s : series) {
    if (s.name.empty()) continue;
    svg.path(s, {{x, y}, {x + 26, y}});
    svg.marker(s, x + 13, y);
    svg.text(x + swatch, y + 4, s.name, "start", 13);
    x += size(s);
  }
}

}  // namespace

std::vector<double> axis_ticks(double low, double high, bool logarithmic) {
  std::vector<double> ticks;
  if (logarithmic) {
    for (double decade = std::pow(10, std::floor(std::log10(low))); decade <= high; decade *= 10) {
      for (const double digit : {1.0, 2.0, 5.0}) {
        if (digit * decade >= low && digit * decade <= high) ticks.push_back(digit * decade);
      }
    }
    if (ticks.size() >= 2 || !(low < high)) return ticks;
    ticks.clear();
  }
  if (!(low < high)) return {low};
  const double rough = (high - low) / 5, power = std::pow(10, std::floor(std::log10(rough)));
  const double step = power * (rough / power < 1.5 ? 1 : rough / power < 3.5 ? 2 : rough / power < 7.5 ? 5 : 10);
  for (double k = std::ceil(low / step); k * step <= high; ++k) ticks.push_back(k * step);
  return ticks;
}

std::string plot_svg(const std::vector<PlotPanel>& panels) {
  require(!panels.empty(), "plot_svg: no panels");
  const double width = panel_width * static_cast<double>(panels.size()), height = panel_height + legend_height;
  Svg svg;
  svg.out << "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" << width << "\" height=\"" << height
          << "\" viewBox=\"0 0 " << width << " " << height << "\" font-family=\"Helvetica, Arial, sans-serif\" fill=\""
          << ink << "\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
  for (std::size_t i = 0; i < panels.size(); ++i) draw_panel(svg, panels[i], panel_width * static_cast<double>(i));
  draw_legend(svg, panels.front().series, width);
  svg.out << "</svg>\n";
  return svg.out.str();
}

}  // namespace monge::apps
