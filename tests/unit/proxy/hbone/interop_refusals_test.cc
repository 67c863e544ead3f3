// Handshakes that must not succeed, against peers that are not ours (Python's ssl and h2, the openssl command), in
// both directions and over real sockets.
#include "tests/support/stock_rig.h"

namespace weft::hbone {
namespace {

using observe::Flag;
using test::holds;

const std::string kPeer = WEFT_SOURCE_DIR "/tests/support/apps/hbone_peer.py";

struct RefusalInteropTest : ::testing::Test, test::StockRig {
  // Runs the Python client with what lies in the files; what it printed.
  std::string python(const std::string& mode = "") {
    const auto answer = beside(test::python_peer(*this, kPeer,
                                                 {"client", "--connect", address(), "--timeout", "5", "--authority",
                                                  "127.0.0.1:80", "--mode", mode}));
    EXPECT_TRUE(answer.ok()) << answer.err;
    return answer.out;
  }
  // The openssl command with the rig's files. Its input stays open for a while, so that it hears the answer.
  std::vector<std::string> openssl(const std::string& words) const {
    return {"/bin/sh", "-c",
            "cd " + dir.path() + " && sleep 1 | openssl " + words + " -cert cert.pem -key key.pem -CAfile root.pem"};
  }
  // Dials a server of the openssl command.
  std::unique_ptr<test::Dialled> dial_openssl(const std::string& more = "-alpn h2") {
    const uint16_t there = test::free_port();
    const test::Background server({"/bin/sh", "-c",
                                   "cd " + dir.path() + " && openssl s_server -accept 127.0.0.1:" +
                                       std::to_string(there) + " -cert cert.pem -key key.pem -CAfile root.pem " +
                                       "-Verify 1 -verify_return_error -rev " + more},
                                  dir / "server.log");
    EXPECT_TRUE(test::eventually([&] { return holds(server.said(), "ACCEPT"); })) << server.said();
    auto dialled = dial(there);
    EXPECT_FALSE(dialled->transport);
    return dialled;
  }
  // Certificates that prove nothing, issued for `id`, and what we have to say about them.
  struct Row {
    std::string name;
    test::Issued issued;
    std::string_view reason;
  };
  std::vector<Row> rows(const model::SpiffeId& id, const std::string& wrong_usage) const {
    const int64_t now = time(nullptr);
    const std::string uri = id.to_string();
    return {
        {"two URI SANs", ca.issue({.uris = {uri, "spiffe://cluster.local/ns/dev/sa/two"}}), "more than one URI SAN"},
        {"no URI SAN", ca.issue({.uris = {}, .dns = {"a.test"}}), "names no SPIFFE id"},
        {"expired", ca.issue({.uris = {uri}, .not_before = now - 7200, .not_after = now - 60}), "certificate expired at"},
        {"not yet valid", ca.issue({.uris = {uri}, .not_before = now + 3600, .not_after = now + 7200}), "not yet valid"},
        {"wrong EKU", ca.issue({.uris = {uri}, .extended_key_usage = wrong_usage}), "wrong extended key usage"},
        {"self-signed", test::TestCa::self_signed({.uris = {uri}}), "self-signed"},
        {"unknown authority", test::TestCa("another root").issue({.uris = {uri}}), "unknown authority"},
    };
  }
};

TEST_F(RefusalInteropTest, a_stock_client_that_proves_nothing_reaches_no_tunnel) {
  auto wrong = rows(theirs, "serverAuth");
  wrong.push_back({"wrong trust domain", ca.issue({.uris = {"spiffe://other.domain/ns/dev/sa/caller"}}),
                   "wrong trust domain"});
  for (const auto& row : wrong) {
    save_identity(row.issued);
    failures.clear();
    const auto out = python();
    EXPECT_TRUE(holds(out, "tls: ")) << row.name << out;
    ASSERT_EQ(failures.size(), 1u) << row.name;
    EXPECT_TRUE(holds(failures[0], row.reason)) << row.name << ": " << failures[0];
  }
  EXPECT_EQ(counters.hbone_tunnels_accepted, 0u);
  EXPECT_EQ(node.counters.tls_failed_untrusted, wrong.size());
  save_identity(ca.issue({.uris = {theirs.to_string()}, .extended_key_usage = "clientAuth"}));
  (void)python("hold");
  EXPECT_EQ(counters.hbone_tunnels_accepted, 1u);
}

TEST_F(RefusalInteropTest, a_stock_client_with_another_tls_reaches_no_tunnel) {
  for (const std::string mode : {"tls12", "no-cert", "no-alpn", "early"}) {
    const auto out = python(mode);
    EXPECT_FALSE(holds(out, "status\": \"200")) << mode << out;
  }
  EXPECT_EQ(failures.size(), 4u);
  const auto chacha = beside(
      openssl("s_client -alpn h2 -ciphersuites TLS_CHACHA20_POLY1305_SHA256 -connect " + address()));
  EXPECT_TRUE(holds(chacha.err, "alert handshake failure")) << chacha.err;
  EXPECT_EQ(failures.size(), 5u);
  EXPECT_EQ(counters.hbone_tunnels_accepted, 0u);
}

TEST_F(RefusalInteropTest, early_data_of_a_stock_client_is_rejected_and_never_read) {
  // A session that allows early data, from a server that is not ours either: we would give none.
  const uint16_t there = test::free_port();
  const auto words = "s_server -alpn h2 -early_data -accept 127.0.0.1:" + std::to_string(there);
  auto giver = std::make_unique<test::Background>(
      std::vector<std::string>{"/bin/sh", "-c", "cd " + dir.path() + " && sleep 9 | openssl " + words + " -cert cert.pem -key key.pem"},
      dir / "server.log");
  ASSERT_TRUE(test::eventually([&] { return holds(giver->said(), "ACCEPT"); })) << giver->said();
  const auto given = test::run(openssl("s_client -alpn h2 -sess_out session.pem -connect 127.0.0.1:" + std::to_string(there)));
  ASSERT_TRUE(holds(given.out, "Max Early Data: 16384")) << given.out << given.err;
  save("early", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  const auto tried = beside(openssl("s_client -alpn h2 -sess_in session.pem -early_data early -connect " + address()));
  EXPECT_TRUE(holds(tried.out, "Early data was rejected")) << tried.out << tried.err;
  EXPECT_EQ(counters.hbone_tunnels_accepted, 1u) << "the handshake itself goes on";
  EXPECT_TRUE(refused.empty());
  EXPECT_EQ(seen_authority, "");
}

TEST_F(RefusalInteropTest, a_stock_server_that_proves_nothing_gets_no_request) {
  auto wrong = rows(theirs, "clientAuth");
  wrong.push_back({"wrong trust domain", ca.issue({.uris = {"spiffe://other.domain/ns/dev/sa/caller"}}), "expected"});
  wrong.push_back({"another workload", ca.issue({.uris = {"spiffe://cluster.local/ns/dev/sa/two"}}), "expected"});
  for (const auto& row : wrong) {
    save_identity(row.issued);
    const auto dialled = dial_openssl();
    ASSERT_TRUE(dialled->error) << row.name;
    EXPECT_TRUE(holds(dialled->error->what, row.reason)) << row.name << ": " << base::describe(*dialled->error);
    EXPECT_EQ(flag_of(*dialled->error), Flag::kIdentityError) << row.name;
  }
  EXPECT_EQ(node.counters.tls_failed_untrusted, wrong.size());
}

TEST_F(RefusalInteropTest, a_stock_server_with_another_tls_gets_no_request) {
  for (const std::string more : {"", "-alpn http/1.1", "-alpn h2 -tls1_2",
                                 "-alpn h2 -ciphersuites TLS_CHACHA20_POLY1305_SHA256"}) {
    const auto dialled = dial_openssl(more);
    ASSERT_TRUE(dialled->error) << more;
    EXPECT_EQ(flag_of(*dialled->error), Flag::kTlsFailure) << more << ": " << base::describe(*dialled->error);
  }
  EXPECT_EQ(node.counters.tls_handshakes_full, 0u);
}

TEST_F(RefusalInteropTest, a_stock_server_that_speaks_tls_and_no_http_2_is_told_apart) {
  const auto dialled = dial_openssl();
  ASSERT_TRUE(dialled->error);
  EXPECT_EQ(flag_of(*dialled->error), Flag::kHandshakeFailure) << base::describe(*dialled->error);
  EXPECT_EQ(node.counters.tls_handshakes_full, 1u);
}

TEST_F(RefusalInteropTest, a_stock_server_that_refuses_our_certificate_is_a_failure_of_tls) {
  be(test::TestCa("another root").issue({.uris = {ours.to_string()}}));
  const auto dialled = dial_openssl();
  ASSERT_TRUE(dialled->error);
  EXPECT_EQ(flag_of(*dialled->error), Flag::kTlsFailure) << base::describe(*dialled->error);
  EXPECT_TRUE(holds(dialled->error->what, "most likely our certificate")) << dialled->error->what;
}

}  // namespace
}  // namespace weft::hbone
