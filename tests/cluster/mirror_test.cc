// The CA's Secret and the roots' ConfigMap against real API servers.
#include <fstream>
#include <iterator>
#include <thread>

#include "agent/ca/files.h"
#include "agent/mirror/config_map_file.h"
#include "agent/mirror/control_mirror.h"
#include "agent/parse/base64.h"
#include "tests/cluster/kube_fixture.h"

namespace weft::mirror {
namespace {

using kube::resource;
using objects::Node;
using test::eventually;

std::string text_of(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct MirrorTest : kube::KubeTest {
  CaSecretOptions options(const std::string& ns, const std::string& replica, const test::ScratchDir& dir) {
    return {.ns = ns, .replica = replica, .directory = dir.path(), .trust_domain = "cluster.local"};
  }
  std::string stored(const std::string& ns, const std::string& name, const std::string& key) {
    const auto secret = client()->get(resource("v1", "Secret"), ns, name);
    if (!secret) return secret.error().reason;
    return parse::decode_base64(secret->at({"data", key}).as_string(), parse::Base64::kPlain).value_or("no base64");
  }
  test::ScratchDir one, two;
};

TEST_F(MirrorTest, the_first_replica_makes_the_root_and_the_second_signs_with_it) {
  make_namespace("first");
  const auto api = client();
  CaSecret first(*api, options("first", "a", one)), second(*api, options("first", "b", two));
  const auto now = clock.wall_now();
  ASSERT_TRUE(first.open(now));
  EXPECT_EQ(stored("first", "weft-ca", "ca-key.pem"), text_of(one / "ca-key.pem"));
  const auto opened = second.open(now);
  ASSERT_TRUE(opened) << base::describe(opened.error());
  for (const char* name : {"ca-key.pem", "ca-cert.pem", "root-cert.pem"}) {
    EXPECT_EQ(text_of(two / name), text_of(one / name)) << name;
    EXPECT_NE(text_of(two / name), "") << name;
  }
  EXPECT_TRUE(ca::read_signer(ca::CaFiles(two.path()), now));
  EXPECT_EQ(*first.refresh(), false);
  EXPECT_EQ(*second.refresh(), false);
}

TEST_F(MirrorTest, replicas_that_start_at_once_have_one_root) {
  make_namespace("race");
  const auto first_api = client(), second_api = client(test::ApiServers::kSecond);
  for (int round = 0; round < 5; ++round) {
    const test::ScratchDir left, right;
    CaSecret a(*first_api, options("race", "a", left)), b(*second_api, options("race", "b", right));
    base::Status opened_a, opened_b;
    std::thread other([&] { opened_a = a.open(clock.wall_now()); });
    opened_b = b.open(clock.wall_now());
    other.join();
    ASSERT_TRUE(opened_a && opened_b);
    EXPECT_EQ(text_of(left / "ca-key.pem"), text_of(right / "ca-key.pem")) << round;
    EXPECT_EQ(text_of(left / "ca-cert.pem"), text_of(right / "ca-cert.pem")) << round;
    ASSERT_TRUE(first_api->remove(resource("v1", "Secret"), "race", "weft-ca"));
  }
}

TEST_F(MirrorTest, a_secret_that_was_deleted_comes_back_as_it_was) {
  make_namespace("lost");
  const auto api = client();
  CaSecret secret(*api, options("lost", "a", one));
  ASSERT_TRUE(secret.open(clock.wall_now()));
  const std::string key = text_of(one / "ca-key.pem");
  ASSERT_TRUE(api->remove(resource("v1", "Secret"), "lost", "weft-ca"));
  EXPECT_EQ(stored("lost", "weft-ca", "ca-key.pem"), "NotFound");
  ASSERT_TRUE(secret.refresh());
  EXPECT_EQ(stored("lost", "weft-ca", "ca-key.pem"), key);
  EXPECT_EQ(text_of(one / "ca-key.pem"), key);
}

TEST_F(MirrorTest, an_operators_own_ca_wins_and_what_he_changes_reaches_the_files) {
  make_namespace("plugged");
  const auto api = client();
  CaSecret secret(*api, options("plugged", "a", one));
  ASSERT_TRUE(secret.open(clock.wall_now()));
  const std::string made = text_of(one / "ca-cert.pem");
  ASSERT_TRUE(ca::ensure_root(two.path(), "cluster.local", clock.wall_now()));
  Node data = Node::mapping();
  for (const char* name : {"ca-key.pem", "ca-cert.pem", "root-cert.pem", "cert-chain.pem"})
    data.set(name, Node::string(parse::encode_base64(text_of(two / name), parse::Base64::kPlain)));
  Node plugged = kube::json(R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":"cacerts","namespace":"plugged"}})");
  plugged.set("data", data);
  ASSERT_TRUE(api->create_object(resource("v1", "Secret"), "plugged", plugged));
  EXPECT_EQ(*secret.refresh(), true);
  EXPECT_EQ(text_of(one / "ca-cert.pem"), text_of(two / "ca-cert.pem"));
  EXPECT_NE(text_of(one / "ca-cert.pem"), made);
  EXPECT_EQ(*secret.refresh(), false);
}

TEST_F(MirrorTest, a_secret_that_lacks_a_file_is_refused_and_named) {
  make_namespace("broken");
  const auto api = client();
  ASSERT_TRUE(api->create_object(
      resource("v1", "Secret"), "broken",
      kube::json(R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":"cacerts","namespace":"broken"},"data":{"ca-key.pem":"AAAA"}})")));
  const auto opened = CaSecret(*api, options("broken", "a", one)).open(clock.wall_now());
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().what.find("Secret broken/cacerts: root-cert.pem"), std::string::npos) << opened.error().what;
}

TEST_F(MirrorTest, the_leaders_roots_reach_a_file_of_every_agent_and_stay_there) {
  make_namespace("roots");
  const auto api = client();
  std::atomic<bool> leads = false;
  ControlMirrorOptions mirror;
  mirror.secret = options("roots", "a", one);
  mirror.namespaces = {"roots"};
  mirror.look_every = base::Millis(100);
  ControlMirror control(*api, clock, mirror, [&] { return leads.load(); });
  ASSERT_TRUE(control.open());
  ConfigMapFile file({"roots", "weft-ca-root", "root-cert.pem"}, two / "root.pem");
  auto reflectors = kube::Reflectors::create(servers_.config(test::ApiServers::kFirst), clock);
  ASSERT_TRUE(reflectors);
  (*reflectors)->add(file.spec(), file);
  (*reflectors)->start();
  EXPECT_TRUE(eventually([&] { return file.problem().find("is not there") != std::string::npos; })) << file.problem();

  control.set_bundle("first root");
  control.start();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_EQ(text_of(two / "root.pem"), "") << "it does not lead";
  leads = true;
  EXPECT_TRUE(eventually([&] { return text_of(two / "root.pem") == "first root"; }));
  EXPECT_EQ(file.problem(), "");
  control.set_bundle("second root");
  EXPECT_TRUE(eventually([&] { return text_of(two / "root.pem") == "second root"; }));
  control.stop();
  ASSERT_TRUE(api->remove(resource("v1", "ConfigMap"), "roots", "weft-ca-root"));
  EXPECT_TRUE(eventually([&] { return file.problem().find("was deleted") != std::string::npos; })) << file.problem();
  EXPECT_EQ(text_of(two / "root.pem"), "second root") << "who believes its roots goes on believing them";
}

}  // namespace
}  // namespace weft::mirror
