#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "monge/data/hdf5_type.h"
#include "monge/ot/core/array.h"

namespace monge::data {

struct ReadLimits {
  std::uint64_t memory = std::uint64_t{16} << 30;  // bytes the arrays of one file may take; raise for larger files
  std::uint64_t expansion = 1000;                  // refuse arrays that declare more than this times what is stored
};

struct ArrayInfo {
  ElementType type;
  std::vector<Index> shape;
  Index size() const;            // number of elements
  std::string describe() const;  // "60000 x 784 u8"
};

// Reads an HDF5 file that may be damaged or hostile. Refused: soft, external and user-defined links, external storage,
// virtual datasets, filters other than deflate, shuffle and fletcher32, variable-length types, and anything larger than
// the limits, all before memory is allocated. An array that carries the attribute `digest` must match it. Objects are
// asked for by name and never listed: HDF5 1.10 frees memory it does not own when a damaged group is listed.
// Errors: Error(io) for a file that is missing, locked or unreadable, else Error(bad_file); one line that names the
// caller, the file, the object and what is wrong. Nothing is printed.
// Names are paths without the leading slash, "" is the root group.
class Hdf5Reader {
 public:
  Hdf5Reader(std::string caller, std::filesystem::path path, const ReadLimits& limits = {});
  ~Hdf5Reader();
  Hdf5Reader(const Hdf5Reader&) = delete;
  Hdf5Reader& operator=(const Hdf5Reader&) = delete;

  bool has(const std::string& name) const;

  // Type and shape of an array that passed every guard.
  ArrayInfo info(const std::string& name) const;

  // Whole arrays; the element type must be exactly T (either byte order).
  template <class T>
  std::vector<T> read(const std::string& name) const;  // row-major, any rank
  template <class T>
  std::vector<T> read_vector(const std::string& name, Index size = -1) const;  // rank 1; size -1: any
  template <class T>
  Matrix<T> read_matrix(const std::string& name) const;  // rank 2
  std::string read_text(const std::string& name) const;  // one fixed-length string

  bool has_attribute(const std::string& object, const std::string& name) const;
  template <class T>  // std::string, double, std::uint64_t, or std::vector<double>
  T attribute(const std::string& object, const std::string& name) const;
  template <class T>
  T attribute_or(const std::string& object, const std::string& name, T otherwise) const {
    return has_attribute(object, name) ? attribute<T>(object, name) : otherwise;
  }

  // The root attributes `format` and `version` must be these (or both missing, where that is allowed).
  void check_format(const std::string& format, std::uint64_t newest_version, bool required) const;

  // Counts `bytes` against the memory limit, for arrays made from what is read.
  void reserve(const std::string& name, std::uint64_t bytes) const;

  [[noreturn]] void fail(const std::string& object, const std::string& what) const;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::int64_t open_object(const std::string& name) const;
  template <class T>
  std::uint64_t admit(const std::string& name, const ArrayInfo& info) const;
  void read_raw(const std::string& name, ElementType type, void* out, std::uint64_t bytes) const;
  void check_digest(const std::string& name, const void* values, std::uint64_t bytes) const;

  std::string caller_;
  std::filesystem::path path_;
  ReadLimits limits_;
  std::uint64_t file_size_ = 0;
  std::int64_t file_ = -1;
  mutable std::uint64_t reserved_ = 0;
};

}  // namespace monge::data
