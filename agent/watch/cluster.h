#pragma once
// The objects of an API server as a stream of typed events: the second door of this room.
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "agent/kube/config.h"
#include "agent/kube/reflector.h"
#include "agent/watch/event.h"
#include "agent/watch/served_catalog.h"
#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/result.h"

namespace weft::watch {

// All that state folds. Istio's kinds are read at v1 (served by Istio's CRDs since 1.22 and by weft's own).
[[nodiscard]] const std::vector<objects::Kind>& kinds_of_the_mesh();

struct ClusterWatchOptions {
  kube::Config config;
  std::vector<objects::Kind> kinds = kinds_of_the_mesh();
  kube::ReflectorLimits limits;
};

// Where one kind stands, for reports.
struct KindStatus {
  objects::Kind kind{};
  std::string resource;  // "virtualservices.networking.istio.io/v1"
  kube::ReflectorPhase phase = kube::ReflectorPhase::kListing;
  std::string why;      // a sentence, for kStale and kAbsent
  bool synced = false;  // its first whole look is through
  uint64_t objects = 0;
  uint64_t bytes = 0, list_ms = 0;  // of answers so far; how long the last whole look took
};

// Emits what DirectoryWatch emits, from an API server. A kind whose CRD is not there counts as a kind without objects:
// Synced does not wait for it, it is looked for now and then, and its objects come when they come. While the server is
// away or says no, nothing changes: what was told stays. Synced waits for every kind that the server serves, also for
// those that it refuses to show: a mesh without its policies would be open.
//
// Owner: main (agent). Thread: the reflectors', from start() to stop(); the sink is called there. Lifetime: the
// destructor stops and joins.
class ClusterWatch {
 public:
  static base::Result<std::unique_ptr<ClusterWatch>> create(ClusterWatchOptions options, const base::Clock& clock,
                                                            Sink sink);
  ~ClusterWatch();
  ClusterWatch(const ClusterWatch&) = delete;
  ClusterWatch& operator=(const ClusterWatch&) = delete;

  void start();
  void stop();
  // Any thread.
  [[nodiscard]] std::vector<KindStatus> status() const;
  [[nodiscard]] const ServedCounters& counters() const { return counters_; }

 private:
  class KindSink;
  explicit ClusterWatch(Sink sink);
  void flush();
  void look_whether_synced();

  Sink sink_;
  ServedCounters counters_;
  ServedCatalog catalog_;  // the reflectors' thread's
  bool said_synced_ = false;
  std::vector<std::unique_ptr<KindSink>> kinds_;  // outlives the reflectors; same order
  std::unique_ptr<kube::Reflectors> reflectors_;
};

}  // namespace weft::watch
