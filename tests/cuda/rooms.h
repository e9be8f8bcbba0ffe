// The room that the tests of this folder are about: a real device's, or the emulator's. MONGE_TEST_DEVICE says which;
// the emulator has two, of compute capability 9.0 and of 8.0.
#pragma once
#include <cstdlib>
#include <string>

#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"

namespace monge::ot {

bool is_emulated();

inline Device cuda_device() {
  const char* const index = std::getenv("MONGE_TEST_DEVICE");
  return {DeviceType::cuda, index ? std::atoi(index) : 0};
}

// Null, with a reason, when there is none.
inline Backend* cuda_room(std::string* why_not = nullptr) {
  try {
    return &backend_for(cuda_device());
  } catch (const Error& error) {
    if (why_not) *why_not = error.what();
    return nullptr;
  }
}

}  // namespace monge::ot
