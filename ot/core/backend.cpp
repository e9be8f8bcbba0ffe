#include "monge/ot/core/backend.h"

#include <map>
#include <mutex>

#include "monge/ot/core/array.h"
#include "monge/ot/core/error.h"

namespace monge::ot {

Backend& backend_for(Device device) {
  if (device.type == DeviceType::cpu) {
    static const std::unique_ptr<Backend> cpu = make_cpu_backend();
    return *cpu;
  }
  static std::mutex mutex;
  static std::map<int, std::unique_ptr<Backend>> cuda;
  const std::lock_guard lock(mutex);
  auto& room = cuda[device.index];
  if (!room) room = make_cuda_backend(device.index);
  return *room;
}

}  // namespace monge::ot

namespace monge {

void* allocate(Device device, std::size_t bytes) {
  return bytes == 0 ? nullptr : ot::backend_for(device).allocate(bytes);
}

void deallocate(Device device, void* memory) noexcept {
  if (memory) ot::backend_for(device).deallocate(memory);
}

// Between two GPUs by way of this machine's memory.
void copy_rows(const ByteRows& from, const ByteRows& to, std::size_t width, std::size_t rows) {
  if (width == 0 || rows == 0) return;
  const Device cpu;
  if (from.device == to.device || from.device == cpu || to.device == cpu) {
    ot::Backend& room = ot::backend_for(to.device == cpu ? from.device : to.device);
    return room.copy(to.data, to.pitch, from.data, from.pitch, width, rows);
  }
  Buffer<unsigned char> between(static_cast<Index>(width * rows));
  copy_rows(from, {cpu, between.data(), width}, width, rows);
  copy_rows({cpu, between.data(), width}, to, width, rows);
}

}  // namespace monge
