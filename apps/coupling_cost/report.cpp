#include "monge/apps/coupling_cost/report.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include "monge/apps/common/plot.h"
#include "monge/apps/common/table.h"
#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

std::string digits(double value, int significant) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*g", significant, value);
  return text;
}

std::string with_error(double value, double error) { return fixed(value, 3) + " +- " + digits(error, 2); }

struct Style {
  std::string color;
  PlotSeries::Marker marker = PlotSeries::Marker::circle;
};

Style style_of(const CouplingName& coupling, std::size_t sinkhorns_before) {
  static const std::array<std::string, 5> greens = {"#1b4f72", "#2e86c1", "#48c9b0", "#7dcea0", "#b7950b"};
  switch (coupling.kind) {
    case CouplingKind::independent:
      return {"#888888"};
    case CouplingKind::exact:
      return {"#111111", PlotSeries::Marker::diamond};
    case CouplingKind::semidiscrete:
      return {"#c0392b", PlotSeries::Marker::diamond};
    case CouplingKind::sinkhorn:
      return {greens[sinkhorns_before % greens.size()]};
  }
  return {};
}

// One line per coupling: medians, with the range of the repeats. `keep` says which couplings belong there.
template <class Keep>
std::vector<PlotSeries> lines(const Record& record, Spread Row::*value, bool log_y, const Keep& keep) {
  std::vector<PlotSeries> all;
  std::size_t sinkhorns = 0;
  const CouplingName* last = nullptr;
  const std::vector<Row> rows = record.rows();
  for (const Row& row : rows) {
    if (last == nullptr || *last != row.coupling) {
      const Style style = style_of(row.coupling, sinkhorns);
      sinkhorns += row.coupling.kind == CouplingKind::sinkhorn;
      all.push_back({row.coupling.text(), style.color, {}, style.marker});
      if (!keep(row.coupling.kind)) all.back().name.clear();
    }
    last = &row.coupling;
    const Spread& spread = row.*value;
    if (!keep(row.coupling.kind) || (log_y && spread.low <= 0)) continue;
    all.back().points.push_back({static_cast<double>(row.n), spread.median});
    all.back().bars.push_back({static_cast<double>(row.n), spread.low, spread.high});
  }
  std::erase_if(all, [](const PlotSeries& s) { return s.points.empty(); });
  return all;
}

PlotSeries level(const Record& record, const std::string& name, double value) {
  PlotSeries line{name, "#c0392b", {}, PlotSeries::Marker::none};
  for (const Point& p : {record.points().front(), record.points().back()}) {
    line.points.push_back({static_cast<double>(p.n), value});
  }
  line.dashed = true;
  return line;
}

std::string csv_spread(const Spread& s) {
  return concat(",", digits(s.median, 10), ",", digits(s.low, 10), ",", digits(s.high, 10));
}

}  // namespace

std::string to_csv(const Record& record) {
  std::string text = "coupling,epsilon,n,repeats";
  for (const char* value : {"cost", "gap", "renormalised_entropy", "seconds_per_pair"}) {
    for (const char* part : {"", "_low", "_high"}) text += std::string(",") + value + part;
  }
  text += ",peak_mb\n";
  for (const Row& r : record.rows()) {
    text += std::string(to_string(r.coupling.kind)) + "," + digits(r.coupling.epsilon, 10) + "," + std::to_string(r.n) +
            "," + std::to_string(r.repeats) + csv_spread(r.cost) + csv_spread(r.gap) + csv_spread(r.entropy) +
            csv_spread(r.seconds) + "," + fixed(r.peak_mb, 0) + "\n";
  }
  return text;
}

std::string to_table(const Record& record) {
  std::vector<std::vector<std::string>> table = {
      {"coupling", "n", "repeats", "cost", "gap", "from", "to", "entropy", "us per pair", "peak MB"}};
  const CouplingName* last = nullptr;
  const std::vector<Row> rows = record.rows();
  for (const Row& r : rows) {
    if (last == nullptr || *last != r.coupling) table.push_back({});
    last = &r.coupling;
    table.push_back({r.coupling.text(), std::to_string(r.n), std::to_string(r.repeats), fixed(r.cost.median, 2),
                     digits(r.gap.median, 4), digits(r.gap.low, 4), digits(r.gap.high, 4), fixed(r.entropy.median, 3),
                     digits(1e6 * r.seconds.median, 3), fixed(r.peak_mb, 0)});
  }
  std::string text = format_table(table);
  if (const auto& limit = record.limit()) {
    text += "\nlimit: " + with_error(limit->cost, limit->error) + " per pair; the semidiscrete coupling costs " +
            with_error(limit->plan_cost, limit->plan_error) + " (chi2 of its marginal " + digits(limit->chi2, 2) +
            ", fitted in " + digits(limit->fit_seconds, 3) + " s)\n";
  }
  if (const auto& known = record.problem().known_limit) text += "known limit: " + fixed(*known, 3) + "\n";
  const auto unfinished = std::count_if(record.points().begin(), record.points().end(),
                                        [](const Point& p) { return p.status != "converged"; });
  if (unfinished > 0) text += std::to_string(unfinished) + " points did not converge; their status says why\n";
  return text;
}

std::string to_plot(const Record& record) {
  const auto batch = [](CouplingKind kind) { return kind != CouplingKind::semidiscrete; };
  const auto all = [](CouplingKind) { return true; };
  const LimitFigures limit = record.limit().value_or(LimitFigures{});
  const std::string size = "batch size n";
  std::vector<PlotPanel> panels = {
      {"mean cost per pair", size, "E |x - y|²", true, lines(record, &Row::cost, true, batch)},
      {"gap to the limit", size, "cost - limit", true, lines(record, &Row::gap, true, batch)},
      {"time", size, "seconds per pair", true, lines(record, &Row::seconds, true, all)},
      {"renormalised entropy", size, "2 H(P) / (H(a) + H(b)) - 1", false, lines(record, &Row::entropy, false, all)}};
  std::erase_if(panels[2].series, [](const PlotSeries& s) { return s.name == "independent"; });  // next to nothing
  if (limit.cost > 0 && !record.points().empty()) panels[0].series.push_back(level(record, "limit", limit.cost));
  std::erase_if(panels, [](const PlotPanel& p) { return p.series.empty(); });
  return plot_svg(panels, 2);
}

}  // namespace monge::apps
