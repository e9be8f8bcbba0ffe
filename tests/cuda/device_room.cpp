#include "rooms.h"

namespace monge::ot {

bool is_emulated() { return false; }

}  // namespace monge::ot
