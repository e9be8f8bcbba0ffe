#pragma once  // private: never installed
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "monge/ot/core/array.h"

namespace monge::data {

// What the header of a .npy file says of its array.
struct NpyHeader {
  char kind = 0;     // 'f' float, 'i' and 'u' integer, 'b' boolean
  int element = 0;   // bytes of an element
  bool big = false;  // big endian
  bool fortran = false;
  std::vector<Index> shape;
};

// Parses the header's text, a Python dictionary such as {'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }:
// exactly these keys in any order, any spacing. Errors: Error(bad_file), which says what is wrong with it.
NpyHeader parse_npy_header(std::string_view text);

// Reads what stands before the values of a .npy file, versions 1 to 3. read(out, size) gives the next bytes, fewer only
// at the end; bad(what) throws. `bytes`, when not null: how many were read.
NpyHeader read_npy_header(const std::function<std::size_t(void* out, std::size_t size)>& read,
                          const std::function<void(const std::string& what)>& bad, std::uint64_t* bytes = nullptr);

}  // namespace monge::data
