#pragma once  // private: never installed
#include <string>

#include "monge/data/hdf5_handle.h"

namespace monge::data {

// Why the content of a chunked array that refusal_of_array let pass must not be given to HDF5; empty when it may. HDF5
// inflates a chunk to whatever size that takes, and reads on behind one that is too short: so each is inflated here
// first, through a small buffer, and must be exactly as long as the array says.
std::string refusal_of_chunks(hid_t array, std::uint64_t file_size);

}  // namespace monge::data
