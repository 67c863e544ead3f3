#pragma once
// Keeps the Node objects telling whether their node captures its pods.
//
// How control knows (decided 2026-11-30): a node's agent says on its own pod in which boot it is armed
// (annotation weft.mesh/armed-in-boot, through pods/status, a right it has for its pods anyway); control's
// leader holds that against the boot that the kubelet reports (Node .status.nodeInfo.bootID) and against the
// agent's container still running. So no agent has a right over nodes, and what was said in another boot
// proves nothing. The leader writes the condition through nodes/status and, unless told otherwise, the
// start-up taint through nodes. Replicas that do not lead know the same and write nothing. Would change if:
// the API server could bind an agent's right to its own Node.
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "agent/kube/client.h"
#include "agent/kube/reflector.h"
#include "agent/nodes/capture.h"

namespace weft::nodes {

struct KeeperOptions {
  TaintMode taints = TaintMode::kRemove;
  std::string ns = "weft-system", agents = "app=weft-agent";  // where agents' pods are
  std::string manager = std::string(kManager);
};

// Read by any thread.
struct KeeperCounters {
  std::atomic<uint64_t> nodes{0}, nodes_ready{0};
  std::atomic<uint64_t> conditions_written{0}, taints_removed{0}, taints_added{0};
  std::atomic<uint64_t> conflicts{0};  // the node has changed meanwhile: looked at again
  std::atomic<uint64_t> failures{0};
};

// Owner: the control role. Two threads: the reflectors', and one that writes, one request at a time. stop()
// before the client goes; a request under way ends by Client::stop().
class NodeKeeper {
 public:
  static base::Result<std::unique_ptr<NodeKeeper>> create(kube::Config config, kube::Client& client,
                                                          const base::Clock& clock, KeeperOptions options,
                                                          std::function<bool()> leads);
  ~NodeKeeper();
  NodeKeeper(const NodeKeeper&) = delete;
  NodeKeeper& operator=(const NodeKeeper&) = delete;

  void start();
  void stop();
  // Any thread: why the Node objects may not say what they should; empty: they do.
  [[nodiscard]] std::string problem() const;
  [[nodiscard]] const KeeperCounters& counters() const { return counters_; }

 private:
  class Sink;  // one kind's door
  struct Known {
    NodeFact fact;
    NodeCapture capture;
    // What was written last, and when: not repeated while the object may not show it yet.
    Verdict sent;
    TaintChange sent_taint = TaintChange::kNone;
    base::Instant sent_at{};
  };
  struct Work {
    NodeFact fact;
    Verdict verdict;
    bool condition = false;
    TaintChange taint = TaintChange::kNone;
  };

  NodeKeeper(kube::Client& client, const base::Clock& clock, KeeperOptions options,
             std::function<bool()> leads);
  void take_node(const objects::Node& node);
  void take_agent(const objects::Node& pod);
  void forget(bool node, const std::string& name);
  void synced(bool node);
  void say(std::string problem);
  void run();
  [[nodiscard]] std::vector<Work> look();
  void write(Work work);
  bool settle(const std::string& node, const kube::ApiResult<objects::Node>& answer);

  kube::Client& client_;
  const base::Clock& clock_;
  const KeeperOptions options_;
  const std::function<bool()> leads_;
  KeeperCounters counters_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::map<std::string, Known> nodes_;
  std::map<std::string, AgentFact> agents_;  // by pod
  bool nodes_synced_ = false, agents_synced_ = false, changed_ = false, stopping_ = false;
  std::string problem_;
  std::unique_ptr<Sink> node_sink_, agent_sink_;
  std::unique_ptr<kube::Reflectors> reflectors_;
  std::thread thread_;
};

}  // namespace weft::nodes
