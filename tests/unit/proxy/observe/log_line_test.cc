#include "userspace-proxy/observe/log_line.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace weft::observe {
namespace {

base::SocketAddress at(const std::string& text) {
  return *base::SocketAddress::parse(text);
}

RequestRecord full() {
  RequestRecord record;
  record.start = base::WallTime(base::Millis(1'606'339'578'409));
  record.duration = base::Millis(3);
  record.method = "GET";
  record.path = "/status/418?x=y";
  record.protocol = "HTTP/1.1";
  record.code = 418;
  record.details = "via_upstream";
  record.bytes_received = 0;
  record.bytes_sent = 135;
  record.service_time_ms = 2;
  record.user_agent = "curl/7.73.0-DEV";
  record.request_id = "84961386-6d84-929d-98bd-c5aee93b5c88";
  record.authority = "httpbin:8000";
  record.destination = at("10.44.1.27:80");
  record.cluster = "outbound|8000||httpbin.foo.svc.cluster.local";
  record.destination_local = at("10.44.1.23:37652");
  record.local = at("10.0.45.184:8000");
  record.peer = at("10.44.1.23:46520");
  record.route = "default";
  return record;
}

std::string line_of(const auto& record) {
  std::string line;
  append_line(record, line);
  return line;
}

TEST(LogLine, proven_identities_follow_behind_istios_fields) {
  auto record = full();
  record.source_identity = "spiffe://cluster.local/ns/dev/sa/web";
  record.destination_identity = "spiffe://cluster.local/ns/dev/sa/httpgo";
  EXPECT_TRUE(line_of(record).ends_with(
      "- default src.identity=\"spiffe://cluster.local/ns/dev/sa/web\" "
      "dst.identity=\"spiffe://cluster.local/ns/dev/sa/httpgo\"\n"));
}

TEST(LogLine, a_request_in_istios_text_format) {
  EXPECT_EQ(line_of(full()),
            "[2020-11-25T21:26:18.409Z] \"GET /status/418?x=y HTTP/1.1\" 418 - via_upstream - \"-\" 0 135 3 "
            "2 \"-\" "
            "\"curl/7.73.0-DEV\" \"84961386-6d84-929d-98bd-c5aee93b5c88\" \"httpbin:8000\" \"10.44.1.27:80\" "
            "outbound|8000||httpbin.foo.svc.cluster.local 10.44.1.23:37652 10.0.45.184:8000 10.44.1.23:46520 "
            "- default\n");
}

TEST(LogLine, what_is_not_known_is_a_dash) {
  RequestRecord record;
  record.code = 404;
  record.flag = Flag::kNoRoute;
  EXPECT_EQ(line_of(record),
            "[1970-01-01T00:00:00.000Z] \"- - -\" 404 NR - - \"-\" 0 0 0 - \"-\" \"-\" \"-\" \"-\" \"-\" - - "
            "- - - -\n");
}

TEST(LogLine, a_layer_4_connection_has_the_same_columns) {
  ConnRecord record;
  record.start = base::WallTime(base::Millis(1'606'339'578'409));
  record.duration = base::Millis(1500);
  record.flag = Flag::kConnect;
  record.transport_failure = "connect 10.0.0.9:5432: Connection refused";
  record.cluster = "outbound|5432||db.dev.svc.cluster.local";
  record.destination = at("10.0.0.9:5432");
  record.local = at("[fd96::1]:5432");
  record.peer = at("[fd00::7]:4000");
  EXPECT_EQ(
      line_of(record),
      "[2020-11-25T21:26:18.409Z] \"- - -\" 0 CONNECT - - \"connect 10.0.0.9:5432: Connection refused\" 0 0 "
      "1500 - "
      "\"-\" \"-\" \"-\" \"-\" \"10.0.0.9:5432\" outbound|5432||db.dev.svc.cluster.local - [fd96::1]:5432 "
      "[fd00::7]:4000 - -\n");
}

TEST(LogLine, the_original_path_takes_the_place_of_a_rewritten_one) {
  auto record = full();
  record.original_path = "/old";
  EXPECT_NE(line_of(record).find("\"GET /old HTTP/1.1\""), std::string::npos);
}

TEST(LogLine, a_peer_cannot_break_the_line_or_forge_a_column) {
  auto record = full();
  record.user_agent =
      "a\"b\\c\r\nd\x7f"
      "e";
  record.route = "two words\nand a line";
  const std::string line = line_of(record);
  EXPECT_NE(line.find(R"("a\"b\\c\x0d\x0ad\x7fe")"), std::string::npos) << line;
  EXPECT_TRUE(line.ends_with("two\\x20words\\x0aand\\x20a\\x20line\n")) << line;
  EXPECT_EQ(std::ranges::count(line, '\n'), 1);
}

TEST(LogLine, an_endless_value_is_cut) {
  auto record = full();
  const std::string path(100'000, 'p');
  record.path = path;
  EXPECT_LT(line_of(record).size(), kMaxValue + 1000);
}

}  // namespace
}  // namespace weft::observe
