// monge: questions about this machine and this build.
#include <CLI/CLI.hpp>

#include "monge/apps/common/shell.h"
#include "monge/ot/core/doctor.h"

int main(int argc, char** argv) {
  CLI::App app{"Says what this machine and this build of monge offer, and why CUDA is or is not used.\n", "monge"};
  app.footer("Exit status: 0 when done, 1 for an error, 2 for wrong usage.");
  app.require_subcommand(1);
  app.add_subcommand("doctor", "Threads, instruction sets, CUDA devices");
  return monge::apps::run_main(app, argc, argv, [] { monge::apps::write_output("-", monge::ot::doctor()); });
}
