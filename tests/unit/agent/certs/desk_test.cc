#include "agent/certs/desk.h"

#include <algorithm>
#include <deque>

#include "agent/certs/schedule.h"
#include "tests/support/fake_clock.h"
#include "tests/unit/agent/certs/authority.h"

namespace weft::certs {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const model::SpiffeId kWeb{"cluster.local", "dev", "web"}, kDb{"cluster.local", "dev", "db"};
constexpr publish::ProxyId kProxy = 1, kNext = 2;

model::SpiffeId numbered(int i) {
  return {"cluster.local", "dev", "pod-" + std::to_string(100 + i)};
}

// Everything that leaves the desk.
struct FakeDoors final : DeskDoors {
  struct Given {
    publish::ProxyId proxy;
    model::SpiffeId identity;
    uint64_t key_id;
    std::string pem;
  };
  void want_key(publish::ProxyId proxy, const model::KeyWanted& wanted) override {
    keys.push_back({proxy, wanted});
  }
  void give_certificate(publish::ProxyId proxy, const model::SpiffeId& identity, uint64_t key_id,
                        std::string pem) override {
    given.push_back({proxy, identity, key_id, std::move(pem)});
  }
  void tell_failure(publish::ProxyId proxy, const model::CertificateFailed& failed) override {
    failures.push_back({proxy, failed});
  }
  void forget_identity(publish::ProxyId proxy, const model::SpiffeId& identity) override {
    forgotten.push_back({proxy, identity});
  }
  void ask(Ask ask) override { asks.push_back(std::move(ask)); }

  std::deque<std::pair<publish::ProxyId, model::KeyWanted>> keys;
  std::vector<Given> given;
  std::vector<std::pair<publish::ProxyId, model::CertificateFailed>> failures;
  std::vector<std::pair<publish::ProxyId, model::SpiffeId>> forgotten;
  std::deque<Ask> asks;
};

struct DeskTest : testing::Test {
  test::FakeClock clock;
  FakeDoors doors;
  double chance = 0.5;
  Desk desk{doors, clock, [this] { return chance; }};
  Authority root{"root", clock.wall_now() - hours(1000), clock.wall_now() + hours(100'000)};
  grpc::KeyPtr key = new_key();
  std::string request = request_for(*key);

  void SetUp() override { desk.add_proxy(kProxy); }

  void want(const std::set<model::SpiffeId>& identities) {
    desk.set_wanted(identities);
    desk.turn();
  }
  // The proxies make what keys they were asked for.
  void make_keys() {
    while (!doors.keys.empty()) {
      const auto [proxy, wanted] = doors.keys.front();
      doors.keys.pop_front();
      desk.take_request(proxy, {wanted.identity, wanted.key_id, request});
      desk.turn();
    }
  }
  [[nodiscard]] Answer signed_for(const Ask& ask, base::Nanos life = hours(24)) const {
    const Wish wish{.names = uri(ask.identity), .begin = clock.wall_now(), .end = clock.wall_now() + life};
    return {{root.sign(ask.request, wish), root.pem()}};
  }
  void answer(const base::Result<Answer>& with) {
    const Ask ask = doors.asks.front();
    doors.asks.pop_front();
    desk.take_answer(ask.id, with);
    desk.turn();
  }
  void sign(base::Nanos life = hours(24)) { answer(signed_for(doors.asks.front(), life)); }
  void refuse() { answer(base::fail(base::ErrorKind::kRefused, "UNAUTHENTICATED")); }
  void issue_all(base::Nanos life = hours(24)) {
    for (make_keys(); !doors.asks.empty(); make_keys()) sign(life);
  }
  // One identity that has its certificate.
  void issue(const model::SpiffeId& identity, base::Nanos life = hours(24)) {
    want({identity});
    issue_all(life);
    ASSERT_EQ(doors.given.size(), 1u);
  }
  void pass(base::Nanos time) {
    clock.advance(time);
    desk.turn();
  }
  IdentityStatus status() {
    EXPECT_EQ(desk.status().size(), 1u);
    return desk.status().at(0);
  }
};

TEST_F(DeskTest, an_identity_is_fetched_before_anybody_needs_it) {
  want({kWeb});
  ASSERT_EQ(doors.keys.size(), 1u);
  const auto wanted = doors.keys.front().second;
  EXPECT_EQ(wanted.identity, kWeb);
  EXPECT_EQ(status().state, State::kPending);
  make_keys();
  ASSERT_EQ(doors.asks.size(), 1u);
  EXPECT_EQ(doors.asks.front().identity, kWeb);
  EXPECT_EQ(doors.asks.front().request, request);
  sign();
  ASSERT_EQ(doors.given.size(), 1u);
  EXPECT_EQ(doors.given[0].proxy, kProxy);
  EXPECT_EQ(doors.given[0].identity, kWeb);
  EXPECT_EQ(doors.given[0].key_id, wanted.key_id);
  EXPECT_EQ(status().state, State::kValid);
  EXPECT_EQ(status().key_id, wanted.key_id);
  EXPECT_EQ(status().requests, 1u);
  EXPECT_EQ(status().not_after, clock.wall_now() + hours(24));
}

TEST_F(DeskTest, every_proxy_has_a_key_of_its_own) {
  issue(kWeb);
  desk.add_proxy(kNext);
  desk.turn();
  ASSERT_EQ(doors.keys.size(), 1u);
  EXPECT_EQ(doors.keys.front().first, kNext);
  issue_all();
  ASSERT_EQ(doors.given.size(), 2u);
  EXPECT_EQ(doors.given[1].proxy, kNext);
  EXPECT_NE(doors.given[1].key_id, doors.given[0].key_id);
}

TEST_F(DeskTest, a_certificate_is_renewed_with_a_fresh_key_at_half_of_its_life) {
  issue(kWeb);
  EXPECT_EQ(status().renew_at, clock.wall_now() + hours(12));
  pass(hours(12) - seconds(1));
  EXPECT_TRUE(doors.keys.empty());
  pass(seconds(1));
  ASSERT_EQ(doors.keys.size(), 1u);
  EXPECT_GT(doors.keys.front().second.key_id, doors.given[0].key_id);
  EXPECT_EQ(status().state, State::kValid);
  EXPECT_TRUE(status().under_way);
  issue_all();
  EXPECT_EQ(doors.given.size(), 2u);
  EXPECT_TRUE(doors.failures.empty());
}

TEST_F(DeskTest, chance_moves_the_renewal_by_a_tenth) {
  chance = 0;
  issue(kWeb);
  EXPECT_EQ(status().renew_at, clock.wall_now() + minutes(648));
}

TEST_F(DeskTest, the_turn_sleeps_until_the_next_thing_but_never_over_a_clock_that_is_set) {
  desk.set_wanted({kWeb});
  EXPECT_EQ(desk.turn(), base::Nanos(kKeyTimeout));
  issue_all();
  EXPECT_EQ(desk.turn(), base::Nanos(seconds(30)));
  pass(hours(12) - seconds(4));
  EXPECT_EQ(desk.turn(), base::Nanos(seconds(4)));
}

TEST_F(DeskTest, a_failure_keeps_the_old_certificate_and_the_proxy_need_not_know) {
  issue(kWeb);
  pass(hours(12));
  make_keys();
  refuse();
  EXPECT_TRUE(doors.failures.empty());
  EXPECT_EQ(status().state, State::kValid);
  EXPECT_NE(status().last_error.find("UNAUTHENTICATED"), std::string::npos);
  EXPECT_EQ(desk.turn(), base::Nanos(seconds(1)));
  pass(seconds(1));
  EXPECT_EQ(doors.keys.size(), 1u);
}

TEST_F(DeskTest, a_failure_with_no_certificate_is_told_with_its_reason) {
  want({kWeb});
  make_keys();
  refuse();
  ASSERT_EQ(doors.failures.size(), 1u);
  EXPECT_EQ(doors.failures[0].second.identity, kWeb);
  EXPECT_NE(doors.failures[0].second.reason.find("UNAUTHENTICATED"), std::string::npos);
  EXPECT_EQ(status().state, State::kFailed);
  EXPECT_EQ(desk.counters().ask_failures[static_cast<size_t>(base::ErrorKind::kRefused)], 1u);
}

TEST_F(DeskTest, what_is_too_early_is_asked_again_within_200_ms_and_is_a_failure_only_when_it_lasts) {
  want({kWeb});
  for (unsigned i = 0; i < kSoonTries; ++i) {
    make_keys();
    ASSERT_EQ(doors.asks.size(), 1u) << i;
    answer(base::fail(base::ErrorKind::kNotFound, "no such pod was seen yet"));
    EXPECT_TRUE(doors.failures.empty()) << i;
    EXPECT_EQ(status().state, State::kPending);
    const base::Nanos wait = desk.turn();
    EXPECT_GE(wait, base::Millis(100));
    EXPECT_LE(wait, base::Millis(200));
    pass(wait);
  }
  make_keys();
  answer(base::fail(base::ErrorKind::kNotFound, "no such pod was seen yet"));
  EXPECT_EQ(doors.failures.size(), 1u);
  EXPECT_EQ(status().state, State::kFailed);
  EXPECT_EQ(desk.turn(), base::Nanos(seconds(1)));
  pass(seconds(1));
  issue_all();
  EXPECT_EQ(status().state, State::kValid);
}

TEST_F(DeskTest, pauses_double_from_a_second_to_150_and_begin_anew_after_a_success) {
  want({kWeb});
  for (const int pause : {1, 2, 4, 8, 16, 32, 64, 128, 150, 150}) {
    make_keys();
    ASSERT_EQ(doors.asks.size(), 1u);
    refuse();
    pass(seconds(pause) - base::Millis(1));
    EXPECT_TRUE(doors.keys.empty()) << pause;
    pass(base::Millis(1));
    EXPECT_EQ(doors.keys.size(), 1u) << pause;
  }
  issue_all();
  EXPECT_EQ(status().state, State::kValid);
  EXPECT_EQ(status().last_error, "");
  pass(hours(12));
  make_keys();
  refuse();
  EXPECT_EQ(desk.turn(), base::Nanos(seconds(1)));
}

TEST_F(DeskTest, a_pause_ends_with_the_certificate_and_the_expiry_is_told) {
  issue(kWeb, seconds(300));
  pass(seconds(150));
  // Failures until the next pause would reach beyond the end.
  for (int i = 0; i < 7; ++i) {
    make_keys();
    ASSERT_EQ(doors.asks.size(), 1u);
    refuse();
    if (i < 6) pass(seconds(1 << i));
  }
  EXPECT_TRUE(doors.failures.empty());
  EXPECT_EQ(desk.turn(), base::Nanos(seconds(27)));  // to the alarm: 240 of 300 seconds, 213 are over
  pass(seconds(64));                                 // 277: one more attempt
  make_keys();
  refuse();
  EXPECT_EQ(desk.turn(), base::Nanos(seconds(23)));  // the pause is 128
  pass(seconds(23));
  ASSERT_EQ(doors.failures.size(), 1u);
  EXPECT_NE(doors.failures[0].second.reason.find("expired"), std::string::npos);
  EXPECT_NE(doors.failures[0].second.reason.find("UNAUTHENTICATED"), std::string::npos);
  EXPECT_EQ(status().state, State::kFailed);
  EXPECT_EQ(desk.counters().expired, 1u);
  EXPECT_EQ(doors.keys.size(), 1u);
}

TEST_F(DeskTest, the_last_fifth_of_a_life_is_said_once) {
  issue(kWeb, seconds(1000));
  for (int i = 0; i < 40; ++i) {
    pass(seconds(20));
    make_keys();
    while (!doors.asks.empty()) refuse();
  }
  EXPECT_EQ(desk.counters().near_expiry, 1u);
}

TEST_F(DeskTest, at_most_eight_requests_are_at_the_ca_at_once) {
  desk.add_proxy(kNext);
  std::set<model::SpiffeId> many;
  for (int i = 0; i < 20; ++i) many.insert(numbered(i));
  want(many);
  EXPECT_EQ(doors.keys.size(), 2 * kMostKeys);
  make_keys();
  EXPECT_EQ(doors.asks.size(), kMostAsked);
  sign();
  EXPECT_EQ(doors.asks.size(), kMostAsked);
  size_t rounds = 0;
  for (make_keys(); !doors.asks.empty() && rounds < 100; make_keys(), ++rounds) {
    EXPECT_LE(doors.asks.size(), kMostAsked);
    sign();
  }
  EXPECT_EQ(doors.given.size(), 40u);
}

TEST_F(DeskTest, a_waiting_connection_goes_before_warm_up_and_warm_up_before_renewal) {
  std::set<model::SpiffeId> many;
  for (int i = 0; i < 9; ++i) many.insert(numbered(i));
  want(many);
  issue_all();
  pass(hours(13));  // all nine are due; eight are under way
  for (int i = 20; i < 30; ++i) many.insert(numbered(i));
  want(many);
  desk.need(kProxy, numbered(29));
  make_keys();
  ASSERT_EQ(doors.asks.size(), kMostAsked);
  std::vector<model::SpiffeId> order;
  for (int i = 0; i < 11; ++i) {
    make_keys();
    sign();
  }
  for (size_t i = 9 + 8; i < doors.given.size(); ++i) order.push_back(doors.given[i].identity);
  make_keys();
  while (!doors.asks.empty()) {
    order.push_back(doors.asks.front().identity);
    make_keys();
    sign();
  }
  ASSERT_EQ(order.size(), 11u);
  EXPECT_EQ(order.front(), numbered(29));
  EXPECT_EQ(order.back(), numbered(8));
}

TEST_F(DeskTest, a_connection_does_not_shorten_a_pause) {
  want({kWeb});
  make_keys();
  refuse();
  for (int i = 0; i < 100; ++i) {
    desk.need(kProxy, kWeb);
    desk.turn();
  }
  EXPECT_TRUE(doors.keys.empty());
  EXPECT_TRUE(doors.asks.empty());
}

TEST_F(DeskTest, a_proxy_that_has_lost_its_certificate_gets_another) {
  issue(kWeb);
  desk.need(kProxy, kWeb);
  desk.turn();
  EXPECT_TRUE(doors.keys.empty());  // it is on its way
  pass(kLostAfter);
  desk.need(kProxy, kWeb);
  desk.turn();
  EXPECT_EQ(doors.keys.size(), 1u);
}

TEST_F(DeskTest, an_identity_is_forgotten_when_its_last_pod_leaves) {
  issue(kWeb);
  want({kDb});
  ASSERT_EQ(doors.forgotten.size(), 1u);
  EXPECT_EQ(doors.forgotten[0].second, kWeb);
  EXPECT_EQ(desk.counters().forgotten, 1u);
  EXPECT_EQ(status().identity, kDb);
}

TEST_F(DeskTest, an_answer_for_an_identity_that_has_left_is_dropped_even_when_the_identity_is_back) {
  want({kWeb});
  make_keys();
  want({});
  want({kWeb});
  make_keys();
  EXPECT_EQ(doors.asks.size(), 2u);
  sign();
  EXPECT_TRUE(doors.given.empty());
  EXPECT_EQ(desk.counters().answers_late, 1u);
  sign();
  EXPECT_EQ(doors.given.size(), 1u);
}

TEST_F(DeskTest, a_proxy_that_leaves_cancels_what_it_asked_for) {
  want({kWeb, kDb});
  make_keys();
  desk.remove_proxy(kProxy);
  desk.turn();
  EXPECT_TRUE(desk.status().empty());
  sign();
  refuse();
  EXPECT_TRUE(doors.given.empty());
  EXPECT_TRUE(doors.failures.empty());
  EXPECT_EQ(desk.counters().answers_late, 2u);
}

TEST_F(DeskTest, a_proxy_that_starts_again_and_again_does_not_besiege_the_ca) {
  want({kWeb});
  make_keys();
  refuse();
  desk.remove_proxy(kProxy);
  desk.add_proxy(kNext);
  desk.turn();
  EXPECT_TRUE(doors.keys.empty());
  pass(seconds(1));
  EXPECT_EQ(doors.keys.size(), 1u);
}

TEST_F(DeskTest, requests_for_identities_that_are_not_of_this_node_are_refused_and_counted) {
  issue(kWeb);
  desk.take_request(kProxy, {kDb, 1, request});
  desk.need(kProxy, kDb);
  desk.turn();
  EXPECT_TRUE(doors.asks.empty());
  EXPECT_EQ(desk.counters().requests_foreign, 1u);
  EXPECT_EQ(desk.counters().needs_foreign, 1u);
  ASSERT_EQ(doors.failures.size(), 1u);
  EXPECT_EQ(doors.failures[0].second.identity, kDb);
}

TEST_F(DeskTest, a_request_that_nobody_asked_for_is_dropped) {
  want({kWeb});
  const auto wanted = doors.keys.front().second;
  desk.take_request(kProxy, {kWeb, wanted.key_id - 1, request});
  desk.take_request(kNext, {kWeb, wanted.key_id, request});
  make_keys();
  desk.take_request(kProxy, {kWeb, wanted.key_id, request});
  desk.turn();
  EXPECT_EQ(desk.counters().requests_stale, 3u);
  EXPECT_EQ(doors.asks.size(), 1u);
}

TEST_F(DeskTest, a_request_that_is_none_never_reaches_the_ca) {
  want({kWeb});
  request = "not PKCS#10";
  make_keys();
  EXPECT_TRUE(doors.asks.empty());
  EXPECT_EQ(desk.counters().requests_malformed, 1u);
  EXPECT_EQ(doors.failures.size(), 1u);
}

TEST_F(DeskTest, a_proxy_that_makes_no_key_is_asked_again_and_does_not_hold_up_another) {
  std::set<model::SpiffeId> many;
  for (int i = 0; i < 10; ++i) many.insert(numbered(i));
  want(many);
  EXPECT_EQ(doors.keys.size(), kMostKeys);
  doors.keys.clear();  // it is stuck
  desk.add_proxy(kNext);
  desk.turn();
  issue_all();
  EXPECT_EQ(doors.given.size(), 10u);
  pass(kKeyTimeout);
  EXPECT_EQ(desk.counters().keys_late, kMostKeys);
  EXPECT_EQ(doors.failures.size(), kMostKeys);
  pass(seconds(1));
  EXPECT_EQ(doors.keys.size(), kMostKeys);
}

TEST_F(DeskTest, an_answer_that_does_not_fit_is_counted_by_its_reason) {
  want({kWeb});
  make_keys();
  Ask other = doors.asks.front();
  other.identity = kDb;
  answer(signed_for(other));
  EXPECT_TRUE(doors.given.empty());
  EXPECT_EQ(desk.counters().answers_refused[static_cast<size_t>(Refusal::kOtherIdentity)], 1u);
  EXPECT_EQ(status().state, State::kFailed);
}

TEST_F(DeskTest, no_key_is_wanted_while_there_is_no_bundle_to_know_the_ca_by) {
  desk.set_roots(nullptr, true);
  want({kWeb});
  EXPECT_TRUE(doors.keys.empty());
  EXPECT_TRUE(doors.failures.empty()) << "it comes in a moment";
  EXPECT_NE(status().last_error.find("trust bundle"), std::string::npos);
  for (unsigned i = 0; i < kSoonTries; ++i) pass(base::Millis(200));
  EXPECT_TRUE(doors.keys.empty());
  ASSERT_EQ(doors.failures.size(), 1u) << "or not";
  EXPECT_NE(doors.failures[0].second.reason.find("trust bundle"), std::string::npos);
  desk.set_roots(*Roots::parse(root.pem()), true);
  desk.turn();
  EXPECT_EQ(doors.keys.size(), 1u);
  make_keys();
  EXPECT_EQ(doors.asks.front().roots->pem(), root.pem());
}

TEST_F(DeskTest, a_ca_that_signs_with_an_unknown_root_fails_closed_and_the_old_certificate_stays) {
  const Authority other("other", clock.wall_now() - hours(1), clock.wall_now() + hours(1000));
  desk.set_roots(*Roots::parse(root.pem()), true);
  issue(kWeb);
  pass(hours(12));
  make_keys();
  const Wish wish{.names = uri(kWeb), .begin = clock.wall_now(), .end = clock.wall_now() + hours(24)};
  answer(Answer{{other.sign(request, wish), other.pem()}});
  EXPECT_EQ(doors.given.size(), 1u);
  EXPECT_EQ(status().state, State::kValid);
  EXPECT_NE(status().last_error.find("trust bundle"), std::string::npos);
  EXPECT_EQ(desk.counters().answers_refused[static_cast<size_t>(Refusal::kUnknownAuthority)], 1u);
  // The bundle catches up: nobody waits out the pause.
  desk.set_roots(*Roots::parse(root.pem() + other.pem()), true);
  desk.turn();
  EXPECT_EQ(doors.keys.size(), 1u);
}

TEST_F(DeskTest, a_root_that_is_taken_away_renews_what_it_has_signed_at_once) {
  const Authority other("other", clock.wall_now() - hours(1), clock.wall_now() + hours(1000));
  desk.set_roots(*Roots::parse(root.pem() + other.pem()), true);
  issue(kWeb);
  EXPECT_TRUE(doors.keys.empty());
  desk.set_roots(*Roots::parse(other.pem()), true);
  desk.turn();
  EXPECT_EQ(doors.keys.size(), 1u);
  EXPECT_EQ(desk.counters().disbelieved, 1u);
  EXPECT_EQ(status().state, State::kValid);
}

TEST_F(DeskTest, key_numbers_grow_over_a_restart_of_the_agent) {
  issue(kWeb);
  clock.advance(seconds(1));
  FakeDoors later;
  Desk next(later, clock, [] { return 0.5; });
  next.add_proxy(kProxy);
  next.set_wanted({kWeb});
  next.turn();
  ASSERT_EQ(later.keys.size(), 1u);
  EXPECT_GT(later.keys.front().second.key_id, doors.given[0].key_id);
}

}  // namespace
}  // namespace weft::certs
