#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace monge::ot {

struct CudaDevice {
  int index = 0;
  std::string name;
  int major = 0, minor = 0;  // compute capability
  std::size_t memory = 0;    // bytes
  int multiprocessors = 0;
  std::size_t shared_memory = 0;  // bytes that a block may have
  std::string why_not;            // it can't be used; empty if it can
};

// What there is of CUDA, and why it is not used if it is not.
struct CudaReport {
  bool compiled_in = false;
  int toolkit = 0, driver = 0;  // 1000 major + 10 minor, as CUDA says it; 0 = none found
  std::string why_not;          // no device at all; empty if there is one
  std::vector<CudaDevice> devices;
};
CudaReport cuda_report();

// What this machine and this build offer, some lines of text for people.
std::string doctor();

}  // namespace monge::ot
