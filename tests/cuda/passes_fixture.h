// Passes of the room that the tests of this folder are about, in float and double.
#pragma once
#include "../ot/passes_problem.h"
#include "rooms.h"

namespace monge::ot {

template <class T>
class CudaPassesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string why;
    room_ = cuda_room(&why);
    if (!room_) GTEST_SKIP() << why;
  }
  Passes<T>& passes() { return room_->passes(T{}); }
  const Context context{.device = cuda_device()};

  Backend* room_ = nullptr;
};

template <class T>
double unit() {
  return std::numeric_limits<T>::epsilon();
}

}  // namespace monge::ot
