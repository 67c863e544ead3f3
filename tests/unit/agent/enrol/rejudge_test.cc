#include "agent/enrol/rejudge.h"

#include <gtest/gtest.h>

#include "bpf/decide/attest.h"
#include "tests/support/enrol_fakes.h"
#include "tests/support/fake_clock.h"

namespace weft::enrol {
namespace {

weft_address abi(const std::string& text) {
  weft_address out;
  std::memcpy(out.bytes, base::Address::parse(text)->bytes.data(), sizeof out.bytes);
  return out;
}

// The pod 10.1.0.2 has id 5 and netns 100; a pod of identity 3 lives in netns 200.
class RejudgeTest : public testing::Test {
 protected:
  RejudgeTest() {
    weft_pod& pod = tables.pods["uid"];
    pod.pod_id = 5;
    pod.ipv4 = abi("10.1.0.2");
    kernel.entries[200] = {.pod_id = 6, .identity = 3, .flags = WEFT_POD_ENROLLED, .generation = 1};
    place->cookie = 100;
  }
  static ArrivedConnection connection(const std::string& peer, const std::string& local = "10.1.0.2:8080") {
    return {.local = *base::SocketAddress::parse(local), .peer = *base::SocketAddress::parse(peer)};
  }
  static weft_tuple tuple(const std::string& from, const std::string& to) {
    const auto a = *base::SocketAddress::parse(from), b = *base::SocketAddress::parse(to);
    weft_tuple out{};
    std::memcpy(out.source.bytes, a.address.bytes.data(), 16);
    std::memcpy(out.destination.bytes, b.address.bytes.data(), 16);
    out.source_port = a.port;
    out.destination_port = b.port;
    return out;
  }
  void attest(const std::string& from, const std::string& to, uint64_t cookie) {
    kernel.records[tuple(from, to)] = weft_attested_of(&kernel.entries[200], cookie, false);
  }
  void turn() {
    for (int i = 0; i < 2; ++i) {
      clock.advance(base::Millis(8));  // a tick of the wheel
      loop->turn(0);
    }
  }
  std::vector<std::string> cut() {
    std::vector<std::string> out;
    for (const auto& one : place->cut) out.push_back(one.peer.to_string());
    return out;
  }

  test::FakeClock clock;
  std::unique_ptr<base::Loop> loop = *base::Loop::create(clock);
  test::Diary diary;
  test::FakeKernel kernel{diary};
  std::shared_ptr<test::FakePlace> place = std::make_shared<test::FakePlace>();
  test::FakeNetns netns{diary, place};
  compile::Tables tables;
  std::vector<weft_event> events;
  Rejudge rejudge{*loop,
                  {kernel, [this]() -> const compile::Tables& { return tables; },
                   [this](uint32_t id) -> PodNetns* { return id == 5 ? &netns : nullptr; },
                   [this](const weft_event& event) { events.push_back(event); }}};
};

TEST_F(RejudgeTest, what_a_pod_that_became_strict_did_not_prove_is_cut_and_told_once) {
  tables.pods["uid"].flags = WEFT_POD_STRICT;
  place->arrived = {connection("10.9.0.1:4000"), connection("10.1.0.3:4001"), connection("10.1.0.2:4002")};
  attest("10.1.0.3:4001", "10.1.0.2:8080", 200);
  rejudge.look_at({5});
  turn();
  EXPECT_EQ(cut(), (std::vector<std::string>{"10.9.0.1:4000"})) << "not the attested one, not the pod itself";
  EXPECT_EQ(rejudge.counters().looked_at, 2u);
  EXPECT_EQ(rejudge.counters().cut, 1u);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].counter, uint32_t{WEFT_COUNTER_lookup_refused_anonymous});
  EXPECT_EQ(events[0].source_port, 4000);
  EXPECT_EQ(events[0].pod_id, 5u);
}

TEST_F(RejudgeTest, a_record_of_a_pod_that_is_gone_proves_nothing) {
  tables.pods["uid"].flags = WEFT_POD_STRICT;
  place->arrived = {connection("10.1.0.3:4001")};
  attest("10.1.0.3:4001", "10.1.0.2:8080", 200);
  kernel.entries[200].generation = 2;
  rejudge.look_at({5});
  turn();
  EXPECT_EQ(rejudge.counters().cut, 1u);
}

TEST_F(RejudgeTest, a_probe_lives_on) {
  tables.pods["uid"].flags = WEFT_POD_STRICT;
  place->arrived = {connection("10.9.0.1:4000")};
  kernel.records[tuple("10.9.0.1:4000", "10.1.0.2:8080")] = weft_attested_probe(1);
  rejudge.look_at({5});
  turn();
  EXPECT_TRUE(cut().empty());
}

TEST_F(RejudgeTest, what_the_pod_opened_itself_is_no_arrival) {
  tables.pods["uid"].flags = WEFT_POD_STRICT;
  place->arrived = {connection("10.9.0.1:4000")};
  attest("10.1.0.2:8080", "10.9.0.1:4000", 100);
  rejudge.look_at({5});
  turn();
  EXPECT_TRUE(cut().empty());
}

TEST_F(RejudgeTest, a_connection_that_was_half_open_the_first_time_is_seen_the_second) {
  tables.pods["uid"].flags = WEFT_POD_STRICT;
  rejudge.look_at({5});
  turn();
  place->arrived = {connection("10.9.0.1:4000")};
  clock.advance(Rejudge::kSecondLook);
  turn();
  turn();
  EXPECT_EQ(rejudge.counters().cut, 1u);
}

TEST_F(RejudgeTest, what_cannot_be_asked_or_ended_is_counted) {
  tables.pods["uid"].flags = WEFT_POD_STRICT;
  place->arrived = {connection("10.9.0.1:4000")};
  place->faults = {"cut"};
  rejudge.look_at({5, 77});
  turn();
  turn();
  EXPECT_EQ(rejudge.counters().failures, 1u);
  EXPECT_EQ(rejudge.counters().cut, 0u);
  EXPECT_TRUE(events.empty());
  place->faults = {"arrived"};
  rejudge.look_at({5});
  turn();
  EXPECT_EQ(rejudge.counters().failures, 2u);
}

}  // namespace
}  // namespace weft::enrol
