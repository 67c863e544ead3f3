#include "agent/sandbox/dns.h"

#include <fmt/format.h>

#include <set>

#include "agent/sandbox/services.h"

namespace weft::sandbox {

std::string dns_hosts_path(const Layout& layout) {
  return layout.in_state("dns/hosts");
}

std::string dns_hosts(const std::vector<const Json*>& services, const std::vector<const Json*>& slices) {
  std::set<std::string> lines;
  for (const Json* service : services) {
    const std::string ns = text_at(*service, "metadata.namespace"), name = text_at(*service, "metadata.name");
    const std::string host = fmt::format("{}.{}.svc.cluster.local", name, ns);
    if (!is_headless(*service)) {
      for (const Json& ip : list_at(*service, "spec.clusterIPs"))
        lines.insert(fmt::format("{} {}\n", scalar_text(ip), host));
      continue;
    }
    for (const Json* slice : slices) {
      if (text_at(*slice, "metadata.namespace") != ns ||
          label_of(*slice, "kubernetes.io/service-name") != name)
        continue;
      for (const Json& endpoint : list_at(*slice, "endpoints")) {
        if (!bool_at(endpoint, "conditions.ready", true)) continue;
        for (const Json& ip : list_at(endpoint, "addresses"))
          lines.insert(fmt::format("{} {}\n", scalar_text(ip), host));
      }
    }
  }
  std::string out;
  for (const std::string& line : lines) out += line;
  return out;
}

std::vector<std::string> dns_command(const Layout& layout) {
  std::vector<std::string> argv{"dnsmasq",
                                "--keep-in-foreground",
                                "--conf-file=/dev/null",
                                "--no-resolv",
                                "--no-hosts",
                                "--no-negcache",
                                "--local-ttl=1",
                                "--local=/cluster.local/",
                                "--user=root",
                                "--group=root",
                                "--pid-file=",
                                "--log-facility=-",
                                "--bind-interfaces",
                                "--interface=br0",
                                "--except-interface=lo",
                                "--addn-hosts=" + dns_hosts_path(layout)};
  return argv;
}

}  // namespace weft::sandbox
