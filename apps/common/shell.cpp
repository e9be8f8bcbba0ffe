#include "monge/apps/common/shell.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
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

}  // namespace

int run_main(CLI::App& app, int argc, char** argv, const std::function<void()>& body) {
  const std::string name = app.get_name();
  try {
    catch_interrupts();
    app.parse(argc, argv);
    body();
    std::cout.flush();
    if (!std::cout) throw Error(Errc::io, "cannot write to standard output");
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return fail(name, std::string(error.what()) + " (" + name + " --help says more)", 2);
  } catch (const Interrupted&) {
    return interrupt_exit_code();
  } catch (const std::bad_alloc&) {
    return fail(name, "out of memory", 1);
  } catch (const std::exception& error) {
    return fail(name, error.what(), 1);
  }
  return 0;
}

void say(const std::string& name, const std::string& text) { std::cerr << name + ": " + text + "\n" << std::flush; }

void write_output(const std::string& target, const std::string& text) {
  if (target != "-") return data::write_text("write", target, text);
  errno = 0;
  if (!(std::cout << text << std::flush)) {
    throw Error(Errc::io, concat("cannot write to standard output: ", std::strerror(errno ? errno : EIO)));
  }
}

}  // namespace monge::apps
