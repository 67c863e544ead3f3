#pragma once
// A test cluster with weft in it, put there by the seed application's own commands; one for all tests of a
// program, brought up by the first that asks, taken down after the last. Its name is "seed", or WEFT_CLUSTER.
#include <gtest/gtest.h>
#include <sys/types.h>

#include <future>
#include <map>
#include <memory>
#include <string>

#include "tests/cluster/kube_lab.h"
#include "tests/support/scratch_dir.h"

namespace weft::test {

// How often each status of curl came: "200" -> 17; "000": no answer.
using Statuses = std::map<std::string, int>;

// What curl saw of one exchange.
struct WebReply {
  int curl_exit = -1;  // 0: an answer came; 7: refused; 52: closed without one; 56: reset
  int status = 0;
  std::string body;
};

// A pod, its Service and its ServiceAccount, all of that name. Its first container has tools and echoes TCP
// on 7000
// ("tcp-echo"), the second is httpgo on 8888 ("tcp-web") with kubelet's probes. `labels`: more of the pod's,
// "a: b, ".
[[nodiscard]] std::string pod_manifest(const std::string& ns, const std::string& name,
                                       const std::string& node, const std::string& labels = "",
                                       const std::string& more_spec = "");
// "/proc/PID" of the processes of this machine, nodes being namespaces of it, that run that program in that pod.
[[nodiscard]] std::vector<std::string> processes_in(const std::string& pod_uid, const std::string& program);
// For a folder of kubelet's: tools that echo TCP on 7000.
[[nodiscard]] std::string static_pod_manifest(const std::string& ns, const std::string& name);
[[nodiscard]] std::string namespace_manifest(const std::string& name, const std::string& labels = "");

// "True ProgramsAttached": condition weft.mesh/CaptureReady of the node; empty: it has none.
[[nodiscard]] std::string capture_condition(const KubeLab& lab, const std::string& node);
[[nodiscard]] bool has_startup_taint(const KubeLab& lab, const std::string& node);

// A shell of somebody beyond the cluster: `istioctl` (weftctl under that name) and the real kubectl are on
// its PATH, the seed's four files in its folder, and what one line exports the next one has.
class UserShell {
 public:
  explicit UserShell(const KubeLab& lab);
  Answer line(const std::string& text, std::chrono::seconds limit = std::chrono::seconds(60)) const;
  [[nodiscard]] std::string folder() const { return dir_ / "."; }

 private:
  const KubeLab& lab_;
  ScratchDir dir_;
};

class MeshTest : public testing::Test {
 public:
  static void take_down();

 protected:
  // The cluster is up. Nothing is installed yet.
  static void SetUpTestSuite() { bring_up("seed", {}); }
  // For a program with a cluster of another form: `options` of scripts/cluster up. Once a program.
  static void bring_up(const std::string& name, const KubeLab::Words& options);
  static KubeLab& lab() { return *lab_; }
  static const UserShell& user() { return *user_; }

  // Installs weft unless it is there, and applies the seed's four files: `url` answers.
  static void ensure_seed();
  static void apply_file(const std::string& name);  // of manifests/httpgo
  static void remove_file(const std::string& name);
  // HOST:PORT of that port of the gateway, as far as there was one.
  static std::string gateway_url(const std::string& port_name = "http2");

  static WebReply get(const std::string& path, const KubeLab::Words& options = {});
  // `n` requests to /httpgo on one connection.
  static Statuses statuses(int n);
  // `rate` requests a second through the gateway, each on its own connection, for `duration` seconds.
  static std::future<Statuses> load(int duration, int rate);
  // The same from a pod's first container to `url`.
  static std::future<Statuses> load_from(const std::string& ns, const std::string& pod,
                                         const std::string& url, int duration, int rate);

  // The pods of the tests of identity and enrolment, each with a ServiceAccount of its own, all ready:
  //   node1: mesh/client mesh/near plain/outsider     node2: mesh/far        (namespace mesh is enrolled)
  static void ensure_world();
  // probe's view of one connection to the echo of a Service or address that sends and wants its bytes back.
  static nlohmann::json call(const std::string& ns, const std::string& pod, const std::string& to);
  static bool works(const std::string& ns, const std::string& pod, const std::string& to);
  // Ended by the mesh, without a byte of an answer and not by a deadline.
  static bool is_refused(const nlohmann::json& outcome);
  // An object of the mesh in one line; removed by `remove_policy`.
  static void policy(const std::string& kind, const std::string& name, const std::string& spec,
                     const std::string& ns = "mesh");
  static void remove_policy(const std::string& kind, const std::string& name, const std::string& ns = "mesh");
  static void apply(const std::string& manifest);
  static std::string capture_condition(const std::string& node);
  static bool has_startup_taint(const std::string& node);

  // Sum of the series of that name with all of these labels (label="value"), of the node's proxy.
  static uint64_t metric(const std::string& node, const std::string& name,
                         const std::vector<std::string>& labels = {});
  // What that node's agent says about itself.
  static nlohmann::json agent_report(const std::string& node);
  static std::string annotation(const std::string& ns, const std::string& pod, const std::string& name);
  static bool is_captured(const std::string& ns, const std::string& pod);
  // The same of that node's ready pods of `ns` with these labels.
  static std::vector<pid_t> processes(const std::string& ns, const std::string& labels, const std::string& node,
                                      const std::string& program);
  static bool becomes_captured(const std::string& ns, const std::string& pod,
                               std::chrono::seconds limit = std::chrono::seconds(30));

 private:
  static std::unique_ptr<KubeLab> lab_;
  static std::unique_ptr<UserShell> user_;
};

}  // namespace weft::test
