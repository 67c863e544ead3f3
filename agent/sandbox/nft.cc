#include "agent/sandbox/nft.h"

#include <fmt/format.h>

#include <set>

#include "agent/sandbox/services.h"

namespace weft::sandbox {
namespace {

struct Backend {
  std::string address, node;
  int64_t port = 0;
};

// The rules of one family as they grow; one table each for ip and ip6.
struct Family {
  bool v6;
  const char* ip;  // nft's word
  std::string dnat, node_ports, refuse, node_refuse;
  std::set<std::string> own_backends;  // on this node: a pod that reaches itself must be masked
};

// Ready endpoints; if there are none, those that still serve while they go.
std::vector<Backend> backends_of(const Json& service, const Json& port, bool v6,
                                 const std::vector<const Json*>& slices) {
  std::vector<Backend> ready, leaving;
  for (const Json* slice : slices) {
    if (at(*slice, "metadata.namespace") != at(service, "metadata.namespace")) continue;
    if (label_of(*slice, "kubernetes.io/service-name") != text_at(service, "metadata.name")) continue;
    if ((text_at(*slice, "addressType") == "IPv6") != v6) continue;
    int64_t number = 0;
    for (const Json& slice_port : list_at(*slice, "ports"))
      if (text_at(slice_port, "name") == text_at(port, "name") &&
          text_at(slice_port, "protocol", "TCP") == text_at(port, "protocol", "TCP"))
        number = int_at(slice_port, "port");
    if (number == 0) continue;
    for (const Json& endpoint : list_at(*slice, "endpoints")) {
      const bool is_ready = bool_at(endpoint, "conditions.ready", true);
      const bool serves = bool_at(endpoint, "conditions.serving", is_ready);
      if (!is_ready && !serves) continue;
      for (const Json& address : list_at(endpoint, "addresses"))
        (is_ready ? ready : leaving).push_back({scalar_text(address), text_at(endpoint, "nodeName"), number});
    }
  }
  return ready.empty() ? leaving : ready;
}

std::vector<Backend> on_node(const std::vector<Backend>& all, const std::string& node) {
  std::vector<Backend> some;
  for (const Backend& backend : all)
    if (backend.node == node) some.push_back(backend);
  return some;
}

std::string choice(const Family& family, const std::vector<Backend>& backends) {
  const char* format = family.v6 ? "[{}]:{}" : "{}:{}";
  if (backends.size() == 1)
    return fmt::format("dnat to {}",
                       fmt::format(fmt::runtime(format), backends[0].address, backends[0].port));
  std::string out = fmt::format("dnat {} to numgen random mod {} map {{",
                                std::string(family.ip) + " addr . port", backends.size());
  for (size_t i = 0; i < backends.size(); ++i)
    out += fmt::format("{} {} : {} . {}", i == 0 ? "" : ",", i, backends[i].address, backends[i].port);
  return out + " }";
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

void add_cluster_address(Family& family, const Json& service, const Json& port, const std::string& node,
                         const std::vector<Backend>& all) {
  const std::string protocol = lower(text_at(port, "protocol", "TCP"));
  const bool local = text_at(service, "spec.internalTrafficPolicy") == "Local";
  const auto backends = local ? on_node(all, node) : all;
  for (const Json& ip : list_at(service, "spec.clusterIPs")) {
    const std::string address = scalar_text(ip);
    if (address == "None" || (address.find(':') != std::string::npos) != family.v6) continue;
    const std::string match =
        fmt::format("    {} daddr {} {} dport {} ", family.ip, address, protocol, int_at(port, "port"));
    if (!backends.empty()) family.dnat += match + choice(family, backends) + "\n";
    if (backends.empty()) family.refuse += match + (all.empty() ? "reject\n" : "drop\n");
  }
}

void add_node_port(Family& family, const Json& service, const Json& port, const std::string& node,
                   const std::vector<Backend>& all) {
  const int64_t number = int_at(port, "nodePort");
  if (number == 0) return;
  const std::string match = fmt::format("    {} dport {} ", lower(text_at(port, "protocol", "TCP")), number);
  const bool local = text_at(service, "spec.externalTrafficPolicy") == "Local";
  const auto backends = local ? on_node(all, node) : all;
  if (backends.empty()) {
    family.node_refuse += match + (all.empty() ? "reject\n" : "drop\n");
    return;
  }
  // The caller's address survives only where no other node has to answer.
  family.node_ports +=
      match + (local ? "" : "meta mark set meta mark | 0x4000 ") + choice(family, backends) + "\n";
}

std::string table_text(const Family& family) {
  const std::string table = std::string(family.ip) + " sandbox-kube-proxy";
  std::string out = fmt::format("table {0}\ndelete table {0}\ntable {0} {{\n", table);
  out += "  chain services {\n" + family.dnat + "  }\n";
  out += "  chain node-ports {\n" + family.node_ports + "  }\n";
  out += "  chain refuse {\n" + family.refuse + "  }\n";
  out += "  chain node-refuse {\n" + family.node_refuse + "  }\n";
  for (const char* hook : {"prerouting", "output"})
    out += fmt::format(
        "  chain {0} {{\n    type nat hook {0} priority -100\n    jump services\n"
        "    fib daddr type local {1} daddr != {2} jump node-ports\n  }}\n",
        hook, family.ip, family.v6 ? "::1" : "127.0.0.0/8");
  for (const char* hook : {"forward", "output"})
    out += fmt::format("  chain filter-{0} {{\n    type filter hook {0} priority 0\n    jump refuse\n  }}\n",
                       hook);
  out +=
      "  chain filter-input {\n    type filter hook input priority 0\n    jump refuse\n    jump "
      "node-refuse\n  }\n";
  out +=
      "  chain postrouting {\n    type nat hook postrouting priority 100\n    meta mark & 0x4000 != 0 "
      "masquerade\n";
  for (const std::string& address : family.own_backends)
    out += fmt::format("    ct status dnat {0} saddr {1} {0} daddr {1} masquerade\n", family.ip, address);
  return out + "  }\n}\n";
}

}  // namespace

std::string nft_ruleset(const std::string& node, const std::vector<const Json*>& services,
                        const std::vector<const Json*>& slices) {
  std::string out;
  for (const bool v6 : {false, true}) {
    Family family{v6, v6 ? "ip6" : "ip", "", "", "", "", {}};
    for (const Json* service : services) {
      if (text_at(*service, "spec.type") == "ExternalName") continue;
      for (const Json& port : list_at(*service, "spec.ports")) {
        const auto all = backends_of(*service, port, v6, slices);
        for (const Backend& backend : on_node(all, node)) family.own_backends.insert(backend.address);
        add_cluster_address(family, *service, port, node, all);
        add_node_port(family, *service, port, node, all);
      }
    }
    out += table_text(family);
  }
  return out;
}

}  // namespace weft::sandbox
