// The CUDA runtime of the emulator: a device that multiplies by warpgroups and one that does not. Their memory is the
// host's and starts as NaN. What is put into a stream is done when somebody waits for it and no sooner.
#include <cstdlib>
#include <deque>
#include <map>

#include "monge/ot/cuda/runtime.h"

namespace monge::ot::cuda {
namespace {

using Work = std::function<void()>;

// What is still to be done, and how much has been.
struct Queue {
  std::deque<Work> work;
  std::size_t done = 0;

  void run_to(std::size_t end) {
    while (done < end && !work.empty()) {
      const Work next = std::move(work.front());
      work.pop_front();
      ++done;
      next();
    }
  }
};

struct Mark {
  Stream stream = nullptr;
  std::size_t end = 0;
};

std::map<void*, std::size_t> blocks;
std::map<Stream, Queue> queues;
int until_failure = -1;

}  // namespace

namespace emulator {
void fail_allocation_after(int allocations) { until_failure = allocations; }
std::size_t bytes_in_use() {
  synchronize_all();
  std::size_t all = 0;
  for (const auto& [memory, bytes] : blocks) all += bytes;
  return all;
}
void do_later(void* stream, Work work) { queues[stream].work.push_back(std::move(work)); }
}  // namespace emulator

using emulator::do_later;

DeviceScope::DeviceScope(int device) { require(device == 0 || device == 1, "emulator: device ", device); }
DeviceScope::~DeviceScope() = default;

bool multiplies_by_warpgroups(int device) { return device == 0; }

Stream make_stream() {
  Stream const stream = new char;
  queues[stream];
  return stream;
}
void destroy_stream(Stream stream) noexcept {
  synchronize(stream);
  queues.erase(stream);
  delete static_cast<char*>(stream);
}

void* allocate(std::size_t bytes) {
  if (until_failure >= 0 && until_failure-- == 0) throw Error(Errc::out_of_memory, "emulator: no memory");
  void* memory = nullptr;
  if (posix_memalign(&memory, 256, bytes) != 0) throw Error(Errc::out_of_memory, "emulator: no memory");
  std::memset(memory, 0xff, bytes);
  blocks[memory] = bytes;
  return memory;
}
void deallocate(void* memory) noexcept {
  synchronize_all();
  blocks.erase(memory);
  std::free(memory);
}
void* allocate_on(Stream, std::size_t bytes) { return bytes == 0 ? nullptr : allocate(bytes); }
void deallocate_on(Stream stream, void* memory) noexcept {
  if (!memory) return;
  do_later(stream, [=] {
    blocks.erase(memory);
    std::free(memory);
  });
}

void copy_on(Stream stream, void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t width,
             std::size_t rows) {
  do_later(stream, [=] {
    for (std::size_t r = 0; r < rows; ++r)
      std::memcpy(static_cast<char*>(to) + r * to_pitch, static_cast<const char*>(from) + r * from_pitch, width);
  });
}
void zero_on(Stream stream, void* memory, std::size_t bytes) {
  if (bytes > 0) do_later(stream, [=] { std::memset(memory, 0, bytes); });
}
void synchronize(Stream stream) {
  Queue& queue = queues[stream];
  queue.run_to(queue.done + queue.work.size());
}
void synchronize_all() {
  for (auto& [stream, queue] : queues) queue.run_to(queue.done + queue.work.size());
}
std::size_t free_memory() { return std::size_t{1} << 40; }

Event make_event() { return new Mark; }
void destroy_event(Event event) noexcept { delete static_cast<Mark*>(event); }
void record(Event event, Stream stream) {
  const Queue& queue = queues[stream];
  *static_cast<Mark*>(event) = {stream, queue.done + queue.work.size()};
}
void wait(Stream stream, Event event) {
  do_later(stream, [mark = *static_cast<Mark*>(event)] { queues[mark.stream].run_to(mark.end); });
}
const void* pin(const void* memory, std::size_t) noexcept { return memory; }
void unpin(const void*) noexcept {}

void check_launch(const char*) {}
void allow_shared(const void*, std::size_t) {}

}  // namespace monge::ot::cuda
