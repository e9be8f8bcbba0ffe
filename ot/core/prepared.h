#pragma once

namespace monge::ot {

// Points made ready for a room to multiply, for many passes over them (Backend::prepare). Other rooms pass over it.
class PreparedPoints {
 public:
  virtual ~PreparedPoints() = default;
};

}  // namespace monge::ot
