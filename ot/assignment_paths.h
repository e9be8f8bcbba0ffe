#pragma once  // private: never installed
#include <optional>
#include <vector>

#include "monge/ot/assignment_search.h"
#include "monge/ot/shortlists.h"

// Exact assignment that looks at few pairs: bids and shortest augmenting paths on shortlists, which grow where a path
// might leave them. Column potentials only fall, so what bounds the pairs outside a list keeps bounding them.
namespace monge::ot::detail {

struct ListSearchOptions {
  std::vector<double> epsilons = {};  // phases of auction that come first, n = m only
  Index bids_per_row = 32;            // at most, of each phase
  Index reductions_per_row = 8;       // at most, of row reduction
  // More looks at rows again, for each row there is, than a phase of auction takes after a good start: then the search
  // is given up. 0: never.
  Index looks_per_row = 0;
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
