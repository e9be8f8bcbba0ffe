#include "monge/data/hdf5_writer.h"

#include <cstring>
#include <utility>

#include "monge/data/digest.h"
#include "monge/data/hdf5_handle.h"
#include "monge/data/hdf5_sink.h"
#include "monge/ot/core/error.h"

namespace monge::data {
namespace {

std::string absolute(const std::string& name) { return concat('/', name); }

// Members keep their order; no time stamps, so the same content gives the same bytes.
Handle group_properties() {
  Handle properties = H5Pcreate(H5P_GROUP_CREATE);
  H5Pset_link_creation_order(properties, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  H5Pset_obj_track_times(properties, false);
  return properties;
}

Handle array_properties() {
  Handle properties = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_layout(properties, H5D_CONTIGUOUS);
  H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER);
  H5Pset_obj_track_times(properties, false);
  return properties;
}

Handle space_of(const std::vector<Index>& shape) {
  if (shape.empty()) return H5Screate(H5S_SCALAR);
  const std::vector<hsize_t> dims(shape.begin(), shape.end());
  return H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
}

}  // namespace

Hdf5Writer::Hdf5Writer(std::string caller, const std::filesystem::path& target)
    : output_(std::move(caller), target), sink_(new Hdf5Sink{output_.descriptor()}) {
  const Quiet quiet;
  const Handle access = sink_properties(*sink_), creation = H5Pcreate(H5P_FILE_CREATE);
  H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);  // checksummed metadata
  H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  H5Pset_obj_track_times(creation, false);
  file_ = H5Fcreate(output_.temporary().c_str(), H5F_ACC_TRUNC, creation, access);
  check(file_ >= 0, "");
}

Hdf5Writer::~Hdf5Writer() {
  const Quiet quiet;
  if (file_ >= 0) H5Fclose(file_);
}

void Hdf5Writer::group(const std::string& name) {
  const Quiet quiet;
  make_parents(name);
  const Handle group = H5Gcreate2(file_, absolute(name).c_str(), H5P_DEFAULT, group_properties(), H5P_DEFAULT);
  check(group.valid(), name);
}

// Not by HDF5's own "intermediate groups", which get time stamps.
void Hdf5Writer::make_parents(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  if (slash == std::string::npos) return;
  const std::string parent = name.substr(0, slash);
  make_parents(parent);
  if (H5Lexists(file_, absolute(parent).c_str(), H5P_DEFAULT) == 0) group(parent);
}

void Hdf5Writer::write_array(const std::string& name, const std::vector<Index>& shape, ElementType type,
                             const void* values) {
  std::size_t bytes = static_cast<std::size_t>(size_of(type));
  for (const Index n : shape) bytes *= static_cast<std::size_t>(n);
  {
    const Quiet quiet;
    make_parents(name);
    const Handle space = space_of(shape);
    const Handle array =
        H5Dcreate2(file_, absolute(name).c_str(), file_type(type), space, H5P_DEFAULT, array_properties(), H5P_DEFAULT);
    check(array.valid(), name);
    check(bytes == 0 || H5Dwrite(array, memory_type(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0, name);
  }
  attribute(name, "digest", digest(values, bytes));
}

void Hdf5Writer::text(const std::string& name, const std::string& value) {
  {
    const Quiet quiet;
    make_parents(name);
    const Handle type = string_type(value.size()), space = H5Screate(H5S_SCALAR);
    const Handle array =
        H5Dcreate2(file_, absolute(name).c_str(), type, space, H5P_DEFAULT, array_properties(), H5P_DEFAULT);
    check(array.valid() && H5Dwrite(array, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, value.c_str()) >= 0, name);
  }
  attribute(name, "digest", digest(value.data(), value.size()));
}

void Hdf5Writer::attribute(const std::string& object, const std::string& name, const std::string& value) {
  const Quiet quiet;
  const Handle owner = H5Oopen(file_, absolute(object).c_str(), H5P_DEFAULT);
  const Handle type = string_type(value.size()), space = H5Screate(H5S_SCALAR);
  const Handle attribute = H5Acreate2(owner, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT);
  check(attribute.valid() && H5Awrite(attribute, type, value.c_str()) >= 0, object);
}

void Hdf5Writer::attribute(const std::string& object, const std::string& name, const char* value) {
  attribute(object, name, std::string(value));
}

void Hdf5Writer::attribute(const std::string& object, const std::string& name, double value) {
  write_attribute(object, name, ElementType::f64, -1, &value);
}

void Hdf5Writer::attribute(const std::string& object, const std::string& name, std::uint64_t value) {
  write_attribute(object, name, ElementType::u64, -1, &value);
}

void Hdf5Writer::attribute(const std::string& object, const std::string& name, const std::vector<double>& values) {
  write_attribute(object, name, ElementType::f64, static_cast<Index>(values.size()), values.data());
}

void Hdf5Writer::attribute(const std::string& object, const std::string& name,
                           const std::vector<std::uint64_t>& values) {
  write_attribute(object, name, ElementType::u64, static_cast<Index>(values.size()), values.data());
}

// `count` -1: one value.
void Hdf5Writer::write_attribute(const std::string& object, const std::string& name, ElementType type, Index count,
                                 const void* values) {
  const Quiet quiet;
  const Handle owner = H5Oopen(file_, absolute(object).c_str(), H5P_DEFAULT);
  const Handle space = space_of(count < 0 ? std::vector<Index>{} : std::vector<Index>{count});
  const Handle attribute = H5Acreate2(owner, name.c_str(), file_type(type), space, H5P_DEFAULT, H5P_DEFAULT);
  check(attribute.valid() && H5Awrite(attribute, memory_type(type), values) >= 0, object);
}

void Hdf5Writer::commit() {
  {
    const Quiet quiet;
    const bool closed = H5Fclose(std::exchange(file_, -1)) >= 0;
    check(closed, "");
  }
  output_.commit();
}

// A full disk hides from HDF5, so the sink is asked even when HDF5 is content.
void Hdf5Writer::check(bool ok, const std::string& object) const {
  if (sink_->error != 0) output_.fail(std::strerror(sink_->error));
  if (!ok) output_.fail((object.empty() ? "" : absolute(object) + ": ") + hdf5_reason());
}

}  // namespace monge::data
