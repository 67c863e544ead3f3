#pragma once
// `get`: tables as kubectl prints them, and the objects themselves.
#include <string>
#include <vector>

#include "agent/ctl/cluster_view.h"

namespace weft::ctl {

struct GetOptions {
  std::string kinds;  // "pods", "gateways,virtualservices", "pod/name"
  std::vector<std::string> names;
  std::string ns = "default";
  bool all_namespaces = false, ready = false, show_labels = false, no_headers = false;
  std::string output;  // "", wide, yaml, json, name, jsonpath=...
  std::string selector;
};

// The text for stdout. An unknown kind or a name that is not there is an error.
[[nodiscard]] base::Result<std::string> get(const ClusterView& view, const GetOptions& options,
                                            int64_t now_seconds);

}  // namespace weft::ctl
