// Captures and what they prove.
//
//   left 10.77.0.1 ---- veth ---- right 10.77.0.2
#include "tests/support/wire.h"

#include <gtest/gtest.h>

#include "tests/support/netns_harness.h"

namespace weft::test {
namespace {

// A TCP packet over IPv4 from port 1000 to port 2000.
std::string packet(std::string_view payload) {
  std::string bytes(40, '\0');
  bytes[0] = 0x45;
  bytes[3] = static_cast<char>(40 + payload.size());
  bytes[9] = 6;
  bytes[20] = 1000 >> 8;
  bytes[21] = static_cast<char>(1000 & 255);
  bytes[22] = 2000 >> 8;
  bytes[23] = static_cast<char>(2000 & 255);
  bytes[32] = 0x50;
  return bytes + std::string(payload);
}

TEST(Wire, a_packet_is_taken_apart_and_padding_of_the_link_is_none_of_it) {
  const std::string bytes = packet("hello") + "padding";
  const Segment segment = segment_of(bytes);
  EXPECT_EQ(segment.source_port, 1000);
  EXPECT_EQ(segment.destination_port, 2000);
  EXPECT_EQ(segment.payload, "hello");
  EXPECT_NE(segment.flow, "");
}

TEST(Wire, broken_packets_have_no_flow) {
  const std::string whole = packet("x");
  for (size_t size = 0; size < 40; ++size) EXPECT_EQ(segment_of(whole.substr(0, size)).flow, "") << size;
  std::string fragment = whole;
  fragment[7] = 1;
  EXPECT_EQ(segment_of(fragment).flow, "");
}

TEST(Wire, a_needle_is_found_once_wherever_the_pieces_are_cut) {
  const std::string text = "..a needle..";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    StreamSearch search({"needle", "nothing"});
    search.feed("flow", text.substr(0, cut));
    search.feed("other", "ne");
    search.feed("flow", text.substr(cut));
    EXPECT_EQ(search.count(0), 1u) << cut;
    EXPECT_EQ(search.count(1), 0u);
  }
}

TEST(Wire, needles_of_different_length_are_each_counted_once) {
  StreamSearch search({"ab", "abcdef"});
  for (const char c : std::string("xxabxxabcdefxx")) search.feed("flow", std::string(1, c));
  EXPECT_EQ(search.count(0), 2u);
  EXPECT_EQ(search.count(1), 1u);
  EXPECT_EQ(search.total(), 3u);
}

TEST(Wire, plain_text_on_an_interface_is_seen_and_counted_by_port) {
  Netns left, right;
  connect_veth(left, "l0", {"10.77.0.1/24"}, right, "r0", {"10.77.0.2/24"});
  Wire wire(left.path(), "l0", {"attack at dawn", "attack at dusk"});
  Child server({.netns = &right}, [&] { return right.sh("timeout 10 python3 -c \"import socket\n"
      "s=socket.create_server(('10.77.0.2',5000)); c,_=s.accept(); print(c.recv(100).decode())\""); });
  left.sh("for i in $(seq 50); do python3 -c \"import socket; s=socket.create_connection(('10.77.0.2',5000),1); "
          "s.sendall(b'attack at dawn')\" 2>/dev/null && exit 0; sleep 0.1; done; exit 1");
  EXPECT_EQ(server.wait(), "attack at dawn\n");
  wire.stop();
  EXPECT_EQ(wire.trouble(), "");
  EXPECT_EQ(wire.found(0), 1u);
  EXPECT_EQ(wire.found(1), 0u);
  EXPECT_GE(wire.packets_of_port(5000), 4u);
  EXPECT_EQ(wire.bytes_of_port(5000), 14u);
  EXPECT_EQ(wire.packets_of_port(15008), 0u);
}

TEST(Wire, an_interface_that_is_not_there_is_trouble_and_no_proof) {
  Netns empty;
  Wire wire(empty.path(), "eth9", {"x"});
  wire.stop();
  EXPECT_NE(wire.trouble(), "");
}

}  // namespace
}  // namespace weft::test
