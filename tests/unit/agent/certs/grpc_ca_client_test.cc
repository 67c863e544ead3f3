// The caller against a server of the service on loopback, with real TLS.
#include "agent/certs/grpc_ca_client.h"

#include <fstream>

#include "agent/ca_wire/ca_wire.h"
#include "agent/grpc/server.h"
#include "tests/support/scratch_dir.h"
#include "tests/unit/agent/certs/authority.h"
#include "tests/unit/agent/certs/services.h"

namespace weft::certs {
namespace {

const model::SpiffeId kWeb{"cluster.local", "dev", "web"};

struct GrpcCaClientTest : testing::Test {
  void SetUp() override {
    server = serve("127.0.0.1:0", authority);
    ASSERT_NE(server, nullptr);
    write_token("secret-1");
    roots = *Roots::parse(authority.pem());
    ca_wire::CertificateResponse response;
    response.add_cert_chain("leaf");
    response.add_cert_chain("root");
    answer = response.SerializeAsString();
  }
  // One that says it is ca.test, by the word of `by`; null: it cannot listen there.
  std::unique_ptr<grpc::Server> serve(const std::string& listen, const Authority& by) {
    grpc::ServerOptions options;
    options.listen = base::SocketAddress::parse(listen).value();
    auto out = std::make_unique<grpc::Server>(options);
    const auto its_key = new_key();
    const auto now = base::SystemClock().wall_now();
    const Wish wish{
        .names = "DNS:ca.test", .begin = now - std::chrono::hours(1), .end = now + std::chrono::hours(1)};
    EXPECT_TRUE(out->set_certificate(by.sign(*its_key, wish), grpc::write_private_key(*its_key)));
    out->handle(std::string(ca_wire::kCreateCertificate), [this](const grpc::Request& request) -> grpc::Answer {
      EXPECT_TRUE(heard.ParseFromString(request.message));
      authorization = grpc::find(request.metadata, "authorization");
      cluster = grpc::find(request.metadata, "clusterid");
      return answer;
    });
    return out->start() ? std::move(out) : nullptr;
  }
  void write_token(const std::string& text) { std::ofstream(dir / "token") << text; }
  [[nodiscard]] GrpcCaOptions options() const {
    return {.address = std::make_shared<CaAddress>(server->address().to_string()),
            .server_name = "ca.test",
            .token_file = dir / "token",
            .cluster = "east",
            .validity_seconds = 120};
  }
  // By a name that leads nowhere; the Service of that name, once it is learnt, has these addresses, at the server's port.
  [[nodiscard]] GrpcCaOptions by_name(const std::vector<std::string>& addresses) const {
    const auto address = std::make_shared<CaAddress>("ca.weft-test.invalid:" + std::to_string(server->address().port));
    address->learn(with_services({{"ca.weft-test.invalid", addresses}}));
    auto out = options();
    out.address = address;
    return out;
  }
  [[nodiscard]] Ask ask() const { return {1, kWeb, request_for(*key), roots}; }

  test::ScratchDir dir;
  const Authority authority{"root", base::WallTime{}, base::WallTime{std::chrono::hours(900'000)}};
  const Authority stranger{"root", base::WallTime{}, base::WallTime{std::chrono::hours(900'000)}};
  grpc::KeyPtr key = new_key();
  RootsPtr roots;
  std::unique_ptr<grpc::Server> server;
  ca_wire::CertificateRequest heard;
  std::string authorization, cluster;
  grpc::Answer answer;
};

TEST_F(GrpcCaClientTest, says_the_service_what_it_wants_to_hear) {
  GrpcCaClient client(options());
  const auto got = client.request(ask());
  ASSERT_TRUE(got.has_value()) << base::describe(got.error());
  EXPECT_EQ(got->elements, (std::vector<std::string>{"leaf", "root"}));
  EXPECT_EQ(authorization, "Bearer secret-1");
  EXPECT_EQ(cluster, "east");
  EXPECT_TRUE(heard.csr().starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
  EXPECT_EQ(heard.validity_duration(), 120);
  EXPECT_EQ(heard.metadata().fields().at("ImpersonatedIdentity").string_value(), kWeb.to_string());
}

TEST_F(GrpcCaClientTest, asks_for_itself_without_naming_anybody) {
  auto mine = options();
  mine.for_others = false;
  ASSERT_TRUE(GrpcCaClient(mine).request(ask()).has_value());
  EXPECT_FALSE(heard.has_metadata());
}

TEST_F(GrpcCaClientTest, reads_the_token_anew_for_every_request) {
  GrpcCaClient client(options());
  ASSERT_TRUE(client.request(ask()).has_value());
  write_token("  secret-2\n");
  ASSERT_TRUE(client.request(ask()).has_value());
  EXPECT_EQ(authorization, "Bearer secret-2");
}

TEST_F(GrpcCaClientTest, a_token_that_is_none_is_never_sent_and_never_shown) {
  for (const std::string& text :
       std::vector<std::string>{"", " \n", "se cret", "secret\r\nx: y", std::string(20'000, 'a')}) {
    write_token(text);
    const auto got = GrpcCaClient(options()).request(ask());
    ASSERT_FALSE(got.has_value()) << text.size();
    EXPECT_EQ(base::describe(got.error()).find("secret"), std::string::npos);
  }
  auto none = options();
  none.token_file = dir / "missing";
  EXPECT_FALSE(GrpcCaClient(none).request(ask()).has_value());
  EXPECT_EQ(authorization, "");
}

TEST_F(GrpcCaClientTest, a_refusal_keeps_its_code) {
  answer = std::unexpected(grpc::Failure{grpc::Code::kUnauthenticated, "request authenticate failure"});
  const auto got = GrpcCaClient(options()).request(ask());
  ASSERT_FALSE(got.has_value());
  EXPECT_EQ(got.error().kind, base::ErrorKind::kRefused);
  EXPECT_NE(got.error().what.find("UNAUTHENTICATED"), std::string::npos);
}

TEST_F(GrpcCaClientTest, come_again_soon_is_told_from_a_ca_that_is_away) {
  answer = std::unexpected(grpc::Failure{grpc::Code::kUnavailable, "no such pod was seen yet"});
  const auto got = GrpcCaClient(options()).request(ask());
  ASSERT_FALSE(got.has_value());
  EXPECT_EQ(got.error().kind, base::ErrorKind::kNotFound);
  auto nowhere = options();
  nowhere.address = std::make_shared<CaAddress>("127.0.0.1:1");
  const auto away = GrpcCaClient(nowhere).request(ask());
  ASSERT_FALSE(away.has_value());
  EXPECT_NE(away.error().kind, base::ErrorKind::kNotFound);
}

TEST_F(GrpcCaClientTest, who_does_not_prove_to_be_the_ca_gets_no_token) {
  auto other = ask();
  other.roots = *Roots::parse(stranger.pem());
  const auto unknown = GrpcCaClient(options()).request(other);
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().kind, base::ErrorKind::kUntrusted);
  auto named = options();
  named.server_name = "another.test";
  EXPECT_FALSE(GrpcCaClient(named).request(ask()).has_value());
  // Nor is the system asked where no bundle was handed over and the server is nobody's.
  other.roots = nullptr;
  EXPECT_FALSE(GrpcCaClient(options()).request(other).has_value());
  EXPECT_EQ(authorization, "");
}

TEST_F(GrpcCaClientTest, the_services_address_is_called_where_names_do_not_resolve) {
  const auto before = GrpcCaClient(by_name({})).request(ask());
  ASSERT_FALSE(before.has_value());
  EXPECT_NE(before.error().what.find("look up ca.weft-test.invalid"), std::string::npos) << before.error().what;
  const auto after = GrpcCaClient(by_name({"127.0.0.1"})).request(ask());
  EXPECT_TRUE(after.has_value()) << base::describe(after.error());
}

TEST_F(GrpcCaClientTest, the_name_has_to_be_the_cas_whatever_address_is_called) {
  auto unnamed = by_name({"127.0.0.1"});
  unnamed.server_name = "";
  ASSERT_FALSE(GrpcCaClient(unnamed).request(ask()).has_value()) << "its certificate says ca.test";
  EXPECT_EQ(authorization, "");
}

TEST_F(GrpcCaClientTest, where_nobody_answers_the_next_address_is_asked) {
  EXPECT_TRUE(GrpcCaClient(by_name({"127.0.0.2", "127.0.0.1"})).request(ask()).has_value());
}

TEST_F(GrpcCaClientTest, a_stranger_at_the_first_address_gets_no_token_and_the_next_one_is_asked) {
  const auto other = serve("127.0.0.2:" + std::to_string(server->address().port), stranger);
  ASSERT_NE(other, nullptr);
  ASSERT_FALSE(GrpcCaClient(by_name({"127.0.0.2"})).request(ask()).has_value());
  EXPECT_EQ(authorization, "");
  EXPECT_TRUE(GrpcCaClient(by_name({"127.0.0.2", "127.0.0.1"})).request(ask()).has_value());
}

TEST_F(GrpcCaClientTest, a_no_of_the_ca_is_final_and_what_was_tried_in_vain_is_told) {
  answer = std::unexpected(grpc::Failure{grpc::Code::kUnauthenticated, "request authenticate failure"});
  const auto refused = GrpcCaClient(by_name({"127.0.0.1"})).request(ask());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, base::ErrorKind::kRefused);
  const auto gone = by_name({"127.0.0.1"});
  server->stop();
  const auto away = GrpcCaClient(gone).request(ask());
  ASSERT_FALSE(away.has_value());
  for (const char* tried : {"127.0.0.1:", "look up ca.weft-test.invalid"})
    EXPECT_NE(away.error().what.find(tried), std::string::npos) << away.error().what;
}

TEST_F(GrpcCaClientTest, an_answer_that_is_none_is_refused) {
  answer = std::string("\xff\xff\xff");
  EXPECT_FALSE(GrpcCaClient(options()).request(ask()).has_value());
  ca_wire::CertificateResponse response;
  for (int i = 0; i < 9; ++i) response.add_cert_chain("x");
  answer = response.SerializeAsString();
  EXPECT_FALSE(GrpcCaClient(options()).request(ask()).has_value());
}

TEST_F(GrpcCaClientTest, a_ca_that_is_away_is_an_error_and_not_a_wait) {
  server->stop();
  const auto got = GrpcCaClient(options()).request(ask());
  ASSERT_FALSE(got.has_value());
  EXPECT_NE(got.error().kind, base::ErrorKind::kRefused);
}

}  // namespace
}  // namespace weft::certs
