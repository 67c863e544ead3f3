// What fails under identity, and what is declared to happen then: deaths of proxy, agent and control under load, rotation,
// and a new root in the right and in the wrong order. See identity_world.h for the cluster.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "tests/e2e/identity_world.h"

namespace weft::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string text_of(const std::string& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string to_text(const Ends& ends) {
  std::string text;
  for (const auto& [end, count] : ends) text += end + ": " + std::to_string(count) + "\n";
  return text;
}

class IdentityFaultsTest : public IdentityTest {
 protected:
  // Puts a file into the authority's directory as its owner would: whole, and readable by control alone.
  static void plug_in(const std::string& name, const std::string& text, const std::string& mode) {
    const std::string file = state_file("ca/" + name), beside = state_file("ca/." + name + ".new");
    std::ofstream(beside) << text;
    ASSERT_TRUE(run({"chown", "--reference=" + state_file("ca"), beside}).ok());
    ASSERT_TRUE(run({"chmod", mode, beside}).ok());
    std::filesystem::rename(beside, file);
  }
  // A root of somebody's own.
  struct Root {
    std::string certificate, key;
  };
  static Root make_root(const std::string& name) {
    const std::string dir = std::filesystem::temp_directory_path() / (cluster().name() + "-" + name);
    std::filesystem::create_directories(dir);
    const Answer made = run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                             "-days", "30", "-subj", "/O=" + name, "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                             "-keyout", dir + "/key.pem", "-out", dir + "/cert.pem"});
    Root root{text_of(dir + "/cert.pem"), text_of(dir + "/key.pem")};
    std::filesystem::remove_all(dir);
    EXPECT_TRUE(made.ok()) << made.err;
    return root;
  }
  // Who signed what the pod shows to strangers.
  static std::string issuer_of(const std::string& pod) {
    return cluster()
        .exec("outsider", {"bash", "-c", "openssl s_client -connect " + address("mesh", pod) +
                                             ":15008 -alpn h2 </dev/null 2>/dev/null | openssl x509 -noout -issuer"},
              "plain")
        .out;
  }
  // What control gives out as the trust bundle.
  static std::string trusted() { return text_of(state_file("trust/root-cert.pem")); }
  static int roots_trusted() {
    int count = 0;
    const std::string text = trusted();
    for (size_t at = text.find("-----BEGIN"); at != std::string::npos; at = text.find("-----BEGIN", at + 1)) ++count;
    return count;
  }
};

TEST_F(IdentityFaultsTest, deaths_under_load_let_no_plain_text_byte_out_of_a_strict_pod) {
  policy("PeerAuthentication", "default", "{mtls: {mode: STRICT}}");
  ASSERT_TRUE(eventually([] { return is_refused(call("plain", "outsider", "far.mesh")); }, seconds(10)));
  const std::string marker = "plain-marker-of-a-load-with-deaths";
  auto wire = wire_between_nodes({marker});
  auto kept = load("far.mesh", 14, 20, marker), fresh = load("far.mesh", 14, 10, marker, {"-H", "Connection: close"});
  int admitted = 0;
  for (const char* victim : {"weft-proxy", "weft-agent", "control", "weft-proxy", "weft-agent"}) {
    std::this_thread::sleep_for(milliseconds(1200));
    const bool is_control = std::string_view(victim) == "control";
    for (const char* node : {"node1", "node2"}) {
      if (is_control)
        EXPECT_TRUE(cluster().kill9_container("weft-system", control_pod(), "weft-control"));
      else
        EXPECT_TRUE(cluster().kill9(victim, node));
      if (is_control) break;
    }
    admitted += works("plain", "outsider", "far.mesh") || works("plain", "outsider", "near.mesh") ? 1 : 0;
  }
  const Ends kept_ends = kept.get(), fresh_ends = fresh.get();
  wire->stop();
  EXPECT_EQ(admitted, 0) << "the declared mode holds";
  EXPECT_EQ(wire->trouble(), "");
  EXPECT_EQ(wire->found(), 0u);
  EXPECT_GT(wire->bytes_of_port(15008), 10'000u);
  EXPECT_GT(kept_ends.count("200 ") ? kept_ends.at("200 ") : 0, 100) << to_text(kept_ends);
  EXPECT_GT(fresh_ends.count("200 ") ? fresh_ends.at("200 ") : 0, 50) << to_text(fresh_ends);
  EXPECT_TRUE(eventually([] { return works("mesh", "client", "far.mesh") && works("mesh", "peer", "near.mesh"); }, seconds(30)));
}

// identity.md 5: (1) both roots everywhere, (2) confirmed, (3) sign with the new one, (4) every certificate renewed, (5) the
// new root alone. Each certificate is renewed on the way, so this is the test of rotation too.
TEST_F(IdentityFaultsTest, a_new_root_in_five_steps_under_load_loses_no_request) {
  const std::string old_root = trusted();
  ASSERT_NE(old_root, "");
  const Root fresh_root = make_root("second-root");
  const std::string marker = "plain-marker-of-a-rotation";
  auto wire = wire_between_nodes({marker});
  const auto start = std::chrono::steady_clock::now();
  auto kept = load("far.mesh", 65, 10, marker), fresh = load("far.mesh", 65, 5, marker, {"-H", "Connection: close"});
  plug_in("root-cert.pem", old_root + fresh_root.certificate, "644");
  ASSERT_TRUE(eventually([] { return roots_trusted() == 2; }, seconds(10)));
  std::this_thread::sleep_for(seconds(5));  // the nodes look at the file twice a second
  plug_in("ca-key.pem", fresh_root.key, "600");
  plug_in("ca-cert.pem", fresh_root.certificate, "644");
  for (const char* pod : {"client", "near", "peer", "far"})
    EXPECT_TRUE(eventually([&] { return issuer_of(pod).find("second-root") != std::string::npos; }, seconds(50)))
        << pod << ": " << issuer_of(pod);
  plug_in("root-cert.pem", fresh_root.certificate, "644");
  ASSERT_TRUE(eventually([] { return roots_trusted() == 1; }, seconds(10)));
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(64)) << "the load has seen all steps";
  const Ends kept_ends = kept.get(), fresh_ends = fresh.get();
  wire->stop();
  EXPECT_EQ(failures_in(kept_ends), 0) << to_text(kept_ends);
  EXPECT_EQ(failures_in(fresh_ends), 0) << to_text(fresh_ends);
  EXPECT_GT(kept_ends.count("200 ") ? kept_ends.at("200 ") : 0, 500);
  EXPECT_EQ(wire->trouble(), "");
  EXPECT_EQ(wire->found(), 0u);
}

// Step 3 before step 1: nobody would believe what the new root signs.
TEST_F(IdentityFaultsTest, a_signer_that_the_bundle_does_not_hold_is_refused_and_the_old_one_goes_on) {
  const std::string key = text_of(state_file("ca/ca-key.pem")), certificate = text_of(state_file("ca/ca-cert.pem")),
                    before = trusted();
  const Root stranger = make_root("too-early");
  plug_in("ca-key.pem", stranger.key, "600");
  plug_in("ca-cert.pem", stranger.certificate, "644");
  EXPECT_TRUE(eventually([] { return said("ca-cert.pem"); }, seconds(10))) << everything_said();
  EXPECT_EQ(trusted(), before);
  for (const char* pod : {"client", "far"}) EXPECT_EQ(issuer_of(pod).find("too-early"), std::string::npos);
  EXPECT_TRUE(works("mesh", "client", "far.mesh"));
  plug_in("ca-key.pem", key, "600");
  plug_in("ca-cert.pem", certificate, "644");
}

// Step 5 before step 4, at its worst: nodes that believe a root no certificate leads to.
TEST_F(IdentityFaultsTest, a_bundle_without_the_roots_in_use_closes_everything_and_says_why) {
  const std::string good = trusted(), file = state_file("trust/root-cert.pem");
  const std::string marker = "plain-marker-of-the-wrong-order";
  const auto answered = [&] {
    return curl(cluster(), "client", {"-m", "3", "-d", marker}, "http://far.mesh:8888/x", "mesh").status == 200;
  };
  ASSERT_TRUE(answered());
  const auto refusals = [] {
    uint64_t sum = 0;
    for (const char* node : {"node1", "node2"})
      for (const char* name : {"weft_proxy_tls_failed_untrusted_total", "weft_proxy_tls_no_identity_total",
                               "weft_proxy_hbone_bundle_cut_total"})
        sum += metric(node, name);
    return sum;
  };
  const uint64_t before = refusals();
  auto wire = wire_between_nodes({marker});
  std::ofstream(file) << make_root("stranger").certificate;
  EXPECT_TRUE(eventually([&] { return !answered(); }, seconds(20))) << "what nobody can prove is not believed";
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(answered());
  wire->stop();
  EXPECT_EQ(wire->trouble(), "");
  EXPECT_EQ(wire->found(), 0u) << "and no plain text instead";
  EXPECT_GT(refusals(), before);
  EXPECT_TRUE(eventually([] { return certificates({"list"}).out.find("root") != std::string::npos || said("root"); },
                         seconds(15)))
      << "says why\n" << certificates({"list"}).out << everything_said();
  std::ofstream(file) << good;
  EXPECT_TRUE(eventually([] { return works("mesh", "client", "far.mesh") && works("mesh", "peer", "near.mesh"); }, seconds(90)))
      << everything_said();
}

}  // namespace
}  // namespace weft::test
