#pragma once
// The cluster's DNS: dnsmasq, fed with the services' names.
#include <string>
#include <vector>

#include "agent/sandbox/layout.h"

namespace weft::sandbox {

// hosts(5) lines: cluster IPs, or for headless services the addresses of the pods that are ready. Sorted.
// Pure.
[[nodiscard]] std::string dns_hosts(const std::vector<const Json*>& services,
                                    const std::vector<const Json*>& slices);
// dnsmasq's command line: no other source of names, no daemon, nothing cached that the hosts file does not
// say.
[[nodiscard]] std::vector<std::string> dns_command(const Layout& layout);
[[nodiscard]] std::string dns_hosts_path(const Layout& layout);

}  // namespace weft::sandbox
