#pragma once
#include <functional>

#include "monge/ot/core/array.h"

namespace monge {

// The number of threads `requested` stands for: itself, or OpenMP's own choice when 0.
int resolve_threads(int requested);

// Runs body(index, worker) for index in [0, count), worker in [0, threads). Which worker gets which index is not
// fixed, so bodies must not let results depend on `worker`. BLAS calls made inside run on one thread each.
// The first exception thrown by a body is rethrown here.
void parallel_for(int threads, Index count, const std::function<void(Index index, int worker)>& body);

}  // namespace monge
