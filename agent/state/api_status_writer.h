#pragma once
// Statuses as what they are about: applied to the status subresource of Istio's objects.
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "agent/kube/client.h"
#include "agent/state/status_sink.h"
#include "userspace-proxy/base/clock.h"

namespace weft::state {

struct ApiStatusOptions {
  std::string manager = "weft-control";  // fieldManager
  double per_second = 20;                // objects looked at or written, after a burst
  double burst = 50;
  base::Nanos retry_first = std::chrono::seconds(1), retry_most = std::chrono::seconds(30);  // the server is away
  base::Nanos retry_forbidden = std::chrono::seconds(60);
  std::function<bool()> leads = {};  // asked before each write, beside set_leading(); called in the writer's thread
};

// Read by any thread.
struct ApiStatusCounters {
  std::atomic<uint64_t> written{0};
  std::atomic<uint64_t> unchanged{0};  // the object said it already
  std::atomic<uint64_t> conflicts{0};  // another manager owns the status; left alone until there is news to tell
  std::atomic<uint64_t> gone{0};       // deleted meanwhile, or another object has its name
  std::atomic<uint64_t> forbidden{0};
  std::atomic<uint64_t> failures{0};  // anything else; tried again
  std::atomic<uint64_t> waiting{0};   // to be written, now
};

// Only who leads writes: set_leading(true) writes what is not there yet, set_leading(false) ends it within the request
// under way. Until then statuses are kept, the newest of each object. Each object is read before its first status is
// written, so that a new leader repeats nothing. Owner: main. Threads: apply() the state's, set_leading() any, the
// requests one of its own. The client outlives it; stop it (Client::stop) to end a request that hangs.
class ApiStatusWriter final : public StatusSink {
 public:
  ApiStatusWriter(kube::Client& client, const base::Clock& clock, ApiStatusOptions options = {});
  ~ApiStatusWriter() override;

  // Kinds whose status is not ours are passed over, and so are objects without uid. Never fails.
  base::Status apply(const std::vector<ObjectStatus>& statuses, const std::vector<StatusKey>& removed) override;
  void set_leading(bool leading);
  [[nodiscard]] const ApiStatusCounters& counters() const { return counters_; }

 private:
  enum class Outcome : uint8_t { kDone, kAgain, kAgainMuchLater };
  void run();
  [[nodiscard]] bool wait_for_work(std::unique_lock<std::mutex>& lock);
  [[nodiscard]] Outcome tell(const ObjectStatus& status);
  [[nodiscard]] Outcome judge(const kube::ApiError& error, const ObjectStatus& status);
  void enqueue(const StatusKey& key);
  [[nodiscard]] base::Nanos take_token(base::Instant now);

  kube::Client& client_;
  const base::Clock& clock_;
  const ApiStatusOptions options_;
  ApiStatusCounters counters_;

  // Of the thread alone.
  double tokens_;
  base::Instant filled_{};
  base::Nanos backoff_{0};
  std::set<StatusKey> conflicting_;  // said once
  bool said_forbidden_ = false, said_failure_ = false;

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::map<StatusKey, ObjectStatus> latest_;
  std::deque<StatusKey> queue_;  // each key once
  std::set<StatusKey> queued_;
  bool leading_ = false, stopping_ = false;
  std::thread thread_;
};

}  // namespace weft::state
