// A peer that is not ours (Python's ssl and h2) with a certificate of the mesh's own authority, against the whole of
// weft: it speaks HBONE to pods from a place that weft does not capture.
#include <fstream>

#include "tests/e2e/identity_world.h"
#include "tests/support/scratch_dir.h"

namespace weft::test {
namespace {

using nlohmann::json;
using std::chrono::seconds;

struct IdentityStockTest : IdentityTest {
  // Certificate and key for the URI, in `dir`, signed with the authority's key.
  void be(const std::string& uri) {
    std::ofstream(dir / "extensions") << "subjectAltName=critical,URI:" << uri
                                      << "\nextendedKeyUsage=clientAuth\nkeyUsage=critical,digitalSignature\n";
    const Answer made = run(
        {"/bin/sh", "-c",
         "cd " + dir.path() + " && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -subj / "
         "-out request.pem && openssl x509 -req -in request.pem -CA " + state_file("ca/ca-cert.pem") + " -CAkey " +
         state_file("ca/ca-key.pem") + " -set_serial 77 -days 1 -extfile extensions -out cert.pem"});
    ASSERT_TRUE(made.ok()) << made.err;
  }
  // What the peer saw when it asked the pod for the authority.
  json ask(const std::string& pod, const std::string& authority, const std::string& claims = "") {
    const Answer answer = cluster().in_netns_of(
        "plain", "outsider",
        "/usr/bin/python3 " WEFT_SOURCE_DIR "/tests/support/apps/hbone_peer.py client --timeout 8 --send hello "
        "--half-close --cert " + dir / "cert.pem" + " --key " + dir / "key.pem" + " --root " +
            state_file("trust/root-cert.pem") + " --connect " + address("mesh", pod) + ":15008 --authority " + authority +
            (claims.empty() ? "" : " --baggage " + claims));
    const json seen = json::parse(answer.out, nullptr, false);
    return seen.is_discarded() ? json{{"status", answer.out + answer.err}} : seen;
  }
  ScratchDir dir;
};

TEST_F(IdentityStockTest, a_stock_peer_is_served_in_a_strict_mesh) {
  policy("PeerAuthentication", "default", "{mtls: {mode: STRICT}}");
  be("spiffe://cluster.local/ns/elsewhere/sa/stranger");
  for (const char* pod : {"far", "near"}) {
    const json seen = ask(pod, address("mesh", pod) + ":7000");
    EXPECT_EQ(seen["status"], "200") << seen;
    EXPECT_EQ(seen["text"], "hello") << seen;
    EXPECT_EQ(seen["end"], "end") << seen;
    EXPECT_EQ(seen["peer"], json::array({spiffe(pod)})) << seen;
    EXPECT_NE(seen.value("baggage", "").find("k8s.namespace.name=mesh"), std::string::npos) << seen;
  }
  const json by_name = ask("far", "far.mesh.svc.cluster.local:7000");
  EXPECT_EQ(by_name["text"], "hello") << by_name;
}

TEST_F(IdentityStockTest, a_stock_peer_gets_the_status_of_its_mistake) {
  be("spiffe://cluster.local/ns/elsewhere/sa/stranger");
  EXPECT_EQ(ask("far", address("mesh", "near") + ":7000")["status"], "400") << "another pod";
  EXPECT_EQ(ask("far", "near.mesh.svc.cluster.local:7000")["status"], "503") << "a service of others";
  for (const char* port : {"15006", "15008", "15020"})
    EXPECT_EQ(ask("far", address("mesh", "far") + ":" + port)["status"], "503") << port;
  EXPECT_EQ(ask("far", address("mesh", "far") + ":9")["status"], "503") << "nobody listens";
}

TEST_F(IdentityStockTest, a_stock_peer_is_judged_by_its_certificate_and_not_by_what_it_claims) {
  policy("AuthorizationPolicy", "only-client",
         "{action: ALLOW, rules: [{from: [{source: {principals: [cluster.local/ns/mesh/sa/client]}}]}]}");
  be("spiffe://cluster.local/ns/elsewhere/sa/stranger");
  const std::string there = address("mesh", "far") + ":7000";
  const std::string lie = "k8s.namespace.name=mesh,k8s.deployment.name=client,service.name=client";
  EXPECT_TRUE(eventually([&] { return ask("far", there)["status"] == "401"; }, seconds(15))) << ask("far", there);
  EXPECT_EQ(ask("far", there, lie)["status"], "401");
  be(spiffe("client"));
  EXPECT_EQ(ask("far", there, "k8s.namespace.name=elsewhere,service.name=stranger")["text"], "hello");
}

TEST_F(IdentityStockTest, a_stock_peer_of_another_trust_domain_reaches_nothing) {
  be("spiffe://other.domain/ns/mesh/sa/client");
  const json seen = ask("far", address("mesh", "far") + ":7000");
  EXPECT_TRUE(seen["end"].is_string() && seen["end"].get<std::string>().starts_with("tls: ")) << seen;
}

}  // namespace
}  // namespace weft::test
