// The room that the tests of this folder are about: a real device's, or the emulator's, which then is cuda:0.
#pragma once
#include <string>

#include "monge/ot/core/backend.h"
#include "monge/ot/core/error.h"

namespace monge::ot {

bool is_emulated();

// Null, with a reason, when there is none.
inline Backend* cuda_room(std::string* why_not = nullptr) {
  try {
    return &backend_for({DeviceType::cuda, 0});
  } catch (const Error& error) {
    if (why_not) *why_not = error.what();
    return nullptr;
  }
}

}  // namespace monge::ot
