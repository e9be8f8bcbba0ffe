#pragma once  // private: never installed
#include <cstddef>
#include <string>

#include "monge/ot/core/array.h"
#include "monge/ot/core/error.h"
#include "monge/ot/cuda/ops.h"

// The few things asked of the CUDA runtime. tests/cuda has them for the emulator.
namespace monge::ot::cuda {

using Stream = void*;  // a cudaStream_t

// Makes `device` this thread's for as long as this lives.
class DeviceScope {
 public:
  explicit DeviceScope(int device);
  ~DeviceScope();
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  int before_ = 0, own_ = 0;
};

// Whether a device has, and this was compiled for, matrix instructions of warpgroups (compute capability 9.0).
bool multiplies_by_warpgroups(int device);

// All of these are about the thread's device, and throw Error: out_of_memory, which leaves everything usable, or
// device_failure.
Stream make_stream();
void destroy_stream(Stream stream) noexcept;
void* allocate(std::size_t bytes);                    // good on all streams; waits for the device
void deallocate(void* memory) noexcept;               // waits for the device
void* allocate_on(Stream stream, std::size_t bytes);  // good for later work of the stream; does not wait
void deallocate_on(Stream stream, void* memory) noexcept;
// Rows of `width` bytes, in either direction or within the device, in the order of the stream. Host memory may be
// reused after synchronize.
void copy_on(Stream stream, void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t width,
             std::size_t rows);
void zero_on(Stream stream, void* memory, std::size_t bytes);
void synchronize(Stream stream);
void synchronize_all();  // streams of the device

std::size_t free_memory();  // bytes, after the pool of scratch has given back what it does not need

// A place in a stream, for another to wait for.
using Event = void*;  // a cudaEvent_t
Event make_event();
void destroy_event(Event event) noexcept;
void record(Event event, Stream stream);
void wait(Stream stream, Event event);  // later work of the stream

// Host memory that copies are to read without detours, where that can be had; unpin takes what pin gave.
const void* pin(const void* memory, std::size_t bytes) noexcept;  // null: it cannot
void unpin(const void* memory) noexcept;

// Throws if the last launch failed.
void check_launch(const char* what);
// Lets a kernel have more shared memory than every kernel may, and several blocks of it at a time.
void allow_shared(const void* kernel, std::size_t bytes);

// Blocks, and how many of them along either axis run together and may copy into each other's shared memory.
struct Grid {
  Index x = 1, y = 1;
  int together_x = 1, together_y = 1;
};

// Runs a kernel on blocks of block_threads threads. It is told by its arguments alone.
template <class... Told, class... Given>
void launch(const char* name, void (*kernel)(Told...), const Grid& grid, std::size_t shared_bytes, Stream stream,
            const Given&... given) {
  if (grid.x <= 0 || grid.y <= 0) return;
#ifdef __CUDACC__
  if (shared_bytes > 48 * 1024) allow_shared(reinterpret_cast<const void*>(kernel), shared_bytes);
  cudaLaunchAttribute cluster;
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {static_cast<unsigned>(grid.together_x), static_cast<unsigned>(grid.together_y), 1};
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y));
  config.blockDim = dim3(block_threads);
  config.dynamicSmemBytes = shared_bytes;
  config.stream = static_cast<cudaStream_t>(stream);
  config.attrs = &cluster;
  config.numAttrs = grid.together_x * grid.together_y > 1 ? 1 : 0;
  cudaLaunchKernelEx(&config, kernel, given...);
  check_launch(name);
#else
  static_cast<void>(name);
  emulator::do_later(stream, [=] {
    emulator::run_grid(grid.x, grid.y, grid.together_x * grid.together_y, grid.together_y > 1, block_threads,
                       shared_bytes, [=] { kernel(given...); });
  });
#endif
}

}  // namespace monge::ot::cuda
