#pragma once
// Notices loops that do not turn any more.
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "userspace-proxy/base/clock.h"

namespace weft::base {

class Loop;

struct WatchdogOptions {
  Nanos tick = std::chrono::seconds(10);
  uint32_t misses = 6;  // ticks in a row without a turn
};

// A thread of its own that posts to every loop it watches and looks for the answer at each tick. Counted in its own
// ticks, not in time: a machine that slept is no loop that hangs. Owned by whoever owns the loops, dies before them.
class Watchdog {
 public:
  // Told once, in the watchdog's thread, which loop it is.
  using OnHung = std::function<void(const std::string& loop)>;

  explicit Watchdog(OnHung on_hung = die, WatchdogOptions options = {});
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // Before start(). `loop` may begin to run later, but within the patience.
  void watch(std::string name, Loop& loop);
  void start();
  void stop();  // asks no loop any more after the return

  // Says which loop hangs and ends the process with SIGABRT, so that whoever started it starts it anew.
  static void die(const std::string& loop);

 private:
  struct Watched {
    std::string name;
    Loop* loop = nullptr;
    std::shared_ptr<std::atomic<bool>> answered = std::make_shared<std::atomic<bool>>(true);
    uint32_t missed = 0;
  };
  void run();
  void ask();

  const OnHung on_hung_;
  const WatchdogOptions options_;
  std::vector<Watched> watched_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace weft::base
