#pragma once
#include <exception>

namespace monge::apps {

// The first SIGINT (Ctrl-C) or SIGTERM asks the program to save its work and stop; a second one kills it.
void catch_interrupts();

// Whether it was asked to stop.
bool interrupted();

// 128 + the number of the signal: 130 after Ctrl-C, 143 after SIGTERM.
int interrupt_exit_code();

// Ends a program that was asked to stop, once its work is saved; run_main turns it into the exit code.
struct Interrupted : std::exception {
  const char* what() const noexcept override { return "interrupted"; }
};

// Throws Interrupted if the program was asked to stop.
void check_interrupt();

}  // namespace monge::apps
