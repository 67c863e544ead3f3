#include "agent/enrol/enroller.h"

#include "tests/support/enroller_fixture.h"

namespace weft::enrol {
namespace {

using model::Family;
using model::ListenerKind;
using std::chrono::seconds;

TEST_F(EnrollerTest, arms_listener_then_link_then_route_then_rule_then_marking) {
  enrol({web_pod()});
  EXPECT_EQ(diary, (test::Diary{"prepare", "make listeners", "entry off", "listener 8", "listener 10",
                                "listener 12", "listener 14", "link", "route", "rule", "marking on"}));
  EXPECT_EQ(kernel.entries.at(100).flags, uint32_t{WEFT_POD_ENROLLED | WEFT_POD_MARKING | WEFT_POD_STRICT});
  EXPECT_EQ(outlet.listeners.size(), 4u);
}

TEST_F(EnrollerTest, a_dual_stack_pod_has_listeners_rules_and_self_tests_of_both_families) {
  DesiredPod pod = web_pod();
  pod.entry.ipv6 = v4_of("fd00::7");
  connect_proxy();
  enrol({pod});
  EXPECT_EQ(kernel.slots, (std::set<uint32_t>{8, 9, 10, 11, 12, 13, 14, 15}));
  EXPECT_EQ(places["/run/netns/web"]->rules.size(), 2u);
  ASSERT_EQ(tester.targets.size(), 2u);
  EXPECT_EQ(tester.targets[1].to_string(), "[2001:db8::1]:15021");
  tester.waiting[0]("");
  EXPECT_FALSE(enroller->ready()) << "IPv6 is not proven yet";
  tester.waiting[1]("");
  EXPECT_TRUE(enroller->ready());
}

TEST_F(EnrollerTest, disarms_in_reverse_and_only_when_no_connection_needs_rule_and_route) {
  make_captured();
  places["/run/netns/web"]->marked = 3;
  enrol({});
  EXPECT_EQ(diary, test::Diary{"entry off"});
  pass(seconds(3));
  EXPECT_EQ(diary, test::Diary{"entry off"}) << "three connections still run";
  ASSERT_EQ(enroller->status().size(), 1u);
  EXPECT_TRUE(enroller->status()[0].leaving);
  places["/run/netns/web"]->marked = 0;
  pass(seconds(2));
  EXPECT_EQ(diary, (test::Diary{"entry off", "no rule", "no route", "unlink", "no listener 8",
                                "no listener 10", "no listener 12", "no listener 14", "entry removed"}));
  EXPECT_EQ(outlet.gone, (std::vector<model::PodKey>{{"dev/web", 100}}));
  EXPECT_TRUE(enroller->status().empty());
}

// What was captured before may still have to be dialled.
TEST_F(EnrollerTest, a_pod_that_leaves_has_its_stock_kept_filled_until_it_is_gone) {
  make_captured();
  places["/run/netns/web"]->marked = 1;
  enrol({});
  const model::StockKey key{{"dev/web", 100}, model::StockKind::kOutbound, model::Family::kV4};
  const auto before = static_cast<uint32_t>(outlet.stock[key]);
  ASSERT_GT(before, 0u);
  enroller->on_stock_level(1, {.key = key, .level = 0, .received = before, .taken = before});
  loop->turn(0);
  const size_t refilled = outlet.stock[key];
  EXPECT_GT(refilled, before);
  places["/run/netns/web"]->marked = 0;
  pass(seconds(2));
  enroller->on_stock_level(1, {.key = key, .level = 0, .received = static_cast<uint32_t>(refilled), .taken = 1});
  pass(seconds(1));
  EXPECT_EQ(outlet.stock[key], refilled);
}

TEST_F(EnrollerTest, a_pod_whose_namespace_is_gone_leaves_at_once) {
  make_captured();
  places["/run/netns/web"]->marked = 3;
  places["/run/netns/web"]->path = "";
  places.erase("/run/netns/web");
  enrol({});
  EXPECT_EQ(outlet.gone.size(), 1u);
  EXPECT_TRUE(kernel.entries.empty());
}

TEST_F(EnrollerTest, a_pod_that_comes_back_while_it_leaves_is_armed_again_without_new_listeners) {
  make_captured();
  const auto before = outlet.listeners;
  places["/run/netns/web"]->marked = 1;
  enrol({});
  enrol({web_pod()});
  EXPECT_EQ(diary.back(), "marking on");
  EXPECT_EQ(outlet.listeners, before);
  EXPECT_FALSE(enroller->status()[0].leaving);
}

TEST_F(EnrollerTest, marking_stays_off_until_a_failed_step_works_and_nothing_is_done_twice) {
  places["/run/netns/web"]->faults = {"route"};
  enrol({web_pod()});
  EXPECT_EQ(diary.back(), "link");
  pass(seconds(3));
  EXPECT_EQ(enroller->status()[0].gap, Gap::kArming);
  EXPECT_GE(enroller->metrics().arm_failures, 3u);
  EXPECT_GT(enroller->metrics().uncaptured_pod_seconds[static_cast<size_t>(Gap::kArming)], 2.0);
  places["/run/netns/web"]->faults.clear();
  pass(seconds(2));
  EXPECT_EQ(diary, (test::Diary{"prepare", "make listeners", "entry off", "listener 8", "listener 10",
                                "listener 12", "listener 14", "link", "route", "rule", "marking on"}));
}

TEST_F(EnrollerTest, a_rule_or_route_taken_away_is_put_back_within_a_second_and_counted) {
  make_captured();
  const auto place = places["/run/netns/web"];
  place->rules.clear();
  place->routes.clear();
  place->changed();
  pass(seconds(1));
  EXPECT_EQ(diary, (test::Diary{"route", "rule"}));
  EXPECT_EQ(repairs(Repair::kRule), 1u);
  EXPECT_EQ(repairs(Repair::kRoute), 1u);
  EXPECT_GE(tester.waiting.size(), 1u) << "a repair is followed by a test";
}

TEST_F(EnrollerTest, a_rule_taken_away_without_a_word_is_found_by_the_slow_round) {
  make_captured();
  places["/run/netns/web"]->rules.clear();
  pass(seconds(6));
  EXPECT_EQ(repairs(Repair::kRule), 1u);
}

TEST_F(EnrollerTest, a_link_a_listener_an_entry_and_a_sysctl_are_put_back_too) {
  make_captured();
  kernel.links.clear();
  kernel.slots.erase(10);
  kernel.entries.clear();
  places["/run/netns/web"]->prepared = false;
  places["/run/netns/web"]->changed();
  pass(seconds(1));
  EXPECT_EQ(repairs(Repair::kLink), 1u);
  EXPECT_EQ(repairs(Repair::kListener), 1u);
  EXPECT_EQ(repairs(Repair::kEntry), 1u);
  EXPECT_EQ(repairs(Repair::kNamespace), 1u);
  EXPECT_TRUE(kernel.links.contains(100));
  EXPECT_EQ(kernel.entries.at(100).flags & WEFT_POD_MARKING, uint32_t{WEFT_POD_MARKING});
}

TEST_F(EnrollerTest, a_link_that_cannot_be_put_back_switches_marking_off_until_it_can) {
  make_captured();
  kernel.links.clear();
  kernel.faults = {"attach"};
  pass(seconds(1));
  EXPECT_EQ(kernel.entries.at(100).flags & WEFT_POD_MARKING, 0u);
  EXPECT_EQ(kernel.entries.at(100).flags & WEFT_POD_ENROLLED, uint32_t{WEFT_POD_ENROLLED})
      << "the declared fail mode decides, the pod does not leave";
  EXPECT_EQ(enroller->status()[0].gap, Gap::kArming);
  EXPECT_FALSE(enroller->ready());
  kernel.faults.clear();
  pass(seconds(2));
  EXPECT_EQ(diary.back(), "marking on");
}

TEST_F(EnrollerTest, what_was_missing_for_a_moment_takes_the_capture_away_until_a_test_passes_anew) {
  make_captured();
  kernel.links.clear();
  pass(seconds(1));
  ASSERT_TRUE(kernel.links.contains(100));
  EXPECT_FALSE(enroller->ready());
  EXPECT_EQ(enroller->status()[0].gap, Gap::kSelfTest);
  EXPECT_NE(enroller->status()[0].detail.find("its link was missing"), std::string::npos);
  tester.answer_all("");
  EXPECT_TRUE(enroller->ready());
}

TEST_F(EnrollerTest, hooks_of_the_node_that_were_gone_cast_doubt_on_every_pod_and_the_next_test_clears_it) {
  make_captured();
  enroller->doubt_all("a hook was gone");
  pass(base::Millis(300));
  EXPECT_FALSE(enroller->ready());
  EXPECT_EQ(enroller->status()[0].detail, "a hook was gone");
  ASSERT_EQ(tester.waiting.size(), 1u) << "at once";
  tester.answer_all("nobody answered the self-test");
  enroller->doubt_all("a hook was gone");
  EXPECT_EQ(enroller->status()[0].detail, "nobody answered the self-test") << "what is known of it counts";
  pass(seconds(2));
  tester.answer_all("");
  EXPECT_TRUE(enroller->ready());
}

TEST_F(EnrollerTest, a_failed_self_test_takes_the_pods_capture_away_and_is_repeated_soon) {
  make_captured();
  pass(seconds(6));
  tester.answer_all("nobody answered the self-test");
  EXPECT_FALSE(enroller->ready());
  EXPECT_EQ(enroller->status()[0].gap, Gap::kSelfTest);
  EXPECT_EQ(enroller->status()[0].detail, "nobody answered the self-test");
  EXPECT_EQ(enroller->metrics().captured_pods, 0u);
  pass(seconds(2));
  tester.answer_all("");
  EXPECT_TRUE(enroller->ready());
}

TEST_F(EnrollerTest, without_a_proxy_nothing_is_tested_and_no_stock_is_made) {
  enrol({web_pod()});
  pass(seconds(2));
  EXPECT_TRUE(tester.targets.empty());
  EXPECT_TRUE(outlet.stock.empty());
  EXPECT_EQ(enroller->status()[0].gap, Gap::kNoProxy);
  connect_proxy();
  pass(seconds(1));
  EXPECT_EQ(tester.targets.size(), 1u);
  EXPECT_EQ(outlet.stock.size(), 2u) << "outbound and inbound";
  enroller->on_proxy_gone(1);
  loop->turn(0);
  EXPECT_EQ(enroller->status()[0].gap, Gap::kNoProxy);
}

TEST_F(EnrollerTest, an_older_proxy_that_outlives_the_newest_gets_stock_again) {
  connect_proxy(1);
  enrol({web_pod()});
  connect_proxy(2);
  const size_t before = outlet.stock.begin()->second;
  enroller->on_proxy_gone(2);
  loop->turn(0);
  EXPECT_GT(outlet.stock.begin()->second, before);
  EXPECT_NE(enroller->status()[0].gap, Gap::kNoProxy);
}

TEST_F(EnrollerTest, a_restarted_agent_takes_its_pods_over_without_switching_anything_off) {
  make_captured();
  stop_agent();
  EXPECT_TRUE(diary.empty()) << "the death of the agent changes nothing";
  outlet.listeners.clear();
  start_agent();
  enrol({web_pod()});
  EXPECT_EQ(diary, (test::Diary{"prepare", "make listeners", "marking on", "listener 8", "listener 10",
                                "listener 12", "listener 14", "link", "route", "rule", "marking on"}));
  EXPECT_EQ(outlet.listeners.size(), 4u);
}

TEST_F(EnrollerTest, what_an_earlier_agent_left_and_nobody_names_any_more_leaves) {
  make_captured();
  stop_agent();
  kernel.entries[999] = {.pod_id = 9, .flags = WEFT_POD_ENROLLED | WEFT_POD_MARKING, .listener_slot = 64};
  kernel.slots.insert(64);
  start_agent();
  enrol({});
  pass(seconds(2));
  EXPECT_TRUE(kernel.entries.empty());
  EXPECT_TRUE(kernel.links.empty());
  EXPECT_FALSE(kernel.slots.contains(64)) << "its namespace is gone: only the tables are cleared";
  EXPECT_TRUE(places["/run/netns/web"]->rules.empty()) << "its namespace is there: rule and route go as well";
}

TEST_F(EnrollerTest, a_restarted_agent_that_does_not_know_yet_where_a_pod_lives_keeps_it_captured) {
  make_captured();
  stop_agent();
  diary.clear();
  start_agent();
  DesiredPod somewhere = web_pod();
  somewhere.netns_path = "";
  enrol({somewhere});
  pass(seconds(2));
  EXPECT_TRUE(diary.empty()) << diary.front();
  EXPECT_EQ(enroller->status()[0].gap, Gap::kNamespace);
  enrol({web_pod()});
  EXPECT_EQ(std::ranges::count(diary, "marking off"), 0);
  EXPECT_TRUE(enroller->is_armed("dev/web", "/run/netns/web"));
}

TEST_F(EnrollerTest, a_pod_that_was_waited_for_and_goes_takes_its_old_namespace_along) {
  make_captured();
  stop_agent();
  start_agent();
  DesiredPod somewhere = web_pod();
  somewhere.netns_path = "";
  enrol({somewhere});
  EXPECT_TRUE(kernel.entries.contains(100));
  enrol({});
  pass(seconds(2));
  EXPECT_TRUE(kernel.entries.empty());
}

TEST_F(EnrollerTest, a_pod_waits_for_its_namespace_and_is_armed_once_it_is_there) {
  DesiredPod late = web_pod();
  late.name = "dev/late";
  late.netns_path = "/run/netns/late";
  enrol({late});
  EXPECT_EQ(enroller->status()[0].gap, Gap::kNamespace);
  EXPECT_FALSE(enroller->ready());
  add_place("/run/netns/late", 200);
  pass(seconds(1));
  EXPECT_TRUE(kernel.links.contains(200));
}

TEST_F(EnrollerTest, a_sandbox_made_anew_under_the_same_path_is_a_new_pod) {
  make_captured();
  places["/run/netns/web"]->path = "";
  add_place("/run/netns/web", 101);
  pass(seconds(6));
  EXPECT_FALSE(kernel.entries.contains(100));
  EXPECT_TRUE(kernel.entries.contains(101));
  EXPECT_EQ(outlet.gone, (std::vector<model::PodKey>{{"dev/web", 100}}));
}

TEST_F(EnrollerTest, a_namespace_known_under_another_path_stays_captured) {
  make_captured();
  const auto place = places["/run/netns/web"];
  places["/run/netns/other"] = place;
  place->path = "/run/netns/other";
  DesiredPod moved = web_pod();
  moved.netns_path = "/run/netns/other";
  enroller->enrol({moved});
  EXPECT_EQ(std::ranges::count(diary, "entry off"), 0);
  EXPECT_EQ(kernel.entries.at(100).flags & WEFT_POD_MARKING, uint32_t{WEFT_POD_MARKING});
}

TEST_F(EnrollerTest, a_lingering_pod_gives_its_place_to_the_next_owner_of_its_slots) {
  make_captured();
  places["/run/netns/web"]->marked = 1;
  add_place("/run/netns/next", 300);
  DesiredPod next = web_pod();
  next.name = "dev/next";
  next.netns_path = "/run/netns/next";
  enrol({next});
  EXPECT_FALSE(kernel.entries.contains(100));
  EXPECT_EQ(kernel.slots, (std::set<uint32_t>{8, 10, 12, 14}));
  EXPECT_TRUE(kernel.entries.contains(300));
}

TEST(DesiredPodsTest, pair_local_pods_with_their_entries_and_leave_out_those_without_room) {
  model::Snapshot snapshot;
  snapshot.workloads = {{.name = "a", .ns = "dev", .uid = "u1"}, {.name = "b", .ns = "dev", .uid = "u2"}};
  snapshot.local_pods = {{.workload = 0}, {.workload = 1}};
  compile::Tables tables;
  tables.pods["u2"].pod_id = 4;
  const auto desired = desired_pods(snapshot, {{"/a"}, {"/b", {.end_after = seconds(3)}}}, tables);
  ASSERT_EQ(desired.size(), 1u);
  EXPECT_EQ(desired[0].name, "dev/b");
  EXPECT_EQ(desired[0].netns_path, "/b");
  EXPECT_EQ(desired[0].pre_mesh.end_after, seconds(3));
  EXPECT_EQ(desired[0].entry.pod_id, 4u);
}

}  // namespace
}  // namespace weft::enrol
