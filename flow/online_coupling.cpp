#include "monge/flow/online_coupling.h"

#include <algorithm>
#include <numeric>

#include "monge/flow/drawn_batch.h"
#include "monge/ot/assignment.h"
#include "monge/ot/core/error.h"
#include "monge/ot/core/parallel.h"
#include "monge/ot/finite.h"

namespace monge::flow {
namespace {

class OnlineCoupling final : public Coupling {
 public:
  OnlineCoupling(MatrixView<const float> y, const OnlineOptions& options)
      : y_(y),
        options_(options),
        noise_(Rng{options.seed}.substream(1)),
        order_(y.rows, Rng{options.seed}.substream(2)),
        seeds_(static_cast<std::size_t>(y.rows)) {
    std::iota(seeds_.begin(), seeds_.end(), 0);
  }

  void draw(std::uint64_t step, MatrixView<float> x0, VectorView<std::int32_t> atoms) override {
    require(x0.rows == atoms.size && x0.rows > 0, "online_coupling: ", x0.rows, " rows of x0 and room for ", atoms.size,
            " atoms");
    require(x0.cols == y_.cols, "online_coupling: x0 of ", x0.cols, " dimensions, atoms of ", y_.cols);
    const bool again = step + 1 == next_ && static_cast<Index>(last_.size()) == x0.rows;
    require(again || step == next_, "online_coupling: step ", step, " was asked for where ", next_, " is next");
    const std::uint64_t first = step * static_cast<std::uint64_t>(x0.rows);
    for (Index i = 0; i < x0.rows; ++i)
      atoms[i] = static_cast<std::int32_t>(order_(first + static_cast<std::uint64_t>(i)));
    if (!again) {
      rematch(first, atoms);
      next_ = step + 1;
    }
    make_noise(last_, x0);
  }

  std::vector<std::int32_t> state() const override { return seeds_; }

  void restore(std::uint64_t step, VectorView<const std::int32_t> state) override {
    require(state.size == y_.rows, "online_coupling: a state of ", state.size, " numbers for ", y_.rows, " atoms");
    std::vector<char> seen(seeds_.size(), 0);
    for (Index i = 0; i < state.size; ++i)
      require(state[i] >= 0 && state[i] < y_.rows && !std::exchange(seen[static_cast<std::size_t>(state[i])], 1),
              "online_coupling: the state is no permutation: element ", i, " is ", state[i]);
    std::copy(state.begin(), state.end(), seeds_.begin());
    next_ = step;
    last_.clear();
  }

 private:
  // One part for each pass over the data that the batch has a share in: within a part atoms are all different.
  void rematch(std::uint64_t first, VectorView<const std::int32_t> atoms) {
    std::vector<std::int32_t> updated = seeds_;  // should a match throw, nothing has changed
    last_.assign(static_cast<std::size_t>(atoms.size), 0);
    const auto n = static_cast<std::uint64_t>(y_.rows);
    for (Index begin = 0; begin < atoms.size;) {
      const std::uint64_t left = n - (first + static_cast<std::uint64_t>(begin)) % n;
      const Index count =
          static_cast<Index>(std::min<std::uint64_t>(left, static_cast<std::uint64_t>(atoms.size - begin)));
      rematch_part({atoms.data + begin, count}, updated);
      for (Index i = begin; i < begin + count; ++i)
        last_[static_cast<std::size_t>(i)] = updated[static_cast<std::size_t>(atoms[i])];
      begin += count;
    }
    seeds_ = std::move(updated);
  }

  void rematch_part(VectorView<const std::int32_t> atoms, std::vector<std::int32_t>& seeds) {
    const auto count = static_cast<std::size_t>(atoms.size);
    DrawnBatch batch;
    batch.x0 = Matrix<float>(atoms.size, y_.cols);
    batch.y = Matrix<float>(atoms.size, y_.cols);
    std::vector<std::int32_t> held(count);
    for (std::size_t i = 0; i < count; ++i) {
      const std::int32_t atom = atoms[static_cast<Index>(i)];
      held[i] = seeds[static_cast<std::size_t>(atom)];
      std::copy_n(y_.row(atom), y_.cols, batch.y.view().row(static_cast<Index>(i)));
      if (options_.labels.atoms.empty()) continue;
      batch.y_labels.push_back(options_.labels.atoms[atom]);
      batch.x_labels.push_back(options_.labels.atoms[held[i]]);  // numbers began with the atom of the same number
    }
    make_noise(held, batch.x0.view());
    ot::AssignmentOptions assignment;
    assignment.context = matching_context(options_.context, atoms.size, y_.cols);
    const bool within = !options_.labels.atoms.empty() && std::isinf(options_.labels.penalty);
    for_classes(batch, within,
                [&](MatrixView<const float> x, MatrixView<const float> y, const std::vector<std::int32_t>& members) {
                  const std::vector<std::int32_t> none;
                  const PenalisedPoints points(x, y, within ? none : batch.x_labels, within ? none : batch.y_labels,
                                               options_.labels.penalty);
                  const auto columns = ot::assign(points.x, points.y, assignment).columns;
                  for (std::size_t i = 0; i < columns.size(); ++i) {
                    const auto at = [&](std::size_t k) {
                      return members.empty() ? k : static_cast<std::size_t>(members[k]);
                    };
                    const std::size_t row = at(i), column = at(static_cast<std::size_t>(columns[i]));
                    seeds[static_cast<std::size_t>(atoms[static_cast<Index>(column)])] = held[row];
                  }
                });
  }

  // Row i is the noise vector of the number seeds_i.
  void make_noise(const std::vector<std::int32_t>& seeds, MatrixView<float> x0) const {
    constexpr Index block = 64;
    const int threads = threads_worth(options_.context.threads, 16 * x0.rows * x0.cols);
    parallel_for(threads, (x0.rows + block - 1) / block, [&](Index task, int) {
      for (Index i = task * block; i < std::min(x0.rows, (task + 1) * block); ++i) {
        const auto seed = static_cast<std::uint64_t>(seeds[static_cast<std::size_t>(i)]);
        fill_normal(noise_, seed * static_cast<std::uint64_t>(x0.cols), {x0.row(i), x0.cols});
      }
    });
  }

  MatrixView<const float> y_;
  OnlineOptions options_;
  Rng noise_;
  Shuffle order_;
  std::vector<std::int32_t> seeds_;  // N: the number of each atom's noise vector
  std::vector<std::int32_t> last_;   // of the rows drawn last
  std::uint64_t next_ = 0;
};

}  // namespace

std::unique_ptr<Coupling> online_coupling(MatrixView<const float> y, const OnlineOptions& options) {
  check_pairing("online_coupling", y.rows, y.cols, {}, options.labels);
  require(!y.empty(), "online_coupling: y is empty (", y.rows, " x ", y.cols, ")");
  require_finite(y, "online_coupling: y");
  return std::make_unique<OnlineCoupling>(y, options);
}

}  // namespace monge::flow
