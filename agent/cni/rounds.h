#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/base/result.h"

namespace weft::cni {

// A named thread that does the same work again and again: now and then, when it is asked to, and when a
// descriptor says so. For what reads many files or waits for disks and must not hold up a loop. Owned by a
// role.
class Rounds {
 public:
  struct Options {
    std::string name;     // of the thread
    base::Nanos every{};  // at the latest
    base::Nanos pause{};  // at least, between two rounds: whoever causes them cannot keep it busy
    int readable = -1;    // a round is due when it is; the work reads it
  };
  static base::Result<std::unique_ptr<Rounds>> create(Options options, std::function<void()> work);
  ~Rounds() { stop(); }

  void start();  // the first round comes at once
  void stop();   // no round runs after the return
  void ask();    // any thread

 private:
  Rounds(Options options, std::function<void()> work, base::Fd wake)
      : options_(std::move(options)), work_(std::move(work)), wake_(std::move(wake)) {}
  void run();

  const Options options_;
  const std::function<void()> work_;
  base::Fd wake_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace weft::cni
