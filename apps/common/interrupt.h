#pragma once
#include <stdexcept>
#include <string>

namespace monge::apps {

// The first SIGINT (Ctrl-C) or SIGTERM asks the program to save its work and stop; a second one kills it. Files over
// the size limit and closed pipes become errors of the write that meets them.
void catch_interrupts();

// Whether it was asked to stop.
bool interrupted();

// 128 + the number of the signal: 130 after Ctrl-C, 143 after SIGTERM.
int interrupt_exit_code();

// Ends a program that was asked to stop, once its work is saved; run_main says `what` and turns it into the exit code.
struct Interrupted : std::runtime_error {
  explicit Interrupted(const std::string& what = "interrupted") : std::runtime_error(what) {}
};

// Throws Interrupted if the program was asked to stop.
void check_interrupt();

}  // namespace monge::apps
