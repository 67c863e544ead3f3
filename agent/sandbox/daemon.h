#pragma once
// `weftctl sandbox serve`: the whole control plane of a sandbox in one process and one thread. It looks at
// the objects, does what is due, and sleeps until a file changes, a child ends or a time comes. Killed at any
// moment, its successor goes on from the files.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/sandbox/files.h"
#include "agent/sandbox/kubelet.h"
#include "agent/sandbox/services.h"
#include "agent/sandbox/store.h"

namespace weft::sandbox {

// Owner: main of `serve`. Thread: its only one. Lifetime: the process.
class Daemon {
 public:
  static base::Result<std::unique_ptr<Daemon>> create(Layout layout);

  // Until SIGTERM. Pods keep running.
  base::Status run();

 private:
  Daemon(Layout layout, FileLock lock, TokenIssuer issuer);

  base::Status prepare();
  void turn();
  void reap();
  void answer_requests();
  void sync_services();
  void sync_user_pods();
  void sync_system_pods();
  void sync_deployments();
  void schedule();
  void sync_pods();
  void sync_endpoints();
  void sync_nodes();
  void sync_proxies();
  void sync_dns();
  void keep_helper(const std::string& name, const std::vector<std::string>& argv, const std::string& netns);
  void write_forward_target();
  void begin_deletion(Json& pod);
  // A gateway pod that is gone says nothing any more: its agent had no time to take its statuses back.
  void forget_writer(const ObjectName& pod) const;
  void sleep_until_something();

  [[nodiscard]] std::vector<const Json*> of_kind(const std::string& kind) const;
  [[nodiscard]] std::vector<const Json*> pods() const { return of_kind("Pod"); }

  Layout layout_;
  ImageTable images_;
  FileLock lock_;
  TokenIssuer issuer_;
  Kubelet kubelet_;
  ServiceAllocator services_;
  Store user_;       // what users applied and the mesh reads as it is
  Store applied_;    // what users applied and the controllers complete: Services, Pods
  Store generated_;  // ours: completed Services, Pods, EndpointSlices, Nodes
  base::SystemClock clock_;
  base::Instant now_{};
  base::Fd inotify_, signals_;
  std::map<std::string, std::string> loaded_rules_;  // by node
  std::string loaded_hosts_;
  base::Instant rules_due_{};                        // after a failed load
  std::map<std::string, base::Instant> helper_due_;  // when a helper that died is started again
  bool stopping_ = false;
};

// Asks the running daemon for something; it is done within a turn. Requests are files, so none is lost.
base::Status post_request(const Layout& layout, const Json& request);
[[nodiscard]] bool daemon_is_running(const Layout& layout);

}  // namespace weft::sandbox
