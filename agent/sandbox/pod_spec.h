#pragma once
// From a Pod object to what its processes get: command, environment, mounts, files. Pure but for
// container_launch, which makes the directories of the pod's volumes.
#include <string>
#include <vector>

#include "agent/sandbox/images.h"
#include "agent/sandbox/json.h"
#include "agent/sandbox/launch.h"
#include "agent/sandbox/layout.h"
#include "userspace-proxy/base/result.h"

namespace weft::sandbox {

[[nodiscard]] std::string resolv_conf(const Layout& layout, const std::string& ns);
[[nodiscard]] std::string hosts_file(const Json& pod);

// "$(NAME)" is replaced by the variable, "$$(NAME)" stands for "$(NAME)"; unknown names stay as they are.
[[nodiscard]] std::string expand(const std::string& text, const std::vector<std::string>& env);
// PATH, HOSTNAME and the container's own, in order; fieldRef is resolved against the pod.
[[nodiscard]] std::vector<std::string> container_env(const Layout& layout, const Json& pod,
                                                     const Json& container);
[[nodiscard]] std::vector<std::string> container_argv(const Image& image, const Json& container,
                                                      const std::vector<std::string>& env);

// hostNetwork pods have their node's addresses and namespace.
[[nodiscard]] std::string pod_netns(const Layout& layout, const Json& pod);
[[nodiscard]] std::string pod_cgroup(const Layout& layout, const Json& pod);
[[nodiscard]] std::string pod_dir(const Layout& layout, const Json& pod);

// Everything but argv and streams: how a process enters a container of this pod.
[[nodiscard]] base::Result<Launch> container_launch(const Layout& layout, const Json& pod,
                                                    const Json& container);

}  // namespace weft::sandbox
