#pragma once  // private: never installed
#include <vector>

#include "monge/ot/core/device.h"
#include "monge/ot/core/scores.h"
#include "monge/ot/core/stop.h"
#include "monge/ot/cuda/problem.h"
#include "monge/ot/cuda/runtime.h"

namespace monge::ot::cuda {

// Where a room's verbs run, and whether its device multiplies by warpgroups.
struct Room {
  int device = 0;
  Stream stream = nullptr, copies = nullptr;  // verbs', and that of points that come in slabs
  bool warpgroups = false;
};

// One verb at work: its device and stream, memory that goes with it, and what it was given and owes. What lies in host
// memory is copied to the device first, and back at the end; what lies on the device is used in place.
class Call {
 public:
  // The room's stream is for contexts that name none.
  Call(const char* verb, const Room& room, const Context& context);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  Stream stream() const { return stream_; }
  Stream copies() const { return copies_; }
  Device device() const { return {DeviceType::cuda, device_}; }
  bool by_warpgroups() const { return by_warpgroups_; }

  // Device memory, uninitialised, until the call is over.
  template <class T>
  T* scratch(Index count) {
    return static_cast<T*>(take(sizeof(T) * static_cast<std::size_t>(count)));
  }

  // For who copies from the host beside this: finish waits.
  void reads_host() { reads_host_ = true; }

  // What has been taken so far, for what was taken later to be given back.
  std::size_t mark() const { return taken_.size(); }
  void give_back(std::size_t mark);

  // Where the device finds what is in a view; null for an empty one.
  template <class T>
  const T* in(VectorView<const T> view) {
    return static_cast<const T*>(bring(view.data, view.device, sizeof(T) * view.size, 0, view.size > 0 ? 1 : 0));
  }
  template <class T>
  MatrixView<const T> in(MatrixView<const T> view) {
    if (is_here(view.device)) return view;
    const std::size_t width = sizeof(T) * static_cast<std::size_t>(view.cols);
    const void* data = bring(view.data, view.device, width, sizeof(T) * view.stride, view.empty() ? 0 : view.rows);
    return {static_cast<const T*>(data), view.rows, view.cols, view.cols};
  }

  // Where the device is to write what belongs into a view; finish brings it there.
  template <class T>
  T* out(VectorView<T> view) {
    return static_cast<T*>(owe(view.data, view.device, sizeof(T) * view.size, 0, view.size > 0 ? 1 : 0));
  }
  template <class T>
  MatrixView<T> out(MatrixView<T> view) {
    if (is_here(view.device)) return view;
    const std::size_t width = sizeof(T) * static_cast<std::size_t>(view.cols);
    void* data = owe(view.data, view.device, width, sizeof(T) * view.stride, view.empty() ? 0 : view.rows);
    return {static_cast<T*>(data), view.rows, view.cols, view.cols};
  }

  // Copies what is owed to host memory, and waits if that or what was given is there. Results on the device are not
  // waited for otherwise: they are there in the order of the stream.
  void finish();

  template <class Kernel, class... Given>
  void run(Kernel* kernel, const Grid& grid, std::size_t shared_bytes, const Given&... given) {
    if (stop_) stop_->look();
    launch(verb_, kernel, grid, shared_bytes, stream_, given...);
  }
  template <class Kernel, class... Given>
  void run(Kernel* kernel, Index blocks_x, Index blocks_y, std::size_t shared_bytes, const Given&... given) {
    run(kernel, Grid{blocks_x, blocks_y}, shared_bytes, given...);
  }

 private:
  struct Debt {
    void* to;
    std::size_t to_pitch;
    const void* from;
    std::size_t width, rows;
  };
  bool is_here(Device device) const { return device.type == DeviceType::cuda && device.index == device_; }
  void* take(std::size_t bytes);
  const void* bring(const void* data, Device device, std::size_t width, std::size_t pitch, Index rows);
  void* owe(void* data, Device device, std::size_t width, std::size_t pitch, Index rows);

  const char* verb_;
  int device_;
  DeviceScope scope_;
  Stream stream_, copies_;
  bool by_warpgroups_;
  const Stop* stop_;
  bool reads_host_ = false;  // copies from there may be under way
  std::vector<void*> taken_;
  std::vector<Debt> debts_;
};

// Blocks of 256 threads for one thread per item.
inline Index blocks_for(Index items, Index per_block = block_threads) { return (items + per_block - 1) / per_block; }

}  // namespace monge::ot::cuda
