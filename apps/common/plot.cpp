#include "monge/apps/common/plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <set>
#include <sstream>
#include <string>

#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

constexpr double panel_width = 430, panel_height = 340;  // pixels, labels included
constexpr double left = 66, right = 18, top = 40, bottom = 58, legend_line = 24;
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
  void bar(const PlotSeries& s, double x, double low, double high) {
    line(x, low, x, high, s.color, 1.2);
    for (const double end : {low, high}) line(x - 3, end, x + 3, end, s.color, 1.2);
  }
  // Powers of ten too long to write out have exponents.
  void tick_label(double x, double y, double value, const std::string& anchor) {
    const double exponent = std::round(std::log10(value));
    if (value > 0 && (exponent < -2 || exponent > 5) && std::abs(value / std::pow(10, exponent) - 1) < 1e-9) {
      out << "<text x=\"" << pixel(x) << "\" y=\"" << pixel(y) << "\" text-anchor=\"" << anchor
          << "\" font-size=\"12\">10<tspan dy=\"-5\" font-size=\"9\">" << number(exponent) << "</tspan></text>\n";
    } else {
      text(x, y, number(value), anchor, 12);
    }
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

void draw_panel(Svg& svg, const PlotPanel& panel, double x0, double y0) {
  Extent xs, ys;
  for (const PlotSeries& s : panel.series) {
    for (const PlotPoint& p : s.points) xs.add(p.x, true), ys.add(p.y, panel.log_y);
    for (const PlotBar& b : s.bars) xs.add(b.x, true), ys.add(b.low, panel.log_y), ys.add(b.high, panel.log_y);
  }
  xs = xs.padded(true);
  ys = ys.padded(panel.log_y);
  const double x1 = x0 + left, x2 = x0 + panel_width - right, y1 = y0 + panel_height - bottom, y2 = y0 + top;
  const Axis x(xs.low, xs.high, true, x1, x2), y(ys.low, ys.high, panel.log_y, y1, y2);

  for (const double v : axis_ticks(ys.low, ys.high, panel.log_y)) {
    svg.line(x1, y(v), x2, y(v), grid, 1);
    svg.tick_label(x1 - 8, y(v) + 4, v, "end");
  }
  const bool by_two = xs.high / xs.low < 4096;
  const std::vector<double> ticks = by_two ? doublings(xs.low, xs.high) : axis_ticks(xs.low, xs.high, true);
  for (std::size_t i = 0; i < ticks.size(); ++i) {
    svg.line(x(ticks[i]), y1, x(ticks[i]), y1 + 5, ink, 1);
    if (ticks.size() <= 8 || i % 2 == 0) svg.tick_label(x(ticks[i]), y1 + 19, ticks[i], "middle");
  }
  svg.line(x1, y1, x2, y1, ink, 1);
  svg.line(x1, y1, x1, y2, ink, 1);
  svg.text((x1 + x2) / 2, y0 + 22, panel.title, "middle", 14, " font-weight=\"bold\"");
  svg.text((x1 + x2) / 2, y1 + 42, panel.x_label, "middle", 13);
  const std::string middle = pixel((y1 + y2) / 2), edge = pixel(x0 + 16);
  svg.text(x0 + 16, (y1 + y2) / 2, panel.y_label, "middle", 13,
           " transform=\"rotate(-90 " + edge + " " + middle + ")\"");

  for (const PlotSeries& s : panel.series) {
    std::vector<PlotPoint> page;
    for (const PlotPoint& p : s.points) page.push_back({x(p.x), y(p.y)});
    svg.path(s, page);
    for (const PlotBar& b : s.bars) {
      if (b.low < b.high) svg.bar(s, x(b.x), y(b.low), y(b.high));
    }
    for (const PlotPoint& p : page) svg.marker(s, p.x, p.y);
  }
}

constexpr double letter = 6.9, swatch = 34, legend_gap = 22;

double legend_width(const PlotSeries& s) { return swatch + letter * static_cast<double>(s.name.size()) + legend_gap; }

// Every name once, in lines no wider than `width` if that can be.
std::vector<std::vector<PlotSeries>> legend_lines(const std::vector<PlotPanel>& panels, double width) {
  std::vector<std::vector<PlotSeries>> lines(1);
  std::set<std::string> names = {""};
  double taken = 0;
  for (const PlotPanel& panel : panels) {
    for (const PlotSeries& s : panel.series) {
      if (!names.insert(s.name).second) continue;
      if (taken + legend_width(s) > width && !lines.back().empty()) {
        lines.emplace_back();
        taken = 0;
      }
      taken += legend_width(s);
      lines.back().push_back(s);
    }
  }
  return lines;
}

void draw_legend(Svg& svg, const std::vector<PlotSeries>& line, double width, double y) {
  double total = -legend_gap;
  for (const PlotSeries& s : line) total += legend_width(s);
  double x = (width - total) / 2;
  for (const PlotSeries& s : line) {
    svg.path(s, {{x, y}, {x + 26, y}});
    svg.marker(s, x + 13, y);
    svg.text(x + swatch, y + 4, s.name, "start", 13);
    x += legend_width(s);
  }
}

}  // namespace

std::vector<double> axis_ticks(double low, double high, bool logarithmic) {
  std::vector<double> ticks;
  if (logarithmic) {
    const bool decades = high / low > 1e3 || low < 1e-3;
    for (double power = std::floor(std::log10(low)); std::pow(10, power) <= high; ++power) {
      const double decade = std::pow(10, power);
      for (const double digit : {1.0, 2.0, 5.0}) {
        if (decades && digit > 1) break;
        if (digit * decade >= low && digit * decade <= high) ticks.push_back(digit * decade);
      }
    }
    if (ticks.size() >= 2 || !(low < high)) return ticks;
    ticks.clear();
  }
  if (!(low < high)) return {low};
  const double rough = (high - low) / 5, power = std::pow(10, std::floor(std::log10(rough)));
  const double step = power * (rough / power < 1.5 ? 1 : rough / power < 3.5 ? 2 : rough / power < 7.5 ? 5 : 10);
  for (double k = std::ceil(low / step); k * step <= high; ++k) ticks.push_back(k == 0 ? 0 : k * step);  // no -0
  return ticks;
}

std::string plot_svg(const std::vector<PlotPanel>& panels, std::size_t columns) {
  require(!panels.empty(), "plot_svg: no panels");
  if (columns == 0 || columns > panels.size()) columns = panels.size();
  const std::size_t rows = (panels.size() + columns - 1) / columns;
  const double width = panel_width * static_cast<double>(columns), below = panel_height * static_cast<double>(rows);
  const std::vector<std::vector<PlotSeries>> legend = legend_lines(panels, width);
  const double height = below + 10 + legend_line * static_cast<double>(legend.size());
  Svg svg;
  svg.out << "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" << width << "\" height=\"" << height
          << "\" viewBox=\"0 0 " << width << " " << height << "\" font-family=\"Helvetica, Arial, sans-serif\" fill=\""
          << ink << "\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
  for (std::size_t i = 0; i < panels.size(); ++i) {
    draw_panel(svg, panels[i], panel_width * static_cast<double>(i % columns),
               panel_height * static_cast<double>(i / columns));
  }
  for (std::size_t i = 0; i < legend.size(); ++i) {
    draw_legend(svg, legend[i], width, below + 14 + legend_line * static_cast<double>(i));
  }
  svg.out << "</svg>\n";
  return svg.out.str();
}

}  // namespace monge::apps
