#pragma once
#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace monge::apps {

// The outside of every program: parses the command line, then runs `body` with interrupts caught. Returns the exit
// status: 0 done, 1 an error (a standard output that takes nothing among them), 2 wrong usage, 128 + signal when
// interrupted. However it ends early, it says so in exactly one line on stderr, "NAME: error: what" or
// "NAME: interrupted". Options that may be given several times take one value at a time.
int run_main(CLI::App& app, int argc, char** argv, const std::function<void()>& body);

// Says something on stderr, "NAME: text", on a line of its own.
void say(const std::string& name, const std::string& text);

// Writes a result where the user wants it: into a file, whole or not at all, or on stdout if `target` is "-".
// Throws Error(io).
void write_output(const std::string& target, const std::string& text);

}  // namespace monge::apps
