#pragma once
// One leader of several replicas, by a Lease (coordination.k8s.io/v1), as client-go's leader election does
// it: same fields, same times, so kubectl shows who leads. It does not fence: a leader whose clock stands
// still may act late.
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "agent/kube/client.h"
#include "userspace-proxy/base/clock.h"

namespace weft::kube {

struct LeaseOptions {
  std::string ns, name;
  std::string identity;                             // of this replica, unique: the pod's name
  base::Nanos duration = std::chrono::seconds(15);  // others wait this long after the last renewal they saw
  base::Nanos renew_deadline = std::chrono::seconds(10);  // who could not renew for so long leads no more
  base::Nanos retry = std::chrono::seconds(2);            // between two looks, times [1, 1.2)
};

// spec of a Lease. Times are wall clock of whoever wrote them; only changes are compared, never our clock
// with theirs.
struct LeaseRecord {
  std::string holder;
  int64_t duration_seconds = 0;
  std::string acquire_time, renew_time;  // MicroTime, RFC 3339
  int64_t transitions = 0;
  bool operator==(const LeaseRecord&) const = default;
};
[[nodiscard]] LeaseRecord read_lease(const objects::Node& lease);

// What one replica does about what it sees. Pure: no thread, no server.
class Election {
 public:
  explicit Election(const LeaseOptions& options) : options_(options) {}

  enum class Move : uint8_t {
    kCreate,  // no Lease is there: make it
    kTake,    // nobody holds it, or its holder has not renewed for its duration
    kRenew,   // it is ours
    kWait,    // another's
  };
  // `seen` as it was read now; nothing: there is none.
  [[nodiscard]] Move look(const std::optional<LeaseRecord>& seen, base::Instant now);
  // What to write for kCreate, kTake and kRenew. REQUIRES: look() said so.
  [[nodiscard]] LeaseRecord record(base::WallTime wall) const;
  // What to write when leaving: nobody holds it, the next may take it at once.
  [[nodiscard]] LeaseRecord released(base::WallTime wall) const;
  // It was written. `asked`: when the request for it was sent.
  void won(const LeaseRecord& written, base::Instant asked);
  // It was written by another meanwhile, or is gone.
  void lost();
  // A leader until then, if nothing more is heard; past: none.
  [[nodiscard]] bool leads(base::Instant now) const { return leads_until_ && now < *leads_until_; }
  [[nodiscard]] std::optional<base::Instant> leads_until() const { return leads_until_; }
  [[nodiscard]] const std::string& holder() const { return seen_.holder; }

 private:
  LeaseOptions options_;
  LeaseRecord seen_;
  base::Instant seen_at_{};  // when seen_ was first seen so
  bool any_seen_ = false;
  std::optional<base::Instant> leads_until_;
};

// Runs an Election against an API server. Thread: its own; callbacks come from there. Owner: the control
// role. The destructor stops, gives the Lease back if it is ours, and joins (at most some 5 s).
class LeaderElection {
 public:
  struct Callbacks {
    std::function<void()> elected;
    std::function<void()> lost;  // also before the thread ends, if it led
  };
  LeaderElection(Client& client, const base::Clock& clock, LeaseOptions options, Callbacks callbacks);
  ~LeaderElection();
  LeaderElection(const LeaderElection&) = delete;
  LeaderElection& operator=(const LeaderElection&) = delete;

  void start();
  void stop();
  // Any thread: by the clock, so also when the thread hangs in a request. Ask before each act of a leader.
  [[nodiscard]] bool leads() const;
  [[nodiscard]] std::string holder() const;   // as last seen
  [[nodiscard]] std::string problem() const;  // why the last look failed; empty: it did not

 private:
  void run();
  void step();
  ApiResult<void> write(Election::Move move, base::Instant asked);
  void note(const ApiError* error);
  void publish();
  void release();

  Client& client_;
  const base::Clock& clock_;
  const LeaseOptions options_;
  const Callbacks callbacks_;
  Election election_;   // the thread's own
  objects::Node last_;  // the Lease as last read, for its resourceVersion
  bool told_leading_ = false;
  std::atomic<int64_t> leads_until_{0};  // nanoseconds of the clock
  mutable std::mutex mutex_;             // guards stopping_, holder_ and problem_
  std::condition_variable wake_;
  bool stopping_ = false;
  std::string holder_, problem_;
  std::thread thread_;
};

}  // namespace weft::kube
