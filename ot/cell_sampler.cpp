#include "monge/ot/cell_sampler.h"

#include <algorithm>
#include <cmath>

#include "monge/ot/blocks.h"
#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/fitted_atoms.h"
#include "monge/ot/line_cells.h"

namespace monge::ot {
namespace {

// What a draw takes from its streams, each a block or a row of its own.
enum Purpose : std::uint64_t { start_noise, start_label, other_noise, step_base };
constexpr std::uint64_t blocks_per_step = 3;  // slice, first angle and label

}  // namespace

struct CellSampler::Body {
  FittedAtoms fitted;
  CellSamplerOptions options;
  std::vector<std::int32_t> distinct;  // of each atom as given, -1 for one without weight

  Body(MatrixView<const float> y, const SemidiscretePotentials& potentials, const CellSamplerOptions& o);

  // Chains of some draws, in the space of the scores.
  struct Chains {
    std::vector<std::int32_t> atoms, labels;
    std::vector<std::uint64_t> draws;
    Matrix<float> x;
  };

  std::vector<detail::Interval> cells;  // on a line without epsilon, where draws are exact; else empty

  void require_label(std::int32_t atom) const;
  float draw_on_line(std::int32_t atom, const Rng& rng, std::uint64_t draw) const;
  Scores<float> scores(MatrixView<const float> x, VectorView<const std::int32_t> labels) const;
  float penalty(const Chains& c, Index i, Index j) const {
    const bool unequal = fitted.is_labelled() && c.labels[i] != fitted.atoms.labels[static_cast<std::size_t>(j)];
    return unequal ? fitted.label_penalty : 0.0f;
  }
  void begin(Chains& c, const Rng& rng) const;
  void enter(Chains& c) const;
  void step(Chains& c, const Rng& rng, Index number) const;
  double log_share(const float* products, Index atom, std::int32_t label, double cosine, const float* other,
                   double sine) const;
  void to_noise(const float* z, const Rng& rng, std::uint64_t draw, float* x) const;
};

CellSampler::Body::Body(MatrixView<const float> y, const SemidiscretePotentials& potentials,
                        const CellSamplerOptions& o)
    : fitted("CellSampler", y, potentials, o.context), options(o), distinct(static_cast<std::size_t>(y.rows), -1) {
  require(o.steps > 0, "CellSampler: steps is ", o.steps, ", expected 1 or more");
  require(o.max_moves > 0, "CellSampler: max_moves is ", o.max_moves, ", expected 1 or more");
  const AtomSet& atoms = fitted.atoms;
  for (std::size_t j = 0; j < static_cast<std::size_t>(atoms.size()); ++j)
    for (Index i = atoms.first_member[j]; i < atoms.first_member[j + 1]; ++i)
      distinct[static_cast<std::size_t>(atoms.members[static_cast<std::size_t>(i)])] = static_cast<std::int32_t>(j);
  const bool apart = !fitted.is_labelled() || std::isinf(fitted.label_penalty);
  if (fitted.epsilon == 0 && apart && atoms.dimensions() == 1 && !fitted.pca)
    cells = detail::line_cells(atoms, to_biases(atoms, potentials.g, potentials.cost));
  else
    fitted.atoms.keep_ready(y, o.context);
}

// The float nearest to a draw, or next to it, that is in the cell.
float CellSampler::Body::draw_on_line(std::int32_t atom, const Rng& rng, std::uint64_t draw) const {
  const detail::Interval cell = cells[static_cast<std::size_t>(distinct[static_cast<std::size_t>(atom)])];
  const auto is_in = [&](float x) { return static_cast<double>(x) >= cell.low && static_cast<double>(x) <= cell.high; };
  if (cell.low < cell.high) {
    const Rng::Block w = rng.substream(start_noise).bits(draw);
    const auto x = static_cast<float>(detail::draw_between(cell, Rng::uniform(w.w[0], w.w[1])));
    for (const float near : {x, std::nextafter(x, HUGE_VALF), std::nextafter(x, -HUGE_VALF)})
      if (is_in(near)) return near;
  }
  throw Error(Errc::infeasible, concat("CellSampler: no noise goes to atom ", atom, ", whose cell is empty"));
}

// Where unequal labels are forbidden noise of the atom's label has to come.
void CellSampler::Body::require_label(std::int32_t atom) const {
  if (!fitted.is_labelled() || std::isfinite(fitted.label_penalty)) return;
  const std::int32_t label = fitted.atoms.labels[static_cast<std::size_t>(distinct[static_cast<std::size_t>(atom)])];
  if (fitted.noise_labels.place(label) < 0)
    throw Error(Errc::infeasible,
                concat("CellSampler: atom ", atom, " has label ", label, ", which no noise of these potentials has"));
}

Scores<float> CellSampler::Body::scores(MatrixView<const float> x, VectorView<const std::int32_t> labels) const {
  return {.x = x,
          .y = fitted.atoms.y.view(),
          .v = fitted.biases,
          .row_labels = labels,
          .col_labels = fitted.atoms.labels,
          .y_ready = fitted.atoms.ready.get(),
          .label_penalty = fitted.label_penalty};
}

void CellSampler::Body::begin(Chains& c, const Rng& rng) const {
  for (Index i = 0; i < c.x.rows(); ++i) {
    const std::uint64_t draw = c.draws[static_cast<std::size_t>(i)];
    fill_normal(rng.substream(start_noise), draw * static_cast<std::uint64_t>(c.x.cols()),
                {c.x.view().row(i), c.x.cols()});
    if (!fitted.is_labelled()) continue;
    // With its own label noise goes to the atom from furthest away; with another it may never.
    std::int32_t& label = c.labels[static_cast<std::size_t>(i)];
    label = fitted.atoms.labels[static_cast<std::size_t>(c.atoms[static_cast<std::size_t>(i)])];
    if (fitted.noise_labels.place(label) < 0) fitted.noise_labels.draw(rng.substream(start_label), draw, {&label, 1});
  }
}

// Moves points into their cells, each time over the plane that is furthest off (Motzkin and Schoenberg 1954).
void CellSampler::Body::enter(Chains& c) const {
  const AtomSet& atoms = fitted.atoms;
  std::vector<Index> outside(static_cast<std::size_t>(c.x.rows()));
  for (std::size_t i = 0; i < outside.size(); ++i) outside[i] = static_cast<Index>(i);
  for (Index move = 0; !outside.empty(); ++move) {
    const Index rows = static_cast<Index>(outside.size()), d = c.x.cols();
    if (move == options.max_moves)
      throw Error(
          Errc::infeasible,
          concat("CellSampler: no noise found that goes to atom ",
                 atoms.members[static_cast<std::size_t>(
                     atoms.first_member[static_cast<std::size_t>(c.atoms[static_cast<std::size_t>(outside[0])])])],
                 " in ", move, " moves"));
    Matrix<float> x(rows, d), best(rows, 1);
    Matrix<std::int32_t> winner(rows, 1);
    std::vector<std::int32_t> labels(static_cast<std::size_t>(fitted.is_labelled() ? rows : 0));
    for (Index q = 0; q < rows; ++q) {
      std::copy_n(c.x.view().row(outside[static_cast<std::size_t>(q)]), d, x.view().row(q));
      if (!labels.empty())
        labels[static_cast<std::size_t>(q)] = c.labels[static_cast<std::size_t>(outside[static_cast<std::size_t>(q)])];
    }
    passes_for<float>(fitted.context.device)
        .hardmin(scores(x.view(), labels), best.view(), winner.view(), fitted.context);
    std::vector<Index> left;
    for (Index q = 0; q < rows; ++q) {
      const Index i = outside[static_cast<std::size_t>(q)], j = c.atoms[static_cast<std::size_t>(i)], k = winner(q, 0);
      if (k == j) continue;
      left.push_back(i);
      float* point = c.x.view().row(i);
      const float *to = atoms.y.view().row(j), *from = atoms.y.view().row(k);
      double own = static_cast<double>(fitted.biases[static_cast<std::size_t>(j)] - penalty(c, i, j)), square = 0;
      for (Index e = 0; e < d; ++e) {
        own += static_cast<double>(point[e]) * static_cast<double>(to[e]);
        square += std::pow(static_cast<double>(to[e]) - static_cast<double>(from[e]), 2);
      }
      const double behind = static_cast<double>(best(q, 0)) - own;
      // Beyond the plane by as much again, and never by nothing, so that rounding does not hold it on the plane.
      const double over = square > 0 ? 1.9 * std::max(behind, 1e-6 * std::abs(own)) / square : 0.0;
      for (Index e = 0; e < d; ++e)
        point[e] += static_cast<float>(over * (static_cast<double>(to[e]) - static_cast<double>(from[e])));
    }
    outside = std::move(left);
  }
}

// log of the share of cosine x + sine x' that goes to the atom, from the products of x and x' with all atoms; at
// epsilon = 0 it is 0 or -infinity.
double CellSampler::Body::log_share(const float* products, Index atom, std::int32_t label, double cosine,
                                    const float* other, double sine) const {
  const AtomSet& atoms = fitted.atoms;
  const auto c = static_cast<float>(cosine), s = static_cast<float>(sine);
  const auto score = [&](Index k) {
    const float bias = fitted.biases[static_cast<std::size_t>(k)];
    const bool unequal = fitted.is_labelled() && atoms.labels[static_cast<std::size_t>(k)] != label;
    return c * products[k] + s * other[k] + (unequal ? bias - fitted.label_penalty : bias);
  };
  const float own = score(atom);
  if (fitted.epsilon == 0) {
    for (Index k = 0; k < atoms.size(); ++k)
      if (score(k) > own) return -HUGE_VAL;
    return 0;
  }
  double sum = 0;
  for (Index k = 0; k < atoms.size(); ++k)
    sum += std::exp((static_cast<double>(score(k)) - static_cast<double>(own)) / fitted.epsilon);
  return -std::log(sum);
}

void CellSampler::Body::step(Chains& c, const Rng& rng, Index number) const {
  const Index rows = c.x.rows(), d = c.x.cols(), n = fitted.atoms.size();
  const Rng words = rng.substream(step_base + static_cast<std::uint64_t>(number));
  Matrix<float> other(rows, d), products(rows, n), other_products(rows, n);
  for (Index i = 0; i < rows; ++i)
    fill_normal(words.substream(0), c.draws[static_cast<std::size_t>(i)] * static_cast<std::uint64_t>(d),
                {other.view().row(i), d});
  auto& passes = passes_for<float>(fitted.context.device);
  Scores<float> plain{.x = c.x.view(), .y = fitted.atoms.y.view(), .y_ready = fitted.atoms.ready.get()};
  passes.store(plain, products.view(), fitted.context);
  plain.x = other.view();
  passes.store(plain, other_products.view(), fitted.context);
  const std::vector<LabelShare>& shares = fitted.noise_labels.shares();
  parallel_for(fitted.context.threads, rows, [&](Index i, int) {
    if (fitted.context.stop) fitted.context.stop->look();
    const auto row = static_cast<std::size_t>(i);
    const Index atom = c.atoms[row];
    const Rng own = words.substream(1);
    std::uint64_t block = c.draws[row] * blocks_per_step;
    const auto uniform = [&] {
      const Rng::Block w = own.bits(block++);
      return Rng::uniform(w.w[0], w.w[1]);
    };
    const float *p = products.view().row(i), *q = other_products.view().row(i);
    const auto share = [&](double angle, std::int32_t label) {
      return log_share(p, atom, label, std::cos(angle), q, std::sin(angle));
    };
    // The slice, then an angle in a bracket that shrinks towards 0, where the chain stands.
    // At epsilon = 0 it is the cell, also where rounding has put the chain just outside.
    const double height = std::log(1 - uniform()), level = fitted.epsilon > 0 ? share(0, c.labels[row]) + height : 0.0;
    double angle = 2 * M_PI * uniform(), low = angle - 2 * M_PI, high = angle;
    const Rng more = words.substream(2 + c.draws[row]);
    std::uint64_t tries = 0;
    while (share(angle, c.labels[row]) < level && std::abs(high - low) > 1e-12) {
      (angle < 0 ? low : high) = angle;
      const Rng::Block w = more.bits(tries++);
      angle = low + (high - low) * Rng::uniform(w.w[0], w.w[1]);
    }
    if (high - low <= 1e-12) angle = 0;
    float *x = c.x.view().row(i), *e = other.view().row(i);
    for (Index k = 0; k < d; ++k)
      x[k] =
          static_cast<float>(std::cos(angle) * static_cast<double>(x[k]) + std::sin(angle) * static_cast<double>(e[k]));
    if (!fitted.is_labelled() || std::isinf(fitted.label_penalty)) return;
    // The label given x.
    std::vector<double> up_to;
    double total = 0;
    for (const LabelShare& s : shares) up_to.push_back(total += s.share * std::exp(share(angle, s.label)));
    const auto at = std::upper_bound(up_to.begin(), up_to.end(), uniform() * total);
    if (total > 0)
      c.labels[row] = shares[std::min(static_cast<std::size_t>(at - up_to.begin()), shares.size() - 1)].label;
  });
}

// Directions that the atoms know nothing of are those of plain noise.
void CellSampler::Body::to_noise(const float* z, const Rng& rng, std::uint64_t draw, float* x) const {
  const Index d = fitted.dimensions;
  if (!fitted.pca) {
    std::copy_n(z, d, x);
    return;
  }
  fill_normal(rng.substream(other_noise), draw * static_cast<std::uint64_t>(d), {x, d});
  const MatrixView<const float> basis = fitted.pca->basis.view();
  std::vector<double> off(static_cast<std::size_t>(basis.rows));
  for (Index k = 0; k < basis.rows; ++k)
    off[static_cast<std::size_t>(k)] = static_cast<double>(z[k]) - dot(x, basis.row(k), d);
  for (Index k = 0; k < basis.rows; ++k)
    for (Index e = 0; e < d; ++e)
      x[e] += static_cast<float>(off[static_cast<std::size_t>(k)] * static_cast<double>(basis(k, e)));
}

CellSampler::CellSampler(MatrixView<const float> y, const SemidiscretePotentials& potentials,
                         const CellSamplerOptions& options)
    : body_(std::make_unique<Body>(y, potentials, options)) {}
CellSampler::~CellSampler() = default;
CellSampler::CellSampler(CellSampler&&) noexcept = default;

void CellSampler::draw(VectorView<const std::int32_t> atoms, const Rng& rng, std::uint64_t first,
                       MatrixView<float> noise, VectorView<std::int32_t> labels) const {
  const Body& body = *body_;
  const FittedAtoms& fitted = body.fitted;
  require(noise.rows == atoms.size && noise.cols == fitted.dimensions, "CellSampler: ", atoms.size,
          " atoms, room for noise of ", noise.rows, " x ", noise.cols, ", should be ", atoms.size, " x ",
          fitted.dimensions);
  require(labels.size == (fitted.is_labelled() ? atoms.size : 0), "CellSampler: room for ", labels.size, " labels of ",
          atoms.size, fitted.is_labelled() ? " draws" : " draws without labels");
  const Index given = static_cast<Index>(body.distinct.size());
  for (Index i = 0; i < atoms.size; ++i) {
    require(atoms[i] >= 0 && atoms[i] < given, "CellSampler: row ", i, " asks for atom ", atoms[i], " of ", given);
    if (body.distinct[static_cast<std::size_t>(atoms[i])] < 0)
      throw Error(Errc::infeasible, concat("CellSampler: atom ", atoms[i], " has weight 0, no noise goes there"));
    body.require_label(atoms[i]);
  }
  if (!body.cells.empty()) {
    for (Index i = 0; i < atoms.size; ++i) {
      noise(i, 0) = body.draw_on_line(atoms[i], rng, first + static_cast<std::uint64_t>(i));
      if (!labels.empty())
        labels[i] = fitted.atoms.labels[static_cast<std::size_t>(body.distinct[static_cast<std::size_t>(atoms[i])])];
    }
    return;
  }
  // Two rows of products for each chain: some 64 MB in all.
  const Index most = std::clamp<Index>((Index{1} << 23) / fitted.atoms.size(), 1, 1024);
  for (Index from = 0; from < atoms.size; from += most) {
    const Index count = std::min(most, atoms.size - from);
    Body::Chains c;
    c.labels.resize(static_cast<std::size_t>(count));
    c.x = Matrix<float>(count, fitted.atoms.dimensions());
    for (Index i = from; i < from + count; ++i) {
      c.atoms.push_back(body.distinct[static_cast<std::size_t>(atoms[i])]);
      c.draws.push_back(first + static_cast<std::uint64_t>(i));
    }
    body.begin(c, rng);
    if (fitted.epsilon == 0) body.enter(c);
    for (Index k = 0; k < body.options.steps; ++k) body.step(c, rng, k);
    if (fitted.epsilon == 0) body.enter(c);  // what rounding may have put over the edge
    for (Index i = 0; i < count; ++i) {
      body.to_noise(c.x.view().row(i), rng, c.draws[static_cast<std::size_t>(i)], noise.row(from + i));
      if (!labels.empty()) labels[from + i] = c.labels[static_cast<std::size_t>(i)];
    }
  }
}

}  // namespace monge::ot
