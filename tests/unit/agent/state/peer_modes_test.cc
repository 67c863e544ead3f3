#include "agent/state/peer_modes.h"

#include <gtest/gtest.h>

#include "tests/support/state_world.h"

namespace weft::test {
namespace {

using objects::MtlsMode;

std::shared_ptr<objects::PeerAuthentication> modes(const std::string& ns, const std::string& name, MtlsMode mode,
                                                   Labels selector = {}, int64_t age = 0) {
  auto out = named<objects::PeerAuthentication>(ns, name);
  out->meta.creation = at(-age);
  out->selector = std::move(selector);
  out->mode = mode;
  return out;
}

const Labels kApp = {{"app", "a"}};

class PeerModes : public testing::Test {
 protected:
  PeerModes() {
    enrol("dev");
    enrol("istio-system");
    world.put(a_pod("dev", "a", {.ip = "10.1.1.1", .node = "node-1", .labels = kApp}));
  }
  void enrol(const std::string& ns, Labels annotations = {}) {
    world.put(a_namespace(ns, {{"weft.mesh/enabled", "true"}}, std::move(annotations)));
  }
  // "strict 80:permissive (PeerAuthentication dev/x)"
  std::string said() {
    const model::LocalPod& pod = world.look().local_pods.at(0);
    const auto word = [](model::PeerMode mode) {
      return mode == model::PeerMode::kStrict ? std::string("strict") : std::string("permissive");
    };
    std::string out = word(pod.peer_mode);
    for (const auto& port : pod.port_modes) out += " " + std::to_string(port.port) + ":" + word(port.mode);
    const std::string& source = pod.peer_mode_source;
    if (!source.empty()) out += " (" + source.substr(0, source.find(" (")) + ")";
    return out;
  }
  World world;
};

TEST_F(PeerModes, NothingSaidIsPermissive) {
  EXPECT_EQ(said(), "permissive");
}

TEST_F(PeerModes, ThePodGoesBeforeTheNamespaceAndThatBeforeTheMesh) {
  world.put(modes("istio-system", "mesh", MtlsMode::kStrict));
  EXPECT_EQ(said(), "strict (PeerAuthentication istio-system/mesh)");
  world.put(modes("dev", "ns", MtlsMode::kPermissive));
  EXPECT_EQ(said(), "permissive (PeerAuthentication dev/ns)");
  world.put(modes("dev", "pod", MtlsMode::kStrict, kApp));
  EXPECT_EQ(said(), "strict (PeerAuthentication dev/pod)");
  world.put(modes("dev", "other", MtlsMode::kPermissive, {{"app", "b"}}, 1000));
  EXPECT_EQ(said(), "strict (PeerAuthentication dev/pod)");
}

TEST_F(PeerModes, UnsetInheritsAndDisableIsNotStrict) {
  world.put(modes("istio-system", "mesh", MtlsMode::kStrict)).put(modes("dev", "ns", MtlsMode::kUnset));
  world.put(modes("dev", "pod", MtlsMode::kUnset, kApp));
  EXPECT_EQ(said(), "strict (PeerAuthentication istio-system/mesh)");
  world.put(modes("dev", "ns", MtlsMode::kDisable));
  EXPECT_EQ(said(), "permissive (PeerAuthentication dev/ns)");
}

TEST_F(PeerModes, InEachLevelTheOldestCountsAndTheYoungerAreTold) {
  world.put(modes("dev", "young", MtlsMode::kStrict)).put(modes("dev", "old", MtlsMode::kPermissive, {}, 50));
  EXPECT_EQ(said(), "permissive (PeerAuthentication dev/old)");
  EXPECT_EQ(world.said("PeerAuthentication", "dev", "young", "Shadowed"),
            "True OlderObject: PeerAuthentication dev/old is older and counts instead");
  EXPECT_EQ(world.said("PeerAuthentication", "dev", "old", "Enforced"),
            "True Enforced: 1 of 1 pods that it selects on this node");
  world.put(modes("dev", "s1", MtlsMode::kPermissive, kApp)).put(modes("dev", "s2", MtlsMode::kStrict, kApp, 10));
  EXPECT_EQ(said(), "strict (PeerAuthentication dev/s2)");
}

TEST_F(PeerModes, ASelectorInTheRootNamespaceCountsNowhere) {
  world.put(modes("istio-system", "x", MtlsMode::kStrict, kApp));
  EXPECT_EQ(said(), "permissive");
  EXPECT_TRUE(world.said("PeerAuthentication", "istio-system", "x", "Accepted").starts_with("False UnsupportedValue"));
}

TEST_F(PeerModes, PortsExceptFromTheModeOfTheirPod) {
  auto strict = modes("dev", "pod", MtlsMode::kStrict, kApp);
  strict->ports = {{80, MtlsMode::kPermissive, {}}, {81, MtlsMode::kDisable, {}}, {82, MtlsMode::kStrict, {}},
                   {83, MtlsMode::kUnset, {}}};
  world.put(strict);
  EXPECT_EQ(said(), "strict 80:permissive 81:permissive (PeerAuthentication dev/pod)");
  auto open = modes("dev", "pod", MtlsMode::kPermissive, kApp);
  open->ports = strict->ports;
  world.put(open);
  EXPECT_EQ(said(), "permissive 82:strict (PeerAuthentication dev/pod)");
}

TEST_F(PeerModes, AnUnsetPodUnderAStrictParentExceptsPortsOnlyIfOneIsPermissive) {
  world.put(modes("istio-system", "mesh", MtlsMode::kStrict));
  auto pod = modes("dev", "pod", MtlsMode::kUnset, kApp);
  pod->ports = {{80, MtlsMode::kDisable, {}}};
  world.put(pod);
  EXPECT_EQ(said(), "strict (PeerAuthentication istio-system/mesh)");
  auto other = modes("dev", "pod", MtlsMode::kUnset, kApp);
  other->ports = {{80, MtlsMode::kDisable, {}}, {81, MtlsMode::kPermissive, {}}};
  world.put(other);
  EXPECT_EQ(said(), "strict 80:permissive 81:permissive (PeerAuthentication istio-system/mesh)");
}

TEST_F(PeerModes, TheAnnotationSpeaksForItsNamespaceAndTheStricterWordHolds) {
  enrol("dev", {{"weft.mesh/peer-mode", "strict"}});
  EXPECT_TRUE(said().starts_with("strict (Namespace dev annotation")) << said();
  world.put(modes("dev", "ns", MtlsMode::kPermissive));
  EXPECT_TRUE(said().starts_with("strict (Namespace dev annotation")) << said();
  world.drop(objects::Kind::kPeerAuthentication, "dev", "ns");
  enrol("dev", {{"weft.mesh/peer-mode", "permissive"}});
  world.put(modes("istio-system", "mesh", MtlsMode::kStrict));
  EXPECT_TRUE(said().starts_with("permissive (Namespace dev")) << "the namespace goes before the mesh: " << said();
  world.put(modes("dev", "ns", MtlsMode::kStrict));
  EXPECT_EQ(said(), "strict (PeerAuthentication dev/ns)");
}

TEST_F(PeerModes, TlsOnTheNodeIsAskedForByNamespaceMeshOrAgent) {
  const auto asks = [](World& in) {
    in.look();
    return in.workload("dev", "a")->same_node_tls;
  };
  EXPECT_FALSE(asks(world));
  enrol("istio-system", {{"weft.mesh/same-node", "mtls"}});
  EXPECT_TRUE(asks(world)) << "the root namespace speaks for the mesh";
  enrol("dev", {{"weft.mesh/same-node", "attested"}});
  EXPECT_FALSE(asks(world)) << "the namespace goes before the mesh";
  enrol("dev", {{"weft.mesh/same-node", "perhaps"}});
  EXPECT_TRUE(asks(world)) << "what cannot be read is the closed word";
  EXPECT_NE(world.said("Namespace", "", "dev", "PolicyValid").find("use mtls or attested"), std::string::npos);

  auto options = node_options();
  options.same_node_tls = true;
  World agent(options);
  agent.put(a_namespace("dev", {{"weft.mesh/enabled", "true"}}))
      .put(a_pod("dev", "a", {.ip = "10.1.1.1", .node = "node-1"}));
  EXPECT_TRUE(asks(agent));
}

}  // namespace
}  // namespace weft::test
