#include "agent/signals.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

namespace weft::agent {

Signals::Signals(base::Loop& loop, base::Fd fd, std::function<void()> on_stop)
    : loop_(loop), fd_(std::move(fd)), on_stop_(std::move(on_stop)) {}

Signals::~Signals() {
  loop_.remove(fd_.get(), this);
}

base::Result<std::unique_ptr<Signals>> Signals::create(base::Loop& loop, std::function<void()> on_stop) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  if (const int error = pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0)
    return base::fail_errno(error, "pthread_sigmask");
  signal(SIGPIPE, SIG_IGN);
  base::Fd fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return base::fail_errno("signalfd");
  auto signals = std::unique_ptr<Signals>(new Signals(loop, std::move(fd), std::move(on_stop)));
  TRY(loop.add(signals->fd_.get(), EPOLLIN, signals.get()));
  return signals;
}

void Signals::on_io(uint32_t) {
  signalfd_siginfo info;
  if (read(fd_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) on_stop_();
}

}  // namespace weft::agent
