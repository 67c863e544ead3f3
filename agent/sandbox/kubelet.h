#pragma once
// Plays the kubelet of every node: brings pods to life, keeps them so, and takes them down in order.
//
//   scheduled -> network -> tokens -> containers -> Running ... deletionTimestamp -> (endpoints say terminating) ->
//   SIGTERM
//   -> grace -> SIGKILL -> network, cgroup and files removed -> object gone
#include <map>
#include <string>
#include <vector>

#include "agent/sandbox/container.h"
#include "agent/sandbox/network.h"
#include "agent/sandbox/token_files.h"

namespace weft::sandbox {

// Owner: the daemon. Thread: its only one. What it must know after a restart is written before it is done.
class Kubelet {
 public:
  Kubelet(const Layout& layout, const ImageTable& images, const TokenIssuer& issuer)
      : layout_(layout), images_(images), issuer_(issuer) {}

  // Reads what a former daemon left. Records without an object in `pods` are cleaned up.
  void adopt(const std::map<std::string, const Json*>& pods_by_uid);
  // One turn for one scheduled pod; writes its status. False once nothing is left of the pod.
  bool sync(Json& pod, base::Instant now);
  // A reaped child: true if it belonged to a container.
  bool on_exit(pid_t pid, int status, base::Instant now);
  // When sync() of any pod has something to do next.
  [[nodiscard]] base::Instant due(base::Instant now) const;

 private:
  struct Record {
    std::string ns, name, uid, node;
    uint32_t host = 0;  // last part of the pod's address; 0 for hostNetwork
    bool networked = false;
    std::vector<Container> containers;
    base::Instant terminate_at{}, kill_at{};  // set once deletion was seen
    bool killed = false;
    base::Instant retry_network{};
    // When the pod's tokens are written (again): at once after a start of the daemon, never if it wants none.
    base::Instant tokens_due{};
    bool has_tokens = false;  // written once: the containers may start
    std::string trouble;      // why the network or the tokens are not there
  };

  Record& record_of(const Json& pod);
  bool ensure_network(Json& pod, Record& record, base::Instant now);
  bool ensure_tokens(const Json& pod, Record& record, base::Instant now);
  void run_containers(Json& pod, Record& record, base::Instant now);
  bool take_down(Json& pod, Record& record, base::Instant now);
  void remove_traces(const Record& record);
  void write_status(Json& pod, const Record& record) const;
  void save(const Record& record) const;
  void rotate_logs(const Record& record) const;
  [[nodiscard]] uint32_t free_host(const std::string& node);
  [[nodiscard]] PodNetwork network_of(const Record& record) const;

  const Layout& layout_;
  const ImageTable& images_;
  const TokenIssuer& issuer_;
  std::map<std::string, Record> records_;      // by uid
  std::map<std::string, uint32_t> last_host_;  // by node: addresses are not reused at once
};

// Condition entries keep their lastTransitionTime while their status stays.
void set_condition(Json& status, const std::string& type, bool holds, const std::string& reason = "",
                   const std::string& message = "");
[[nodiscard]] bool condition_holds(const Json& object, const std::string& type);

[[nodiscard]] std::string log_dir(const Layout& layout, const std::string& ns, const std::string& pod);

}  // namespace weft::sandbox
