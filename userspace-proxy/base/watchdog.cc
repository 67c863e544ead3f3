#include "userspace-proxy/base/watchdog.h"

#include <pthread.h>

#include <cstdlib>
#include <utility>

#include "userspace-proxy/base/log.h"
#include "userspace-proxy/base/loop.h"

namespace weft::base {

Watchdog::Watchdog(OnHung on_hung, WatchdogOptions options) : on_hung_(std::move(on_hung)), options_(options) {}

Watchdog::~Watchdog() { stop(); }

void Watchdog::watch(std::string name, Loop& loop) { watched_.push_back({.name = std::move(name), .loop = &loop}); }

void Watchdog::start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "watchdog");
    run();
  });
}

void Watchdog::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Watchdog::run() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, options_.tick, [this] { return stopping_; })) ask();
}

// One question at a time: a loop that hangs has one task in its mailbox, not one for every tick.
void Watchdog::ask() {
  for (Watched& one : watched_) {
    if (one.answered->exchange(false)) {
      one.missed = 0;
      one.loop->post([answered = one.answered] { *answered = true; });
    } else if (++one.missed == options_.misses) {
      on_hung_(one.name);
    }
  }
}

void Watchdog::die(const std::string& loop) {
  spdlog::critical("the loop \"{}\" does not turn any more: this process ends, to be started anew", loop);
  spdlog::default_logger()->flush();
  std::abort();
}

}  // namespace weft::base
