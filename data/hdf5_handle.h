#pragma once  // private: never installed
// Shared by the reader and the writer alone: keeps <hdf5.h> out of the public headers.
#include <hdf5.h>

#include <string>
#include <utility>

#include "monge/data/hdf5_type.h"

namespace monge::data {

// Owns one HDF5 identifier of any kind but a file.
class Handle {
 public:
  Handle(hid_t id = -1) : id_(id) {}
  Handle(Handle&& o) noexcept : id_(std::exchange(o.id_, -1)) {}
  Handle& operator=(Handle&& o) noexcept {
    std::swap(id_, o.id_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) H5Idec_ref(id_);
  }
  operator hid_t() const { return id_; }
  bool valid() const { return id_ >= 0; }

 private:
  hid_t id_;
};

// While one lives, the HDF5 library prints nothing on this thread. Declare it before any Handle of the scope.
class Quiet {
 public:
  Quiet() {
    H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  ~Quiet() { H5Eset_auto2(H5E_DEFAULT, function_, data_); }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  H5E_auto2_t function_ = nullptr;
  void* data_ = nullptr;
};

// HDF5 loses memory over damaged files, and would complain of it on stderr when the program ends.
void stay_quiet_at_exit();

// Why the last HDF5 call failed, from the bottom of its error stack: the operating system's reason where there is one.
std::string hdf5_reason();

// "damaged (why)", or of a newer format: HDF5 tells neither from the other where a version number is not one it knows.
std::string hdf5_damage();

// The text on one line: control characters, which names in files may hold, become question marks.
std::string one_line(std::string text);

// The little-endian type on disk (`big` false) or its big-endian twin.
hid_t file_type(ElementType type, bool big = false);
hid_t memory_type(ElementType type);

// A type for strings of this many bytes, UTF-8, padded with zeros.
Handle string_type(std::size_t size);

}  // namespace monge::data
