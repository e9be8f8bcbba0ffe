#include "monge/data/npy.h"

#include <algorithm>
#include <bit>
#include <string>
#include <string_view>
#include <vector>

#include "monge/data/atomic_file.h"
#include "monge/data/convert.h"
#include "monge/data/input_file.h"
#include "monge/data/npy_header.h"
#include "monge/data/small_types.h"

namespace monge::data {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view magic = "\x93NUMPY";
constexpr Index block = 1 << 16;  // elements that are converted at once

NpyHeader read_header(InputFile& file) {
  const auto bad = [&](const std::string& what) { file.fail(Errc::bad_file, what); };
  if (file.size() == 0) bad("the file is empty, not a .npy file");
  std::uint64_t before = 0;
  NpyHeader header = read_npy_header([&](void* out, std::size_t size) { return file.read(out, size); }, bad, &before);
  if (header.shape.empty() || header.shape.size() > 2)
    bad(concat("has ", header.shape.size(), " dimensions, not 1 or 2"));
  if (header.shape.size() == 1) header.shape.push_back(1);

  // The values fill the rest of the file, to the byte.
  std::uint64_t declared = static_cast<std::uint64_t>(header.element);
  for (const Index n : header.shape)
    if (__builtin_mul_overflow(declared, static_cast<std::uint64_t>(n), &declared))
      bad(concat("declares ", header.shape[0], " x ", header.shape[1], " values, far more than it has"));
  const std::uint64_t stored = file.size() - std::min(file.size(), before);
  if (stored != declared)
    bad(concat("declares ", declared, " bytes of values, but has ", stored,
               stored < declared ? ": truncated" : ": bytes are left over"));
  return header;
}

template <class S, class T>
void read_values(InputFile& file, const NpyHeader& header, Matrix<T>& values) {
  const Index rows = values.rows(), cols = values.cols(), size = rows * cols;
  std::vector<S> raw(static_cast<std::size_t>(std::min(block, size)));
  std::vector<T> column(header.fortran ? raw.size() : 0);
  for (Index first = 0; first < size; first += block) {
    const Index count = std::min(block, size - first);
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(S);
    if (file.read(raw.data(), bytes) < bytes) file.fail(Errc::bad_file, "was cut short while it was read");
    if (header.big)
      for (S& element : raw) {
        auto* const byte = reinterpret_cast<unsigned char*>(&element);
        std::reverse(byte, byte + sizeof(S));
      }
    T* const out = header.fortran ? column.data() : values.data() + first;
    if (const Index bad = convert(raw.data(), count, out); bad >= 0) {
      const Index at = first + bad;
      file.fail(Errc::bad_file,
                concat("row ", header.fortran ? at % rows : at / cols, ", column ",
                       header.fortran ? at / rows : at % cols, ": ", why_not_converted<T>(raw[std::size_t(bad)])));
    }
    if (header.fortran)
      for (Index k = 0; k < count; ++k) values((first + k) % rows, (first + k) / rows) = column[std::size_t(k)];
  }
}

template <class T>
using Read = void (*)(InputFile&, const NpyHeader&, Matrix<T>&);

template <class T>
Read<T> reader_of(const NpyHeader& header) {
  switch (header.kind << 8 | header.element) {
    case 'f' << 8 | 2:
      return read_values<Half, T>;
    case 'f' << 8 | 4:
      return read_values<float, T>;
    case 'f' << 8 | 8:
      return read_values<double, T>;
    case 'i' << 8 | 1:
      return read_values<std::int8_t, T>;
    case 'i' << 8 | 2:
      return read_values<std::int16_t, T>;
    case 'i' << 8 | 4:
      return read_values<std::int32_t, T>;
    case 'i' << 8 | 8:
      return read_values<std::int64_t, T>;
    case 'u' << 8 | 1:
      return read_values<std::uint8_t, T>;
    case 'u' << 8 | 2:
      return read_values<std::uint16_t, T>;
    case 'u' << 8 | 4:
      return read_values<std::uint32_t, T>;
    case 'u' << 8 | 8:
      return read_values<std::uint64_t, T>;
    default:
      return read_values<Bool, T>;
  }
}

template <class T>
void write(const std::filesystem::path& path, MatrixView<const T> values, const char* type, const std::string& shape) {
  if (values.device.type != DeviceType::cpu)
    throw Error(Errc::backend_unavailable, concat("write_npy: ", path.string(), ": values that are not on the CPU"));
  std::string header = concat("{'descr': '", type, "', 'fortran_order': False, 'shape': (", shape, "), }");
  header.resize((10 + header.size() + 1 + 63) / 64 * 64 - 10, ' ');  // so that the values begin at a multiple of 64
  header.back() = '\n';

  AtomicFile file("write_npy", path);
  std::string bytes =
      concat(magic, '\1', '\0', static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8), header);
  for (Index i = 0; i < values.rows; ++i) {
    bytes.append(reinterpret_cast<const char*>(values.row(i)), static_cast<std::size_t>(values.cols) * sizeof(T));
    if (bytes.size() < 1 << 20) continue;
    file.write(bytes);
    bytes.clear();
  }
  file.write(bytes);
  file.commit();
}

template <class T>
void write_matrix(const std::filesystem::path& path, MatrixView<const T> values, const char* type) {
  write(path, values, type, std::to_string(values.rows) + ", " + std::to_string(values.cols));
}

template <class T>
void write_vector(const std::filesystem::path& path, VectorView<const T> values, const char* type) {
  write(path, MatrixView<const T>(values.data, values.size, 1, 1, values.device), type,
        std::to_string(values.size) + ",");
}

}  // namespace

template <class T>
Matrix<T> read_npy(const std::filesystem::path& path, double max_bytes) {
  InputFile file("read_npy", path);
  const NpyHeader header = read_header(file);
  const Index rows = header.shape[0], cols = header.shape[1];
  if (const std::string refusal = refusal_of_memory(rows, cols, sizeof(T), max_bytes); !refusal.empty())
    file.fail(Errc::out_of_memory, refusal);
  Matrix<T> values(rows, cols);
  reader_of<T>(header)(file, header, values);
  return values;
}

bool npy_holds_floats(const std::filesystem::path& path) {
  InputFile file("read_npy", path);
  const NpyHeader header = read_header(file);
  return header.kind == 'f' ? header.element <= 4 : header.element <= 2;
}

void write_npy(const std::filesystem::path& path, MatrixView<const float> values) { write_matrix(path, values, "<f4"); }
void write_npy(const std::filesystem::path& path, MatrixView<const double> values) {
  write_matrix(path, values, "<f8");
}
void write_npy(const std::filesystem::path& path, VectorView<const float> values) { write_vector(path, values, "<f4"); }
void write_npy(const std::filesystem::path& path, VectorView<const double> values) {
  write_vector(path, values, "<f8");
}
void write_npy(const std::filesystem::path& path, VectorView<const std::int32_t> values) {
  write_vector(path, values, "<i4");
}

template Matrix<float> read_npy(const std::filesystem::path&, double);
template Matrix<double> read_npy(const std::filesystem::path&, double);

}  // namespace monge::data
