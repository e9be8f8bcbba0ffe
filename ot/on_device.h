#pragma once  // private: never installed
#include <vector>

#include "monge/ot/core/array.h"

namespace monge::ot::detail {

// A vector where the passes of a device read it: itself on the CPU, from which it is borrowed, elsewhere a copy.
template <class T>
class OnDevice {
 public:
  OnDevice(const std::vector<T>& values, Device device) : view_(values) {
    if (device.type == DeviceType::cpu || values.empty()) return;
    copy_ = Buffer<T>(view_.size, device);
    copy(view_, copy_.view());
    view_ = std::as_const(copy_).view();
  }

  operator VectorView<const T>() const { return view_; }

 private:
  VectorView<const T> view_;
  Buffer<T> copy_;
};

}  // namespace monge::ot::detail
