#pragma once
#include <cstdint>
#include <filesystem>

#include "monge/ot/core/array.h"

namespace monge::data {

// Reads an array that NumPy saved (.npy, versions 1 to 3), T float or double: n x d, or n x 1 from one dimension. The
// elements may be floats of 2, 4 or 8 bytes, integers of 1 to 8 with or without sign, or booleans; little or big
// endian; in C or Fortran order. They are rounded to T; NaN and infinity are passed on. Errors: Error(io) when it
// cannot be read; Error(out_of_memory), saying how much is needed, when the result takes more than `max_bytes`; else
// Error(bad_file): not a .npy file, a damaged header, other types (Python objects are never unpickled), other ranks,
// more or fewer bytes than declared, a number too large for T, a 64-bit integer that a double does not hold exactly
// (both with row and column, from 0). All but the last before memory is taken.
template <class T>
Matrix<T> read_npy(const std::filesystem::path& path, double max_bytes);

// Whether all that its type can hold are floats: reading as float then loses nothing. Errors: as read_npy.
bool npy_holds_floats(const std::filesystem::path& path);

// Writes a .npy file of version 1, little endian, in C order, whole or not at all; vectors have one dimension.
// Errors: Error(io), Error(backend_unavailable) for values that are not on the CPU.
void write_npy(const std::filesystem::path& path, MatrixView<const float> values);
void write_npy(const std::filesystem::path& path, MatrixView<const double> values);
void write_npy(const std::filesystem::path& path, VectorView<const float> values);
void write_npy(const std::filesystem::path& path, VectorView<const double> values);
void write_npy(const std::filesystem::path& path, VectorView<const std::int32_t> values);

}  // namespace monge::data
