#include "monge/ot/core/parallel.h"

#include <omp.h>

#include <algorithm>
#include <exception>

namespace monge {

int resolve_threads(int requested) { return requested > 0 ? requested : std::max(1, omp_get_max_threads()); }

void parallel_for(int threads, Index count, LoopBody body) {
  const int team = static_cast<int>(std::max<Index>(1, std::min<Index>(resolve_threads(threads), count)));
  std::exception_ptr failure;
#pragma omp parallel num_threads(team)
  {
    // Scoped to this task: OpenBLAS asks OpenMP how many threads it may use, and rounds differently with several.
    omp_set_num_threads(1);
#pragma omp for schedule(dynamic)
    for (Index i = 0; i < count; ++i) {
      try {
        body(i, omp_get_thread_num());
      } catch (...) {
#pragma omp critical(monge_parallel_for)
        if (!failure) failure = std::current_exception();
      }
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace monge
