#pragma once
// What each of weft's containers may have (reference ux.md 9): the one table for the rendered YAML and for the processes
// that run. A right that is added has to be added here.
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace weft::test {

struct PartRights {
  std::string kind, workload, ns, container;
  int64_t user;
  std::set<std::string> capabilities;
  std::set<std::string> host_paths;
  bool host_network, host_pid, api_token;
};

inline const std::vector<PartRights>& part_rights() {
  static const std::vector<PartRights> kTable = {
      {"DaemonSet",
       "weft-agent",
       "weft-system",
       "weft-agent",
       0,
       {"BPF", "NET_ADMIN", "SYS_ADMIN"},
       {"/sys/fs/bpf", "/sys/fs/cgroup", "/run/netns", "/var/run/netns", "/run/weft", "/etc/cni/net.d", "/opt/cni/bin",
        "/proc/sys/kernel/random/boot_id"},
       true,
       true,
       true},
      {"DaemonSet", "weft-proxy", "weft-system", "weft-proxy", 65532, {}, {"/run/weft"}, false, false, false},
      {"Deployment", "weft-control", "weft-system", "weft-control", 65532, {}, {}, false, false, true},
      {"Deployment", "istio-ingressgateway", "istio-system", "weft-agent", 65532, {}, {}, false, false, true},
      {"Deployment", "istio-ingressgateway", "istio-system", "weft-proxy", 65532, {}, {}, false, false, false},
  };
  return kTable;
}

}  // namespace weft::test
