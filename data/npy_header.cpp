#include "monge/data/npy_header.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "monge/ot/core/error.h"

namespace monge::data {
namespace {

template <class... Parts>
[[noreturn]] void fail(const Parts&... what) {
  throw Error(Errc::bad_file, concat(what...));
}

// Reads the literals of Python that a header is made of.
class Literals {
 public:
  explicit Literals(std::string_view text) : rest_(text) {}

  bool take(char c) {
    skip_space();
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail("damaged header: '", c, "' expected", where());
  }
  bool at_end() {
    skip_space();
    return rest_.empty();
  }

  std::string_view text() {
    const char quote = take('\'') ? '\'' : '"';
    if (quote == '"') expect('"');
    const std::size_t end = rest_.find(quote);
    if (end == rest_.npos) fail("damaged header: text without end");
    const std::string_view content = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return content;
  }

  bool boolean() {
    skip_space();
    for (const std::string_view name : {"True", "False"})
      if (rest_.starts_with(name)) {
        rest_.remove_prefix(name.size());
        return name == "True";
      }
    fail("damaged header: True or False expected", where());
  }

  Index dimension() {
    skip_space();
    if (rest_.starts_with('-')) fail("declares a negative dimension");
    Index n = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), n);
    if (error == std::errc::result_out_of_range) fail("declares a dimension of over 19 digits");
    if (error != std::errc()) fail("damaged header: a number expected", where());
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    if (rest_.starts_with('L')) rest_.remove_prefix(1);  // as Python 2 wrote them
    return n;
  }

  std::vector<Index> tuple() {
    std::vector<Index> values;
    expect('(');
    while (!take(')')) {
      values.push_back(dimension());
      if (take(',')) continue;
      expect(')');
      if (values.size() == 1) fail("damaged header: the shape is no tuple");  // (3) is a number
      break;
    }
    return values;
  }

 private:
  void skip_space() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size())); }
  std::string where() const { return rest_.empty() ? " at its end" : concat(" at \"", rest_.substr(0, 20), '"'); }

  std::string_view rest_;
};

// Byte order, kind and size: '<f8', '|u1'.
void parse_type(std::string_view type, NpyHeader& header) {
  const auto refuse = [&] {
    fail("has elements of type '", type.substr(0, 20), "'; floats of 2, 4 or 8 bytes, integers and booleans are read");
  };
  if (type.size() != 3 || std::string_view("<>=|").find(type[0]) == std::string_view::npos) refuse();
  header.big = type[0] == '>';
  header.kind = type[1];
  header.element = type[2] - '0';
  const std::string_view sizes = header.kind == 'f'                         ? "248"
                                 : header.kind == 'i' || header.kind == 'u' ? "1248"
                                 : header.kind == 'b'                       ? "1"
                                                                            : "";
  if (sizes.find(type[2]) == sizes.npos || (type[0] == '|' && header.element != 1)) refuse();
}

}  // namespace

NpyHeader parse_npy_header(std::string_view text) {
  NpyHeader header;
  Literals literals(text);
  bool descr = false, fortran_order = false, shape = false;
  literals.expect('{');
  while (!literals.take('}')) {
    const std::string_view key = literals.text();
    bool* seen = key == "descr" ? &descr : key == "fortran_order" ? &fortran_order : key == "shape" ? &shape : nullptr;
    if (seen == nullptr) fail("damaged header: unknown key '", key.substr(0, 20), "'");
    if (*seen) fail("damaged header: key '", key, "' twice");
    *seen = true;
    literals.expect(':');
    if (seen == &shape) {
      header.shape = literals.tuple();
    } else if (seen == &fortran_order) {
      header.fortran = literals.boolean();
    } else if (literals.take('[') || literals.take('(')) {
      fail("has structured elements, which are not read");
    } else {
      parse_type(literals.text(), header);
    }
    if (literals.take(',')) continue;
    literals.expect('}');
    break;
  }
  if (!literals.at_end()) fail("damaged header: text after its end");
  for (const auto& [seen, key] : {std::pair{descr, "descr"}, {fortran_order, "fortran_order"}, {shape, "shape"}})
    if (!seen) fail("damaged header: key '", key, "' is missing");
  return header;
}

NpyHeader read_npy_header(const std::function<std::size_t(void*, std::size_t)>& read,
                          const std::function<void(const std::string&)>& bad, std::uint64_t* bytes) {
  constexpr std::string_view magic = "\x93NUMPY";
  constexpr std::size_t longest = 1 << 16;  // bytes; NumPy refuses 10,000
  unsigned char start[12] = {};
  if (read(start, 10) < 10 || !std::equal(magic.begin(), magic.end(), reinterpret_cast<const char*>(start)))
    bad("not a .npy file");
  const int version = start[6];
  if (version < 1 || version > 3 || start[7] != 0)
    bad(concat("is of .npy version ", version, ".", int{start[7]}, "; 1.0, 2.0 and 3.0 are read"));
  if (version > 1 && read(start + 10, 2) < 2) bad("truncated in its header");
  std::size_t length = start[8] | std::size_t{start[9]} << 8;
  if (version > 1) length |= std::size_t{start[10]} << 16 | std::size_t{start[11]} << 24;
  if (length > longest) bad(concat("declares a header of ", length, " bytes"));
  std::string text(length, '\0');
  if (read(text.data(), length) < length) bad("truncated in its header");

  NpyHeader header;
  try {
    header = parse_npy_header(text);
  } catch (const Error& error) {
    bad(error.what());
  }
  if (bytes) *bytes = 8 + (version > 1 ? 4 : 2) + std::uint64_t{length};
  return header;
}

}  // namespace monge::data
