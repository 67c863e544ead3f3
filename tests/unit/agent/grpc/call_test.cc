// Client against server over loopback, with real TLS.
#include <gtest/gtest.h>

#include <thread>

#include "agent/grpc/client.h"
#include "agent/grpc/server.h"
#include "tests/support/self_signed.h"

using namespace weft;
using namespace weft::grpc;

namespace {

class Calls : public testing::Test {
 protected:
  void serve(ServerOptions options = {}) {
    options.listen = base::SocketAddress::parse("127.0.0.1:0").value();
    server_ = std::make_unique<Server>(options);
    ASSERT_TRUE(server_->set_certificate(identity_.certificate_pem, identity_.key_pem));
    server_->handle("/t.S/Echo", [](const Request& request) -> Answer { return request.message; });
    server_->handle("/t.S/Big", [](const Request& request) -> Answer { return std::string(std::stoul(request.message), 'b'); });
    server_->handle("/t.S/Header", [](const Request& request) -> Answer {
      return std::string(grpc::find(request.metadata, "authorization"));
    });
    server_->handle("/t.S/Refuse", [](const Request&) -> Answer {
      return std::unexpected(Failure{Code::kUnauthenticated, "not you\n"});
    });
    const auto started = server_->start();
    ASSERT_TRUE(started) << base::describe(started.error());
  }
  Target target() const { return {server_->address().to_string(), identity_.certificate_pem, "ca.test"}; }
  Reply ask(const std::string& path, std::string message, Metadata headers = {}) const {
    return call(target(), {.path = path, .headers = std::move(headers), .message = std::move(message)});
  }

  const test::SelfSigned identity_ = test::self_signed("DNS:ca.test,IP:127.0.0.1");
  std::unique_ptr<Server> server_;
};

TEST_F(Calls, a_message_goes_there_and_back) {
  serve();
  for (const size_t size : {0u, 1u, 20'000u, 60'000u}) {
    const std::string message(size, 'x');
    const auto reply = ask("/t.S/Echo", message);
    ASSERT_TRUE(reply) << base::describe(reply.error());
    EXPECT_EQ(*reply, message);
  }
  EXPECT_EQ(server_->counters().calls, 4u);
}

TEST_F(Calls, headers_arrive) {
  serve();
  EXPECT_EQ(ask("/t.S/Header", "", {{"authorization", "Bearer abc"}}).value(), "Bearer abc");
}

TEST_F(Calls, a_failure_keeps_its_code_and_text) {
  serve();
  const auto reply = ask("/t.S/Refuse", "x");
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, Code::kUnauthenticated);
  EXPECT_EQ(reply.error().kind, base::ErrorKind::kRefused);
  EXPECT_TRUE(reply.error().from_peer);
  EXPECT_NE(reply.error().what.find("not you\n"), std::string::npos);
}

TEST_F(Calls, an_unknown_method_is_unimplemented) {
  serve();
  const auto reply = ask("/t.S/Other", "x");
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, Code::kUnimplemented);
  EXPECT_EQ(server_->counters().calls_refused, 1u);
}

TEST_F(Calls, a_request_above_the_bound_is_refused_before_it_ends) {
  serve();
  const auto reply = ask("/t.S/Echo", std::string(1'000'000, 'x'));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, Code::kResourceExhausted);
  EXPECT_EQ(server_->counters().calls, 0u);
}

TEST_F(Calls, a_reply_above_the_bound_is_refused_by_the_client) {
  serve();
  const auto small = call(target(), {.path = "/t.S/Big", .message = "200000", .max_reply = 100'000});
  ASSERT_FALSE(small);
  EXPECT_EQ(small.error().code, Code::kResourceExhausted);
  EXPECT_FALSE(small.error().from_peer);
  EXPECT_EQ(ask("/t.S/Big", "900000").value().size(), 900'000u);
}

TEST_F(Calls, a_server_of_another_authority_or_name_is_untrusted) {
  serve();
  auto stranger = target();
  stranger.roots_pem = test::self_signed("DNS:ca.test").certificate_pem;
  auto misnamed = target();
  misnamed.server_name = "other.test";
  for (const Target& wrong : {stranger, misnamed}) {
    const auto reply = call(wrong, {.path = "/t.S/Echo"});
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().kind, base::ErrorKind::kUntrusted) << base::describe(reply.error());
    EXPECT_EQ(reply.error().code, Code::kUnavailable);
  }
  auto by_address = target();
  by_address.server_name.clear();
  EXPECT_TRUE(call(by_address, {.path = "/t.S/Echo"}));
}

TEST_F(Calls, a_new_certificate_serves_new_connections) {
  serve();
  const auto next = test::self_signed("DNS:ca.test");
  EXPECT_FALSE(server_->set_certificate(next.certificate_pem, identity_.key_pem));
  EXPECT_TRUE(ask("/t.S/Echo", "x"));
  ASSERT_TRUE(server_->set_certificate(next.certificate_pem, next.key_pem));
  EXPECT_FALSE(ask("/t.S/Echo", "x"));
  auto to_next = target();
  to_next.roots_pem = next.certificate_pem;
  EXPECT_TRUE(call(to_next, {.path = "/t.S/Echo"}));
}

TEST_F(Calls, a_dead_endpoint_is_unavailable) {
  serve();
  const Target to = target();
  server_->stop();
  const auto reply = call(to, {.path = "/t.S/Echo"});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, Code::kUnavailable);
  const auto nonsense = call({.endpoint = "nowhere"}, {.path = "/t.S/Echo"});
  ASSERT_FALSE(nonsense);
  EXPECT_EQ(nonsense.error().kind, base::ErrorKind::kInvalid);
}

TEST_F(Calls, many_at_once_are_all_answered) {
  serve();
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 10; ++k) good += ask("/t.S/Echo", "x").has_value();
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, 80);
}

}  // namespace
