#pragma once
// Writes to an API server that wait for nobody: one thread, bounded in rate, patient with a server that is away.
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "userspace-proxy/base/clock.h"

namespace weft::state {

struct ApiQueueOptions {
  double per_second = 20, burst = 50;  // pieces of work
  base::Nanos retry_first = std::chrono::seconds(1), retry_most = std::chrono::seconds(30);
  base::Nanos retry_forbidden = std::chrono::seconds(60);
};

enum class ApiOutcome : uint8_t {
  kDone,
  kAgain,      // the server is away or busy: everything waits, doubled from retry_first to retry_most
  kForbidden,  // again, but only after retry_forbidden: somebody has to grant it first
};

// Work by name; what is put under a name replaces what waits there. Owner: whoever writes. Threads: any may put; the
// work runs in the queue's own. The destructor waits for the work under way, no other.
class ApiQueue {
 public:
  using Work = std::function<ApiOutcome()>;

  ApiQueue(const base::Clock& clock, ApiQueueOptions options);
  ~ApiQueue();
  ApiQueue(const ApiQueue&) = delete;
  ApiQueue& operator=(const ApiQueue&) = delete;

  void put(const std::string& name, Work work);
  // Work under way is not stopped, but not repeated either.
  void drop(const std::string& name);
  void clear();
  [[nodiscard]] size_t waiting() const;

 private:
  void run();
  [[nodiscard]] bool wait_for_work(std::unique_lock<std::mutex>& lock);
  [[nodiscard]] base::Nanos take_token(base::Instant now);

  const base::Clock& clock_;
  const ApiQueueOptions options_;
  // The thread's own.
  double tokens_;
  base::Instant filled_;
  base::Nanos pause_{0};

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::map<std::string, Work> work_;
  std::deque<std::string> order_;  // may name what was dropped
  bool dropped_ = false;           // the work under way
  std::string running_;            // its name
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace weft::state
