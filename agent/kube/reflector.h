#pragma once
// Objects of an API server as they are and as they change: list, then watch, for ever.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agent/kube/config.h"
#include "agent/kube/resource.h"
#include "agent/objects/node.h"
#include "agent/parse/json.h"
#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/result.h"

namespace weft::kube {

enum class ReflectorPhase : uint8_t {
  kListing,   // a whole look is under way; between here and on_synced() old and new objects may stand side by
              // side
  kWatching,  // all is told as it happens
  kStale,     // the server is away or says no: what was told is kept, `since` when and `why` says which way
  kAbsent,  // the server does not serve the resource (its CRD is not there): told as "no objects", looked for
            // on and on
};
[[nodiscard]] std::string_view name_of(ReflectorPhase phase);  // "listing"

struct ReflectorState {
  ReflectorPhase phase = ReflectorPhase::kListing;
  base::Instant since{};
  std::string why;  // a sentence for a user; empty but for kStale and kAbsent
};

// Who is told. Thread: the Reflectors', which serves the others too: must not block for long, nor call back
// into them. What was told stays good while the server is away.
class ReflectorSink {
 public:
  virtual ~ReflectorSink() = default;
  // It is there, or is there in a new form; apiVersion and kind are filled in. Not repeated if a later whole
  // look finds the same resourceVersion.
  virtual void on_object(objects::Node object) = 0;
  // It was deleted, has left the selector, or a whole look did not find it any more.
  virtual void on_gone(const ObjectName& name) = 0;
  // A whole look is through: all that is there was told, and what is gone too. The first of them says that
  // the consumer may begin; later ones follow a 410 of the server.
  virtual void on_synced() = 0;
  // All that has arrived so far was told: the end of a burst.
  virtual void on_batch_end() {}
  virtual void on_state(const ReflectorState& state) = 0;
};

// What is looked at, by one consumer.
struct ReflectorSpec {
  Resource resource;
  std::string ns;  // empty: all
  std::string label_selector, field_selector;
  parse::Unread unread;  // fields that the consumer does not look at: they are missing in what it is told
};

struct ReflectorLimits {
  // Objects an answer of the list; halved while an answer is longer than max_chunk. A pod is 5 to 15 KiB, and a page costs
  // about six times its bytes while it is read.
  uint32_t chunk = 250;
  size_t max_chunk = 64u << 20;  // bytes
  size_t max_line = 8u << 20;    // bytes of one event; etcd takes objects of 1.5 MiB
  size_t max_objects = 1'000'000;
  base::Nanos list_deadline = std::chrono::seconds(60);  // of one chunk
  base::Nanos watch_at_least = std::chrono::minutes(5);  // timeoutSeconds is drawn from [this, twice this)
  base::Nanos idle = std::chrono::seconds(150);          // without a byte; a bookmark comes every minute
  base::Nanos backoff_first =
      std::chrono::milliseconds(800);  // doubled up to backoff_most, then [1, 2) times that
  base::Nanos backoff_most = std::chrono::seconds(30);
  // The same while nobody answers at all: who is away is not burdened by a question.
  base::Nanos backoff_away = std::chrono::seconds(10);
  base::Nanos absent_after =
      std::chrono::seconds(30);  // how long 404 has to last until objects that were told are gone
};

// Read by any thread.
struct ReflectorCounters {
  std::atomic<uint64_t> lists{0};  // whole looks that came to their end
  std::atomic<uint64_t> chunks{0};
  std::atomic<uint64_t> watches{0};  // that were answered
  std::atomic<uint64_t> relists{0};  // because the version was too old (410)
  std::atomic<uint64_t> events{0};   // without bookmarks
  std::atomic<uint64_t> bookmarks{0};
  std::atomic<uint64_t> unchanged{0};  // objects a whole look found as they were
  std::atomic<uint64_t> bytes{0};
  std::atomic<uint64_t> errors{0};     // requests that failed or were refused
  std::atomic<uint64_t> busy{0};       // of these: 429 and 503
  std::atomic<uint64_t> idle_cuts{0};  // of these: nothing came for too long
  std::atomic<uint64_t> malformed{0};  // of these: what came was no answer of an API server
  std::atomic<uint64_t> objects{0};    // held by the consumer now
  std::atomic<uint64_t> list_ms{0};    // how long the last whole look took, waits included
};

struct ReflectorStatus {
  ReflectorSpec spec;
  ReflectorState state;
  bool synced = false;                          // ever
  base::Nanos last_heard{-1};                   // since the last byte of a good answer; -1: never
  const ReflectorCounters* counters = nullptr;  // lives as long as the Reflectors
};

// Any number of reflectors on one thread and, where the server speaks HTTP/2, one connection (libcurl multi).
// The list asks for the most recent state (resourceVersion unset): from Kubernetes 1.31 on it is served from
// the watch cache, consistently; before, from etcd, and still never older than what was seen, which "0" may
// be. Owner: the caller. add() before start(); sinks outlive stop(). The destructor stops and joins.
class Reflectors {
 public:
  static base::Result<std::unique_ptr<Reflectors>> create(Config config, const base::Clock& clock,
                                                          const ReflectorLimits& limits = {});
  ~Reflectors();
  Reflectors(const Reflectors&) = delete;
  Reflectors& operator=(const Reflectors&) = delete;

  void add(ReflectorSpec spec, ReflectorSink& sink);
  void start();
  void stop();
  // Any thread.
  [[nodiscard]] std::vector<ReflectorStatus> status() const;

 private:
  class Engine;
  explicit Reflectors(std::unique_ptr<Engine> engine);
  std::unique_ptr<Engine> engine_;
  std::thread thread_;
};

}  // namespace weft::kube
