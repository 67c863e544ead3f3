#include "userspace-proxy/observe/status_server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace weft::observe {
namespace {

TEST(ParseRequest, takes_method_path_and_query_apart) {
  StatusRequest request;
  ASSERT_TRUE(parse_request("POST /logging?access=on HTTP/1.1\r\nHost: x\r\n\r\n", &request));
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/logging");
  EXPECT_EQ(request.query, "access=on");
}

TEST(ParseRequest, refuses_what_is_no_request) {
  StatusRequest request;
  for (const char* head :
       {"", "GET", "GET /x", "GET  HTTP/1.1", "GET x HTTP/1.1", "GET / SPDY/3", "/ HTTP/1.1"})
    EXPECT_FALSE(parse_request(head, &request)) << head;
}

struct StatusServerTest : testing::Test {
  StatusServerTest() {
    auto listener = std::move(*StatusServer::bind(*base::SocketAddress::parse("127.0.0.1:0")));
    address = *base::local_address(listener.get());
    EXPECT_TRUE(server.serve(std::move(listener), [this](const StatusRequest& request) {
      return StatusReply{.code = request.path == "/big" ? 200 : 404, .body = std::string(body_size, 'b')};
    }));
  }
  [[nodiscard]] base::Fd connect() const {
    base::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_storage storage{};
    const socklen_t length = address.to_sockaddr(&storage);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&storage), length), 0);
    return fd;
  }
  std::string exchange(const base::Fd& fd, std::string_view request) {
    EXPECT_EQ(::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(request.size()));
    std::string answer;
    char block[65536];
    for (int i = 0; i < 2000; ++i) {
      loop->turn(2);
      const ssize_t n = ::recv(fd.get(), block, sizeof block, MSG_DONTWAIT);
      if (n == 0) return answer;
      if (n > 0) answer.append(block, static_cast<size_t>(n));
    }
    return "no end: " + answer;
  }

  base::SystemClock clock;
  std::unique_ptr<base::Loop> loop = std::move(*base::Loop::create(clock));
  StatusServer server{*loop};
  base::SocketAddress address;
  size_t body_size = 3;
};

TEST_F(StatusServerTest, answers_one_request_and_closes) {
  const base::Fd fd = connect();
  EXPECT_EQ(
      exchange(fd, "GET /nowhere HTTP/1.1\r\n\r\n"),
      "HTTP/1.1 404 Not Found\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 3\r\nconnection: "
      "close\r\n\r\nbbb");
}

TEST_F(StatusServerTest, a_large_answer_leaves_as_fast_as_it_is_read) {
  body_size = 8 << 20;
  const base::Fd fd = connect();
  const std::string answer = exchange(fd, "GET /big HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_GT(answer.size(), body_size);
}

TEST_F(StatusServerTest, a_head_request_gets_no_body) {
  const base::Fd fd = connect();
  EXPECT_TRUE(exchange(fd, "HEAD /big HTTP/1.1\r\n\r\n").ends_with("\r\n\r\n"));
}

TEST_F(StatusServerTest, garbage_is_a_400_and_an_endless_head_is_cut) {
  const base::Fd garbage = connect();
  EXPECT_TRUE(exchange(garbage, "\x16\x03\x01 hello\r\n\r\n").starts_with("HTTP/1.1 400 "));
  const base::Fd endless = connect();
  const std::string head(StatusServer::kMaxHead + 4096, 'x');
  EXPECT_EQ(exchange(endless, head).find("HTTP/1.1"), std::string::npos);
}

}  // namespace
}  // namespace weft::observe
