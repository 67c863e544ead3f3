#pragma once
// Commands that look at a running sandbox or step into it: logs, exec, url, wait, status.
#include <string>
#include <vector>

#include "agent/ctl/cluster_view.h"

namespace weft::ctl {

struct LogOptions {
  std::string pod, container, ns = "default", selector;
  int tail = -1;
  bool follow = false;
};
[[nodiscard]] base::Status print_logs(const Layout& layout, const LogOptions& options);

// Replaces this process by a command in a pod ("name"), a node or "outside". Comes back only with an error.
[[nodiscard]] base::Status exec(const Layout& layout, const std::string& where, const std::string& container,
                                const std::string& ns, const std::vector<std::string>& command);

// nodeIP:nodePort of the ingress gateway's port, on the node of one of its pods.
[[nodiscard]] base::Result<std::string> gateway_url(const Layout& layout, const std::string& port_name);
// 127.0.0.1:port of this machine that leads there.
[[nodiscard]] base::Result<std::string> host_url(const Layout& layout);

// Until every deployment is complete, every pod ready and (for all namespaces) every agent has captured its
// pods; else an error that names what is missing.
[[nodiscard]] base::Status wait_ready(const Layout& layout, const std::string& ns, int timeout_seconds);

[[nodiscard]] std::string status_text(const Layout& layout, const ClusterView& view);

}  // namespace weft::ctl
