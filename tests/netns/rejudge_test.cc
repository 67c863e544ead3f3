// Open connections past the proxy, judged again when policy changes: on the real kernel, by netlink.
//
//      web 10.77.0.2, fd77::2 (enrolled) --- node 10.77.0.1, fd77::1 --- peer 10.77.0.3, fd77::3 (enrolled)
#include "agent/enrol/rejudge.h"
#include "tests/netns/enrol_fixture.h"
#include "tests/support/policy_builders.h"

namespace weft::enrol {
namespace {

class RejudgeNetnsTest : public EnrolTest {
 protected:
  void SetUp() override {
    node_.attach(peer_, {"10.77.0.3/24", "fd77::3/64"});
    snapshot_.workloads.push_back(workload("peer", true, {"10.77.0.3", "fd77::3"}));
    snapshot_.local_pods.push_back({.workload = 2});
    start_agent();
    rejudge_ = std::make_unique<Rejudge>(
        *loop_, RejudgeDoors{*door_, [this]() -> const compile::Tables& { return kernel_->current(); },
                             [this](uint32_t id) { return enroller_->netns_of(id); },
                             [this](const weft_event& event) { events_.push_back(event); }});
    apply_both();
    ASSERT_TRUE(until([&] { return enroller_->ready(); })) << enroller_->status()[0].detail;
  }
  void TearDown() override { rejudge_.reset(); }

  void apply_both() {
    compile::Tables tables = compile::compile(snapshot_, ids_);
    const std::vector<LocalTerms> terms = {{pod_.path()}, {peer_.path()}};
    const auto desired = desired_pods(snapshot_, terms, tables);
    const auto changed = compile::judged_anew(kernel_->current(), tables);
    enroller_->release_absent(desired);
    ASSERT_TRUE(kernel_->sync(std::move(tables)));
    enroller_->enrol(desired);
    rejudge_->look_at(changed);
  }

  [[nodiscard]] test::Place stranger() const { return {&node_.netns()}; }
  [[nodiscard]] test::Place neighbour() const { return {&peer_, &pod_cgroup_}; }

  test::Netns peer_;
  std::unique_ptr<Rejudge> rejudge_;
  std::vector<weft_event> events_;
};

TEST_F(RejudgeNetnsTest, APodThatBecomesStrictLosesWhoeverIsNotProvenWithinASecondAndNobodyElse) {
  const base::Fd v4 = listen_in_pod("10.77.0.2:8080"), both = listen_in_pod("[::]:8081");
  const std::vector<Pair> strangers = [&] {
    std::vector<Pair> out;
    out.push_back(open_pair(stranger(), "10.77.0.2:8080", v4));
    out.push_back(open_pair(stranger(), "10.77.0.2:8081", both));
    out.push_back(open_pair(stranger(), "[fd77::2]:8081", both));
    return out;
  }();
  const Pair proven = open_pair(neighbour(), "10.77.0.2:8080", v4);
  const Pair proven_v6 = open_pair(neighbour(), "[fd77::2]:8081", both);
  const base::Fd far = serve("10.77.0.1:7100");
  const Pair own = open_pair(in_pod(), "10.77.0.1:7100", far);
  for (const Pair& pair : strangers) ASSERT_TRUE(pair.carries());

  const auto begin = std::chrono::steady_clock::now();
  snapshot_.local_pods[0].peer_mode = model::PeerMode::kStrict;
  apply_both();
  ASSERT_TRUE(until([&] { return rejudge_->counters().cut == 3; })) << rejudge_->counters().cut;
  for (const Pair& pair : strangers) EXPECT_TRUE(pair.is_reset());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
  until([] { return false; }, std::chrono::milliseconds(600));  // the second look changes nothing
  EXPECT_TRUE(proven.carries());
  EXPECT_TRUE(proven_v6.carries());
  EXPECT_TRUE(own.carries()) << "what the pod opened itself";
  EXPECT_EQ(rejudge_->counters().cut, 3U);
  EXPECT_EQ(rejudge_->counters().failures, 0U);
  ASSERT_EQ(events_.size(), 3U) << "one record each";
  for (const auto& event : events_) EXPECT_EQ(event.counter, WEFT_COUNTER_lookup_refused_anonymous);
}

TEST_F(RejudgeNetnsTest, ANewDenyRuleCutsTheNeighbourThatItNames) {
  const base::Fd app = listen_in_pod("10.77.0.2:8080");
  const Pair outside = open_pair(stranger(), "10.77.0.2:8080", app);
  const Pair proven = open_pair(neighbour(), "10.77.0.2:8080", app);
  test::give_rules(snapshot_, 0, {test::rule(9, true, {.service_accounts = {"dev/peer"}})});
  apply_both();
  ASSERT_TRUE(until([&] { return rejudge_->counters().cut == 1; }, std::chrono::seconds(1)));
  EXPECT_TRUE(proven.is_reset());
  EXPECT_TRUE(outside.carries());
  ASSERT_EQ(events_.size(), 1U);
  EXPECT_EQ(events_[0].rule_id, 9U);
  EXPECT_NE(events_[0].source_identity, 0U);
}

TEST_F(RejudgeNetnsTest, WhatTheProxyAcceptedIsTheProxysToJudge) {
  snapshot_.local_pods[0].inbound_proxy = true;
  apply_both();
  const base::Fd app = listen_in_pod("10.77.0.2:8080");
  base::Fd client = test::value_inside(neighbour(), [] { return dial("10.77.0.2:8080"); });
  std::string greeting;
  ASSERT_TRUE(until([&] {
    char text[128];
    const ssize_t got = recv(client.get(), text, sizeof text, MSG_DONTWAIT);
    if (got > 0) greeting.assign(text, static_cast<size_t>(got));
    return !greeting.empty();
  }));
  EXPECT_EQ(greeting, "attested 10.77.0.2:8080 from 10.77.0.3\n");
  const auto before = rejudge_->counters().looked_at;
  snapshot_.local_pods[0].peer_mode = model::PeerMode::kStrict;
  test::give_rules(snapshot_, 0, {test::rule(9, true)});
  apply_both();
  until([] { return false; }, std::chrono::milliseconds(700));
  EXPECT_EQ(rejudge_->counters().looked_at, before);
  EXPECT_EQ(send(client.get(), "x", 1, MSG_NOSIGNAL), 1);
}

}  // namespace
}  // namespace weft::enrol
