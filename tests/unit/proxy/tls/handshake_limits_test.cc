#include "userspace-proxy/tls/handshake_limits.h"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"

namespace weft::tls {
namespace {

using Answer = HandshakeLimits::Answer;

TEST(HandshakeLimits, a_burst_is_let_through_and_then_the_rate_holds) {
  test::FakeClock clock;
  HandshakeLimits limits({.under_way = 1000, .burst = 3, .per_second = 2, .buckets = 64, .seed = 7});
  const auto source = base::Address::v4(0x0a000001);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limits.admit(source, clock.now()), Answer::kGo);
  EXPECT_EQ(limits.admit(source, clock.now()), Answer::kTooOften);
  clock.advance(base::Millis(499));
  EXPECT_EQ(limits.admit(source, clock.now()), Answer::kTooOften);
  clock.advance(base::Millis(1));
  EXPECT_EQ(limits.admit(source, clock.now()), Answer::kGo);
  EXPECT_EQ(limits.admit(source, clock.now()), Answer::kTooOften);
  clock.advance(base::Millis(3'600'000));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limits.admit(source, clock.now()), Answer::kGo);
  EXPECT_EQ(limits.admit(source, clock.now()), Answer::kTooOften);
}

TEST(HandshakeLimits, asking_often_does_not_lose_what_has_been_refilled) {
  test::FakeClock clock;
  HandshakeLimits limits({.under_way = 100'000, .burst = 1, .per_second = 10, .buckets = 64, .seed = 7});
  int let_through = 0;
  for (int i = 0; i < 20'000; ++i) {
    let_through += limits.admit(base::Address::v4(1), clock.now()) == Answer::kGo;
    clock.advance(base::Nanos(100'000));
  }
  EXPECT_NEAR(let_through, 20, 1);
}

TEST(HandshakeLimits, one_loud_source_leaves_the_others_alone) {
  test::FakeClock clock;
  HandshakeLimits limits({.under_way = 100'000, .burst = 2, .per_second = 1, .buckets = 4096, .seed = 7});
  for (int i = 0; i < 1000; ++i) (void)limits.admit(base::Address::v4(1), clock.now());
  int refused = 0;
  for (uint32_t other = 2; other < 102; ++other)
    refused += limits.admit(base::Address::v4(other), clock.now()) != Answer::kGo;
  EXPECT_LE(refused, 1);
}

TEST(HandshakeLimits, no_more_than_the_bound_are_under_way_and_a_finished_one_makes_room) {
  test::FakeClock clock;
  HandshakeLimits limits({.under_way = 2, .burst = 100, .per_second = 100, .buckets = 64, .seed = 7});
  EXPECT_EQ(limits.admit(base::Address::v4(1), clock.now()), Answer::kGo);
  EXPECT_EQ(limits.admit(base::Address::v4(2), clock.now()), Answer::kGo);
  EXPECT_EQ(limits.admit(base::Address::v4(3), clock.now()), Answer::kBusy);
  EXPECT_EQ(limits.under_way(), 2u);
  limits.done(base::Address::v4(1));
  EXPECT_EQ(limits.admit(base::Address::v4(3), clock.now()), Answer::kGo);
}

TEST(HandshakeLimits, a_source_that_finishes_nothing_leaves_room_for_the_others) {
  test::FakeClock clock;
  HandshakeLimits limits({.under_way = 10, .under_way_of_one = 3, .burst = 4, .per_second = 1, .buckets = 4096, .seed = 7});
  const auto loud = base::Address::v4(1);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limits.admit(loud, clock.now()), Answer::kGo);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(limits.admit(loud, clock.now()), Answer::kTooMany);
  EXPECT_EQ(limits.under_way(), 3u);
  EXPECT_EQ(limits.admit(base::Address::v4(2), clock.now()), Answer::kGo);
  limits.done(loud);
  EXPECT_EQ(limits.admit(loud, clock.now()), Answer::kGo) << "what was turned away took nothing of its rate";
  EXPECT_EQ(limits.admit(loud, clock.now()), Answer::kTooMany);
}

TEST(HandshakeLimits, the_seed_decides_who_shares_a_bucket) {
  test::FakeClock clock;
  auto refused_beside_one = [&](uint64_t seed) {
    std::vector<uint32_t> hit;
    for (uint32_t other = 2; other < 40; ++other) {
      HandshakeLimits limits({.under_way = 10, .burst = 1, .per_second = 1, .buckets = 4, .seed = seed});
      (void)limits.admit(base::Address::v4(1), clock.now());
      if (limits.admit(base::Address::v4(other), clock.now()) != Answer::kGo) hit.push_back(other);
    }
    return hit;
  };
  EXPECT_NE(refused_beside_one(1), refused_beside_one(2));
}

}  // namespace
}  // namespace weft::tls
