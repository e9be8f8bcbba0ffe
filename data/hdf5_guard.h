#pragma once  // private: never installed
// What the reader asks of an array before it touches its content.
#include <cstdint>
#include <optional>
#include <string>

#include "monge/data/hdf5_handle.h"
#include "monge/data/hdf5_reader.h"

namespace monge::data {

// The element type, if it is one of the project's (either byte order; strings of fixed length).
std::optional<ElementType> identify(hid_t type);

// "16-bit integer", "variable-length string", ...
std::string describe_type(hid_t type);

// Why an opened object must not be read as an array; empty when it may. Nothing outside the file is opened and no
// memory is taken in proportion to what the file declares.
std::string refusal_of_array(hid_t object, std::uint64_t file_size, const ReadLimits& limits);

// Type and shape of an array that was not refused.
ArrayInfo describe_array(hid_t array);

}  // namespace monge::data
