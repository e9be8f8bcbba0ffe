// The CUDA runtime of the emulator: a device that multiplies by warpgroups and one that does not. Their memory is the
// host's and starts as NaN; streams are always done.
#include <cstdlib>
#include <map>

#include "monge/ot/cuda/runtime.h"

namespace monge::ot::cuda {
namespace {

std::map<void*, std::size_t> blocks;
int until_failure = -1;

}  // namespace

namespace emulator {
void fail_allocation_after(int allocations) { until_failure = allocations; }
std::size_t bytes_in_use() {
  std::size_t all = 0;
  for (const auto& [memory, bytes] : blocks) all += bytes;
  return all;
}
}  // namespace emulator

DeviceScope::DeviceScope(int device) { require(device == 0 || device == 1, "emulator: device ", device); }
DeviceScope::~DeviceScope() = default;

bool multiplies_by_warpgroups(int device) { return device == 0; }

Stream make_stream() { return &blocks; }
void destroy_stream(Stream) noexcept {}

void* allocate(std::size_t bytes) {
  if (until_failure >= 0 && until_failure-- == 0) throw Error(Errc::out_of_memory, "emulator: no memory");
  void* memory = nullptr;
  if (posix_memalign(&memory, 256, bytes) != 0) throw Error(Errc::out_of_memory, "emulator: no memory");
  std::memset(memory, 0xff, bytes);
  blocks[memory] = bytes;
  return memory;
}
void deallocate(void* memory) noexcept {
  blocks.erase(memory);
  std::free(memory);
}
void* allocate_on(Stream, std::size_t bytes) { return bytes == 0 ? nullptr : allocate(bytes); }
void deallocate_on(Stream, void* memory) noexcept {
  if (memory) deallocate(memory);
}

void copy_on(Stream, void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t width,
             std::size_t rows) {
  for (std::size_t r = 0; r < rows; ++r) {
    std::memcpy(static_cast<char*>(to) + r * to_pitch, static_cast<const char*>(from) + r * from_pitch, width);
  }
}
void zero_on(Stream, void* memory, std::size_t bytes) {
  if (bytes > 0) std::memset(memory, 0, bytes);
}
void synchronize(Stream) {}
std::size_t free_memory() { return std::size_t{1} << 40; }

Event make_event() { return &blocks; }
void destroy_event(Event) noexcept {}
void record(Event, Stream) {}
void wait(Stream, Event) {}
const void* pin(const void* memory, std::size_t) noexcept { return memory; }
void unpin(const void*) noexcept {}

void check_launch(const char*) {}
void allow_shared(const void*, std::size_t) {}

}  // namespace monge::ot::cuda
