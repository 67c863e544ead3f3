#pragma once
// Events (events.k8s.io/v1): what a user sees under `kubectl describe`. The same thing again becomes a
// series, not another Event; nobody is flooded.
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "agent/kube/client.h"
#include "agent/objects/node.h"
#include "userspace-proxy/base/clock.h"

namespace weft::kube {

// What an Event is about (core/v1 ObjectReference).
struct Regarding {
  std::string api_version, kind, ns, name, uid;
  auto operator<=>(const Regarding&) const = default;
};

struct Happening {
  Regarding regarding;
  bool warning = false;  // type Warning instead of Normal
  std::string reason;    // "MeshCaptured": a word for machines, at most 128 bytes
  std::string action;    // "Capturing": what was being done, at most 128 bytes
  std::string note;      // a sentence; clipped at 1024 bytes
};

struct EventOptions {
  std::string controller;  // reportingController: "weft.mesh/agent"
  std::string instance;    // reportingInstance: the node or pod
  base::Nanos series_gap =
      std::chrono::minutes(6);  // the same after a longer silence is a new Event (client-go's)
  base::Nanos series_write = std::chrono::seconds(60);  // a series that grows is written this often at most
  size_t burst_per_object = 25;                         // Events about one object at once,
  base::Nanos refill_per_object = std::chrono::minutes(5);  // and one more each
  size_t burst = 100;                                       // for all,
  base::Nanos refill = std::chrono::milliseconds(200);      // and one more each
  size_t max_series = 4096;                                 // remembered; the oldest goes first
  size_t max_queue = 1024;                                  // not yet written
};

// One write to the server.
struct EventWrite {
  bool create = true;
  std::string ns, name;
  objects::Node object;  // the whole Event, or a merge patch of its series
};

struct EventCounters {
  std::atomic<uint64_t> happenings{0};
  std::atomic<uint64_t> series{0};   // of these: told as part of a series
  std::atomic<uint64_t> dropped{0};  // by a bound: too many about one object, too many at all, queue full
  std::atomic<uint64_t> written{0};
  std::atomic<uint64_t> failed{0};  // the server did not take it; not repeated but for 429 and 503
};

// Decides what is written when. Pure: no thread, no server. Names are made unique by the wall clock and a
// counter.
class EventLedger {
 public:
  EventLedger(EventOptions options, EventCounters& counters)
      : options_(std::move(options)), counters_(counters) {}

  [[nodiscard]] std::optional<EventWrite> add(const Happening& happening, base::Instant now,
                                              base::WallTime wall);
  // Series that have grown and were not written for series_write.
  [[nodiscard]] std::vector<EventWrite> due(base::Instant now);
  // The server does not have it any more (Events live an hour): the next of its kind is a new Event.
  void forget(const std::string& ns, const std::string& name);
  [[nodiscard]] size_t series() const { return series_.size(); }

 private:
  struct Key {
    Regarding regarding;
    bool warning;
    std::string reason, action;
    auto operator<=>(const Key&) const = default;
  };
  struct Series {
    std::string ns, name;
    uint64_t count = 1, written_count = 1;
    base::Instant last{}, written{};
    base::WallTime last_wall{};
  };
  struct Bucket {
    double tokens;
    base::Instant filled;
  };
  [[nodiscard]] bool admit(const Regarding& regarding, base::Instant now);
  [[nodiscard]] static bool take(Bucket& bucket, size_t burst, base::Nanos refill, base::Instant now);
  [[nodiscard]] objects::Node event_object(const Happening& happening, const Series& series) const;
  void make_room(base::Instant now);

  EventOptions options_;
  EventCounters& counters_;
  std::map<Key, Series> series_;
  std::map<Regarding, Bucket> buckets_;
  std::optional<Bucket> all_;
  uint64_t number_ = 0;
};

// Writes Events in a thread of its own. record() never blocks and never fails: an Event is a courtesy. The
// destructor writes what is left for at most `kLinger` and joins.
class EventRecorder {
 public:
  static constexpr base::Nanos kLinger = std::chrono::seconds(2);

  EventRecorder(Client& client, const base::Clock& clock, EventOptions options);
  ~EventRecorder();
  EventRecorder(const EventRecorder&) = delete;
  EventRecorder& operator=(const EventRecorder&) = delete;

  void record(Happening happening);  // any thread
  [[nodiscard]] const EventCounters& counters() const { return counters_; }

 private:
  void run();
  void write(const EventWrite& event);

  Client& client_;
  const base::Clock& clock_;
  const size_t max_queue_;
  EventCounters counters_;
  EventLedger ledger_;  // the thread's own
  std::mutex mutex_;    // guards queue_ and stopping_
  std::condition_variable wake_;
  std::deque<Happening> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace weft::kube
