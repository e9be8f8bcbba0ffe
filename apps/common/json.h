#pragma once
#include <nlohmann/json.hpp>
#include <string>

namespace monge::apps {

// JSON as the programs write it: indented, with a final newline. What JSON cannot hold is no reason to lose finished
// work: bytes that are not UTF-8, which file names may have, become U+FFFD; NaN and infinity become null.
inline std::string json_text(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace monge::apps
