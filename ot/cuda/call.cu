#include "monge/ot/cuda/call.h"

namespace monge::ot::cuda {

Call::Call(const char* verb, const Room& room, const Context& context)
    : verb_(verb),
      device_(room.device),
      scope_(room.device),
      stream_(context.stream ? context.stream : room.stream),
      copies_(room.copies),
      by_warpgroups_(room.warpgroups),
      stop_(context.stop) {
  if (stop_) stop_->look();
}

Call::~Call() {
  try {
    if (reads_host_) synchronize(stream_);
  } catch (const Error&) {  // a device that has failed copies no more
  }
  give_back(0);
}

void Call::give_back(std::size_t mark) {
  for (; taken_.size() > mark; taken_.pop_back()) deallocate_on(stream_, taken_.back());
}

void* Call::take(std::size_t bytes) {
  if (bytes == 0) return nullptr;
  taken_.reserve(taken_.size() + 1);
  void* memory = allocate_on(stream_, bytes);
  taken_.push_back(memory);
  return memory;
}

const void* Call::bring(const void* data, Device device, std::size_t width, std::size_t pitch, Index rows) {
  if (rows == 0 || is_here(device)) return rows == 0 ? nullptr : data;
  if (device.type != DeviceType::cpu)
    throw Error(Errc::invalid_argument,
                concat(verb_, ": a view is of cuda:", device.index, ", the context of cuda:", device_));
  void* memory = take(width * static_cast<std::size_t>(rows));
  reads_host_ = true;
  copy_on(stream_, memory, width, data, pitch, width, static_cast<std::size_t>(rows));
  return memory;
}

void* Call::owe(void* data, Device device, std::size_t width, std::size_t pitch, Index rows) {
  if (rows == 0 || is_here(device)) return rows == 0 ? nullptr : data;
  if (device.type != DeviceType::cpu)
    throw Error(Errc::invalid_argument,
                concat(verb_, ": a view is of cuda:", device.index, ", the context of cuda:", device_));
  void* memory = take(width * static_cast<std::size_t>(rows));
  debts_.push_back({data, pitch, memory, width, static_cast<std::size_t>(rows)});
  return memory;
}

void Call::finish() {
  for (const Debt& d : debts_) copy_on(stream_, d.to, d.to_pitch, d.from, d.width, d.width, d.rows);
  if (!debts_.empty() || reads_host_) synchronize(stream_);
  reads_host_ = false;
  debts_.clear();
}

}  // namespace monge::ot::cuda
