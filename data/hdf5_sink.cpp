#include "monge/data/hdf5_sink.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

namespace monge::data {
namespace {

// HDF5's record of an open file: its own fields come first.
struct SinkFile : H5FD_t {
  Hdf5Sink* sink;
  haddr_t allocated;  // HDF5's "end of address space"
  haddr_t end;        // of what was written
};

SinkFile& self(H5FD_t* file) { return *static_cast<SinkFile*>(file); }
const SinkFile& self(const H5FD_t* file) { return *static_cast<const SinkFile*>(file); }

H5FD_t* open_file(const char*, unsigned, hid_t access, haddr_t) {
  const void* info = H5Pget_driver_info(access);
  if (info == nullptr) return nullptr;
  auto* file = new (std::nothrow) SinkFile{};
  if (file != nullptr) file->sink = *static_cast<Hdf5Sink* const*>(info);
  return file;
}

herr_t close_file(H5FD_t* file) {
  delete &self(file);
  return 0;
}

herr_t query(const H5FD_t*, unsigned long* flags) {  // as HDF5's own driver for POSIX files
  if (flags != nullptr)
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
             H5FD_FEAT_AGGREGATE_SMALLDATA | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
  return 0;
}

haddr_t get_allocated(const H5FD_t* file, H5FD_mem_t) { return self(file).allocated; }

herr_t set_allocated(H5FD_t* file, H5FD_mem_t, haddr_t address) {
  self(file).allocated = address;
  return 0;
}

haddr_t get_end(const H5FD_t* file, H5FD_mem_t) { return self(file).end; }

herr_t read_bytes(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t address, std::size_t size, void* out) {
  auto* bytes = static_cast<char*>(out);
  while (size > 0) {
    const ssize_t n = pread(self(file).sink->descriptor, bytes, size, static_cast<off_t>(address));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) {  // beyond the end: zeros
      std::memset(bytes, 0, size);
      break;
    }
    bytes += n;
    address += static_cast<haddr_t>(n);
    size -= static_cast<std::size_t>(n);
  }
  return 0;
}

herr_t write_bytes(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t address, std::size_t size, const void* in) {
  SinkFile& f = self(file);
  f.end = std::max<haddr_t>(f.end, address + size);
  const auto* bytes = static_cast<const char*>(in);
  while (size > 0 && f.sink->error == 0) {
    const ssize_t n = pwrite(f.sink->descriptor, bytes, size, static_cast<off_t>(address));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      f.sink->error = n < 0 ? errno : ENOSPC;
      break;
    }
    bytes += n;
    address += static_cast<haddr_t>(n);
    size -= static_cast<std::size_t>(n);
  }
  return 0;
}

herr_t truncate_file(H5FD_t* file, hid_t, hbool_t) {
  SinkFile& f = self(file);
  if (f.end != f.allocated && f.sink->error == 0 && ftruncate(f.sink->descriptor, static_cast<off_t>(f.allocated)) != 0)
    f.sink->error = errno;
  f.end = f.allocated;
  return 0;
}

// HDF5 1.14 asks drivers for two more fields.
template <class Driver>
void identify_driver(Driver& d) {
  if constexpr (requires { d.version; }) {
    d.version = 1;
    d.value = static_cast<decltype(d.value)>(256);  // the first that is free for private use
  }
}

H5FD_class_t driver() {
  constexpr H5FD_mem_t kinds[] = H5FD_FLMAP_DICHOTOMY;
  H5FD_class_t d = {};
  identify_driver(d);
  d.name = "monge_sink";
  d.maxaddr = (haddr_t{1} << 62) - 1;
  d.fc_degree = H5F_CLOSE_WEAK;
  d.fapl_size = sizeof(Hdf5Sink*);
  d.open = open_file;
  d.close = close_file;
  d.query = query;
  d.get_eoa = get_allocated;
  d.set_eoa = set_allocated;
  d.get_eof = get_end;
  d.read = read_bytes;
  d.write = write_bytes;
  d.truncate = truncate_file;
  std::copy(std::begin(kinds), std::end(kinds), d.fl_map);
  return d;
}

}  // namespace

Handle sink_properties(Hdf5Sink& sink) {
  const H5FD_class_t drive = driver();
  const Handle id = H5FDregister(&drive);  // kept alive by the properties, then by the file
  Handle access = H5Pcreate(H5P_FILE_ACCESS);
  const Hdf5Sink* pointer = &sink;
  H5Pset_driver(access, id, &pointer);
  return access;
}

}  // namespace monge::data
