// The data phase of a stream, both ends ours: bytes, back-pressure, ends and resets.
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/support/hbone_rig.h"

namespace weft::hbone {
namespace {

using test::HboneRig;

std::string pattern(size_t size) {
  std::string out(size, '\0');
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<char>(i * 31 + i / 251);
  return out;
}

struct StreamTest : ::testing::Test, HboneRig {
  // Turns until nothing more moves.
  void settle() { turn(400); }
};

TEST_F(StreamTest, bytes_arrive_unchanged_both_ways) {
  auto ends = connect();
  ends.near->say("ping");
  ends.far->say("pong");
  settle();
  EXPECT_EQ(ends.far->got, "ping");
  EXPECT_EQ(ends.near->got, "pong");
}

TEST_F(StreamTest, much_more_than_all_windows_arrives_whole) {
  auto ends = connect();
  const auto bytes = pattern(40u << 20);
  ends.near->say(bytes);
  settle();
  EXPECT_TRUE(ends.far->got == bytes);
}

TEST_F(StreamTest, short_reads_and_writes_of_the_tunnel_change_nothing) {
  auto ends = connect();
  tcp.faults[0]->most_per_read = 977;
  tcp.faults[0]->most_per_write = 1013;
  tcp.faults[0]->room = 5000;
  const auto bytes = pattern(300'000);
  ends.near->say(bytes);
  ends.far->say(bytes);
  ends.far->most = 100;
  turn(4000);
  EXPECT_TRUE(ends.far->got == bytes);
  EXPECT_TRUE(ends.near->got == bytes);
}

TEST_F(StreamTest, a_reader_that_stops_stops_the_writer_and_bounds_memory) {
  auto ends = connect();
  ends.far->reading = false;
  ends.near->say(pattern(10u << 20));
  settle();
  const size_t taken = (10u << 20) - ends.near->to_send.size();
  EXPECT_LE(taken, limits.stream_window + OutBlock::kRoom);
  EXPECT_LE(engine().held.lent() * h2::ChainBlock::kRoom, limits.stream_window + (1u << 20));
  ends.far->reading = true;
  ends.far->on_readable();
  settle();
  EXPECT_TRUE(ends.far->got == pattern(10u << 20));
  EXPECT_EQ(engine().held.lent(), 0u);
}

TEST_F(StreamTest, bytes_that_are_borrowed_arrive_once_and_in_order_whatever_is_left) {
  auto ends = connect();
  const auto bytes = pattern(9u << 20);
  ends.far->borrows = true;
  ends.far->most = 7001;
  ends.near->say(bytes.substr(0, 100'000));
  settle();
  EXPECT_EQ(ends.far->borrowed, 100'000u);
  ends.far->reading = false;
  ends.near->say(bytes.substr(100'000));
  settle();
  EXPECT_GT(engine().held.lent(), 0u);
  ends.far->reading = true;
  ends.far->on_readable();
  settle();
  EXPECT_TRUE(ends.far->got == bytes);
  EXPECT_GT(ends.far->borrowed, 100'000u) << "once what was held is read, it lends again";
  EXPECT_EQ(engine().held.lent(), 0u);
}

TEST_F(StreamTest, one_slow_reader_does_not_stop_another) {
  accept_all = true;
  auto first = dial(), second = dial();
  serve();
  test::Reader slow(std::move(first->transport), *loop), quick(std::move(second->transport), *loop);
  slow.reading = false;
  accepted[0]->say(pattern(8u << 20));
  settle();
  accepted[1]->say(pattern(8u << 20));
  settle();
  EXPECT_TRUE(quick.got == pattern(8u << 20));
  EXPECT_FALSE(accepted[0]->to_send.empty());
  EXPECT_EQ(tunnels.size(), 1u);
}

TEST_F(StreamTest, no_credit_is_given_before_the_reader_has_taken_the_bytes) {
  auto ends = connect();
  ends.far->reading = false;
  ends.near->say(pattern(limits.stream_window));
  settle();
  EXPECT_TRUE(ends.near->to_send.empty());
  ends.near->say("x");
  settle();
  EXPECT_EQ(ends.near->to_send, "x");
  EXPECT_TRUE(ends.far->got.empty());
}

TEST_F(StreamTest, an_end_passes_and_the_other_direction_goes_on) {
  auto ends = connect();
  ends.near->say("last");
  ends.near->transport->shutdown_write();
  settle();
  EXPECT_EQ(ends.far->got, "last");
  EXPECT_TRUE(ends.far->ended);
  ends.far->say(pattern(100'000));
  settle();
  ends.far->transport->shutdown_write();
  settle();
  EXPECT_TRUE(ends.near->got == pattern(100'000));
  EXPECT_TRUE(ends.near->ended);
  EXPECT_EQ(source().streams(), 0u);
  EXPECT_EQ(counters.hbone_streams_reset, 0u);
}

TEST_F(StreamTest, a_reader_that_comes_late_finds_the_bytes_and_the_end_of_a_stream_that_is_over) {
  auto ends = connect();
  ends.near->reading = false;
  ends.near->transport->shutdown_write();
  ends.far->say("answer");
  ends.far->transport->shutdown_write();
  settle();
  EXPECT_EQ(source().streams(), 0u);
  ends.near->reading = true;
  ends.near->on_readable();
  EXPECT_EQ(ends.near->got, "answer");
  EXPECT_TRUE(ends.near->ended);
}

TEST_F(StreamTest, an_end_behind_bytes_that_wait_for_a_window_comes_last) {
  auto ends = connect();
  ends.far->reading = false;
  ends.near->say(pattern(limits.stream_window));
  settle();
  ends.near->transport->shutdown_write();
  settle();
  EXPECT_FALSE(ends.far->ended);
  ends.far->reading = true;
  ends.far->on_readable();
  settle();
  EXPECT_EQ(ends.far->got.size(), limits.stream_window);
  EXPECT_TRUE(ends.far->ended);
}

TEST_F(StreamTest, a_reset_is_a_reset_at_the_other_end) {
  auto ends = connect();
  ends.near->say("lost?");
  ends.near->transport->reset();
  settle();
  EXPECT_EQ(ends.far->failure, ECONNRESET);
  EXPECT_FALSE(ends.far->ended);
  EXPECT_EQ(counters.hbone_streams_reset, 1u);
  EXPECT_EQ(source().streams(), 0u);
}

TEST_F(StreamTest, a_transport_that_is_dropped_half_way_resets) {
  auto ends = connect();
  ends.far.reset();
  settle();
  EXPECT_EQ(ends.near->failure, ECONNRESET);
  ends.near->say("x");
  EXPECT_EQ(ends.near->write_failure, ECONNRESET);
}

TEST_F(StreamTest, a_reset_by_something_destroyed_at_the_end_of_a_turn_still_leaves) {
  struct Holder final : base::Retirable {
    std::unique_ptr<test::Reader> reader;
  };
  auto ends = connect();
  auto holder = std::make_unique<Holder>();
  holder->reader = std::move(ends.far);
  loop->retire(std::move(holder));
  loop->turn(0);    // it dies behind the turn's output
  loop->turn(-1);   // must not sleep for ever
  settle();
  EXPECT_EQ(ends.near->failure, ECONNRESET);
}

TEST_F(StreamTest, a_lost_tunnel_resets_every_stream_both_ends) {
  accept_all = true;
  auto first = dial(), second = dial();
  serve();
  test::Reader a(std::move(first->transport), *loop), b(std::move(second->transport), *loop);
  settle();
  ASSERT_EQ(tunnels.size(), 1u);
  tunnels[0]->abort();
  settle();
  for (const test::Reader* reader : {&a, &b, accepted[0].get(), accepted[1].get()})
    EXPECT_EQ(reader->failure, ECONNRESET);
  EXPECT_EQ(source().tunnels(), 0u);
  EXPECT_TRUE(tunnels.empty());
}

TEST_F(StreamTest, a_writer_without_room_is_told_when_there_is_some) {
  auto ends = connect();
  tcp.faults[0]->room = 1000;
  ends.near->say(pattern(200'000));
  EXPECT_FALSE(ends.near->to_send.empty());
  const int before = ends.near->writable;
  settle();
  turn(1000);
  EXPECT_GT(ends.near->writable, before);
  EXPECT_TRUE(ends.far->got == pattern(200'000));
}

TEST_F(StreamTest, a_busy_stream_leaves_room_for_a_small_one) {
  accept_all = true;
  auto first = dial(), second = dial();
  serve();
  test::Reader bulk(std::move(first->transport), *loop), small(std::move(second->transport), *loop);
  tcp.faults[0]->room = 64 * 1024;
  bulk.say(pattern(4u << 20));
  small.say("hello");
  turn(12);
  EXPECT_FALSE(bulk.to_send.empty());
  EXPECT_EQ(accepted[1]->got, "hello");
}

TEST_F(StreamTest, many_small_writes_of_a_turn_leave_in_one) {
  auto ends = connect();
  settle();
  const uint64_t before = tcp.near_ends[0]->writes();
  for (int i = 0; i < 50; ++i) ends.near->say("0123456789");
  settle();
  EXPECT_EQ(ends.far->got.size(), 500u);
  EXPECT_EQ(tcp.near_ends[0]->writes() - before, 1u);
}

TEST_F(StreamTest, too_much_held_in_a_worker_resets_the_stream_whose_bytes_came_last) {
  limits.worker_held = 1u << 20;
  auto ends = connect();
  ends.far->reading = false;
  ends.near->say(pattern(3u << 20));
  settle();
  ends.far->reading = true;
  ends.far->on_readable();
  EXPECT_EQ(ends.far->failure, ECONNRESET);
  EXPECT_EQ(ends.near->failure, ECONNRESET);
  EXPECT_EQ(counters.hbone_streams_shed, 1u);
  EXPECT_LE(engine().held.lent() * sizeof(h2::ChainBlock), limits.worker_held);
}

TEST_F(StreamTest, a_peer_whose_bytes_nobody_reads_leaves_another_peer_as_much_as_it_took) {
  limits.worker_held = 4u << 20;
  std::vector<Ends> loud;
  for (const char* pod : {"dev/loud-1", "dev/loud-2", "dev/loud-3"}) {
    loud.push_back(connect(pod));
    loud.back().far->reading = false;
    loud.back().near->say(pattern(1'500'000));
    settle();
  }
  EXPECT_EQ(counters.hbone_streams_shed, 2u) << "three tunnels of one peer have one share";
  peer_address = "10.0.0.10:50000";
  auto quiet = connect("dev/quiet");
  const uint64_t shed = counters.hbone_streams_shed;
  quiet.far->reading = false;
  quiet.near->say(pattern(1u << 20));
  settle();
  EXPECT_EQ(counters.hbone_streams_shed, shed);
  quiet.far->reading = true;
  quiet.far->on_readable();
  settle();
  EXPECT_TRUE(quiet.far->got == pattern(1u << 20));
  loud.clear();
  settle();
  EXPECT_EQ(engine().held.lent(), 0u);
  for (const uint32_t account : engine().accounts) EXPECT_EQ(account, 0u);
}

}  // namespace
}  // namespace weft::hbone
