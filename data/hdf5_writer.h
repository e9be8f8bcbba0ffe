#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "monge/data/atomic_file.h"
#include "monge/data/hdf5_type.h"
#include "monge/ot/core/array.h"

namespace monge::data {

struct Hdf5Sink;

// Writes an HDF5 file whole or not at all (see AtomicFile): contiguous little-endian arrays, fixed-length strings and
// checksummed metadata (superblock 3). Every array carries its content's `digest`. Names are paths without the leading
// slash, "" is the root group; missing groups on the way are created, members keep their order.
// Errors: Error(io) with the operating system's reason; the target is then left as it was. Nothing is printed.
class Hdf5Writer {
 public:
  Hdf5Writer(std::string caller, const std::filesystem::path& target);
  ~Hdf5Writer();
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;

  void group(const std::string& name);
  // `shape` may be empty (one value); `values` holds its product, row-major.
  template <class T>
  void array(const std::string& name, const std::vector<Index>& shape, const T* values);
  void text(const std::string& name, const std::string& value);

  void attribute(const std::string& object, const std::string& name, const std::string& value);
  void attribute(const std::string& object, const std::string& name, const char* value);
  void attribute(const std::string& object, const std::string& name, double value);
  void attribute(const std::string& object, const std::string& name, std::uint64_t value);
  void attribute(const std::string& object, const std::string& name, const std::vector<double>& values);
  void attribute(const std::string& object, const std::string& name, const std::vector<std::uint64_t>& values);

  void commit();

 private:
  void write_array(const std::string& name, const std::vector<Index>& shape, ElementType type, const void* values);
  void write_attribute(const std::string& object, const std::string& name, ElementType type, Index count,
                       const void* values);
  void make_parents(const std::string& name);
  void check(bool ok, const std::string& object) const;

  AtomicFile output_;
  std::unique_ptr<Hdf5Sink> sink_;
  std::int64_t file_ = -1;
};

template <class T>
void Hdf5Writer::array(const std::string& name, const std::vector<Index>& shape, const T* values) {
  write_array(name, shape, element_type<T>, values);
}

}  // namespace monge::data
