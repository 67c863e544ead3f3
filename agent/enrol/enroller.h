#pragma once
// Brings the node's pods into the mesh and out of it, and keeps them captured meanwhile.
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/compile/tables.h"
#include "agent/enrol/pod.h"
#include "agent/enrol/pre_mesh_memory.h"
#include "agent/enrol/self_test.h"
#include "agent/enrol/status.h"
#include "agent/enrol/stock.h"
#include "agent/publish/publisher.h"
#include "userspace-proxy/base/loop.h"
#include "userspace-proxy/base/mutex.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::enrol {

struct EnrolOptions {
  base::Nanos self_test_every = std::chrono::seconds(5);
  base::SocketAddress self_test_v4, self_test_v6;
};

// What the Enroller works with; all of it outlives it.
struct EnrolDoors {
  PodKernel& kernel;
  publish::Outlet& outlet;
  SelfTester& tester;
  NetnsOpener open;
  // A namespace that an earlier agent armed and nobody names any more.
  std::function<base::Result<std::unique_ptr<PodNetns>>(uint64_t cookie)> find;
  PreMeshMemory* pre_mesh = nullptr;  // null: the agent after this one knows of no connections of before
};

class PodKeeper;

// Owned by main. Everything but status(), metrics() and the events of the Publisher, which may come from its
// thread, lives in the thread of `loop`, the one that writes the kernel tables. Its death leaves all pods
// captured.
class Enroller final : public publish::PublisherEvents {
 public:
  Enroller(base::Loop& loop, EnrolDoors doors, EnrolOptions options);
  ~Enroller() override;
  Enroller(const Enroller&) = delete;
  Enroller& operator=(const Enroller&) = delete;

  // First of all: learns which pods an earlier agent left captured.
  base::Status adopt();
  // A change of the tables goes between the two: who leaves does so before its policies go, who comes does so
  // after they are there. Pods of an earlier agent that the first enrol() does not name leave then.
  void release_absent(const std::vector<DesiredPod>& desired);
  void enrol(const std::vector<DesiredPod>& desired);
  // Called in the loop's thread when some pod's status has changed.
  void on_change(std::function<void()> listener) { on_change_ = std::move(listener); }

  // The hooks that all pods share were not all there for a while; `why` is a sentence of which, and that they
  // are again.
  void doubt_all(const std::string& why);

  // Every packet of the pod ("ns/name") in the namespace at this path passes the hooks; proven or not.
  [[nodiscard]] bool is_armed(const std::string& name, const std::string& netns_path) const;
  // The namespace of the armed pod with this id; null: there is none. Good until the loop's next turn.
  [[nodiscard]] PodNetns* netns_of(uint32_t pod_id) const;

  // Any thread.
  [[nodiscard]] std::vector<PodStatus> status() const;
  [[nodiscard]] EnrolMetrics metrics() const;
  // Every desired pod is captured, and the first enrol() is through.
  [[nodiscard]] bool ready() const;

  void on_proxy_ready(publish::ProxyId proxy) override;
  void on_proxy_gone(publish::ProxyId proxy) override;
  void on_stock_level(publish::ProxyId proxy, const model::StockLevel& report) override;
  void on_verdict(publish::ProxyId, const model::Verdict&) override {}

 private:
  friend class PodKeeper;
  // A desired pod whose namespace is not open, and why.
  struct Waiting {
    DesiredPod pod;
    std::string why;
  };

  void tick();
  void open_waiting();
  void take_in(std::unique_ptr<PodNetns> netns, const DesiredPod& desired);
  void make_room(uint32_t listener_slot);
  void release_inherited();
  void forget_strangers();
  void clear_tables(uint64_t cookie, const weft_pod& entry);
  void keep_all();
  void drop_gone();
  void account(base::Nanos passed);
  void follow_proxy();
  void publish_status();
  [[nodiscard]] PodKeeper* find_open(const DesiredPod& desired);
  [[nodiscard]] std::vector<PodStatus> collect() const;

  base::Loop& loop_;
  EnrolDoors doors_;
  const EnrolOptions options_;
  base::Timer timer_;
  base::Instant last_tick_;
  std::function<void()> on_change_;
  bool first_enrol_done_ = false;
  std::set<publish::ProxyId> proxies_;  // that have said hello
  publish::ProxyId proxy_ = 0;          // the newest of them; 0: none
  StockKeeper stock_;
  std::map<uint64_t, weft_pod> inherited_;  // by cookie; armed by an earlier agent, not yet named
  std::map<uint64_t, std::unique_ptr<PodKeeper>> pods_;  // by cookie
  std::vector<Waiting> waiting_;                         // their namespaces are not there (yet)
  EnrolMetrics numbers_;

  mutable base::Mutex mutex_;
  std::vector<PodStatus> status_ GUARDED_BY(mutex_);
  EnrolMetrics metrics_ GUARDED_BY(mutex_);
  bool ready_ GUARDED_BY(mutex_) = false;
};

// What the Snapshot does not say of a local pod.
struct LocalTerms {
  std::string netns_path;
  objects::PreMeshPolicy pre_mesh = {};
};

// Snapshot::local_pods as desired pods. `terms`: of the same order and length. Pods that the tables
// have no room for are left out: compile has named them among its problems.
[[nodiscard]] std::vector<DesiredPod> desired_pods(const model::Snapshot& snapshot,
                                                   const std::vector<LocalTerms>& terms,
                                                   const compile::Tables& tables);

}  // namespace weft::enrol
