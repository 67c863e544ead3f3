#include "agent/enrol/announcer.h"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"

namespace weft::enrol {
namespace {

// An API server that keeps what it is told, once it is reachable.
struct FakeDoor final : PodStatusDoor {
  void annotate(const AnnouncedPod& pod, const Announcement& announcement) override {
    ++writes;
    if (reachable) shown[pod.uid] = announcement;
  }
  void tell(const AnnouncedPod&, const PodEvent& event) override {
    events.push_back(event.reason + ": " + event.message);
  }
  bool reachable = true;
  int writes = 0;
  std::map<std::string, Announcement> shown;
  std::vector<std::string> events;
};

class AnnouncerTest : public ::testing::Test {
 protected:
  static PodStatus captured(uint64_t cookie = 7) {
    return {.name = "dev/web", .netns_cookie = cookie, .captured = true};
  }
  static PodStatus gap(Gap why, const std::string& detail = "") {
    return {.name = "dev/web", .netns_cookie = 7, .gap = why, .detail = detail};
  }
  void update(const std::vector<PodStatus>& statuses, bool enrolled = true) {
    announcer_.update({{"dev", "web", "u1", enrolled, door_.shown["u1"], excludes_, problem_, policy_problem_}}, statuses);
  }
  [[nodiscard]] Announcement shown() { return door_.shown["u1"]; }

  std::string excludes_, problem_, policy_problem_;
  test::FakeClock clock_;
  FakeDoor door_;
  Announcer announcer_{clock_, "boot-1", door_};
  const Announcement proven_{"enabled", "boot-1/7"};
};

TEST_F(AnnouncerTest, enabled_is_written_after_the_proof_and_once_only) {
  update({gap(Gap::kArming)});
  EXPECT_EQ(door_.writes, 0);
  update({gap(Gap::kUntested)});
  EXPECT_EQ(shown(), (Announcement{"pending", ""}));
  update({captured()});
  EXPECT_EQ(shown(), proven_);
  update({captured()});
  update({captured()});
  EXPECT_EQ(door_.writes, 2);
  EXPECT_EQ(door_.events.size(), 1U);
  EXPECT_TRUE(door_.events[0].starts_with("MeshCaptured"));
}

TEST_F(AnnouncerTest, the_agents_own_pod_says_in_which_boot_it_is_armed_and_no_more_once_it_is_not) {
  Announcer announcer(clock_, "boot-1", door_, "weft-system/weft-agent-x");
  const auto tell = [&] {
    announcer.update({{"weft-system", "weft-agent-x", "u9", false, door_.shown["u9"]}, {"dev", "web", "u1", false, {}}}, {});
  };
  door_.shown["u9"].armed = "boot-0";
  tell();
  EXPECT_EQ(door_.shown["u9"].armed, "") << "of the boot before this one";
  announcer.set_armed(true);
  tell();
  tell();
  EXPECT_EQ(door_.shown["u9"], (Announcement{"", "", "boot-1"}));
  EXPECT_FALSE(door_.shown.contains("u1"));
  EXPECT_EQ(door_.writes, 2);
  announcer.set_armed(false);
  tell();
  EXPECT_EQ(door_.shown["u9"].armed, "");
}

TEST_F(AnnouncerTest, a_failed_self_test_withdraws_it_and_says_why_once) {
  update({captured()});
  update({gap(Gap::kSelfTest, "nobody answers")});
  update({gap(Gap::kSelfTest, "nobody answers")});
  EXPECT_EQ(shown(), Announcement{});
  EXPECT_EQ(announcer_.counters().withdrawn, 1U);
  EXPECT_EQ(door_.events.size(), 2U);
  EXPECT_EQ(door_.events[1], "MeshCaptureFailed: nobody answers");
  update({captured()});
  EXPECT_EQ(shown(), proven_);
  EXPECT_EQ(door_.events.size(), 3U);
}

TEST_F(AnnouncerTest, connections_of_before_are_told_once_however_many_are_left) {
  PodStatus status = captured();
  status.pre_mesh = {3, {"10.0.0.7:1 - 10.0.0.9:5432"}};
  update({status});
  status.pre_mesh.open = 2;
  update({status});
  ASSERT_EQ(door_.events.size(), 2U);
  EXPECT_EQ(door_.events[1],
            "PreMeshConnections: 3 connections were open before this pod was captured: they go on past the mesh until "
            "they end, the first of them 10.0.0.7:1 - 10.0.0.9:5432");
  update({captured()});
  update({status});
  EXPECT_EQ(door_.events.size(), 3U) << "of another enrolment";
}

TEST_F(AnnouncerTest, what_policy_makes_of_them_is_told_before_and_once_it_is_done) {
  PodStatus status = captured();
  status.pre_mesh_policy.end_after = std::chrono::seconds(30);
  status.pre_mesh = {.open = 2000, .some = {"10.0.0.7:1 - 10.0.0.9:5432"}, .unlisted = 7};
  update({status});
  ASSERT_EQ(door_.events.size(), 2U);
  EXPECT_EQ(door_.events[1],
            "PreMeshConnections: 2000 connections were open before this pod was captured: they go on past the mesh until "
            "they end or policy (drain=30s) ends them, the first of them 10.0.0.7:1 - 10.0.0.9:5432; 7 more were open "
            "than can be listed: they go on until they end");
  status.pre_mesh.open = 976;
  status.pre_mesh.ended = 1024;
  update({status});
  EXPECT_EQ(door_.events.size(), 2U) << "there are more to come";
  status.pre_mesh.open = status.pre_mesh.stuck = 1;
  status.pre_mesh.ended = 1999;
  update({status});
  update({status});
  ASSERT_EQ(door_.events.size(), 3U);
  EXPECT_EQ(door_.events[2],
            "PreMeshConnectionsEnded: 1999 connections of before the mesh were ended by policy (drain=30s); 1 could not be "
            "ended; 7 more were open than can be listed: they go on until they end");
  status.pre_mesh = {.ended = 2000};
  update({status});
  EXPECT_EQ(door_.events.back(), "PreMeshConnectionsEnded: 1 connections of before the mesh were ended by policy (drain=30s)");
  update({captured()});
  status.pre_mesh = {.ended = 12};
  update({status});
  EXPECT_EQ(door_.events.back(), "PreMeshConnectionsEnded: 12 connections of before the mesh were ended by policy (drain=30s)")
      << "of another enrolment";
}

TEST_F(AnnouncerTest, an_agent_that_starts_anew_tells_of_their_end_alone) {
  PodStatus status = captured();
  status.pre_mesh_policy.end_after = std::chrono::seconds(30);
  status.pre_mesh = {.open = 2, .some = {"10.0.0.7:1 - 10.0.0.9:5432"}, .recalled = true};
  door_.shown["u1"] = proven_;
  update({status});
  EXPECT_TRUE(door_.events.empty());
  status.pre_mesh = {.ended = 2, .recalled = true};
  update({status});
  EXPECT_EQ(door_.events.size(), 1U);
}

TEST_F(AnnouncerTest, those_that_were_listed_too_late_to_be_ended_are_said_to_be_left) {
  PodStatus status = captured();
  status.pre_mesh_policy.end_after = base::Nanos(0);
  status.pre_mesh = {.open = 1, .some = {"10.0.0.7:1 - 10.0.0.9:5432"}, .late = true};
  update({status});
  EXPECT_NE(door_.events[1].find("listed too late for policy (cut) to tell them from the mesh's"), std::string::npos)
      << door_.events[1];
}

TEST_F(AnnouncerTest, a_policy_that_cannot_be_read_is_told_once_as_a_warning) {
  policy_problem_ = "annotation x: no policy";
  update({captured()});
  update({captured()});
  ASSERT_EQ(door_.events.size(), 2U);
  EXPECT_EQ(door_.events[1], "PreMeshPolicyRefused: annotation x: no policy");
}

TEST_F(AnnouncerTest, a_proxy_that_restarts_takes_nothing_back) {
  update({captured()});
  update({gap(Gap::kNoProxy, "no proxy is connected")});
  EXPECT_EQ(shown(), proven_);
  EXPECT_EQ(door_.writes, 1);
}

TEST_F(AnnouncerTest, a_note_of_another_boot_or_another_sandbox_is_not_believed) {
  door_.shown["u1"] = {"enabled", "boot-0/7"};
  update({gap(Gap::kUntested)});
  EXPECT_EQ(shown(), (Announcement{"pending", ""}));
  EXPECT_EQ(announcer_.counters().stale, 1U);
  update({captured(8)});
  EXPECT_EQ(shown(), (Announcement{"enabled", "boot-1/8"}));
  door_.shown["u1"] = {"enabled", "boot-1/7"};
  update({gap(Gap::kNoProxy)});
  EXPECT_EQ(shown(), proven_) << "the same sandbox";
  door_.shown["u1"] = {"enabled", "boot-1/99"};
  update({gap(Gap::kNoProxy)});
  EXPECT_EQ(shown(), (Announcement{"pending", ""})) << "another's";
}

TEST_F(AnnouncerTest, an_agent_that_starts_anew_repeats_nothing_that_the_object_shows) {
  door_.shown["u1"] = proven_;
  update({captured()});
  EXPECT_EQ(door_.writes, 0);
  EXPECT_TRUE(door_.events.empty());
}

TEST_F(AnnouncerTest, who_leaves_loses_the_note_and_other_meshes_keep_theirs) {
  update({captured()});
  update({}, false);
  EXPECT_EQ(shown(), Announcement{});
  door_.shown["u1"] = {"enabled", ""};
  update({}, false);
  EXPECT_EQ(shown(), (Announcement{"enabled", ""}));
}

TEST_F(AnnouncerTest, what_goes_around_the_mesh_is_written_and_told_and_so_is_its_end) {
  excludes_ = "outbound 3306";
  update({gap(Gap::kArming)});
  EXPECT_EQ(door_.writes, 0) << "not before its tables hold";
  update({captured()});
  update({captured()});
  EXPECT_EQ(shown(), (Announcement{.redirection = "enabled", .captured = "boot-1/7", .excluded = "outbound 3306"}));
  EXPECT_EQ(door_.writes, 1);
  ASSERT_EQ(door_.events.size(), 2U);
  EXPECT_EQ(door_.events[1], "MeshExcluded: goes around the mesh: outbound 3306");
  update({gap(Gap::kNoProxy)});
  EXPECT_EQ(shown().excluded, "outbound 3306");
  excludes_ = "";
  update({captured()});
  EXPECT_EQ(shown(), proven_);
  EXPECT_EQ(door_.events.back(), "MeshExcluded: nothing goes around the mesh any more");
  excludes_ = "inbound *";
  update({captured()});
  EXPECT_EQ(shown().excluded, "inbound *");
  update({}, false);
  EXPECT_EQ(shown(), Announcement{}) << "who leaves the mesh leaves nothing out of it";
  EXPECT_EQ(announcer_.counters().withdrawn, 1U) << "a change of exclusions takes no proof away";
}

TEST_F(AnnouncerTest, an_agent_that_starts_anew_does_not_tell_again_what_goes_around) {
  excludes_ = "outbound 3306";
  door_.shown["u1"] = {.redirection = "enabled", .captured = "boot-1/7", .excluded = "outbound 3306"};
  update({captured()});
  EXPECT_EQ(door_.writes, 0);
  EXPECT_TRUE(door_.events.empty());
}

TEST_F(AnnouncerTest, a_wish_that_does_not_count_is_told_once_as_a_warning) {
  problem_ = "annotation x: no port";
  update({captured()});
  update({captured()});
  EXPECT_EQ(shown(), proven_);
  ASSERT_EQ(door_.events.size(), 2U);
  EXPECT_EQ(door_.events[1], "MeshExclusionRefused: annotation x: no port");
  problem_ = "";
  update({captured()});
  EXPECT_EQ(door_.events.size(), 2U);
}

TEST_F(AnnouncerTest, what_does_not_arrive_is_written_again_now_and_then) {
  door_.reachable = false;
  update({captured()});
  update({captured()});
  EXPECT_EQ(door_.writes, 1);
  clock_.advance(Announcer::kRepeat);
  update({captured()});
  EXPECT_EQ(door_.writes, 2);
  EXPECT_EQ(door_.events.size(), 1U);
}

TEST_F(AnnouncerTest, a_leaving_pod_is_not_captured) {
  update({captured()});
  PodStatus leaving = captured();
  leaving.captured = false;
  leaving.leaving = true;
  update({leaving}, false);
  EXPECT_EQ(shown(), Announcement{});
}

}  // namespace
}  // namespace weft::enrol
