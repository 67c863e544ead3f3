#pragma once
// Statuses as what they are about: applied to the status subresource of Istio's objects.
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "agent/kube/client.h"
#include "agent/state/api_queue.h"
#include "agent/state/status_sink.h"
#include "userspace-proxy/base/clock.h"

namespace weft::state {

struct ApiStatusOptions {
  std::string manager = "weft-control";  // fieldManager
  ApiQueueOptions queue;
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
};

// Only who leads writes: set_leading(true) writes what is not there yet, set_leading(false) ends it within the request
// under way. Until then statuses are kept, the newest of each object. Each object is read before its status is written,
// so that a new leader repeats nothing. Owner: main. Threads: apply() the state's, set_leading() any, the requests the
// queue's. The client outlives it; Client::stop ends a request that hangs.
class ApiStatusWriter final : public StatusSink {
 public:
  ApiStatusWriter(kube::Client& client, const base::Clock& clock, ApiStatusOptions options = {});
  ~ApiStatusWriter() override;
  ApiStatusWriter(const ApiStatusWriter&) = delete;
  ApiStatusWriter& operator=(const ApiStatusWriter&) = delete;

  // Kinds whose status is not ours are passed over, and so are objects without uid. Never fails.
  base::Status apply(const std::vector<ObjectStatus>& statuses, const std::vector<StatusKey>& removed) override;
  void set_leading(bool leading);
  [[nodiscard]] const ApiStatusCounters& counters() const { return counters_; }
  [[nodiscard]] size_t waiting() const { return queue_.waiting(); }

 private:
  void enqueue(const ObjectStatus& status);
  [[nodiscard]] ApiOutcome tell(const ObjectStatus& status);
  [[nodiscard]] ApiOutcome judge(const kube::ApiError& error, const ObjectStatus& status);

  kube::Client& client_;
  const base::Clock& clock_;
  const ApiStatusOptions options_;
  ApiStatusCounters counters_;
  // The queue's thread's.
  std::set<StatusKey> conflicting_;  // said once
  bool said_forbidden_ = false, said_failure_ = false;

  std::mutex mutex_;  // guards what follows
  std::map<StatusKey, ObjectStatus> latest_;
  bool leading_ = false;

  ApiQueue queue_;  // dies first: its thread uses the rest
};

}  // namespace weft::state
