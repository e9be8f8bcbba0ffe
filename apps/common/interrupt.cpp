#include "monge/apps/common/interrupt.h"

#include <csignal>

namespace monge::apps {
namespace {

volatile std::sig_atomic_t caught_signal = 0;

void remember(int signal) { caught_signal = signal; }

}  // namespace

void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);  // the second one gets the default: death
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);  // nobody listening is no reason to drop hours of work
}

bool interrupted() { return caught_signal != 0; }

int interrupt_exit_code() { return 128 + caught_signal; }

void check_interrupt() {
  if (interrupted()) throw Interrupted();
}

}  // namespace monge::apps
