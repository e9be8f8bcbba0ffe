#pragma once  // private: never installed
#include <optional>
#include <vector>

#include "monge/ot/assignment_search.h"
#include "monge/ot/shortlists.h"

// Exact assignment that looks at few pairs: bids and shortest augmenting paths on shortlists, which grow where a path
// might leave them. Column potentials only fall, so what bounds the pairs outside a list keeps bounding them.
namespace monge::ot::detail {

// When a search is given up: after more than these, if they are not 0.
struct ListSearchLimits {
  // Looks at rows again, for each row there is, in a phase of auction: good starts take fewer.
  Index looks_per_row = 0;
  // Pairs that paths see, for each pair there is.
  Index sights_per_pair = 0;
};

struct ListSearchOptions {
  std::vector<double> epsilons = {};  // phases of auction that come first, n = m only
  Index bids_per_row = 32;            // at most, of each phase
  Index reductions_per_row = 8;       // at most, of row reduction
  ListSearchLimits limits = {};
};

// Assigns every row unless the monitor ends the run. v: a start for the column potentials, those the lists were made
// for; n < m: zeros. nullopt if it is given up. Throws Error(infeasible).
std::optional<Assignment> search(PairCosts& costs, Shortlists& lists, std::vector<double> v, Monitor& monitor,
                                 const ListSearchOptions& options);

// Gives rows that are left free columns of their lists; false if some row finds none.
bool complete_listed(const Shortlists& lists, Assignment& assignment);
// The same, and then any free column, where all pairs are allowed.
void complete(const Shortlists& lists, Assignment& assignment);

}  // namespace monge::ot::detail
