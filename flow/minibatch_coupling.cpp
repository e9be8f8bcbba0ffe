#include "monge/flow/minibatch_coupling.h"

#include <algorithm>
#include <exception>
#include <numeric>
#include <utility>

#include "monge/flow/drawn_batch.h"
#include "monge/ot/assignment.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/finite.h"
#include "monge/ot/plan.h"

namespace monge::flow {
namespace {

using Partners = std::vector<std::int32_t>;

// A batch of the source and of the atoms, and what matching made of it.
struct Matched {
  DrawnBatch batch;
  Partners partners;    // row of y of each row of x0
  Matrix<float> means;  // as the batch, barycentric only
  std::exception_ptr failure;

  // Partners within `members` of the batch (empty: all of it) from columns counted among them.
  void put(const Partners& columns, const std::vector<std::int32_t>& members) {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const auto column = static_cast<std::size_t>(columns[i]);
      members.empty() ? partners[i] = columns[i] : partners[static_cast<std::size_t>(members[i])] = members[column];
    }
  }
};

// What all minibatch couplings share: drawing, keeping matched batches, and serving steps from them.
class MinibatchCoupling : public Coupling {
 public:
  MinibatchCoupling(const char* who, MatrixView<const float> y, const MinibatchOptions& options)
      : who_(who),
        options_(options),
        drawer_(y, options.seed, options.source, options.labels, options.context),
        y_(y) {}

  void draw(std::uint64_t step, MatrixView<float> x0, VectorView<std::int32_t> atoms) override {
    require(x0.rows == atoms.size, who_, ": ", x0.rows, " rows of x0 but room for ", atoms.size, " atoms");
    require(x0.cols == y_.cols, who_, ": x0 of ", x0.cols, " dimensions, atoms of ", y_.cols);
    const Index n = options_.ot_batch > 0 ? options_.ot_batch : x0.rows;
    require(x0.rows > 0 && n % x0.rows == 0, who_, ": ot_batch is ", n, ", no multiple of the batch of ", x0.rows);
    const auto steps = static_cast<std::uint64_t>(n / x0.rows);
    const std::uint64_t number = step / steps;
    if (number < number_ || number - number_ >= matched_.size() || size_ != n) prepare(number, n);
    current_ = static_cast<std::size_t>(number - number_);
    first_ = static_cast<Index>(step % steps) * x0.rows;
    rows_ = x0.rows;
    const Matched& m = matched_[current_];
    if (m.failure) {
      size_ = 0;  // nothing is kept
      std::rethrow_exception(m.failure);
    }
    for (Index i = 0; i < x0.rows; ++i) {
      std::copy_n(m.batch.x0.view().row(first_ + i), x0.cols, x0.row(i));
      atoms[i] = m.batch.atoms[static_cast<std::size_t>(m.partners[static_cast<std::size_t>(first_ + i)])];
    }
  }

 protected:
  // Fills the partners, and what targets() gives where there are any; for several batches at once.
  virtual void match(std::uint64_t number, Matched& m) const = 0;

  const Matched& current() const { return matched_[current_]; }

  // The labels that still bear on a match: none within classes.
  const std::vector<std::int32_t>& labels_of(const std::vector<std::int32_t>& labels) const {
    static const std::vector<std::int32_t> none;
    return drawer_.within_classes() ? none : labels;
  }

  Partners assign(MatrixView<const float> x, MatrixView<const float> y, const std::vector<std::int32_t>& x_labels,
                  const std::vector<std::int32_t>& y_labels) const {
    const PenalisedPoints points(x, y, x_labels, y_labels, options_.labels.penalty);
    ot::AssignmentOptions assignment;
    assignment.context = matching_context(options_.context, x.rows, x.cols);
    return ot::assign(points.x, points.y, assignment).columns;
  }

  const char* who_;
  MinibatchOptions options_;
  BatchDrawer drawer_;
  MatrixView<const float> y_;
  Index first_ = 0, rows_ = 0;  // the part of the batch that was drawn last

 private:
  // Matches that are worth one thread only are made for the steps to come as well, a thread each. What goes wrong with
  // one of those is told when its turn comes.
  void prepare(std::uint64_t number, Index n) {
    const Context& context = options_.context;
    const bool small = context.device.type == DeviceType::cpu && matching_context(context, n, y_.cols).threads == 1;
    const Index count = small ? resolve_threads(context.threads) : 1;
    size_ = 0;
    matched_.resize(static_cast<std::size_t>(count));
    const auto make = [&](Index k, int) {
      Matched& m = matched_[static_cast<std::size_t>(k)];
      m.failure = nullptr;
      try {
        drawer_.draw(number + static_cast<std::uint64_t>(k), n, m.batch);
        m.partners.assign(static_cast<std::size_t>(n), 0);
        match(number + static_cast<std::uint64_t>(k), m);
      } catch (...) {
        m.failure = std::current_exception();
      }
    };
    if (count == 1)
      make(0, 0);
    else
      parallel_for(context.threads, count, make);
    number_ = number;
    size_ = n;
  }

  std::vector<Matched> matched_;  // batches number_, number_ + 1, ... of size_ points; none if that is 0
  std::uint64_t number_ = 0;
  std::size_t current_ = 0;
  Index size_ = 0;
};

class ExactCoupling final : public MinibatchCoupling {
 public:
  using MinibatchCoupling::MinibatchCoupling;

 private:
  void match(std::uint64_t, Matched& m) const override {
    for_classes(m.batch, drawer_.within_classes(),
                [&](MatrixView<const float> x, MatrixView<const float> y, const std::vector<std::int32_t>& members) {
                  m.put(assign(x, y, labels_of(m.batch.x_labels), labels_of(m.batch.y_labels)), members);
                });
  }
};

class EntropicCoupling final : public MinibatchCoupling {
 public:
  EntropicCoupling(MatrixView<const float> y, const EntropicMinibatchOptions& options)
      : MinibatchCoupling("entropic_minibatch_coupling", y, options.batch), entropic_(options) {}

  bool has_targets() const override { return entropic_.draw == PlanDraw::barycentric; }

  void targets(MatrixView<float> x1) const override {
    if (!has_targets()) return Coupling::targets(x1);
    require(x1.rows == rows_ && x1.cols == y_.cols, who_, ": targets of ", x1.rows, " x ", x1.cols, ", drawn were ",
            rows_, " x ", y_.cols);
    for (Index i = 0; i < rows_; ++i) std::copy_n(current().means.view().row(first_ + i), x1.cols, x1.row(i));
  }

 private:
  void match(std::uint64_t number, Matched& m) const override {
    const Rng rng = Rng{options_.seed}.substream(4).substream(number);
    if (has_targets() && m.means.rows() != m.batch.x0.rows()) m.means = Matrix<float>(m.batch.x0.rows(), y_.cols);
    std::uint64_t classes = 0;
    for_classes(m.batch, drawer_.within_classes(),
                [&](MatrixView<const float> x, MatrixView<const float> y, const std::vector<std::int32_t>& members) {
                  match_class(x, y, members, rng.substream(classes++), m);
                });
  }

  void match_class(MatrixView<const float> x, MatrixView<const float> y, const std::vector<std::int32_t>& members,
                   const Rng& rng, Matched& m) const {
    const std::vector<std::int32_t>&x_labels = labels_of(m.batch.x_labels), &y_labels = labels_of(m.batch.y_labels);
    if (x.rows == 1) {
      m.put({0}, members);
      if (has_targets()) keep_mean(m, 0, y.row(0), members);
      return;
    }
    ot::Problem<float> problem{.x = x, .y = y};
    if (!x_labels.empty()) {
      problem.x_labels = x_labels;
      problem.y_labels = y_labels;
      problem.label_penalty = options_.labels.penalty;
    }
    const Context context = matching_context(options_.context, x.rows, x.cols);
    const ot::SinkhornResult result = ot::sinkhorn(problem, {.epsilon = entropic_.epsilon,
                                                             .epsilon_unit = entropic_.epsilon_unit,
                                                             .tolerance = entropic_.tolerance,
                                                             .max_iterations = entropic_.max_iterations,
                                                             .certify = false,
                                                             .context = context});
    if (result.status == ot::Status::numerical_failure || result.f.empty())
      throw Error(Errc::not_finite, concat(who_, ": the plan of a batch broke down; a larger epsilon may help"));
    const ot::Plan plan(problem, result, context);
    Partners columns(static_cast<std::size_t>(x.rows));
    plan.sample_partners(rng, columns);
    if (entropic_.draw == PlanDraw::distinct) make_distinct(plan, m.batch, x, y, rng, columns);
    m.put(columns, members);
    if (!has_targets()) return;
    Matrix<float> means(x.rows, x.cols);
    plan.map(means.view());
    for (Index i = 0; i < x.rows; ++i) keep_mean(m, i, means.view().row(i), members);
  }

  // Rows in turn keep the column they drew unless it is taken; those who lose draw again.
  void make_distinct(const ot::Plan& plan, const DrawnBatch& batch, MatrixView<const float> x,
                     MatrixView<const float> y, const Rng& rng, Partners& columns) const {
    constexpr std::uint64_t rounds = 16;
    const Index n = x.rows;
    Partners drawn = columns;
    std::vector<char> taken(static_cast<std::size_t>(n), 0);
    std::vector<std::int32_t> open(static_cast<std::size_t>(n));  // rows without a column
    std::iota(open.begin(), open.end(), 0);
    for (std::uint64_t round = 1;; ++round) {
      std::erase_if(open, [&](std::int32_t row) {
        const std::int32_t column = drawn[static_cast<std::size_t>(row)];
        if (std::exchange(taken[static_cast<std::size_t>(column)], 1)) return false;
        columns[static_cast<std::size_t>(row)] = column;
        return true;
      });
      if (open.empty() || round == rounds) break;
      plan.sample_partners(rng.substream(round), drawn);
    }
    if (open.empty()) return;
    Partners left;
    for (Index j = 0; j < n; ++j)
      if (!taken[static_cast<std::size_t>(j)]) left.push_back(static_cast<std::int32_t>(j));
    const auto rest = static_cast<Index>(open.size());
    Matrix<float> xs(rest, x.cols), ys(rest, y.cols);
    std::vector<std::int32_t> x_labels, y_labels;
    for (Index i = 0; i < rest; ++i) {
      const auto row = open[static_cast<std::size_t>(i)], column = left[static_cast<std::size_t>(i)];
      std::copy_n(x.row(row), x.cols, xs.view().row(i));
      std::copy_n(y.row(column), y.cols, ys.view().row(i));
      if (labels_of(batch.x_labels).empty()) continue;
      x_labels.push_back(batch.x_labels[static_cast<std::size_t>(row)]);
      y_labels.push_back(batch.y_labels[static_cast<std::size_t>(column)]);
    }
    const Partners best = assign(xs.view(), ys.view(), x_labels, y_labels);
    for (std::size_t i = 0; i < open.size(); ++i)
      columns[static_cast<std::size_t>(open[i])] = left[static_cast<std::size_t>(best[i])];
  }

  void keep_mean(Matched& m, Index i, const float* mean, const std::vector<std::int32_t>& members) const {
    std::copy_n(mean, y_.cols, m.means.view().row(members.empty() ? i : members[static_cast<std::size_t>(i)]));
  }

  EntropicMinibatchOptions entropic_;
};

void check(const char* who, MatrixView<const float> y, const MinibatchOptions& options) {
  check_pairing(who, y.rows, y.cols, options.source, options.labels);
  require(!y.empty(), who, ": y is empty (", y.rows, " x ", y.cols, ")");
  require(options.ot_batch >= 0, who, ": ot_batch must not be negative, not ", options.ot_batch);
  require_finite(y, concat(who, ": y").c_str());
  if (options.source.points.data) require_finite(options.source.points, concat(who, ": source.points").c_str());
}

}  // namespace

std::unique_ptr<Coupling> minibatch_coupling(MatrixView<const float> y, const MinibatchOptions& options) {
  check("minibatch_coupling", y, options);
  return std::make_unique<ExactCoupling>("minibatch_coupling", y, options);
}

std::unique_ptr<Coupling> entropic_minibatch_coupling(MatrixView<const float> y,
                                                      const EntropicMinibatchOptions& options) {
  check("entropic_minibatch_coupling", y, options.batch);
  require(options.epsilon > 0, "entropic_minibatch_coupling: epsilon must be positive, not ", options.epsilon);
  return std::make_unique<EntropicCoupling>(y, options);
}

}  // namespace monge::flow
