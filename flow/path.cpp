#include "monge/flow/path.h"

#include <algorithm>

namespace monge::flow {

PathPoint path_at(Path path, double t) {
  switch (path) {
    case Path::linear:
      return {t, 1 - t, 1, -1};
  }
  return {};
}

DataToVelocity data_to_velocity(const PathPoint& p, double sigma_floor) {
  const double sigma = std::max(p.sigma, sigma_floor);
  return {(p.alpha_rate * p.sigma - p.alpha * p.sigma_rate) / sigma, p.sigma_rate / sigma};
}

}  // namespace monge::flow
