#pragma once
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <variant>
#include <vector>

namespace monge::apps {

// The settings of a program: TOML keys ("section.name") bound to the variables they set. Unknown keys, wrong types and
// values out of range are refused with one line that names file, line and key. Throws Error: invalid_argument, io.
class Config {
 public:
  struct Range {
    double low = -std::numeric_limits<double>::infinity();
    double high = std::numeric_limits<double>::infinity();
    bool above_low = false;  // low itself is out
    bool below_high = false;
  };

  // The variables' present values are the defaults; they must outlive the Config.
  void add(const std::string& key, bool& value, const std::string& help);
  void add(const std::string& key, std::int64_t& value, const std::string& help, Range range);
  void add(const std::string& key, std::uint64_t& value, const std::string& help, Range range);
  void add(const std::string& key, double& value, const std::string& help, Range range);
  // `choices` empty: any text.
  void add(const std::string& key, std::string& value, const std::string& help, std::vector<std::string> choices = {});

  void read_file(const std::filesystem::path& path);
  void read_text(const std::string& toml, const std::string& name);  // `name` stands for the file in messages
  void set(const std::string& assignment);                           // "section.name=value"; text needs no quotes

  // The whole as TOML that reads back to the same bits, sections in the order they were added. Throws
  // Error(invalid_argument) for values that TOML cannot hold: text that is not UTF-8, as paths may be, and integers of
  // 2^63 and more.
  std::string toml() const;
  // The same for people: indented, with a comment for each key.
  std::string help() const;

  // Keys whose values are not those of `other` (the same keys, in the same order), each as "key is A, was B".
  struct Difference {
    std::string key, text;
  };
  std::vector<Difference> differences(const Config& other) const;

 private:
  using Target = std::variant<bool*, std::int64_t*, std::uint64_t*, double*, std::string*>;
  struct Entry {
    std::string key, help;
    Target target;
    Range range;
    std::vector<std::string> choices;

    std::string value() const;  // as TOML
    template <class Node>
    void assign(const Node& node, const std::string& where) const;
  };

  const Entry& find(const std::string& key, const std::string& where) const;
  std::vector<Entry> entries_;
};

}  // namespace monge::apps
