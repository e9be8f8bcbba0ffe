#include "monge/data/hdf5_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <optional>
#include <utility>

#include "monge/data/digest.h"
#include "monge/data/hdf5_chunks.h"
#include "monge/data/hdf5_guard.h"
#include "monge/data/hdf5_handle.h"
#include "monge/data/small_types.h"
#include "monge/ot/core/error.h"

namespace monge::data {
namespace {

static_assert(sizeof(hid_t) == sizeof(std::int64_t));

constexpr std::size_t longest_attribute = std::size_t{1} << 20;  // bytes

std::string absolute(const std::string& name) { return concat('/', name); }

// The bytes of a fixed-length string without its padding.
std::string unpadded(std::string bytes, hid_t type) {
  const H5T_str_t padding = H5Tget_strpad(type);
  if (padding == H5T_STR_NULLTERM) return bytes.substr(0, bytes.find('\0'));
  const std::size_t last = bytes.find_last_not_of(padding == H5T_STR_SPACEPAD ? ' ' : '\0');
  return bytes.substr(0, last == std::string::npos ? 0 : last + 1);
}

}  // namespace

Hdf5Reader::Hdf5Reader(std::string caller, std::filesystem::path path, const ReadLimits& limits)
    : caller_(std::move(caller)), path_(std::move(path)), limits_(limits) {
  const auto io_error = [&](const std::string& reason) {
    throw Error(Errc::io, concat(caller_, ": cannot read ", path_.string(), ": ", reason));
  };
  const int descriptor = open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) io_error(std::strerror(errno));
  struct stat status = {};
  const bool known = fstat(descriptor, &status) == 0;
  close(descriptor);
  if (!known || !S_ISREG(status.st_mode)) fail("", "not a regular file");
  file_size_ = static_cast<std::uint64_t>(status.st_size);
  if (file_size_ == 0) fail("", "the file is empty");

  const Quiet quiet;
  stay_quiet_at_exit();
  file_ = H5Fopen(path_.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  if (file_ >= 0) return;
  const std::string reason = hdf5_reason();
  if (reason.find("unable to lock") != std::string::npos)
    io_error(reason +
             "; another program has it open for writing, or its file system has no locks "
             "(then set HDF5_USE_FILE_LOCKING=FALSE)");
  fail("", "not an HDF5 file, or " + hdf5_damage());
}

Hdf5Reader::~Hdf5Reader() {
  const Quiet quiet;
  if (file_ >= 0) H5Fclose(file_);
}

void Hdf5Reader::fail(const std::string& object, const std::string& what) const {
  throw Error(Errc::bad_file, one_line(concat(caller_, ": ", path_.string(), ": ",
                                              object.empty() ? "" : absolute(object) + ": ", what)));
}

void Hdf5Reader::reserve(const std::string& name, std::uint64_t bytes) const {
  if (bytes > limits_.memory - reserved_)
    fail(name, concat("needs ", bytes, " bytes of memory, over the limit of ", limits_.memory, " for the file",
                      reserved_ > 0 ? concat(", of which ", reserved_, " are taken") : ""));
  reserved_ += bytes;
}

// Walks the path link by link, so that no soft or external link is ever followed.
bool Hdf5Reader::has(const std::string& name) const {
  const Quiet quiet;
  for (std::size_t end = 0; end != std::string::npos && !name.empty();) {
    end = name.find('/', end + 1);
    const std::string prefix = name.substr(0, end);
    const htri_t exists = H5Lexists(file_, absolute(prefix).c_str(), H5P_DEFAULT);
    if (exists < 0) fail(prefix, hdf5_damage());
    if (exists == 0) return false;
    H5L_info_t link;
    if (H5Lget_info(file_, absolute(prefix).c_str(), &link, H5P_DEFAULT) < 0) fail(prefix, hdf5_damage());
    if (link.type == H5L_TYPE_SOFT) fail(prefix, "is a soft link, which is refused");
    if (link.type == H5L_TYPE_EXTERNAL) fail(prefix, "is a link into another file, which is refused");
    if (link.type != H5L_TYPE_HARD) fail(prefix, "is a user-defined link, which is refused");
  }
  return true;
}

std::int64_t Hdf5Reader::open_object(const std::string& name) const {
  if (!has(name)) fail(name, "missing");
  const hid_t object = H5Oopen(file_, absolute(name).c_str(), H5P_DEFAULT);
  if (object < 0) fail(name, hdf5_damage());
  return object;
}

ArrayInfo Hdf5Reader::info(const std::string& name) const {
  const Quiet quiet;
  const Handle array = open_object(name);
  if (const std::string refusal = refusal_of_array(array, file_size_, limits_); !refusal.empty()) fail(name, refusal);
  return describe_array(array);
}

void Hdf5Reader::read_raw(const std::string& name, ElementType type, void* out, std::uint64_t bytes) const {
  const Quiet quiet;
  const Handle array = open_object(name);
  if (const std::string refusal = refusal_of_chunks(array, file_size_); !refusal.empty()) fail(name, refusal);
  if (H5Dread(array, memory_type(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, out) < 0)
    fail(name, "cannot be read (" + hdf5_reason() + ")");
  check_digest(name, out, bytes);
}

void Hdf5Reader::check_digest(const std::string& name, const void* values, std::uint64_t bytes) const {
  if (!has_attribute(name, "digest")) return;
  if (attribute<std::string>(name, "digest") != digest(values, bytes))
    fail(name, "its content does not match its digest: the file is damaged");
}

template <class T>
std::uint64_t Hdf5Reader::admit(const std::string& name, const ArrayInfo& info) const {
  if (info.type != element_type<T>)
    fail(name, concat("holds ", to_string(info.type), ", not ", to_string(element_type<T>)));
  const std::uint64_t bytes = static_cast<std::uint64_t>(info.size()) * sizeof(T);
  reserve(name, bytes);
  return bytes;
}

template <class T>
std::vector<T> Hdf5Reader::read(const std::string& name) const {
  const ArrayInfo array = info(name);
  const std::uint64_t bytes = admit<T>(name, array);
  std::vector<T> values;
  try {
    values.resize(static_cast<std::size_t>(array.size()));
  } catch (const std::bad_alloc&) {
    throw Error(Errc::out_of_memory,
                concat(caller_, ": ", path_.string(), ": no memory for ", bytes, " bytes of /", name));
  }
  read_raw(name, array.type, values.data(), bytes);
  return values;
}

template <class T>
std::vector<T> Hdf5Reader::read_vector(const std::string& name, Index size) const {
  const ArrayInfo array = info(name);
  if (array.shape.size() != 1) fail(name, concat("has ", array.shape.size(), " dimensions, not 1"));
  if (size >= 0 && array.shape[0] != size) fail(name, concat("has ", array.shape[0], " elements, not ", size));
  return read<T>(name);
}

template <class T>
Matrix<T> Hdf5Reader::read_matrix(const std::string& name) const {
  const ArrayInfo array = info(name);
  if (array.shape.size() != 2) fail(name, concat("has ", array.shape.size(), " dimensions, not 2"));
  const std::uint64_t bytes = admit<T>(name, array);
  Matrix<T> values(array.shape[0], array.shape[1]);
  read_raw(name, array.type, values.data(), bytes);
  return values;
}

std::string Hdf5Reader::read_text(const std::string& name) const {
  const ArrayInfo array = info(name);
  if (array.type != ElementType::text || array.size() != 1) fail(name, "is not a string");
  const Quiet quiet;
  const Handle object = open_object(name), type = H5Dget_type(object);
  if (const std::string refusal = refusal_of_chunks(object, file_size_); !refusal.empty()) fail(name, refusal);
  reserve(name, H5Tget_size(type));
  std::string bytes(H5Tget_size(type), '\0');
  if (H5Dread(object, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()) < 0)
    fail(name, "cannot be read (" + hdf5_reason() + ")");
  bytes = unpadded(std::move(bytes), type);
  check_digest(name, bytes.data(), bytes.size());
  return bytes;
}

bool Hdf5Reader::has_attribute(const std::string& object, const std::string& name) const {
  const Quiet quiet;
  const Handle owner = open_object(object);
  const htri_t exists = H5Aexists(owner, name.c_str());
  if (exists < 0) fail(object, "its attributes are damaged (" + hdf5_reason() + ")");
  return exists > 0;
}

template <class T>
T Hdf5Reader::attribute(const std::string& object, const std::string& name) const {
  const Quiet quiet;
  const auto refuse = [&](const std::string& what) { fail(object, "attribute " + name + " " + what); };
  if (!has_attribute(object, name)) refuse("is missing");
  const Handle owner = open_object(object);
  const Handle attribute = H5Aopen(owner, name.c_str(), H5P_DEFAULT);
  if (!attribute.valid()) refuse("is damaged (" + hdf5_reason() + ")");
  const Handle type = H5Aget_type(attribute), space = H5Aget_space(attribute);
  const std::optional<ElementType> element = identify(type);
  if (!element) refuse("is of type " + describe_type(type) + ", which is not read here; text must be of fixed length");
  const hssize_t count = H5Sget_simple_extent_npoints(space);
  const std::size_t size = H5Tget_size(type);
  if (count < 0 || size == 0 || static_cast<std::size_t>(count) > longest_attribute / size) refuse("is too large");

  const bool is_text = *element == ElementType::text;
  const bool is_integer = H5Tget_class(type) == H5T_INTEGER;
  const auto read = [&](hid_t memory, void* out) {
    if (count > 0 && H5Aread(attribute, memory, out) < 0) refuse("cannot be read (" + hdf5_reason() + ")");
  };
  if constexpr (std::is_same_v<T, std::vector<double>>) {
    if (is_text) refuse("is text, not numbers");
    std::vector<double> values(static_cast<std::size_t>(count));
    read(H5T_NATIVE_DOUBLE, values.data());
    return values;
  } else {
    if (count != 1) refuse(concat("has ", count, " values, not 1"));
    if constexpr (std::is_same_v<T, std::string>) {
      if (!is_text) refuse("is a number, not text");
      std::string bytes(size, '\0');
      read(type, bytes.data());
      return unpadded(std::move(bytes), type);
    } else if constexpr (std::is_same_v<T, double>) {
      if (is_text) refuse("is text, not a number");
      double value = 0;
      read(H5T_NATIVE_DOUBLE, &value);
      return value;
    } else {
      if (!is_integer) refuse("is not an integer");
      std::uint64_t value = 0;
      if (H5Tget_sign(type) == H5T_SGN_NONE) {
        read(H5T_NATIVE_UINT64, &value);
      } else {
        std::int64_t signed_value = 0;
        read(H5T_NATIVE_INT64, &signed_value);
        if (signed_value < 0) refuse(concat("is negative: ", signed_value));
        value = static_cast<std::uint64_t>(signed_value);
      }
      return value;
    }
  }
}

void Hdf5Reader::check_format(const std::string& format, std::uint64_t newest_version, bool required) const {
  if (!required && !has_attribute("", "format")) return;
  const std::string found =
      has_attribute("", "format") ? attribute<std::string>("", "format") : "an unmarked HDF5 file";
  if (found != format) fail("", concat("is ", found, ", not ", format));
  const auto version = attribute<std::uint64_t>("", "version");
  if (version < 1 || version > newest_version)
    fail("", concat("has format version ", version, "; this program knows 1 to ", newest_version));
}

template std::vector<std::uint8_t> Hdf5Reader::read(const std::string&) const;
template std::vector<std::int8_t> Hdf5Reader::read(const std::string&) const;
template std::vector<std::int16_t> Hdf5Reader::read(const std::string&) const;
template std::vector<std::uint16_t> Hdf5Reader::read(const std::string&) const;
template std::vector<std::uint32_t> Hdf5Reader::read(const std::string&) const;
template std::vector<Half> Hdf5Reader::read(const std::string&) const;
template std::vector<Bool> Hdf5Reader::read(const std::string&) const;
template std::vector<std::int32_t> Hdf5Reader::read(const std::string&) const;
template std::vector<std::int64_t> Hdf5Reader::read(const std::string&) const;
template std::vector<std::uint64_t> Hdf5Reader::read(const std::string&) const;
template std::vector<float> Hdf5Reader::read(const std::string&) const;
template std::vector<double> Hdf5Reader::read(const std::string&) const;
template std::vector<std::uint8_t> Hdf5Reader::read_vector(const std::string&, Index) const;
template std::vector<std::int32_t> Hdf5Reader::read_vector(const std::string&, Index) const;
template std::vector<std::int64_t> Hdf5Reader::read_vector(const std::string&, Index) const;
template std::vector<std::uint64_t> Hdf5Reader::read_vector(const std::string&, Index) const;
template std::vector<float> Hdf5Reader::read_vector(const std::string&, Index) const;
template std::vector<double> Hdf5Reader::read_vector(const std::string&, Index) const;
template Matrix<std::uint8_t> Hdf5Reader::read_matrix(const std::string&) const;
template Matrix<float> Hdf5Reader::read_matrix(const std::string&) const;
template Matrix<double> Hdf5Reader::read_matrix(const std::string&) const;
template std::string Hdf5Reader::attribute(const std::string&, const std::string&) const;
template double Hdf5Reader::attribute(const std::string&, const std::string&) const;
template std::uint64_t Hdf5Reader::attribute(const std::string&, const std::string&) const;
template std::vector<double> Hdf5Reader::attribute(const std::string&, const std::string&) const;

}  // namespace monge::data
