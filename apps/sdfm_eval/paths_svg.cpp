#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>

#include "monge/apps/common/table.h"
#include "monge/apps/sdfm_eval/paths.h"
#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

constexpr double side = 400, gap = 24, top = 34, caption = 30, strip = 64, bottom = 44;  // pixels

std::string pixel(double value) { return fixed(value, 1); }

// A point of the colour wheel; all of it equally light to the eye, roughly.
std::string color_of(double turn) {
  const auto channel = [&](double shift) {
    const double wave = 0.5 + 0.5 * std::cos(2 * M_PI * (turn - shift));
    return static_cast<int>(std::lround(40 + 170 * wave));
  };
  char text[32];
  std::snprintf(text, sizeof text, "#%02x%02x%02x", channel(0), channel(1.0 / 3), channel(2.0 / 3));
  return text;
}

// A square part of the plane that holds all that is drawn, on a square of the page.
struct Window {
  double left = 0, low = 0, width = 1;

  Window(const std::vector<Paths>& panels, Index drawn) {
    double least[2] = {INFINITY, INFINITY}, most[2] = {-INFINITY, -INFINITY};
    for (const Paths& paths : panels) {
      for (const Matrix<float>& frame : paths.frames) {
        for (Index i = 0; i < std::min(drawn, frame.rows()); ++i) {
          for (Index k = 0; k < 2; ++k) {
            least[k] = std::min<double>(least[k], frame(i, k));
            most[k] = std::max<double>(most[k], frame(i, k));
          }
        }
      }
    }
    width = 1.06 * std::max({most[0] - least[0], most[1] - least[1], 1e-6});
    left = (least[0] + most[0] - width) / 2;
    low = (least[1] + most[1] - width) / 2;
  }
  double x(const Matrix<float>& frame, Index i) const { return (frame(i, 0) - left) / width * side; }
  double y(const Matrix<float>& frame, Index i) const { return side - (frame(i, 1) - low) / width * side; }
};

void text(std::ostream& out, double x, double y, const std::string& value, const char* anchor, int size) {
  out << "<text x=\"" << pixel(x) << "\" y=\"" << pixel(y) << "\" text-anchor=\"" << anchor << "\" font-size=\"" << size
      << "\">" << value << "</text>\n";
}

void draw_paths(std::ostream& out, const Paths& paths, const Window& window, Index drawn) {
  out << "<rect width=\"" << side << "\" height=\"" << side << "\" fill=\"none\" stroke=\"#d0d0d0\"/>\n";
  const Matrix<float>&start = paths.frames.front(), &end = paths.frames.back();
  const Index count = std::min(drawn, start.rows());
  for (Index i = 0; i < count; ++i) {
    const std::string color = color_of(std::atan2(start(i, 1), start(i, 0)) / (2 * M_PI));
    out << "<polyline fill=\"none\" stroke=\"" << color << "\" stroke-width=\"1\" stroke-opacity=\"0.55\" points=\"";
    for (const Matrix<float>& frame : paths.frames)
      out << pixel(window.x(frame, i)) << "," << pixel(window.y(frame, i)) << " ";
    out << "\"/>\n<circle cx=\"" << pixel(window.x(start, i)) << "\" cy=\"" << pixel(window.y(start, i))
        << "\" r=\"1.5\" fill=\"" << color << "\"/>\n";
  }
  for (Index i = 0; i < count; ++i) {
    out << "<circle cx=\"" << pixel(window.x(end, i)) << "\" cy=\"" << pixel(window.y(end, i))
        << "\" r=\"1.8\" fill=\"#222222\"/>\n";
  }
}

// When the paths that cross are nearest to each other: bars over [0, 1], `most` being as high as the strip.
void draw_times(std::ostream& out, const flow::Crossing& crossing, double most) {
  const double bar = side / static_cast<double>(crossing.by_time.size());
  for (std::size_t k = 0; k < crossing.by_time.size(); ++k) {
    const double height = strip * crossing.by_time[k] / most;
    out << "<rect x=\"" << pixel(bar * static_cast<double>(k) + 1) << "\" y=\"" << pixel(strip - height)
        << "\" width=\"" << pixel(bar - 2) << "\" height=\"" << pixel(height) << "\" fill=\"#8a8a8a\"/>\n";
  }
  out << "<line x1=\"0\" y1=\"" << strip << "\" x2=\"" << side << "\" y2=\"" << strip << "\" stroke=\"#8a8a8a\"/>\n";
  text(out, 0, strip + 16, "t = 0", "start", 12);
  text(out, side / 2, strip + 16, "when those that cross are nearest", "middle", 12);
  text(out, side, strip + 16, "1", "end", 12);
}

}  // namespace

std::string paths_svg(const std::vector<Paths>& panels, Index drawn) {
  require(!panels.empty() && drawn > 0, "paths_svg: nothing to draw");
  const Window window(panels, drawn);
  double most = 1e-4;
  for (const Paths& paths : panels)
    for (const double share : paths.crossing.by_time) most = std::max(most, share);
  const double width = gap + (side + gap) * static_cast<double>(panels.size());
  const double height = top + side + caption + strip + bottom;
  std::ostringstream out;
  out << "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" << width << "\" height=\"" << height
      << "\" viewBox=\"0 0 " << width << " " << height
      << "\" font-family=\"Helvetica, Arial, sans-serif\" fill=\"#333333\">\n"
      << "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
  for (std::size_t p = 0; p < panels.size(); ++p) {
    const double x = gap + (side + gap) * static_cast<double>(p);
    text(out, x + side / 2, top - 12, panels[p].title, "middle", 15);
    out << "<g transform=\"translate(" << x << " " << top << ")\">\n";
    draw_paths(out, panels[p], window, drawn);
    out << "</g>\n";
    text(out, x + side / 2, top + side + 20, panels[p].caption, "middle", 13);
    out << "<g transform=\"translate(" << x << " " << top + side + caption << ")\">\n";
    draw_times(out, panels[p].crossing, most);
    out << "</g>\n";
  }
  out << "</svg>\n";
  return out.str();
}

}  // namespace monge::apps
