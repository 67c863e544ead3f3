#include "agent/sandbox/nft.h"

#include <gtest/gtest.h>

#include "agent/sandbox/dns.h"
#include "agent/sandbox/endpoints.h"
#include "tests/unit/agent/sandbox/objects.h"

namespace weft::sandbox::test {
namespace {

Json web_service(const std::string& external_policy = "Cluster") {
  return service("web", {{"type", "NodePort"},
                         {"clusterIP", "10.96.0.11"},
                         {"clusterIPs", Json::array({"10.96.0.11"})},
                         {"ipFamilies", Json::array({"IPv4"})},
                         {"externalTrafficPolicy", external_policy},
                         {"selector", {{"app", "web"}}},
                         {"ports", Json::array({{{"name", "http"},
                                                 {"port", 80},
                                                 {"protocol", "TCP"},
                                                 {"targetPort", 8888},
                                                 {"nodePort", 30000}}})}});
}

std::string rules(const std::string& node, const Json& of, const std::vector<const Json*>& pods) {
  const auto slices = endpoint_slices(of, pods);
  std::vector<const Json*> pointers;
  for (const Json& slice : slices) pointers.push_back(&slice);
  return nft_ruleset(node, {&of}, pointers);
}

TEST(Nft, ruleset_of_a_node_port_service_with_a_backend_on_each_node) {
  const Json one = ready(pod("a", "node1"), "10.244.1.2"), two = ready(pod("b", "node2"), "10.244.2.2");
  const std::string text = rules("node1", web_service(), {&one, &two});
  EXPECT_EQ(text.substr(0, text.find("table ip6")), R"(table ip sandbox-kube-proxy
delete table ip sandbox-kube-proxy
table ip sandbox-kube-proxy {
  chain services {
    ip daddr 10.96.0.11 tcp dport 80 dnat ip addr . port to numgen random mod 2 map { 0 : 10.244.1.2 . 8888, 1 : 10.244.2.2 . 8888 }
  }
  chain node-ports {
    tcp dport 30000 meta mark set meta mark | 0x4000 dnat ip addr . port to numgen random mod 2 map { 0 : 10.244.1.2 . 8888, 1 : 10.244.2.2 . 8888 }
  }
  chain refuse {
  }
  chain node-refuse {
  }
  chain prerouting {
    type nat hook prerouting priority -100
    jump services
    fib daddr type local ip daddr != 127.0.0.0/8 jump node-ports
  }
  chain output {
    type nat hook output priority -100
    jump services
    fib daddr type local ip daddr != 127.0.0.0/8 jump node-ports
  }
  chain filter-forward {
    type filter hook forward priority 0
    jump refuse
  }
  chain filter-output {
    type filter hook output priority 0
    jump refuse
  }
  chain filter-input {
    type filter hook input priority 0
    jump refuse
    jump node-refuse
  }
  chain postrouting {
    type nat hook postrouting priority 100
    meta mark & 0x4000 != 0 masquerade
    ct status dnat ip saddr 10.244.1.2 ip daddr 10.244.1.2 masquerade
  }
}
)");
}

TEST(Nft, local_policy_keeps_the_callers_address_and_drops_where_no_backend_is) {
  const Json one = ready(pod("a", "node1"), "10.244.1.2");
  const std::string with = rules("node1", web_service("Local"), {&one});
  EXPECT_NE(with.find("    tcp dport 30000 dnat to 10.244.1.2:8888\n"), std::string::npos) << with;
  const std::string without = rules("node2", web_service("Local"), {&one});
  EXPECT_NE(without.find("    tcp dport 30000 drop\n"), std::string::npos) << without;
}

TEST(Nft, a_service_without_endpoints_refuses) {
  const std::string text = rules("node1", web_service(), {});
  EXPECT_NE(text.find("    ip daddr 10.96.0.11 tcp dport 80 reject\n"), std::string::npos) << text;
  EXPECT_NE(text.find("    tcp dport 30000 reject\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("dnat to"), std::string::npos) << text;
}

TEST(Nft, pods_on_their_way_out_serve_only_when_nobody_else_does) {
  const Json going = terminating(ready(pod("a", "node1"), "10.244.1.2")),
             stays = ready(pod("b", "node2"), "10.244.2.2");
  EXPECT_EQ(rules("node1", web_service(), {&going, &stays}).find("10.244.1.2 . 8888"), std::string::npos);
  EXPECT_NE(rules("node1", web_service(), {&going}).find("dnat to 10.244.1.2:8888"), std::string::npos);
}

TEST(Dns, knows_cluster_addresses_and_the_ready_pods_of_headless_services) {
  const Json web = web_service();
  Json headless = service("db", {{"clusterIP", "None"},
                                 {"ipFamilies", Json::array({"IPv4"})},
                                 {"selector", {{"app", "web"}}},
                                 {"ports", Json::array({{{"name", "sql"}, {"port", 5432}}})}});
  const Json good = ready(pod("a", "node1"), "10.244.1.2"),
             going = terminating(ready(pod("b", "node1"), "10.244.1.3"));
  const auto slices = endpoint_slices(headless, {&good, &going});
  EXPECT_EQ(dns_hosts({&web, &headless}, {&slices[0]}),
            "10.244.1.2 db.dev.svc.cluster.local\n10.96.0.11 web.dev.svc.cluster.local\n");
}

}  // namespace
}  // namespace weft::sandbox::test
