#include "monge/apps/common/config.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <numeric>
#include <utility>

#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

template <class... Parts>
[[noreturn]] void refuse(const Parts&... message) {
  throw Error(Errc::invalid_argument, concat(message...));
}

std::string to_text(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;  // the shortest that reads back the same
  std::string result(text, end);
  return result.find_first_of(".en") == std::string::npos ? result + ".0" : result;
}

std::string toml_string(const std::string& value) {
  std::string text = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') text += '\\';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04X", static_cast<unsigned>(c));
      text += code;
    } else {
      text += c;
    }
  }
  return text += '"';
}

// Levenshtein's distance: letters to add, drop or change.
std::size_t edits(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t corner = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      corner = std::exchange(row[j + 1], std::min({row[j] + 1, row[j + 1] + 1, corner + (a[i] != b[j])}));
    }
  }
  return row.back();
}

const char* type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number";
    case toml::node_type::boolean:
      return "true or false";
    case toml::node_type::none:
      return "nothing";
    default:
      return "a date or time";
  }
}

std::string section_of(const std::string& key) { return key.substr(0, key.rfind('.')); }
std::string name_of(const std::string& key) { return key.substr(key.rfind('.') + 1); }

toml::table parse(const std::string& text, const std::string& name) {
  try {
    return toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    refuse(name, ":", error.source().begin.line, ": not valid TOML: ", error.description());
  }
}

template <class Visit>
void walk(const toml::table& table, const std::string& prefix, const Visit& visit) {
  for (const auto& [name, node] : table) {
    const std::string key = prefix + std::string(name.str());
    if (const toml::table* inner = node.as_table()) {
      walk(*inner, key + ".", visit);
    } else {
      visit(key, node);
    }
  }
}

}  // namespace

void Config::add(const std::string& key, bool& value, const std::string& help) {
  entries_.push_back({key, help, &value, {}, {}});
}
void Config::add(const std::string& key, std::int64_t& value, const std::string& help, Range range) {
  entries_.push_back({key, help, &value, range, {}});
}
void Config::add(const std::string& key, std::uint64_t& value, const std::string& help, Range range) {
  entries_.push_back({key, help, &value, range, {}});
}
void Config::add(const std::string& key, double& value, const std::string& help, Range range) {
  entries_.push_back({key, help, &value, range, {}});
}
void Config::add(const std::string& key, std::string& value, const std::string& help,
                 std::vector<std::string> choices) {
  entries_.push_back({key, help, &value, {}, std::move(choices)});
}

std::string Config::Entry::value() const {
  return std::visit(
      [](const auto* v) -> std::string {
        using T = std::decay_t<decltype(*v)>;
        if constexpr (std::is_same_v<T, bool>) {
          return *v ? "true" : "false";
        } else if constexpr (std::is_same_v<T, double>) {
          return to_text(*v);
        } else if constexpr (std::is_same_v<T, std::string>) {
          return toml_string(*v);
        } else {
          return std::to_string(*v);
        }
      },
      target);
}

template <class Node>
void Config::Entry::assign(const Node& node, const std::string& where) const {
  const auto expect = [&](bool ok, const char* type) {
    if (!ok) refuse(where, key, " must be ", type, ", not ", type_name(node));
  };
  const auto check_range = [&](double v) {
    if (v < range.low || (range.above_low && v == range.low)) {
      refuse(where, key, " must be ", range.above_low ? "above " : "at least ", range.low, ", not ", v);
    }
    if (v > range.high || (range.below_high && v == range.high)) {
      refuse(where, key, " must be ", range.below_high ? "below " : "at most ", range.high, ", not ", v);
    }
  };
  std::visit(
      [&](auto* out) {
        using T = std::decay_t<decltype(*out)>;
        if constexpr (std::is_same_v<T, bool>) {
          expect(node.is_boolean(), "true or false");
          *out = node.as_boolean()->get();
        } else if constexpr (std::is_same_v<T, std::string>) {
          expect(node.is_string(), "a string");
          const std::string text = node.as_string()->get();
          if (text.find('\0') != std::string::npos) refuse(where, key, " holds a zero byte");
          if (!choices.empty() && std::find(choices.begin(), choices.end(), text) == choices.end()) {
            std::string list;
            for (const std::string& choice : choices) list += (list.empty() ? "" : ", ") + toml_string(choice);
            refuse(where, key, " must be one of ", list, ", not ", toml_string(text));
          }
          *out = text;
        } else if constexpr (std::is_same_v<T, double>) {
          expect(node.is_number(), "a number");
          const double v =
              node.is_integer() ? static_cast<double>(node.as_integer()->get()) : node.as_floating_point()->get();
          if (!std::isfinite(v)) refuse(where, key, " must be finite, not ", v);
          check_range(v);
          *out = v;
        } else {
          expect(node.is_integer(), "an integer");
          const std::int64_t v = node.as_integer()->get();
          if (std::is_unsigned_v<T> && v < 0) refuse(where, key, " must not be negative, not ", v);
          check_range(static_cast<double>(v));
          *out = static_cast<T>(v);
        }
      },
      target);
}

const Config::Entry& Config::find(const std::string& key, const std::string& where) const {
  const auto distance = [&](const Entry& e) { return std::min(edits(key, e.key), 1 + edits(key, name_of(e.key))); };
  const Entry* nearest = nullptr;
  for (const Entry& entry : entries_) {
    if (entry.key == key) return entry;
    if (nearest == nullptr || distance(entry) < distance(*nearest)) nearest = &entry;
  }
  const bool close = nearest != nullptr && distance(*nearest) <= std::max<std::size_t>(2, key.size() / 3);
  refuse(where, "unknown key ", key, close ? "; did you mean " + nearest->key + "?" : "");
}

void Config::read_file(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) throw Error(Errc::io, path.string() + ": is a folder");
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(Errc::io, concat(path.string(), ": cannot be read: ", std::strerror(errno)));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (file.bad()) throw Error(Errc::io, concat(path.string(), ": cannot be read: ", std::strerror(errno)));
  read_text(text, path.string());
}

void Config::read_text(const std::string& text, const std::string& name) {
  walk(parse(text, name), "", [&](const std::string& key, const toml::node& node) {
    const std::string where = concat(name, ":", node.source().begin.line, ": ");
    find(key, where).assign(node, where);
  });
}

void Config::set(const std::string& assignment) {
  const std::string where = "--set " + assignment + ": ";
  const std::size_t equal = assignment.find('=');
  if (equal == std::string::npos) refuse(where, "expected KEY=VALUE");
  std::string key = assignment.substr(0, equal), value = assignment.substr(equal + 1);
  const auto trim = [](std::string& s) {
    s.erase(0, s.find_first_not_of(' '));
    s.erase(s.find_last_not_of(' ') + 1);
  };
  trim(key), trim(value);
  const Entry& entry = find(key, where);
  const bool bare =
      std::holds_alternative<std::string*>(entry.target) && !value.starts_with('"') && !value.starts_with('\'');
  if (bare) value = toml_string(value);
  const toml::table table = [&] {
    try {
      return toml::parse("value = " + value);
    } catch (const toml::parse_error&) {
      refuse(where, "'", value, "' is not a TOML value");
    }
  }();
  if (table.size() != 1) refuse(where, "'", value, "' is not one TOML value");
  entry.assign(*table.get("value"), where);
}

std::string Config::toml() const {
  std::string text, section;
  for (const Entry& entry : entries_) {
    if (section_of(entry.key) != section) {
      section = section_of(entry.key);
      text += (text.empty() ? "[" : "\n[") + section + "]\n";
    }
    const std::string line = name_of(entry.key) + " = " + entry.value() + "\n";
    try {
      (void)toml::parse(line);
    } catch (const toml::parse_error&) {
      refuse(entry.key, " is ", entry.value(),
             ", which a config cannot hold: text has to be UTF-8, integers below 2^63");
    }
    text += line;
  }
  return text;
}

std::string Config::help() const {
  std::string text, section;
  for (const Entry& entry : entries_) {
    if (section_of(entry.key) != section) {
      section = section_of(entry.key);
      text += "  [" + section + "]\n";
    }
    std::string line = "    " + name_of(entry.key) + " = " + entry.value();
    line.resize(std::max<std::size_t>(line.size() + 2, 34), ' ');
    text += line + "# " + entry.help + "\n";
  }
  return text;
}

std::vector<Config::Difference> Config::differences(const Config& other) const {
  std::vector<Difference> found;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const std::string mine = entries_[i].value(), theirs = other.entries_[i].value();
    if (mine != theirs) found.push_back({entries_[i].key, entries_[i].key + " is " + mine + ", was " + theirs});
  }
  return found;
}

}  // namespace monge::apps
