// Identity on every connection: what is encrypted, who is admitted, who is refused and by which rule. See identity_world.h
// for the cluster.
#include "tests/e2e/identity_world.h"

#include <sys/stat.h>

#include <sstream>
#include <thread>

#include "tests/support/processes.h"

namespace weft::test {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr const char* kStrict = "{mtls: {mode: STRICT}}";
const std::string kDenyClient =
    "{action: DENY, rules: [{from: [{source: {principals: [cluster.local/ns/mesh/sa/client]}}]}]}";

TEST_F(IdentityTest, a_request_between_nodes_is_logged_with_both_identities_and_nothing_of_it_is_readable) {
  access_log(true);
  const std::string marker = "plain-marker-of-a-request-between-nodes";
  auto wire = wire_between_nodes({marker});
  const Reply reply = curl(cluster(), "client", {"-d", marker}, "http://far.mesh:8888/some", "mesh");
  wire->stop();
  EXPECT_EQ(reply.status, 200);
  EXPECT_NE(reply.body.find(marker), std::string::npos) << reply.body;
  EXPECT_EQ(wire->trouble(), "");
  EXPECT_EQ(wire->found(), 0u);
  EXPECT_GT(wire->bytes_of_port(15008), marker.size());
  EXPECT_EQ(wire->packets_of_port(8888), 0u);
  for (const char* node : {"weft-proxy-node1", "weft-proxy-node2"})
    EXPECT_TRUE(eventually([&] {
      std::istringstream lines(cluster().ctl({"logs", node, "-n", "weft-system", "--tail", "50"}).out);
      for (std::string line; std::getline(lines, line);)
        if (line.find(spiffe("client")) != std::string::npos && line.find(spiffe("far")) != std::string::npos) return true;
      return false;
    }, seconds(5))) << node << "\n" << everything_said();
  access_log(false);
}

TEST_F(IdentityTest, the_capture_would_have_seen_plain_text) {
  const std::string marker = "plain-marker-of-pods-outside-the-mesh";
  auto wire = wire_between_nodes({marker});
  EXPECT_EQ(curl(cluster(), "outsider", {"-d", marker}, "http://server.plain:8888/some", "plain").status, 200);
  wire->stop();
  EXPECT_EQ(wire->trouble(), "");
  EXPECT_GT(wire->found(), 0u);
  EXPECT_GT(wire->packets_of_port(8888), 0u);
}

TEST_F(IdentityTest, many_connections_share_few_handshakes) {
  ASSERT_TRUE(works("mesh", "client", "far.mesh"));
  const uint64_t before = metric("node1", "weft_proxy_hbone_tunnels_opened_total");
  const uint64_t streams = metric("node1", "weft_proxy_hbone_streams_opened_total");
  EXPECT_EQ(probe(cluster(), "client", "mesh", {"far.mesh:7000", "--bytes", "1000", "--count", "100"})["good"], 100);
  EXPECT_GE(metric("node1", "weft_proxy_hbone_streams_opened_total"), streams + 100);
  EXPECT_LE(metric("node1", "weft_proxy_hbone_tunnels_opened_total"), before + 8);
}

TEST_F(IdentityTest, strict_refuses_the_outsider_at_once_and_admits_peers_of_both_nodes) {
  policy("PeerAuthentication", "default", kStrict);
  ASSERT_TRUE(eventually([] { return is_refused(call("plain", "outsider", "far.mesh")); }, seconds(10)));
  for (const char* server : {"near.mesh", "far.mesh"}) {
    const auto start = steady_clock::now();
    const json seen = call("plain", "outsider", server);
    EXPECT_TRUE(is_refused(seen)) << server << seen;
    EXPECT_LT(steady_clock::now() - start, seconds(3)) << server << ": no hang";
    EXPECT_TRUE(is_refused(call("plain", "server", server))) << server << " from the other node";
  }
  for (const char* client : {"client", "peer"})
    for (const char* server : {"near.mesh", "far.mesh"})
      EXPECT_TRUE(works("mesh", client, server)) << client << " -> " << server;
  // Not by its address either, and not to the tunnel's port.
  EXPECT_TRUE(is_refused(call("plain", "outsider", address("mesh", "far"))));
  EXPECT_NE(call("plain", "outsider", address("mesh", "far"), 15008)["end"], "timeout");
  remove_policy("PeerAuthentication", "default");
  EXPECT_TRUE(eventually([] { return works("plain", "outsider", "far.mesh") && works("plain", "outsider", "near.mesh"); }));
}

TEST_F(IdentityTest, tls_between_pods_of_one_node_is_had_by_an_annotation_of_their_namespace) {
  const auto accepted = [] { return metric("node1", "weft_proxy_hbone_streams_accepted_total"); };
  const std::string ns = "apiVersion: v1\nkind: Namespace\nmetadata: {name: mesh, labels: {weft.mesh/enabled: \"true\"}";
  ASSERT_TRUE(works("mesh", "client", "near.mesh"));
  const uint64_t before = accepted();
  ASSERT_TRUE(cluster().apply(ns + ", annotations: {weft.mesh/same-node: mtls}}\n").ok());
  EXPECT_TRUE(eventually([&] { return works("mesh", "client", "near.mesh") && accepted() > before; }, seconds(10)));
  const uint64_t by_service = accepted();
  EXPECT_EQ(call("mesh", "client", address("mesh", "near"))["end"], "eof");
  EXPECT_GT(accepted(), by_service) << "also by the pod's own address";
  EXPECT_TRUE(works("mesh", "client", "far.mesh"));
  ASSERT_TRUE(cluster().apply(ns + "}\n").ok());
  EXPECT_TRUE(eventually([&] {
    const uint64_t now = accepted();
    return works("mesh", "client", "near.mesh") && accepted() == now;
  }, seconds(10))) << "attested by the kernel again";
}

TEST_F(IdentityTest, probes_keep_strict_pods_ready_and_their_node_gets_no_hole) {
  policy("PeerAuthentication", "default", kStrict);
  ASSERT_TRUE(eventually([] { return is_refused(call("plain", "outsider", "far.mesh")); }, seconds(10)));
  std::this_thread::sleep_for(seconds(5));
  for (const char* name : {"client", "near", "peer", "far"}) {
    EXPECT_NE(cluster().ctl({"get", "pods", name, "-n", "mesh", "--ready", "-o", "name"}).out, "") << name;
    EXPECT_EQ(cluster().pod_field("mesh", name, R"(.status.containerStatuses[?(@.name=="web")].restartCount)"), "0") << name;
  }
  // Somebody else on the node, in its own namespace and not in the kubelet's cgroup.
  const Answer other = cluster().exec("node2", {"curl", "-s", "-m", "3", "http://" + address("mesh", "far") + ":8888/x"});
  EXPECT_NE(other.exit_code, 0) << other.out;
}

TEST_F(IdentityTest, permissive_admits_plain_text_and_a_port_may_differ) {
  policy("PeerAuthentication", "default", "{mtls: {mode: PERMISSIVE}}");
  EXPECT_TRUE(eventually([] { return works("plain", "outsider", "far.mesh") && works("plain", "outsider", "near.mesh"); }));
  policy("PeerAuthentication", "far", "{selector: {matchLabels: {app: far}}, mtls: {mode: PERMISSIVE}, "
                                      "portLevelMtls: {7000: {mode: STRICT}}}");
  EXPECT_TRUE(eventually([] { return is_refused(call("plain", "outsider", "far.mesh")); }, seconds(10)));
  EXPECT_EQ(curl(cluster(), "outsider", {}, "http://far.mesh:8888/x", "plain").status, 200);
  EXPECT_TRUE(works("mesh", "client", "far.mesh"));
}

TEST_F(IdentityTest, a_denial_is_eperm_on_one_node_and_a_reset_between_nodes_and_names_its_rule) {
  policy("AuthorizationPolicy", "deny-client", kDenyClient);
  ASSERT_TRUE(eventually([] { return call("mesh", "client", "near.mesh")["end"] == "EPERM"; }, seconds(10)))
      << call("mesh", "client", "near.mesh");
  access_log(true);
  const auto start = steady_clock::now();
  const json far = call("mesh", "client", "far.mesh");
  EXPECT_TRUE(is_refused(far)) << far;
  EXPECT_LT(steady_clock::now() - start, seconds(3));
  EXPECT_EQ(call("mesh", "client", "near.mesh")["end"], "EPERM");
  EXPECT_TRUE(works("mesh", "peer", "near.mesh"));
  EXPECT_TRUE(works("mesh", "peer", "far.mesh"));
  EXPECT_TRUE(eventually([] { return said("AuthorizationPolicy mesh/deny-client rules[0]"); }, seconds(5)))
      << everything_said();
  access_log(false);
  remove_policy("AuthorizationPolicy", "deny-client");
  EXPECT_TRUE(eventually([] { return works("mesh", "client", "near.mesh") && works("mesh", "client", "far.mesh"); }));
}

TEST_F(IdentityTest, an_allow_by_principal_admits_nobody_else) {
  policy("AuthorizationPolicy", "only-peer",
         "{action: ALLOW, rules: [{from: [{source: {principals: [cluster.local/ns/mesh/sa/peer]}}]}]}");
  ASSERT_TRUE(eventually([] { return is_refused(call("mesh", "client", "far.mesh")); }, seconds(10)));
  for (const char* server : {"near.mesh", "far.mesh"}) {
    EXPECT_TRUE(works("mesh", "peer", server)) << server;
    EXPECT_TRUE(is_refused(call("mesh", "client", server))) << server;
    EXPECT_TRUE(is_refused(call("plain", "outsider", server))) << server;
  }
}

TEST_F(IdentityTest, metrics_tell_how_an_arrival_was_secured_and_which_service_was_called) {
  const auto arrived = [](const std::string& node, const std::string& server, const std::string& security) {
    return metric(node, "istio_tcp_connections_opened_total",
                  {"reporter=\"destination\"", "connection_security_policy=\"" + security + "\"",
                   "destination_service=\"" + server + ".mesh.svc.cluster.local\""});
  };
  // Names that end so are beyond the kernel's tables: arrivals are the proxy's, also those that the kernel attests.
  policy("AuthorizationPolicy", "deny-nobody", "{action: DENY, rules: [{from: [{source: {principals: [\"*/sa/nobody\"]}}]}]}");
  EXPECT_TRUE(eventually([&] { return works("mesh", "client", "near.mesh") && arrived("node1", "near", "kernel_attested") > 0; },
                         seconds(10)));
  const uint64_t plain = arrived("node2", "far", "none"), mutual = arrived("node2", "far", "mutual_tls");
  EXPECT_TRUE(works("mesh", "client", "far.mesh"));
  EXPECT_EQ(arrived("node2", "far", "mutual_tls"), mutual + 1);
  EXPECT_EQ(arrived("node2", "far", "none"), plain);
  EXPECT_TRUE(works("plain", "outsider", "far.mesh"));
  EXPECT_EQ(arrived("node2", "far", "none"), plain + 1);
  EXPECT_EQ(arrived("node2", "far", "mutual_tls"), mutual + 1);
}

TEST_F(IdentityTest, live_connections_are_cut_within_a_second_of_a_new_denial) {
  auto near = held("near.mesh", 15), far = held("far.mesh", 15);
  std::this_thread::sleep_for(milliseconds(1500));
  const uint64_t cut = metric("node2", "weft_proxy_policy_cut_total");
  policy("AuthorizationPolicy", "deny-client", kDenyClient);
  const auto applied = steady_clock::now();
  for (auto* one : {&near, &far}) {
    const Held held = one->get();
    EXPECT_EQ(held.outcome["end"], "ended") << held.outcome;
    // Half a second for the probe to end and to be read.
    EXPECT_LT(held.ended - applied, milliseconds(1500)) << (one == &near ? "kernel path" : "proxied");
  }
  EXPECT_GT(metric("node2", "weft_proxy_policy_cut_total"), cut);
  EXPECT_TRUE(eventually([] { return said("mesh/deny-client"); }, seconds(5)));
}

TEST_F(IdentityTest, certificates_are_listed_with_their_ends_and_soon_ending_ones_are_an_exit_code) {
  const Answer list = certificates({"list"});
  EXPECT_TRUE(list.ok()) << list.err;
  for (const char* account : {"client", "near", "peer", "far"})
    EXPECT_NE(list.out.find("ns/mesh/sa/" + std::string(account)), std::string::npos) << list.out;
  const Answer all = certificates({"expire", "--in", "30d", "--all"}), lost = certificates({"expire", "--in", "30d"});
  EXPECT_EQ(all.exit_code, 1) << "a minute is less than 30 days\n" << all.out << all.err;
  EXPECT_EQ(lost.exit_code, 0) << "but all of them are going to be renewed\n" << lost.out << lost.err;
}

TEST_F(IdentityTest, no_agent_holds_a_private_key_in_memory_and_no_file_does_but_the_authoritys_own) {
  const std::string sandbox = "weft-sandbox-" + cluster().name() + "/";
  const auto agents = processes_named("weft-agent", sandbox), proxies = processes_named("weft-proxy", sandbox);
  ASSERT_GE(agents.size(), 3u);
  ASSERT_GE(proxies.size(), 3u);
  const pid_t control = cluster().process_of("weft-system", control_pod(), "weft-control");
  int of_proxies = 0;
  for (const char* node : {"node1", "node2"}) {
    const pid_t agent = cluster().process_of("weft-system", std::string("weft-agent-") + node, "weft-agent");
    const auto keys = certificate_keys_in_memory(agent);
    EXPECT_GE(keys.size(), 2u) << "the chains went through the agent";
    EXPECT_EQ(scalars_in_memory(agent, keys), 0) << node;
    of_proxies += scalars_in_memory(cluster().process_of("weft-system", std::string("weft-proxy-") + node, "weft-proxy"), keys);
  }
  EXPECT_GT(of_proxies, 0) << "the search finds the keys where they are";
  for (const pid_t pid : agents) {
    if (pid == control) continue;
    EXPECT_EQ(private_keys_in_memory(pid), 0u) << pid;
  }
  EXPECT_EQ(files_with_private_keys(state_file("")),
            (std::vector<std::string>{state_file("ca/ca-key.pem"), state_file("tokens/key.pem")}));
}

TEST_F(IdentityTest, proxies_and_control_have_no_rights_and_the_authoritys_key_is_its_own) {
  const std::string sandbox = "weft-sandbox-" + cluster().name() + "/";
  const pid_t control = cluster().process_of("weft-system", control_pod(), "weft-control");
  struct stat key{}, directory{};
  ASSERT_EQ(::stat(state_file("ca/ca-key.pem").c_str(), &key), 0);
  ASSERT_EQ(::stat(state_file("ca").c_str(), &directory), 0);
  EXPECT_EQ(key.st_mode & 0777, 0600u);
  EXPECT_EQ(directory.st_mode & 0777, 0700u);
  const Rights of_control = rights_of(control);
  EXPECT_EQ(key.st_uid, of_control.uid);
  EXPECT_EQ(of_control.effective | of_control.bounding, 0u);
  EXPECT_TRUE(of_control.no_new_privileges);
  for (const pid_t pid : processes_named("weft-proxy", sandbox)) {
    const Rights rights = rights_of(pid);
    EXPECT_EQ(rights.effective, 0u) << pid;
    EXPECT_TRUE(rights.no_new_privileges) << pid;
    EXPECT_EQ(rights.seccomp, 2) << pid;
    EXPECT_NE(rights.uid, 0u) << pid;
    EXPECT_NE(rights.uid, key.st_uid) << pid;
    // In its own view of files there is no token, no key and nothing of the sandbox.
    const Answer seen = run({"nsenter", "-t", std::to_string(pid), "-m", "ls", "-A", "/run/weft/sandbox", "/run/secrets", "/run/weft-ca"});
    EXPECT_EQ(seen.out, "") << pid;
  }
}

TEST_F(IdentityTest, tokens_are_readable_by_their_pods_user_only) {
  const Answer tokens = run({"find", state_file("pods"), "-name", "istio-token", "-printf", "%m %U %p\n"});
  EXPECT_NE(tokens.out, "");
  std::istringstream lines(tokens.out);
  for (std::string line; std::getline(lines, line);) EXPECT_TRUE(line.starts_with("600 ")) << line;
}

}  // namespace
}  // namespace weft::test
