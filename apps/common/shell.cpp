#include "monge/apps/common/shell.h"

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <new>

#include "monge/apps/common/interrupt.h"
#include "monge/data/atomic_file.h"
#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

int fail(const std::string& name, std::string what, int status) {
  std::replace(what.begin(), what.end(), '\n', ' ');
  say(name, "error: " + what);
  return status;
}

// A stream that is closed keeps its number: else the next file opened would get it, and what is printed.
void hold_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) < 0) open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);  // writes fail
  }
}

// "--set a=b FILE": FILE is not a second value of --set.
void take_one_value_at_a_time(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    if (!option->get_positional()) option->allow_extra_args(false);
  }
  for (CLI::App* command : app.get_subcommands({})) take_one_value_at_a_time(*command);
}

void flush_output() {
  errno = 0;
  if (!std::cout.flush() || std::ferror(stdout)) {
    throw Error(Errc::io, concat("cannot write to standard output: ", std::strerror(errno ? errno : EIO)));
  }
}

int run(CLI::App& app, int argc, char** argv, const std::function<void()>& body) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    app.exit(help);
    flush_output();
    return 0;
  }
  body();
  flush_output();
  if (interrupted()) throw Interrupted("interrupted when all was done");
  return 0;
}

}  // namespace

int run_main(CLI::App& app, int argc, char** argv, const std::function<void()>& body) {
  const std::string name = app.get_name();
  try {
    hold_standard_streams();
    catch_interrupts();
    take_one_value_at_a_time(app);
    return run(app, argc, argv, body);
  } catch (const CLI::ParseError& error) {
    return fail(name, std::string(error.what()) + " (" + name + " --help says more)", 2);
  } catch (const Interrupted& interrupted) {
    say(name, interrupted.what());
    return interrupt_exit_code();
  } catch (const std::bad_alloc&) {
    return fail(name, "out of memory", 1);
  } catch (const std::exception& error) {
    return fail(name, error.what(), 1);
  }
}

void say(const std::string& name, const std::string& text) { std::cerr << name + ": " + text + "\n" << std::flush; }

void write_output(const std::string& target, const std::string& text) {
  if (target != "-") return data::write_text("write", target, text);
  std::cout << text;
  flush_output();
}

}  // namespace monge::apps
