#include "monge/data/synthetic.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>

#include "monge/data/brenier.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/core/random.h"

namespace monge::data {
namespace {

// What a planar point is made of: independent uniforms in [0, 1) and standard normals.
struct Dice {
  double u, v;   // continuous
  Index choice;  // a large whole number, for the choice of a mode
  double z[2];
};

struct Point {
  double x, y;
  std::int32_t label;
};

Point eight_gaussians(const Dice& dice, double noise) {
  const Index mode = dice.choice % 8;
  const double angle = static_cast<double>(mode) * M_PI / 4;
  return {5 * std::cos(angle) + noise * dice.z[0], 5 * std::sin(angle) + noise * dice.z[1],
          static_cast<std::int32_t>(mode)};
}

Point half_circles(const Dice& dice) {
  const double angle = M_PI * dice.u;
  if (dice.choice % 2 == 0) return {std::cos(angle), std::sin(angle), 0};
  return {1 - std::cos(angle), 0.5 - std::sin(angle), 1};
}

Point moons(const Dice& dice, double noise) {
  const Point p = half_circles(dice);
  return {2 * (p.x + noise * dice.z[0]) - 1, 2 * (p.y + noise * dice.z[1]), p.label};
}

Point wide_moons(const Dice& dice, double noise) {
  const Point p = half_circles(dice);
  const double shift = noise * std::sqrt(12.0) * dice.v;  // uniform, the same in both coordinates
  return {3 * (p.x + shift) - 1, 3 * (p.y + shift) - 1, p.label};
}

Point s_curve(const Dice& dice, double noise) {
  const double t = 3 * M_PI * (dice.u - 0.5);
  return {1.5 * (std::sin(t) + noise * dice.z[0]),
          1.5 * (std::copysign(1.0, t) * (std::cos(t) - 1) + noise * dice.z[1]), 0};
}

Point checkerboard(const Dice& dice, double noise) {
  const double x = 4 * dice.u - 2;
  const double column = std::floor(x) - 2 * std::floor(std::floor(x) / 2);  // 0 or 1
  const double y = dice.v - 2 * static_cast<double>(dice.choice % 2) + column;
  return {2 * x + noise * dice.z[0], 2 * y + noise * dice.z[1], 0};
}

Point spirals(const Dice& dice, double noise) {
  const double turn = std::sqrt(dice.u) * 3 * M_PI, sign = dice.choice % 2 == 0 ? 1 : -1;
  const double x = -std::cos(turn) * turn + 0.5 * dice.v, y = std::sin(turn) * turn + 0.5 * dice.v;
  return {sign * x / 3 + noise * dice.z[0], sign * y / 3 + noise * dice.z[1],
          static_cast<std::int32_t>(dice.choice % 2)};
}

struct Kind {
  SyntheticKind about;
  Point (*planar)(const Dice&, double noise) = nullptr;
  KnownMap map = KnownMap::affine;
  bool labelled = false;
};

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {{"8gaussians", "eight Gaussians on a circle of radius 5", std::sqrt(0.1), true}, eight_gaussians, {}, true},
      {{"moons", "two half circles of radius 2", 0.05, true}, moons, {}, true},
      {{"wide-moons", "two half circles of radius 3, thicker", 0.2 / std::sqrt(12.0), true}, wide_moons, {}, true},
      {{"s-curve", "an S of two three-quarter circles, radius 1.5", 0.05, true}, s_curve, {}, false},
      {{"checkerboard", "every other cell of a 4 x 4 board on [-4, 4]^2", 0, true}, checkerboard, {}, false},
      {{"spirals", "two interleaved spirals", 0.1, true}, spirals, {}, true},
      {{"gaussian", "a Gaussian, the image of N(0, I) under a known affine map", 0, false},
       {},
       KnownMap::affine,
       false},
      {{"gaussian-mixture", "two Gaussians, the image under a known map", 0, false}, {}, KnownMap::mixture, true},
      {{"convex", "the image under the gradient of a convex function", 0, false}, {}, KnownMap::convex, false}};
  return all;
}

const Kind& find(std::string_view name) {
  std::string names;
  for (const Kind& kind : kinds()) {
    if (name == kind.about.name) return kind;
    names += (names.empty() ? "" : ", ") + std::string(kind.about.name);
  }
  throw Error(Errc::invalid_argument, concat("synthetic: no data set '", name, "'; there are ", names));
}

template <class Row>  // row(i, split, place): makes sample i, which is row `place` of the split
void for_rows(Synthetic& made, const SyntheticOptions& options, const Row& row) {
  constexpr Index block = 256;
  const Index count = options.points + options.test_points;
  parallel_for(options.context.threads, (count + block - 1) / block, [&](Index task, int) {
    for (Index i = task * block; i < std::min(count, (task + 1) * block); ++i) {
      const bool training = i < options.points;
      row(i, training ? made.data.train : made.data.test, training ? i : i - options.points);
    }
  });
}

void make_planar(const Kind& kind, const SyntheticOptions& options, Synthetic& made) {
  const double noise = options.noise < 0 ? kind.about.noise : options.noise;
  const Rng rng = Rng{options.seed}.substream(0x706C616E6172);  // "planar"
  const Rng uniforms = rng.substream(0), choices = rng.substream(1), normals = rng.substream(2);
  for_rows(made, options, [&](Index i, Split& split, Index place) {
    const auto at = static_cast<std::uint64_t>(i);
    const Rng::Block b = uniforms.bits(at), c = choices.bits(at);
    Dice dice{Rng::uniform(b.w[0], b.w[1]), Rng::uniform(b.w[2], b.w[3]), static_cast<Index>(c.w[0]), {}};
    fill_normal(normals, 2 * at, VectorView<double>(dice.z, 2));
    const Point p = kind.planar(dice, noise);
    split.x(place, 0) = static_cast<float>(p.x);
    split.x(place, 1) = static_cast<float>(p.y);
    if (kind.labelled) split.labels[static_cast<std::size_t>(place)] = p.label;
  });
  made.squared_w2 = std::numeric_limits<double>::quiet_NaN();
}

void make_image(const Kind& kind, const SyntheticOptions& options, Synthetic& made) {
  const Index d = options.dimensions;
  const BrenierMap map(kind.map, d, options.seed);
  const Rng noise = Rng{options.seed}.substream(0x736F75726365);  // "source"
  made.pairs.x0 = Matrix<float>(options.points, d);
  made.pairs.source_law = "standard_normal";
  made.pairs.atoms.resize(static_cast<std::size_t>(options.points));
  for_rows(made, options, [&](Index i, Split& split, Index place) {
    std::vector<double> x(static_cast<std::size_t>(d)), y(x.size());
    std::vector<float> kept(x.size());  // the noise as it is stored, of which the point is the image
    fill_normal(noise, static_cast<std::uint64_t>(i * d), VectorView<float>(kept));
    std::copy(kept.begin(), kept.end(), x.begin());
    map(x.data(), y.data());
    std::transform(y.begin(), y.end(), split.x.view().row(place), [](double v) { return static_cast<float>(v); });
    if (kind.labelled) split.labels[static_cast<std::size_t>(place)] = map.label(x.data());
    if (&split != &made.data.train) return;
    std::copy(kept.begin(), kept.end(), made.pairs.x0.view().row(place));
    made.pairs.atoms[static_cast<std::size_t>(place)] = static_cast<std::int32_t>(place);
  });
  made.squared_w2 = map.squared_w2();
}

double eight_gaussians_log_density(VectorView<const float> x, double noise) {
  double square[8], sum = 0;
  for (int mode = 0; mode < 8; ++mode) {
    const double a = x[0] - 5 * std::cos(mode * M_PI / 4), b = x[1] - 5 * std::sin(mode * M_PI / 4);
    square[mode] = (a * a + b * b) / (noise * noise);
  }
  const double least = *std::min_element(square, square + 8);
  for (const double s : square) sum += std::exp((least - s) / 2) / 8;
  return std::log(sum) - least / 2 - std::log(2 * M_PI * noise * noise);
}

// Eight cells of four units each; what rounding has put just outside counts as inside.
double checkerboard_log_density(VectorView<const float> x) {
  constexpr double slack = 1e-5;
  for (const double dx : {-slack, slack}) {
    for (const double dy : {-slack, slack}) {
      const double column = std::floor((x[0] + dx) / 2), row = std::floor((x[1] + dy) / 2);
      const bool on_board = std::abs(column + 0.5) < 2 && std::abs(row + 0.5) < 2;
      if (on_board && std::fmod(column + row + 4, 2) == 0) return -std::log(32);
    }
  }
  return -std::numeric_limits<double>::infinity();
}

}  // namespace

const std::vector<SyntheticKind>& synthetic_kinds() {
  static const std::vector<SyntheticKind> all = [] {
    std::vector<SyntheticKind> list;
    for (const Kind& kind : kinds()) list.push_back(kind.about);
    return list;
  }();
  return all;
}

Synthetic synthetic(std::string_view name, const SyntheticOptions& options) {
  const Kind& kind = find(name);
  constexpr Index most = std::numeric_limits<std::int32_t>::max();
  require(options.points > 0 && options.points <= most, "synthetic: points must be in [1, 2^31), not ", options.points);
  require(options.test_points >= 0 && options.test_points <= most, "synthetic: test_points must be in [0, 2^31), not ",
          options.test_points);
  require(!kind.about.planar || options.dimensions == 2, "synthetic: ", kind.about.name, " has 2 dimensions, not ",
          options.dimensions);
  require(options.dimensions > 0, "synthetic: dimensions must be positive, not ", options.dimensions);
  require(!std::isnan(options.noise) && options.noise <= 1e6, "synthetic: noise must be at most 1e6, not ",
          options.noise);
  require(kind.about.planar || options.noise <= 0, "synthetic: ", kind.about.name,
          " is the image of a map, and takes no noise");
  Synthetic made;
  for (auto [split, rows] : {std::pair{&made.data.train, options.points}, {&made.data.test, options.test_points}}) {
    split->x = Matrix<float>(rows, options.dimensions);
    if (kind.labelled) split->labels.resize(static_cast<std::size_t>(rows));
  }
  kind.about.planar ? make_planar(kind, options, made) : make_image(kind, options, made);
  made.data.source = concat(kind.about.name, ", seed ", options.seed);
  if (options.noise >= 0) made.data.source += concat(", noise ", options.noise);
  made.data.digest = made.pairs.dataset_digest = content_digest(made.data);
  if (made.pairs.size() > 0) made.pairs.labels = made.data.train.labels;
  const auto [least, greatest] =
      std::minmax_element(made.data.train.x.data(), made.data.train.x.data() + options.points * options.dimensions);
  made.data.low = *least;
  made.data.high = *greatest;
  return made;
}

std::function<double(VectorView<const float> x)> known_log_density(const std::string& source) {
  const std::size_t comma = source.find(", seed "), at = source.find(", noise ");
  const std::string name = source.substr(0, comma);
  if (comma == std::string::npos || (name != "8gaussians" && name != "checkerboard")) return {};
  const double noise = at == std::string::npos ? find(name).about.noise : std::atof(source.c_str() + at + 8);
  if (name == "8gaussians" && noise > 0)
    return [noise](VectorView<const float> x) { return eight_gaussians_log_density(x, noise); };
  if (name == "checkerboard" && noise == 0) return checkerboard_log_density;
  return {};
}

}  // namespace monge::data
