#include "userspace-proxy/relay/relay.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/fake_transport.h"

namespace weft::relay {
namespace {

constexpr size_t kScratch = 1024;

struct RelayTest : testing::Test, RelayOwner {
  void SetUp() override {
    relay = std::make_unique<Relay>(*loop, Workbench{scratch, pipes},
                                    std::make_unique<test::FakeTransport>(source),
                                    std::make_unique<test::FakeTransport>(destination), *this);
  }
  void on_relay_end(Relay&) override { ++ends; }

  base::SystemClock clock;
  std::unique_ptr<base::Loop> loop = std::move(*base::Loop::create(clock));
  std::vector<char> scratch = std::vector<char>(kScratch);
  Pipes pipes;
  test::FarEnd source, destination;
  std::unique_ptr<Relay> relay;
  int ends = 0;
};

TEST_F(RelayTest, bytes_that_wait_on_both_sides_are_carried_at_the_start) {
  source.sends("hello");
  destination.sends("220 server speaks first");
  relay->start();
  EXPECT_EQ(destination.written, "hello");
  EXPECT_EQ(source.written, "220 server speaks first");
  EXPECT_EQ(relay->from_source(), 5u);
  EXPECT_EQ(relay->to_source(), 23u);
}

TEST_F(RelayTest, bytes_that_are_lent_are_passed_on_and_what_is_not_taken_stays_with_the_lender) {
  source.lends = true;
  destination.window = 5;
  relay->start();
  source.sends("lent bytes");
  EXPECT_EQ(destination.written, "lent ");
  EXPECT_EQ(source.to_read, "bytes");
  EXPECT_EQ(relay->held_bytes(), 0u);
  source.sends(" and more");
  EXPECT_EQ(destination.written, "lent ");
  destination.takes(100);
  EXPECT_EQ(destination.written, "lent bytes and more");
  EXPECT_EQ(relay->from_source(), 19u);
  source.ends();
  EXPECT_TRUE(destination.saw_end);
}

TEST_F(RelayTest, a_destination_that_breaks_under_lent_bytes_ends_the_relay) {
  source.lends = true;
  relay->start();
  destination.broken = true;
  source.sends("lent");
  EXPECT_EQ(relay->step(), Step::kReset);
  EXPECT_EQ(relay->cause(), Cause::kDestinationReset);
  EXPECT_EQ(ends, 1);
}

TEST_F(RelayTest, a_half_close_is_passed_on_and_the_other_direction_lives) {
  relay->start();
  source.sends("request");
  source.ends();
  EXPECT_TRUE(destination.saw_end);
  EXPECT_FALSE(source.saw_end);
  EXPECT_EQ(relay->step(), Step::kSourceEnded);

  destination.sends("answer");
  EXPECT_EQ(source.written, "answer");
  EXPECT_EQ(ends, 0);
  destination.ends();
  EXPECT_TRUE(source.saw_end);
  EXPECT_EQ(relay->step(), Step::kFinished);
  EXPECT_EQ(relay->cause(), Cause::kNone);
  EXPECT_EQ(ends, 1);
  EXPECT_FALSE(source.saw_reset);
  EXPECT_FALSE(destination.saw_reset);
}

TEST_F(RelayTest, the_destination_may_end_first) {
  relay->start();
  destination.ends();
  EXPECT_EQ(relay->step(), Step::kDestinationEnded);
  EXPECT_TRUE(source.saw_end);
  source.sends("late");
  EXPECT_EQ(destination.written, "late");
  source.ends();
  EXPECT_EQ(relay->step(), Step::kFinished);
  EXPECT_EQ(ends, 1);
}

TEST_F(RelayTest, a_connection_without_a_byte_ends_cleanly) {
  relay->start();
  source.ends();
  destination.ends();
  EXPECT_EQ(relay->step(), Step::kFinished);
  EXPECT_EQ(relay->from_source() + relay->to_source(), 0u);
}

TEST_F(RelayTest, a_reset_of_the_source_reaches_the_destination_and_names_who_did_it) {
  relay->start();
  source.resets();
  EXPECT_TRUE(destination.saw_reset);
  EXPECT_EQ(relay->step(), Step::kReset);
  EXPECT_EQ(relay->cause(), Cause::kSourceReset);
  EXPECT_EQ(relay->sys_errno(), ECONNRESET);
  EXPECT_EQ(ends, 1);
}

TEST_F(RelayTest, a_reset_of_the_destination_reaches_the_source) {
  relay->start();
  destination.resets();
  EXPECT_TRUE(source.saw_reset);
  EXPECT_EQ(relay->cause(), Cause::kDestinationReset);
  EXPECT_EQ(ends, 1);
}

TEST_F(RelayTest, a_destination_that_breaks_while_bytes_are_written_to_it_resets_the_source) {
  relay->start();
  destination.broken = true;
  source.sends("into the void");
  EXPECT_TRUE(source.saw_reset);
  EXPECT_EQ(relay->cause(), Cause::kDestinationReset);
  EXPECT_EQ(relay->sys_errno(), EPIPE);
}

TEST_F(RelayTest, a_slow_reader_stops_the_sender_and_memory_stays_bounded) {
  relay->start();
  destination.window = 100;
  source.sends(std::string(1'000'000, 'x'));
  EXPECT_EQ(destination.written.size(), 100u);
  EXPECT_EQ(relay->held_bytes(), kScratch - 100);
  EXPECT_EQ(source.to_read.size(), 1'000'000 - kScratch);
  source.sends("more");
  EXPECT_EQ(relay->held_bytes(), kScratch - 100);

  destination.takes(10);
  EXPECT_EQ(destination.written.size(), 110u);
  EXPECT_LE(relay->held_bytes(), kScratch);
}

TEST_F(RelayTest, buffers_are_given_back_as_soon_as_they_are_empty) {
  relay->start();
  destination.window = 1;
  source.sends("abc");
  EXPECT_EQ(relay->held_bytes(), 2u);
  destination.takes(10);
  EXPECT_EQ(destination.written, "abc");
  EXPECT_EQ(relay->held_bytes(), 0u);
}

TEST_F(RelayTest, an_end_waits_for_the_bytes_before_it) {
  relay->start();
  destination.window = 1;
  source.sends("abc");
  source.ends();
  EXPECT_FALSE(destination.saw_end);
  destination.takes(2);
  EXPECT_TRUE(destination.saw_end);
  EXPECT_EQ(destination.written, "abc");
}

TEST_F(RelayTest, a_busy_connection_yields_and_goes_on_in_the_next_turn) {
  relay->start();
  const std::string bulk(kScratch * 40, 'b');
  source.sends(bulk);
  EXPECT_LT(destination.written.size(), bulk.size());
  for (int turn = 0; turn < 3; ++turn) loop->turn(0);
  EXPECT_EQ(destination.written, bulk);
}

TEST_F(RelayTest, an_aborted_relay_resets_both_sides_once) {
  relay->start();
  relay->abort();
  relay->abort();
  EXPECT_TRUE(source.saw_reset);
  EXPECT_TRUE(destination.saw_reset);
  EXPECT_EQ(relay->cause(), Cause::kAborted);
  EXPECT_EQ(ends, 1);
}

TEST_F(RelayTest, a_relay_may_die_after_it_yielded) {
  relay->start();
  source.sends(std::string(kScratch * 40, 'b'));
  relay.reset();
  loop->turn(0);
  EXPECT_FALSE(source.alive);
}

TEST(RelaySteps, only_the_drawn_moves_are_legal) {
  EXPECT_TRUE(legal(Step::kOpen, Step::kSourceEnded));
  EXPECT_TRUE(legal(Step::kSourceEnded, Step::kFinished));
  EXPECT_FALSE(legal(Step::kOpen, Step::kFinished));
  EXPECT_FALSE(legal(Step::kSourceEnded, Step::kDestinationEnded));
  for (const Step from : {Step::kOpen, Step::kSourceEnded, Step::kDestinationEnded})
    EXPECT_TRUE(legal(from, Step::kReset));
  for (const Step from : {Step::kFinished, Step::kReset})
    for (int to = 0; to < static_cast<int>(Step::kCount); ++to)
      EXPECT_FALSE(legal(from, static_cast<Step>(to)));
}

TEST(RelayMemory, a_relay_and_its_two_transports_are_small) {
  EXPECT_LE(sizeof(Relay) + 2 * sizeof(base::TcpTransport), 1024u);
}

}  // namespace
}  // namespace weft::relay
