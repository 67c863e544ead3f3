// Objects as API servers of this and of later releases hand them out.
#include "agent/objects/served.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/support/manifests.h"

namespace weft::objects {
namespace {

Node fixture(const std::string& name) {
  std::ifstream in(std::string(WEFT_SOURCE_DIR) + "/tests/unit/agent/objects/served/" + name + ".json");
  std::stringstream text;
  text << in.rdbuf();
  return test::root_of(text.str());
}

template <typename T>
std::shared_ptr<const T> decode_fixture(const std::string& name, std::string_view version = "v1") {
  const Decoded decoded = decode_served(fixture(name), T::kKind, version);
  EXPECT_TRUE(decoded.object) << (decoded.findings.empty() ? "" : to_string(decoded.findings[0]));
  return as<T>(decoded.object);
}

TEST(Served, a_pod_of_a_list_is_taken_with_all_that_the_server_and_kubelet_added) {
  const Decoded decoded = decode_served(fixture("pod"), Kind::kPod, "v1");
  ASSERT_TRUE(decoded.object);
  EXPECT_TRUE(decoded.findings.empty()) << to_string(decoded.findings[0]);
  const auto pod = as<Pod>(decoded.object);
  EXPECT_EQ(pod->api_version, "v1");
  EXPECT_EQ(pod->meta.uid, "0d7a5f3e-6a0e-4c55-9f43-3f0f6d3c7a51");
  EXPECT_EQ(to_string(pod->meta.creation), "2026-11-30T10:21:07Z");
  EXPECT_EQ(pod->meta.labels.at("version"), "v1");
  EXPECT_EQ(pod->meta.owners.at(0).kind, "ReplicaSet");
  EXPECT_EQ(pod->spec.node_name, "node-b");
  EXPECT_EQ(pod->spec.service_account, "httpgo");
  EXPECT_EQ(pod->status.phase, "Running");
  EXPECT_EQ(pod->status.host_ip, "10.77.0.12");
  ASSERT_EQ(pod->status.pod_ips.size(), 2u);
  EXPECT_TRUE(pod->ready());
  EXPECT_TRUE(pod->file.empty());
}

TEST(Served, of_a_pod_only_what_the_mesh_reads_is_kept) {
  const auto pod = decode_fixture<Pod>("pod");
  ASSERT_TRUE(pod);
  EXPECT_EQ(pod->meta.annotations, (Labels{{"ambient.istio.io/redirection", "enabled"}}));
  ASSERT_EQ(pod->spec.containers.size(), 1u) << "the one with a named port";
  EXPECT_EQ(pod->spec.containers[0].ports.at(0).name, "http");
  EXPECT_TRUE(pod->spec.containers[0].env.empty());
  EXPECT_FALSE(pod->spec.containers[0].readiness);
  EXPECT_TRUE(pod->spec.init_containers.empty());
  EXPECT_TRUE(pod->status.containers.empty());
  EXPECT_EQ(pod->status.conditions.size(), 1u);
}

TEST(Served, of_a_pods_owners_the_one_that_controls_it_is_kept_and_of_other_kinds_none) {
  Node root = fixture("pod");
  Node other = Node::mapping();
  for (const char* field : {"apiVersion", "kind", "name", "uid"}) other.set(field, Node::string("other"));
  Node& owners = *root.find("metadata")->find("ownerReferences");
  owners = Node::sequence({other, owners.items()[0]});
  const auto pod = as<Pod>(decode_served(root, Kind::kPod, "v1").object);
  ASSERT_TRUE(pod);
  ASSERT_EQ(pod->meta.owners.size(), 1u);
  EXPECT_EQ(pod->meta.owners[0], (OwnerReference{.kind = "ReplicaSet", .name = "httpgo-v1-7d9c5b8f6b", .controller = true}));
  EXPECT_TRUE(decode_fixture<EndpointSlice>("endpoint_slice")->meta.owners.empty());
}

// As the reader leaves them out.
void take_out(Node& node, std::string_view path) {
  if (node.is_sequence()) {
    Node::Sequence items = node.items();
    for (Node& item : items) take_out(item, path);
    node = Node::sequence(std::move(items));
    return;
  }
  const std::string_view key = path.substr(0, path.find('.'));
  if (key.size() == path.size()) return node.erase(key);
  if (Node* below = node.find(key)) take_out(*below, path.substr(key.size() + 1));
}

TEST(Served, fields_that_nobody_reads_make_no_difference) {
  for (const auto& [name, kind] : {std::pair("pod", Kind::kPod), {"service", Kind::kService},
                                   {"virtual_service", Kind::kVirtualService}}) {
    Node whole = fixture(name), shorter = whole;
    for (const std::string_view path : unread_fields(kind)) take_out(shorter, path);
    EXPECT_LT(to_json(shorter).size(), to_json(whole).size()) << name;
    const Decoded a = decode_served(whole, kind, "v1"), b = decode_served(shorter, kind, "v1");
    ASSERT_TRUE(a.object && b.object) << name;
    EXPECT_EQ(a.object->meta, b.object->meta);
    EXPECT_EQ(a.findings.size(), b.findings.size());
    if (kind != Kind::kPod) continue;
    EXPECT_TRUE(says_the_same(*a.object, *b.object));
    const auto &one = *as<Pod>(a.object), &other = *as<Pod>(b.object);
    ASSERT_EQ(one.spec.containers.size(), other.spec.containers.size());
    EXPECT_EQ(one.spec.containers[0].ports.size(), other.spec.containers[0].ports.size());
    EXPECT_EQ(one.spec.service_account, other.spec.service_account);
    EXPECT_LT(to_json(shorter).size() * 2, to_json(whole).size()) << "most of a pod is not read";
  }
}

TEST(Served, the_mark_of_a_static_pod_is_kept_since_its_node_knows_it_by_nothing_else) {
  Node root = fixture("pod");
  root["metadata"]["annotations"].set("kubernetes.io/config.mirror", Node::string("20d1e3b7cc5bcaac7f38280de9ce2f05"));
  root["metadata"]["annotations"].set("kubernetes.io/config.seen", Node::string("2026-11-30T14:17:04Z"));
  const auto pod = as<Pod>(decode_served(root, Kind::kPod, "v1").object);
  ASSERT_TRUE(pod);
  EXPECT_EQ(pod->meta.annotations.at("kubernetes.io/config.mirror"), "20d1e3b7cc5bcaac7f38280de9ce2f05");
  EXPECT_FALSE(pod->meta.annotations.contains("kubernetes.io/config.seen"));
}

TEST(Served, services_slices_namespaces_and_nodes_are_taken) {
  const auto service = decode_fixture<Service>("service");
  ASSERT_TRUE(service);
  EXPECT_EQ(service->ports.at(0).node_port, 31380);
  EXPECT_EQ(service->ports.at(1).target_port.name, "https");
  EXPECT_EQ(service->cluster_ips.size(), 1u);
  EXPECT_TRUE(service->meta.annotations.empty());
  const auto ns = decode_fixture<Namespace>("namespace");
  ASSERT_TRUE(ns);
  EXPECT_EQ(ns->meta.annotations, (Labels{{"weft.mesh/peer-mode", "strict"}}));
  const auto node = decode_fixture<ClusterNode>("node");
  ASSERT_TRUE(node);
  EXPECT_EQ(node->internal_ips.size(), 1u);
}

TEST(Served, an_address_that_no_endpoint_may_have_is_left_out_and_said) {
  const Decoded decoded = decode_served(fixture("endpoint_slice"), Kind::kEndpointSlice, "v1");
  ASSERT_TRUE(decoded.object);
  const auto slice = as<EndpointSlice>(decoded.object);
  ASSERT_EQ(slice->endpoints.size(), 2u);
  EXPECT_EQ(slice->endpoints[0].addresses.size(), 1u);
  EXPECT_TRUE(slice->endpoints[1].addresses.empty());
  ASSERT_EQ(decoded.findings.size(), 1u);
  EXPECT_EQ(decoded.findings[0].severity, Severity::kWarning);
  EXPECT_EQ(decoded.findings[0].path, "endpoints[1].addresses[0]");
}

TEST(Served, the_specification_of_istio_s_kinds_is_held_to_its_table_but_its_metadata_is_the_server_s) {
  Node root = fixture("virtual_service");
  const Decoded good = decode_served(root, Kind::kVirtualService, "v1");
  ASSERT_TRUE(good.object) << to_string(good.findings.at(0));
  EXPECT_TRUE(good.findings.empty());
  EXPECT_EQ(good.object->meta.generation, 2);
  root["spec"].set("htp", Node::sequence());
  const Decoded bad = decode_served(root, Kind::kVirtualService, "v1");
  EXPECT_FALSE(bad.object);
  ASSERT_TRUE(bad.key);
  ASSERT_EQ(bad.findings.size(), 1u);
  EXPECT_EQ(to_string(bad.findings[0]), "error: spec.htp: unknown field, did you mean \"http\"? [UnknownField]");
  EXPECT_EQ(bad.findings[0].object, bad.key);
}

TEST(Served, a_refused_policy_is_replaced_by_what_closes) {
  const Node root = test::root_of(
      "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: p, namespace: dev, uid: u},"
      " spec: {selector: {matchLabels: {app: web}}, rulez: []}}");
  const Decoded decoded = decode_served(root, Kind::kAuthorizationPolicy, "v1");
  EXPECT_FALSE(decoded.object);
  ASSERT_TRUE(decoded.stand_in);
  EXPECT_TRUE(decoded.stand_in->refused);
  EXPECT_EQ(decoded.stand_in->meta.uid, "u");
}

TEST(Served, another_kind_than_was_asked_for_is_refused) {
  EXPECT_FALSE(decode_served(fixture("service"), Kind::kNamespace, "v1").object);
  EXPECT_FALSE(decode_served(fixture("virtual_service"), Kind::kVirtualService, "v1beta1").object);
  EXPECT_FALSE(decode_served(Node(), Kind::kPod, "v1").object);
  EXPECT_FALSE(decode_served(test::root_of("{metadata: {name: x}}"), Kind::kPod, "v1").object) << "no namespace";
  EXPECT_FALSE(decode_served(test::root_of("{metadata: {name: x, namespace: ../y}}"), Kind::kPod, "v1").object);
}

TEST(Served, a_manifest_is_judged_as_strictly_as_before) {
  const auto findings = test::findings_of(
      "{apiVersion: v1, kind: Namespace, metadata: {name: dev, fieldOfANewerServer: 1}, status: {phaze: x}}");
  EXPECT_EQ(findings.size(), 2u);
}

TEST(Served, a_status_that_others_wrote_says_nothing_new) {
  Node root = fixture("virtual_service");
  const auto before = decode_served(root, Kind::kVirtualService, "v1").object;
  root["status"].set("observedGeneration", Node::string("3"));
  root["metadata"].set("resourceVersion", Node::string("19000"));
  const auto after = decode_served(root, Kind::kVirtualService, "v1").object;
  EXPECT_TRUE(says_the_same(*before, *after));
  root["metadata"].set("generation", Node::integer(3));
  EXPECT_FALSE(says_the_same(*before, *decode_served(root, Kind::kVirtualService, "v1").object));
  root["metadata"].set("generation", Node::integer(2));
  root["metadata"].set("uid", Node::string("another"));
  EXPECT_FALSE(says_the_same(*before, *decode_served(root, Kind::kVirtualService, "v1").object));
}

TEST(Served, a_pod_says_something_new_by_its_address_phase_readiness_labels_and_end) {
  const auto before = decode_served(fixture("pod"), Kind::kPod, "v1").object;
  const auto changed = [&](const std::function<void(Node&)>& change) {
    Node root = fixture("pod");
    change(root);
    return !says_the_same(*before, *decode_served(root, Kind::kPod, "v1").object);
  };
  EXPECT_FALSE(changed([](Node& root) { root["status"].set("qosClass", Node::string("Guaranteed")); }));
  EXPECT_FALSE(changed([](Node& root) { root["metadata"].set("resourceVersion", Node::string("2")); }));
  EXPECT_TRUE(changed([](Node& root) { root["status"].set("podIPs", Node::sequence()); }));
  EXPECT_TRUE(changed([](Node& root) { root["status"].set("phase", Node::string("Failed")); }));
  EXPECT_TRUE(changed([](Node& root) { root["status"].set("conditions", Node::sequence()); }));
  EXPECT_TRUE(changed([](Node& root) { root["metadata"]["labels"].set("version", Node::string("v2")); }));
  EXPECT_TRUE(changed(
      [](Node& root) { root["metadata"].set("deletionTimestamp", Node::string("2026-11-30T11:00:00Z")); }));
  EXPECT_TRUE(changed([](Node& root) {
    root["metadata"]["annotations"].set("ambient.istio.io/redirection", Node::string("pending"));
  }));
}

}  // namespace
}  // namespace weft::objects
