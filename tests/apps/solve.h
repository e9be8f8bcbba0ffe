#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "monge/data/npy.h"
#include "monge/tests/apps/programs.h"

namespace monge::apps {

// ot_solve from outside, in a folder of its own.
class Solve : public testing::Test {
 protected:
  // n x d numbers, row by row.
  template <class T>
  void save(const std::string& name, Index rows, const std::vector<T>& values) {
    data::write_npy(folder / name, MatrixView<const T>(values.data(), rows, static_cast<Index>(values.size()) / rows));
  }

  // n x d standard normals (floats), `shift` added, of a stream of their own.
  std::vector<float> save_cloud(const std::string& name, Index n, Index d, std::uint64_t stream, float shift = 0) {
    std::vector<float> values(static_cast<std::size_t>(n * d));
    fill_normal(Rng{11, stream}, 0, values);
    for (float& v : values) v += shift;
    save(name, n, values);
    return values;
  }

  Outcome solve(const std::string& arguments) { return run(folder, "ot_solve", arguments); }

  // The JSON of a run that must end well, and say nothing else on standard output.
  nlohmann::json result(const std::string& arguments, int status = 0) {
    const Outcome outcome = solve(arguments + " --json -");
    EXPECT_EQ(outcome.status, status) << arguments << "\n" << outcome.err;
    return outcome.out.empty() ? nlohmann::json() : nlohmann::json::parse(outcome.out);
  }

  static void expect_brackets(const nlohmann::json& r, double truth) {
    EXPECT_LE(r.at("lower"), truth) << r.dump(2);
    EXPECT_GE(r.at("upper"), truth) << r.dump(2);
  }

  // One line that says `what`, the given exit status, nothing on standard output, and no output file.
  void expect_refusal(const std::string& arguments, const std::string& what, int status = 1) {
    const Outcome outcome = solve(arguments + " --json out.json --plan out.npy");
    EXPECT_EQ(outcome.status, status) << arguments << "\n" << outcome.err;
    EXPECT_NE(outcome.err.find(what), std::string::npos) << arguments << "\n" << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_EQ(outcome.out, "") << arguments;
    for (const char* output : {"out.json", "out.npy"})
      EXPECT_FALSE(std::filesystem::exists(folder / output)) << arguments;
  }

  Folder folder;
};

}  // namespace monge::apps
