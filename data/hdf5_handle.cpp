#include "monge/data/hdf5_handle.h"

#include <cstdlib>

#include "monge/ot/core/error.h"

namespace monge::data {
namespace {

// Both are h5py's, and never closed.
hid_t half_type(hid_t order) {
  const hid_t type = H5Tcopy(order);
  H5Tset_fields(type, 15, 10, 5, 0, 10);
  H5Tset_size(type, 2);
  H5Tset_ebias(type, 15);
  return type;
}

hid_t boolean_type() {
  const hid_t type = H5Tenum_create(H5T_STD_I8LE);
  for (const signed char value : {0, 1}) H5Tenum_insert(type, value ? "TRUE" : "FALSE", &value);
  return type;
}

}  // namespace

const char* to_string(ElementType type) {
  switch (type) {
    case ElementType::u8:
      return "u8";
    case ElementType::i32:
      return "i32";
    case ElementType::i64:
      return "i64";
    case ElementType::u64:
      return "u64";
    case ElementType::f32:
      return "f32";
    case ElementType::f64:
      return "f64";
    case ElementType::text:
      return "text";
    case ElementType::i8:
      return "i8";
    case ElementType::i16:
      return "i16";
    case ElementType::u16:
      return "u16";
    case ElementType::u32:
      return "u32";
    case ElementType::f16:
      return "f16";
    case ElementType::boolean:
      return "boolean";
  }
  return "unknown";
}

int size_of(ElementType type) {
  switch (type) {
    case ElementType::u8:
    case ElementType::i8:
    case ElementType::boolean:
      return 1;
    case ElementType::i16:
    case ElementType::u16:
    case ElementType::f16:
      return 2;
    case ElementType::i32:
    case ElementType::u32:
    case ElementType::f32:
      return 4;
    case ElementType::i64:
    case ElementType::u64:
    case ElementType::f64:
      return 8;
    case ElementType::text:
      return 0;
  }
  return 0;
}

hid_t file_type(ElementType type, bool big) {
  switch (type) {
    case ElementType::u8:
      return big ? H5T_STD_U8BE : H5T_STD_U8LE;
    case ElementType::i32:
      return big ? H5T_STD_I32BE : H5T_STD_I32LE;
    case ElementType::i64:
      return big ? H5T_STD_I64BE : H5T_STD_I64LE;
    case ElementType::u64:
      return big ? H5T_STD_U64BE : H5T_STD_U64LE;
    case ElementType::f32:
      return big ? H5T_IEEE_F32BE : H5T_IEEE_F32LE;
    case ElementType::f64:
      return big ? H5T_IEEE_F64BE : H5T_IEEE_F64LE;
    case ElementType::i8:
      return big ? H5T_STD_I8BE : H5T_STD_I8LE;
    case ElementType::i16:
      return big ? H5T_STD_I16BE : H5T_STD_I16LE;
    case ElementType::u16:
      return big ? H5T_STD_U16BE : H5T_STD_U16LE;
    case ElementType::u32:
      return big ? H5T_STD_U32BE : H5T_STD_U32LE;
    case ElementType::f16: {
      static const hid_t little = half_type(H5T_IEEE_F32LE), large = half_type(H5T_IEEE_F32BE);
      return big ? large : little;
    }
    case ElementType::boolean: {
      static const hid_t type = boolean_type();
      return type;
    }
    case ElementType::text:
      break;
  }
  return -1;
}

hid_t memory_type(ElementType type) {
  switch (type) {
    case ElementType::u8:
      return H5T_NATIVE_UINT8;
    case ElementType::i32:
      return H5T_NATIVE_INT32;
    case ElementType::i64:
      return H5T_NATIVE_INT64;
    case ElementType::u64:
      return H5T_NATIVE_UINT64;
    case ElementType::f32:
      return H5T_NATIVE_FLOAT;
    case ElementType::f64:
      return H5T_NATIVE_DOUBLE;
    case ElementType::i8:
      return H5T_NATIVE_INT8;
    case ElementType::i16:
      return H5T_NATIVE_INT16;
    case ElementType::u16:
      return H5T_NATIVE_UINT16;
    case ElementType::u32:
      return H5T_NATIVE_UINT32;
    case ElementType::f16:
    case ElementType::boolean:
      return file_type(type);
    case ElementType::text:
      break;
  }
  return -1;
}

Handle string_type(std::size_t size) {
  Handle type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, size == 0 ? 1 : size);
  H5Tset_strpad(type, H5T_STR_NULLPAD);
  H5Tset_cset(type, H5T_CSET_UTF8);
  return type;
}

std::string one_line(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ') c = '?';
  return text;
}

void stay_quiet_at_exit() {
  H5open();  // its own exit handler comes first, so that it runs last
  static const int registered = std::atexit([] { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); });
  (void)registered;
}

std::string hdf5_reason() {
  std::string reason;
  const auto first = [](unsigned, const H5E_error2_t* error, void* out) -> herr_t {
    auto& text = *static_cast<std::string*>(out);
    if (text.empty() && error->desc != nullptr) text = error->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first, &reason);
  const std::string mark = "error message = '";
  if (const std::size_t at = reason.find(mark); at != std::string::npos) {
    const std::size_t from = at + mark.size();
    const std::string lock = reason.find("lock") < at ? "unable to lock: " : "";
    reason = lock + reason.substr(from, reason.find('\'', from) - from);
  }
  return reason.empty() ? "no reason given by HDF5" : reason;
}

std::string hdf5_damage() {
  const std::string reason = hdf5_reason();
  const bool version = reason.find("version number") != reason.npos;
  return concat("damaged", version ? ", or in a newer HDF5 format than is read here" : "", " (", reason, ")");
}

}  // namespace monge::data
