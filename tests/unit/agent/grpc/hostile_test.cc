// What a peer that means no good can do to the server: each bound is met, and the server still answers others.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <thread>

#include "agent/grpc/client.h"
#include "agent/grpc/frame.h"
#include "agent/grpc/server.h"
#include "tests/support/self_signed.h"

using namespace weft;
using namespace weft::grpc;

namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

base::Instant in(int millis) {
  return std::chrono::steady_clock::now() + base::Millis(millis);
}

std::string h2_frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string out;
  for (const int shift : {16, 8, 0}) out += static_cast<char>(payload.size() >> shift & 0xff);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(stream >> shift & 0xff);
  return out.append(payload);
}

// HPACK without tables.
std::string field(std::string_view name, std::string_view value) {
  std::string out(1, '\0');
  for (const auto text : {name, value}) {
    out += static_cast<char>(text.size());
    out += text;
  }
  return out;
}

std::string request_head(std::string_view method = "POST", std::string_view type = "application/grpc") {
  return field(":method", method) + field(":scheme", "https") + field(":path", "/t.S/Echo") +
         field(":authority", "ca") + field("content-type", type);
}

class Hostile : public testing::Test {
 protected:
  void serve(ServerOptions options) {
    options.listen = base::SocketAddress::parse("127.0.0.1:0").value();
    server_ = std::make_unique<Server>(options);
    ASSERT_TRUE(server_->set_certificate(identity_.certificate_pem, identity_.key_pem));
    server_->handle("/t.S/Echo", [](const Request& request) -> Answer { return request.message; });
    ASSERT_TRUE(server_->start());
  }
  base::Fd plain() const {
    sockaddr_storage storage{};
    const socklen_t size = server_->address().to_sockaddr(&storage);
    base::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&storage), size), 0);
    return fd;
  }
  TlsSocket secure(const base::Fd& fd) const {
    const timeval tick{.tv_usec = 50'000};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick);
    auto socket = TlsSocket::connect(fd.get(), client_context(identity_.certificate_pem).value(), "ca.test", in(5000));
    EXPECT_TRUE(socket) << base::describe(socket.error());
    return std::move(*socket);
  }
  // True once the server has ended the connection.
  static bool ended(TlsSocket& socket, int millis) {
    std::array<char, 4096> block;
    while (true) {
      const auto size = socket.read(block, in(millis));
      if (!size) return size.error().kind != base::ErrorKind::kTimeout;
      if (*size == 0) return true;
    }
  }
  bool answers() const {
    const Target to{server_->address().to_string(), identity_.certificate_pem, "ca.test"};
    return call(to, {.path = "/t.S/Echo", .message = "still there"}).has_value();
  }
  template <typename Condition>
  static bool eventually(Condition condition) {
    for (int i = 0; i < 300; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(base::Millis(10));
    }
    return false;
  }

  const test::SelfSigned identity_ = test::self_signed("DNS:ca.test");
  std::unique_ptr<Server> server_;
};

TEST_F(Hostile, who_says_nothing_is_let_go_after_the_handshake_bound) {
  serve({.handshake = base::Millis(100)});
  const base::Fd fd = plain();
  char byte;
  EXPECT_EQ(::recv(fd.get(), &byte, 1, 0), 0);
  EXPECT_EQ(server_->counters().handshake_failures, 1u);
  EXPECT_TRUE(answers());
}

TEST_F(Hostile, plain_http_is_no_handshake) {
  serve({});
  const base::Fd fd = plain();
  ASSERT_GT(::send(fd.get(), kPreface.data(), kPreface.size(), MSG_NOSIGNAL), 0);
  EXPECT_TRUE(eventually([&] { return server_->counters().handshake_failures == 1; }));
}

TEST_F(Hostile, a_request_that_never_ends_is_cut_by_the_clock) {
  serve({.stream = base::Millis(150)});
  const base::Fd fd = plain();
  TlsSocket socket = secure(fd);
  ASSERT_TRUE(socket.write(std::string(kPreface) + h2_frame(4, 0, 0, "") + h2_frame(1, 4, 1, request_head()), in(1000)));
  // One byte now and then does not prolong it.
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(socket.write(h2_frame(0, 0, 1, std::string_view("\0", 1)), in(1000)));
    std::this_thread::sleep_for(base::Millis(30));
  }
  EXPECT_TRUE(ended(socket, 2000));
  EXPECT_TRUE(eventually([&] { return server_->counters().timeouts == 1; }));
}

TEST_F(Hostile, an_answer_that_is_not_read_is_cut_by_the_clock) {
  serve({.stream = base::Millis(200)});
  const base::Fd fd = plain();
  TlsSocket socket = secure(fd);
  // SETTINGS_INITIAL_WINDOW_SIZE 0: the answer may not leave.
  const std::string settings = h2_frame(4, 0, 0, std::string_view("\0\x04\0\0\0\0", 6));
  ASSERT_TRUE(socket.write(std::string(kPreface) + settings + h2_frame(1, 4, 1, request_head()) +
                               h2_frame(0, 1, 1, frame("hello")),
                           in(1000)));
  EXPECT_TRUE(ended(socket, 2000));
  EXPECT_TRUE(eventually([&] { return server_->counters().timeouts == 1; }));
  EXPECT_EQ(server_->counters().calls, 1u);
}

TEST_F(Hostile, floods_of_frames_that_carry_nothing_end_the_connection) {
  serve({});
  const std::string ping = h2_frame(6, 0, 0, "12345678"), settings = h2_frame(4, 0, 0, ""),
                    window = h2_frame(8, 0, 0, std::string_view("\0\0\0\1", 4));
  uint64_t floods = 0;
  for (const std::string& unit : {ping, settings, window}) {
    const base::Fd fd = plain();
    TlsSocket socket = secure(fd);
    std::string bytes = std::string(kPreface) + h2_frame(4, 0, 0, "");
    for (int i = 0; i < 1000; ++i) bytes += unit;
    (void)socket.write(bytes, in(1000));
    EXPECT_TRUE(ended(socket, 2000));
    ++floods;
    EXPECT_TRUE(eventually([&] { return server_->counters().floods == floods; })) << floods;
  }
  EXPECT_TRUE(answers());
}

TEST_F(Hostile, rapid_reset_ends_the_connection) {
  serve({});
  const base::Fd fd = plain();
  TlsSocket socket = secure(fd);
  std::string bytes = std::string(kPreface) + h2_frame(4, 0, 0, "");
  for (uint32_t id = 1; id < 2000; id += 2)
    bytes += h2_frame(1, 4, id, request_head()) + h2_frame(3, 0, id, std::string_view("\0\0\0\x08", 4));
  (void)socket.write(bytes, in(1000));
  EXPECT_TRUE(ended(socket, 2000));
  EXPECT_TRUE(eventually([&] { return server_->counters().floods == 1; }));
  EXPECT_EQ(server_->counters().calls, 0u);
}

TEST_F(Hostile, endless_continuation_ends_the_connection) {
  serve({});
  const base::Fd fd = plain();
  TlsSocket socket = secure(fd);
  std::string bytes = std::string(kPreface) + h2_frame(4, 0, 0, "") + h2_frame(1, 0, 1, request_head());
  for (int i = 0; i < 100; ++i) bytes += h2_frame(9, 0, 1, field("x", "y"));
  (void)socket.write(bytes, in(1000));
  EXPECT_TRUE(ended(socket, 2000));
  EXPECT_TRUE(answers());
}

TEST_F(Hostile, headers_above_the_bound_reset_the_stream) {
  serve({.max_headers = 1000});
  const Target to{server_->address().to_string(), identity_.certificate_pem, "ca.test"};
  const auto reply = call(to, {.path = "/t.S/Echo", .headers = {{"authorization", std::string(2000, 't')}}});
  ASSERT_FALSE(reply);
  EXPECT_EQ(server_->counters().protocol_errors, 1u);
  EXPECT_TRUE(answers());
}

TEST_F(Hostile, a_request_that_is_no_grpc_has_an_http_answer) {
  serve({});
  uint64_t refused = 0;
  for (const auto& head : {request_head("GET"), request_head("POST", "text/plain"), request_head("POST", "application/grpcx")}) {
    const base::Fd fd = plain();
    TlsSocket socket = secure(fd);
    ASSERT_TRUE(socket.write(std::string(kPreface) + h2_frame(4, 0, 0, "") + h2_frame(1, 5, 1, head), in(1000)));
    ++refused;
    EXPECT_TRUE(eventually([&] { return server_->counters().calls_refused == refused; }));
  }
  EXPECT_EQ(server_->counters().calls, 0u);
}

TEST_F(Hostile, idle_connections_are_let_go_and_make_room_for_new_ones) {
  serve({.max_connections = 3, .idle = base::Millis(60'000)});
  std::vector<base::Fd> fds;
  std::vector<TlsSocket> sockets;
  for (int i = 0; i < 3; ++i) {
    fds.push_back(plain());
    sockets.push_back(secure(fds.back()));
    ASSERT_TRUE(sockets.back().write(std::string(kPreface) + h2_frame(4, 0, 0, ""), in(1000)));
    std::this_thread::sleep_for(base::Millis(20));
  }
  EXPECT_TRUE(answers());
  EXPECT_EQ(server_->counters().connections_evicted, 1u);
  EXPECT_TRUE(ended(sockets[0], 2000));
  server_->stop();
}

TEST_F(Hostile, one_address_has_no_more_than_its_share) {
  serve({.max_connections_per_peer = 2});
  const base::Fd first = plain(), second = plain();
  EXPECT_TRUE(eventually([&] { return server_->counters().connections == 2; }));
  const base::Fd third = plain();
  char byte;
  EXPECT_LE(::recv(third.get(), &byte, 1, 0), 0);
  EXPECT_EQ(server_->counters().connections_refused, 1u);
}

TEST_F(Hostile, stop_does_not_wait_for_a_peer) {
  serve({});
  const base::Fd silent = plain();
  const base::Fd fd = plain();
  TlsSocket socket = secure(fd);
  const auto began = std::chrono::steady_clock::now();
  server_->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - began, base::Millis(2000));
}

}  // namespace
