// What the chip can do, measured: the limits that passes are compared with.
#pragma once
#include <functional>

namespace monge::bench {

struct Ceilings {
  double copy = 0;   // bytes read and written a second, from device memory to device memory
  double mma = 0;    // multiply-adds a second of fp16 products with fp32 sums by mma.sync
  double wgmma = 0;  // and by wgmma, from shared memory; 0 where there is none
  double exp2 = 0;   // ex2.approx a second
  double fma = 0;    // fp32 multiply-adds a second
  double fma64 = 0;  // fp64
};
Ceilings measure_ceilings();
// What the passes multiply by.
inline double products(const Ceilings& c) { return c.wgmma > 0 ? c.wgmma : c.mma; }

// Seconds of device time of work(stream), a cudaStream_t: the median of `times`, after one that does not count. Throws
// std::runtime_error if the device fails.
double device_seconds(int times, const std::function<void(void*)>& work);

}  // namespace monge::bench
