#pragma once
// Which columns a kind has in `get`. Pure.
#include <string>
#include <vector>

#include "agent/ctl/cluster_view.h"

namespace weft::ctl {

// Without NAMESPACE and NAME in front, with AGE last (before what -o wide adds).
[[nodiscard]] std::vector<std::string> header_of(const std::string& kind, bool wide);
[[nodiscard]] std::vector<std::string> cells_of(const Json& object, const std::string& kind, bool wide,
                                                const ClusterView& view, int64_t now_seconds);
// What kubectl's STATUS column says: Running, ImagePullBackOff, Terminating ...
[[nodiscard]] std::string pod_status(const Json& pod);
// Findings of all writers, one line each, without doubles.
[[nodiscard]] std::vector<std::string> finding_lines(const Json& object);

}  // namespace weft::ctl
