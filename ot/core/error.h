#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

namespace monge {

enum class Errc {
  invalid_argument,  // shapes, options or values that make no sense
  not_finite,        // NaN or infinity where a number is needed
  io,                // the file system said no: missing, unwritable, full
  bad_file,          // the file is there, but is not what it should be
  infeasible,        // the problem has no solution
  out_of_memory,
  backend_unavailable,  // the device is not there, or not compiled in
  device_failure,
  stopped,  // a Stop ended it (ot/core/stop.h)
};

// The one exception type of the library: `what()` for people (prefixed by the function's name), `code()` for programs.
class Error : public std::runtime_error {
 public:
  Error(Errc code, const std::string& what) : std::runtime_error(what), code_(code) {}
  Errc code() const noexcept { return code_; }

 private:
  Errc code_;
};

// All arguments, written one after the other.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <class... Parts>
void require(bool ok, const Parts&... message) {
  if (!ok) throw Error(Errc::invalid_argument, concat(message...));
}

}  // namespace monge
