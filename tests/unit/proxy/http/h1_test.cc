#include "tests/unit/proxy/http/rig.h"

namespace weft::http {
namespace {

struct H1Test : Rig {};

constexpr std::string_view kGet = "GET /a HTTP/1.1\r\nHost: svc\r\nX-Thing: One\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Back: Yes\r\n\r\nhi";

TEST_F(H1Test, a_request_goes_out_and_its_response_comes_back_with_spelling_and_order_kept) {
  auto& client = connect_client();
  say(client, kGet);
  auto& server = accept(1001);
  const auto request = server.take();
  EXPECT_TRUE(request.starts_with("GET /a HTTP/1.1\r\nHost: svc\r\nX-Thing: One\r\nx-request-id: "))
      << request;
  say(server, kOk);
  EXPECT_EQ(client.take(), kOk);
  EXPECT_TRUE(has(logged(), "\"GET /a HTTP/1.1\" 200 - via_upstream"));
}

TEST_F(H1Test, both_connections_are_kept_and_each_message_is_one_write) {
  auto& client = connect_client();
  say(client, kGet);
  auto& server = accept(1001);
  say(server, kOk);
  for (int i = 0; i < 3; ++i) {
    server.take();
    client.take();
    say(client, kGet);
    EXPECT_TRUE(server.take().starts_with("GET /a"));
    say(server, kOk);
    EXPECT_EQ(client.take(), kOk);
  }
  EXPECT_EQ(dialer.dialled.size(), 1u);
  EXPECT_EQ(dialer.dialled[0].pod, "dev/caller");
}

}  // namespace
}  // namespace weft::http
