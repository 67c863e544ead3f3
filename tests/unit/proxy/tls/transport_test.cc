#include <gtest/gtest.h>
#include <sys/socket.h>

#include <random>

#include "tests/support/tls_rig.h"
#include "tests/unit/proxy/tls/raw_peer.h"

namespace weft::tls {
namespace {

using base::Io;
using test::RawPeer;
using test::Shaken;
using test::Sink;

std::string noise(size_t size) {
  std::string out(size, '\0');
  std::mt19937 random(7);
  for (auto& c : out) c = static_cast<char>(random());
  return out;
}

struct TlsTransportTest : testing::Test, test::TlsRig {
  void SetUp() override {
    both = shake();
    ASSERT_TRUE(both->good()) << both->client.text() << both->server.text();
    near = both->client.value().transport.get();
    far = both->server.value().transport.get();
  }
  void attach() {
    there = std::make_unique<Sink>(*loop, *near);
    here = std::make_unique<Sink>(*loop, *far);
    turn();
  }
  std::unique_ptr<Both> both;
  TlsTransport* near = nullptr;
  TlsTransport* far = nullptr;
  std::unique_ptr<Sink> there, here;
};

TEST_F(TlsTransportTest, bytes_go_both_ways_and_none_of_them_in_clear) {
  attach();
  there->send("a question");
  here->send("an answer");
  // What is under way is cipher text.
  EXPECT_GT(both->client_end->unread(), 0u);
  turn();
  EXPECT_EQ(here->got, "a question");
  EXPECT_EQ(there->got, "an answer");
  EXPECT_EQ(near->raw_fd(), -1);
}

TEST_F(TlsTransportTest, bytes_that_came_with_the_handshake_are_not_lost) {
  near->write(std::array{iovec{const_cast<char*>("early bird"), 10}});
  turn();
  attach();
  EXPECT_EQ(here->got, "early bird");
}

TEST_F(TlsTransportTest, a_large_transfer_both_ways_survives_short_reads_and_writes_and_little_room) {
  both->faults->room = 10'000;
  both->faults->most_per_read = 3'333;
  both->faults->most_per_write = 7'777;
  attach();
  const auto one = noise(3'000'000), two = noise(2'000'001);
  there->send(one);
  here->send(two);
  for (int i = 0; i < 5000 && (here->got.size() < one.size() || there->got.size() < two.size()); ++i) loop->turn(0);
  EXPECT_TRUE(here->got == one);
  EXPECT_TRUE(there->got == two);
}

TEST_F(TlsTransportTest, a_reader_that_stops_holds_the_writer_back_and_loses_nothing) {
  attach();
  here->stopped = true;
  const auto bytes = noise(4'000'000);
  there->send(bytes);
  turn(50);
  const size_t held = there->to_send.size();
  EXPECT_GT(held, 3'000'000u);  // room of the medium and two blocks, no more
  const iovec piece{there->to_send.data(), there->to_send.size()};
  EXPECT_EQ(near->write({&piece, 1}).kind, Io::Kind::kWouldBlock);
  const int edges = there->writable;
  here->stopped = false;
  here->on_readable();
  for (int i = 0; i < 2000 && here->got.size() < bytes.size(); ++i) loop->turn(0);
  EXPECT_GT(there->writable, edges);
  EXPECT_TRUE(here->got == bytes);
}

TEST_F(TlsTransportTest, a_reader_with_a_small_span_finds_the_rest_by_reading_on) {
  attach();
  here->stopped = true;
  there->send(noise(40'000));
  turn();
  std::string got;
  std::array<char, 1000> small;
  for (Io io = far->read(small); io.kind == Io::Kind::kBytes; io = far->read(small)) got.append(small.data(), io.bytes);
  EXPECT_TRUE(got == noise(40'000));
  here->stopped = false;
  there->send("more");
  turn();
  EXPECT_EQ(here->got, "more");
}

TEST_F(TlsTransportTest, one_read_takes_many_records) {
  attach();
  here->stopped = true;
  there->send(noise(60'000));
  turn();
  std::vector<char> large(100'000);
  EXPECT_EQ(far->read(large).bytes, 60'000u);
  EXPECT_EQ(far->read(large).kind, Io::Kind::kWouldBlock);
}

TEST_F(TlsTransportTest, small_pieces_leave_in_few_records_and_one_write) {
  attach();
  std::vector<iovec> pieces(40, iovec{const_cast<char*>("0123456789"), 10});
  const auto writes = both->client_end->writes();
  const size_t before = both->client_end->unread();
  EXPECT_EQ(near->write(pieces).bytes, 400u);
  EXPECT_EQ(both->client_end->writes(), writes + 1);
  EXPECT_EQ(both->client_end->unread() - before, 400 + kRecordOverhead);
  const auto large = noise(2 * kRecordPlain);
  const std::array mixed{iovec{const_cast<char*>("header"), 6}, iovec{const_cast<char*>(large.data()), large.size()}};
  turn();
  EXPECT_EQ(near->write(mixed).bytes, large.size() + 6);
  EXPECT_EQ(both->client_end->writes(), writes + 2);
  EXPECT_EQ(both->client_end->unread(), large.size() + 6 + 3 * kRecordOverhead);
  turn();
  EXPECT_EQ(here->got.substr(400), "header" + large);
}

TEST_F(TlsTransportTest, a_half_close_ends_one_direction_only) {
  attach();
  there->send("last words");
  near->shutdown_write();
  turn();
  EXPECT_EQ(here->got, "last words");
  EXPECT_TRUE(here->ended);
  here->send("still talking");
  turn();
  EXPECT_EQ(there->got, "still talking");
  EXPECT_FALSE(there->ended);
  far->shutdown_write();
  turn();
  EXPECT_TRUE(there->ended);
  EXPECT_EQ(there->error, 0);
}

TEST_F(TlsTransportTest, an_end_without_close_notify_is_an_error) {
  attach();
  there->send("half a sen");
  turn();
  both->client_end->shutdown_write();
  turn();
  EXPECT_EQ(here->got, "half a sen");
  EXPECT_FALSE(here->ended);
  EXPECT_EQ(here->error, ECONNRESET);
  EXPECT_EQ(far->failure(), "the connection ended without a TLS close_notify");
}

TEST_F(TlsTransportTest, a_transport_that_dies_without_a_word_does_not_look_like_an_end) {
  attach();
  both->client.value().transport.reset();
  turn();
  EXPECT_FALSE(here->ended);
  EXPECT_EQ(here->error, ECONNRESET);
}

TEST_F(TlsTransportTest, a_reset_reaches_the_other_side) {
  attach();
  near->reset();
  turn();
  EXPECT_EQ(here->error, ECONNRESET);
  EXPECT_TRUE(both->server_end->was_reset());
  char byte;
  EXPECT_EQ(near->read({&byte, 1}).kind, Io::Kind::kError);
}

TEST_F(TlsTransportTest, a_record_that_was_tampered_with_ends_the_connection) {
  attach();
  here->stopped = true;
  const char forged[] = "\x17\x03\x03\x00\x20................................";
  const iovec piece{const_cast<char*>(forged), sizeof forged - 1};
  ASSERT_EQ(both->client_end->write({&piece, 1}).kind, Io::Kind::kBytes);
  here->stopped = false;
  turn();
  EXPECT_EQ(here->error, EPROTO);
  EXPECT_EQ(far->failure(), "decryption failed or bad record mac");
  EXPECT_EQ(there->error, ECONNABORTED);  // our alert tells the other side
  EXPECT_EQ(near->failure(), "the peer refused: TLS alert bad record mac");
}

TEST_F(TlsTransportTest, what_was_written_is_delivered_after_the_transport_is_gone) {
  both->faults->room = 5'000;
  attach();
  here->stopped = true;
  const auto bytes = noise(40'000);
  const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
  ASSERT_EQ(near->write({&piece, 1}).bytes, bytes.size());
  near->shutdown_write();
  both->client.value().transport.reset();
  here->stopped = false;
  here->on_readable();
  turn(200);
  EXPECT_TRUE(here->got == bytes);
  EXPECT_TRUE(here->ended);
}

TEST_F(TlsTransportTest, a_peer_that_never_reads_is_let_go_after_the_linger_time) {
  both->faults->room = 5'000;
  attach();
  here->stopped = true;
  const auto bytes = noise(40'000);
  const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
  ASSERT_EQ(near->write({&piece, 1}).bytes, bytes.size());
  both->client.value().transport.reset();
  turn();
  EXPECT_FALSE(both->server_end->at_end());
  EXPECT_EQ(loop->timers().armed(), 1u);
  clock.advance(TlsTransport::kLinger + base::Millis(20));
  turn();
  EXPECT_EQ(loop->timers().armed(), 0u);
  here->stopped = false;
  here->on_readable();
  turn();
  EXPECT_FALSE(here->ended);
  EXPECT_NE(here->error, 0);
}

TEST_F(TlsTransportTest, a_key_update_of_the_peer_is_answered_without_disturbing_the_bytes) {
  const auto issued = ca.issue(spec(a));
  RawPeer raw(false, &issued);
  test::TransportPair pair;
  raw.begin(std::move(pair.far));
  Shaken ours;
  start(server, ours, std::move(pair.near), as_server());
  for (int i = 0; i < 4; ++i) turn(2), raw.step();
  ASSERT_TRUE(ours.good()) << ours.text();
  Sink sink(*loop, *ours.value().transport);
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(SSL_key_update(raw.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    ASSERT_EQ(SSL_write(raw.ssl, "ping", 4), 4);
    raw.send_out();
    turn();
    sink.send("pong");
    turn();
    raw.step();
    raw.step();
  }
  EXPECT_EQ(sink.got, "pingpingping");
  EXPECT_EQ(raw.got, "pongpongpong");
}

TEST_F(TlsTransportTest, a_flood_of_key_updates_is_cut) {
  const auto issued = ca.issue(spec(a));
  RawPeer raw(false, &issued);
  test::TransportPair pair;
  raw.begin(std::move(pair.far));
  Shaken ours;
  start(server, ours, std::move(pair.near), as_server());
  for (int i = 0; i < 4; ++i) turn(2), raw.step();
  ASSERT_TRUE(ours.good());
  Sink sink(*loop, *ours.value().transport);
  for (int i = 0; i < 200 && sink.error == 0; ++i) {
    SSL_key_update(raw.ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
    SSL_do_handshake(raw.ssl);
    raw.send_out();
    turn(2);
  }
  EXPECT_EQ(sink.error, EPROTO);
  EXPECT_EQ(ours.value().transport->failure(), "too many TLS messages without data");
}

TEST_F(TlsTransportTest, it_works_over_a_socket) {
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
  Shaken c, s;
  start(client, c, std::make_unique<base::TcpTransport>(base::Fd(fds[0])), as_client());
  start(server, s, std::make_unique<base::TcpTransport>(base::Fd(fds[1])), as_server());
  turn(20);
  ASSERT_TRUE(c.good() && s.good()) << c.text() << s.text();
  Sink out(*loop, *c.value().transport), in(*loop, *s.value().transport);
  const auto one = noise(5'000'000), two = noise(5'000'001);
  out.send(one);
  in.send(two);
  for (int i = 0; i < 20'000 && (in.got.size() < one.size() || out.got.size() < two.size()); ++i) loop->turn(1);
  EXPECT_TRUE(in.got == one);
  EXPECT_TRUE(out.got == two);
  c.value().transport->shutdown_write();
  turn();
  EXPECT_TRUE(in.ended);
}

}  // namespace
}  // namespace weft::tls
