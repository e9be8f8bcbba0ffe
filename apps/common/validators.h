#pragma once
#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <type_traits>

namespace monge::apps {

// Checks of numbers on the command line: T decides whether they are whole and how large they may be. Refusals are
// short, "must be a whole number of at least 1, not 0.5", and come before CLI11's own conversion, which takes -1 for a
// large unsigned number and 010 for 8.
template <class T>
CLI::Validator in_range(T low, T high) {
  return CLI::Validator(
      [low, high](std::string& text) -> std::string {
        T value = 0;
        const char* end = text.data() + text.size();
        const auto [parsed, error] = std::from_chars(text.data(), end, value);
        const bool octal = std::is_integral_v<T> && text.size() > 1 && text[0] == '0';
        const bool number =
            error == std::errc() && parsed == end && !octal && std::isfinite(static_cast<double>(value));
        if (number && value >= low && value <= high) return "";
        std::ostringstream refusal;
        const bool infinite = error == std::errc() && parsed == end && std::isinf(static_cast<double>(value));
        refusal << "must be a " << (std::is_integral_v<T> ? "whole number" : infinite ? "finite number" : "number");
        const bool open = high == std::numeric_limits<T>::max(), above = number ? value > high : text[0] != '-';
        const bool too_large = open && error == std::errc::result_out_of_range && above;
        if (too_large) {
          refusal << " of at most " << high;
        } else if (open) {
          refusal << " of at least " << low;
        } else {
          refusal << " from " << low << " to " << high;
        }
        refusal << ", not " << (text.size() > 40 ? text.substr(0, 40) + "..." : text);
        return refusal.str();
      },
      "");
}

template <class T>
CLI::Validator at_least(T low) {
  return in_range<T>(low, std::numeric_limits<T>::max());
}

// Or "inf".
inline CLI::Validator at_least_or_infinite(double low) {
  return CLI::Validator(
      [number = at_least(low)](std::string& text) { return text == "inf" ? std::string() : number(text); }, "");
}

inline CLI::Validator above_zero() {
  return CLI::Validator(
      [number = at_least(0.0)](std::string& text) {
        std::string refusal = number(text);
        if (refusal.empty() && std::stod(text) == 0) refusal = "must be a number above 0, not " + text;
        return refusal;
      },
      "");
}

inline CLI::Validator finite() {
  return CLI::Validator(
      [number = at_least(std::numeric_limits<double>::lowest())](std::string& text) {
        return number(text).empty() ? std::string() : "must be a finite number, not " + text.substr(0, 40);
      },
      "");
}

// --threads of every program. More than the most is refused here: OpenMP would end the program without a word of ours.
inline void add_threads(CLI::App& app, int& threads, const std::string& note = "") {
  constexpr int most = 1024;
  app.add_option("--threads", threads, "CPU threads; 0 = all" + (note.empty() ? "" : ". " + note))
      ->type_name("N")
      ->check(in_range(0, most))
      ->capture_default_str();
}

}  // namespace monge::apps
