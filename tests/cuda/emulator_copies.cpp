// Copies to shared memory, by threads and by the copy engine, which are made when they are waited for.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "emulator_machine.h"

namespace monge::ot::cuda::emulator {
namespace {

// What is at this place of this block, in another.
template <class T>
T* in_block(T* shared, int rank) {
  const std::size_t first = static_cast<std::size_t>(rank) * machine.threads;
  bool runs = false;
  for (std::size_t t = first; t < first + machine.threads; ++t) runs = runs || !machine.fibers[t].done;
  if (!runs) fail("a block that has ended is told something");
  return reinterpret_cast<T*>(reinterpret_cast<unsigned char*>(shared) - here.shared +
                              machine.fibers[first].here.shared);
}

Phases& phases_of(Arrival* a) {
  const auto found = machine.arrivals.find(a);
  if (found == machine.arrivals.end() || !found->second.shown) fail("an arrival that was not made, or not shown");
  return found->second;
}
void end_phase(Phases& p) {
  if (p.missing > 0 || p.bytes != 0) return;
  p.missing = p.times;
  ++p.ended;
  ++machine.progress;
}

void finish(std::vector<Copy>& copies) {
  for (const Copy& c : copies) std::memcpy(c.to, c.from, 16);
  copies.clear();
}

}  // namespace

void start_copy(void* to, const void* from) {
  if (reinterpret_cast<std::uintptr_t>(to) % 16 != 0 || reinterpret_cast<std::uintptr_t>(from) % 16 != 0)
    fail("a copy of 16 bytes that are not aligned");
  std::memset(to, 0xff, 16);  // what was there may be gone at any time from now on
  machine.current->started.push_back({to, from});
}
void end_group() {
  Fiber& fiber = *machine.current;
  fiber.groups.push_back(std::move(fiber.started));
  fiber.started = {};
}
void wait_groups(int pending) {
  auto& groups = machine.current->groups;
  while (groups.size() > static_cast<std::size_t>(pending)) {
    finish(groups.front());
    groups.erase(groups.begin());
  }
}

void start_bulk_copy(void* to, const void* from, int bytes, void* arrival, int blocks) {
  const auto aligned = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; };
  if (!aligned(to) || !aligned(from) || bytes % 16 != 0) fail("a copy of bytes that are not aligned");
  for (int r = 0; r < blocks; ++r) {
    const int rank = blocks == 1 ? here.rank : r;
    auto* const there = static_cast<unsigned char*>(in_block(to, rank));
    std::memset(there, 0xff, static_cast<std::size_t>(bytes));  // it may be gone at any time from now on
    Arrival* const known = in_block(static_cast<Arrival*>(arrival), rank);
    phases_of(known);
    machine.bulk_copies.push_back({there, static_cast<const unsigned char*>(from), bytes, known});
  }
}

}  // namespace monge::ot::cuda::emulator

namespace monge::ot::cuda {

void make_arrival(Arrival& a, int times) {
  emulator::machine.arrivals[&a] = {times, times};
  emulator::machine.current->made.push_back(&a);
}
void show_arrivals() {
  for (Arrival* a : emulator::machine.current->made) emulator::machine.arrivals[a].shown = true;
  emulator::machine.current->made.clear();
}
void expect(Arrival& a, int bytes) { emulator::phases_of(&a).bytes += bytes; }
void arrive(Arrival& a) {
  emulator::Phases& phases = emulator::phases_of(&a);
  if (--phases.missing < 0) emulator::fail("more arrivals than an arrival was made for");
  emulator::end_phase(phases);
}
void arrive_at(Arrival& a, int rank) { arrive(*emulator::in_block(&a, rank)); }
void wait(Arrival& a, std::uint32_t parity) {
  using emulator::machine;
  ++machine.progress;
  emulator::Phases& phases = emulator::phases_of(&a);
  while (static_cast<std::uint32_t>(phases.ended % 2) == parity) {
    std::erase_if(machine.bulk_copies, [&](const emulator::BulkCopy& copy) {
      if (copy.arrival != &a) return false;
      std::memcpy(copy.to, copy.from, static_cast<std::size_t>(copy.bytes));
      phases.bytes -= copy.bytes;
      ++machine.progress;
      return true;
    });
    emulator::end_phase(phases);
    if (static_cast<std::uint32_t>(phases.ended % 2) == parity) machine.yield();
  }
}

}  // namespace monge::ot::cuda
