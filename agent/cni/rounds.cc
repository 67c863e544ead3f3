#include "agent/cni/rounds.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>

namespace weft::cni {
namespace {

int ms(base::Nanos time) {
  return static_cast<int>(std::chrono::ceil<base::Millis>(time).count());
}

}  // namespace

base::Result<std::unique_ptr<Rounds>> Rounds::create(Options options, std::function<void()> work) {
  base::Fd wake(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake) return base::fail_errno("eventfd");
  return std::unique_ptr<Rounds>(new Rounds(std::move(options), std::move(work), std::move(wake)));
}

void Rounds::start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), options_.name.c_str());
    run();
  });
}

void Rounds::run() {
  while (!stopping_) {
    work_();
    if (options_.pause.count() > 0 && !stopping_) poll(nullptr, 0, ms(options_.pause));
    if (stopping_) return;
    std::array<pollfd, 2> both = {pollfd{.fd = wake_.get(), .events = POLLIN, .revents = 0},
                                  pollfd{.fd = options_.readable, .events = POLLIN, .revents = 0}};
    poll(both.data(), both.size(), ms(options_.every));
    uint64_t count = 0;
    (void)!read(wake_.get(), &count, sizeof count);
  }
}

void Rounds::ask() {
  const uint64_t one = 1;
  (void)!write(wake_.get(), &one, sizeof one);
}

void Rounds::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  ask();
  thread_.join();
}

}  // namespace weft::cni
