#pragma once
#include <cstdint>

namespace monge {

class Stop;

enum class DeviceType : std::uint8_t { cpu, cuda };

// Where memory lives and work runs. Maps one to one onto DLPack's DLDevice.
struct Device {
  DeviceType type = DeviceType::cpu;
  int index = 0;
  friend bool operator==(const Device&, const Device&) = default;
};

// How CUDA multiplies floats in more than 8 dimensions (docs/cuda.md).
enum class Products : std::uint8_t {
  full,    // three products of halves: as accurate as products of floats
  single,  // one product of halves, 11 bits of each coordinate: up to three times as fast, for what is checked again
};

// Where and with how many threads a call runs.
struct Context {
  Device device = {};
  int threads = 0;             // CPU threads; 0 = as many as OpenMP would use. Results do not depend on it.
  const Stop* stop = nullptr;  // passes look at it, and end soon with Error(stopped) (ot/core/stop.h)
  void* stream = nullptr;      // a cudaStream_t of `device`; null: the room's own
  Products products = Products::full;
};

}  // namespace monge
