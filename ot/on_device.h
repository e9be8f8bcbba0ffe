#pragma once  // private: never installed
#include <vector>

#include "monge/ot/core/array.h"
#include "monge/ot/core/backend.h"

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

// A stream of a device for as long as this lives: the caller's, if the context has one, else a new one.
class OwnStream {
 public:
  explicit OwnStream(const Context& context)
      : room_(backend_for(context.device)),
        made_(context.stream ? nullptr : room_.make_stream()),
        stream_(context.stream ? context.stream : made_) {}
  ~OwnStream() {
    if (made_) room_.destroy_stream(made_);
  }
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;

  void* get() const { return stream_; }

 private:
  Backend& room_;
  void *made_, *stream_;
};

}  // namespace monge::ot::detail
