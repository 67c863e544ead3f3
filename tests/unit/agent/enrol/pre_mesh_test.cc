// Connections of before a pod was enrolled: how they are listed, and what policy makes of them.
#include "agent/enrol/pre_mesh.h"

#include "tests/support/enroller_fixture.h"

namespace weft::enrol {
namespace {

using std::chrono::seconds;

ArrivedConnection connection(uint64_t cookie) {
  return {.local = {base::Address::v4(0x0a000007), static_cast<uint16_t>(cookie)},
          .peer = {base::Address::v4(0x0a000009), 5432},
          .cookie = cookie};
}

DesiredPod web_with(std::optional<base::Nanos> end_after) {
  DesiredPod pod = web_pod();
  pod.pre_mesh.end_after = end_after;
  return pod;
}

struct PreMeshTest : EnrollerTest {
  void open(uint64_t first, uint64_t last) const {
    for (uint64_t cookie = first; cookie <= last; ++cookie) place().uncarried.push_back(connection(cookie));
  }
  [[nodiscard]] test::FakePlace& place() const { return *places.at("/run/netns/web"); }
  [[nodiscard]] PreMesh seen() const { return enroller->status()[0].pre_mesh; }
  // By their cookies: they are their own ports.
  [[nodiscard]] std::set<uint64_t> cut() const {
    std::set<uint64_t> out;
    for (const auto& one : place().cut) out.insert(one.cookie);
    return out;
  }
  void restart_agent() {
    stop_agent();
    start_agent();
    connect_proxy(2);
  }
  void prove() {
    pass(base::Millis(400));
    tester.answer_all("");
    pass(base::Millis(400));
  }
};

TEST_F(PreMeshTest, connections_of_before_are_listed_until_they_end_and_later_ones_are_not_among_them) {
  open(1, 2);
  make_captured();
  ASSERT_EQ(seen().open, 2u);
  EXPECT_EQ(seen().some[0], "10.0.0.7:1 - 10.0.0.9:5432");
  EXPECT_EQ(enroller->metrics().pre_mesh_connections, 2u);
  place().uncarried = {connection(2), connection(3)};
  pass(seconds(6));
  EXPECT_EQ(seen().open, 1u);
  place().faults = {"uncarried"};
  pass(seconds(6));
  EXPECT_EQ(seen().open, 1u) << "not known is not gone";
  place().faults.clear();
  enrol({});
  enrol({web_pod()});
  pass(seconds(1));
  EXPECT_EQ(seen().open, 2u) << "enrolled anew: the third is of before as well";
}

TEST_F(PreMeshTest, nothing_is_ended_where_nobody_asks_for_it) {
  open(1, 3);
  make_captured();
  pass(seconds(600));
  EXPECT_TRUE(place().cut.empty());
  EXPECT_EQ(seen().open, 3u);
}

TEST_F(PreMeshTest, cut_ends_those_that_are_listed_and_none_of_the_mesh_once_capture_is_proven) {
  open(1, 3);
  connect_proxy();
  enrol({web_with(seconds(0))});
  pass(seconds(2));
  EXPECT_TRUE(place().cut.empty()) << "they would call again, and nobody knows where that goes";
  open(4, 4);
  tester.answer_all("");
  pass(base::Millis(400));
  EXPECT_EQ(cut(), (std::set<uint64_t>{1, 2, 3}));
  EXPECT_EQ(seen(), (PreMesh{.open = 0, .ended = 3}));
  EXPECT_EQ(enroller->metrics().pre_mesh_ended, 3u);
  EXPECT_EQ(enroller->metrics().pre_mesh_connections, 0u);
  pass(seconds(60));
  EXPECT_EQ(cut().size(), 3u);
}

TEST_F(PreMeshTest, a_drain_ends_after_its_time_what_is_still_open_then) {
  open(1, 3);
  make_captured(web_with(seconds(30)));
  pass(seconds(29));
  EXPECT_TRUE(place().cut.empty());
  place().uncarried = {connection(2), connection(9)};
  pass(seconds(2));
  EXPECT_EQ(cut(), (std::set<uint64_t>{2}));
  EXPECT_EQ(enroller->metrics().pre_mesh_ended, 1u);
}

TEST_F(PreMeshTest, a_policy_may_come_later_and_be_taken_back) {
  open(1, 2);
  make_captured(web_with(seconds(30)));
  enrol({web_pod()});
  pass(seconds(60));
  EXPECT_TRUE(place().cut.empty());
  enrol({web_with(seconds(50))});
  pass(base::Millis(400));
  EXPECT_EQ(cut(), (std::set<uint64_t>{1, 2})) << "its time counts from enrolment";
}

TEST_F(PreMeshTest, a_pod_that_is_not_captured_for_a_moment_keeps_its_connections_till_it_is) {
  open(1, 1);
  make_captured(web_with(seconds(30)));
  pass(seconds(28));
  tester.answer_all("");
  enroller->doubt_all("a hook was gone");
  pass(seconds(4));
  EXPECT_TRUE(place().cut.empty());
  tester.answer_all("");
  pass(base::Millis(400));
  EXPECT_EQ(cut(), (std::set<uint64_t>{1}));
}

TEST_F(PreMeshTest, many_are_ended_in_several_turns) {
  open(1, 3000);
  make_captured(web_with(seconds(0)));
  pass(base::Millis(200));
  EXPECT_EQ(seen().ended, PreMeshConnections::kAtOnce);
  EXPECT_EQ(seen().open, 3000 - PreMeshConnections::kAtOnce);
  pass(base::Millis(600));
  EXPECT_EQ(seen().ended, 3000u);
}

TEST_F(PreMeshTest, more_than_can_be_remembered_are_counted_and_left) {
  open(1, PreMeshConnections::kRemembered + 5);
  make_captured(web_with(seconds(0)));
  EXPECT_EQ(seen().unlisted, 5u);
  pass(seconds(10));
  EXPECT_EQ(seen(), (PreMesh{.unlisted = 5, .ended = PreMeshConnections::kRemembered}));
  EXPECT_EQ(cut().size(), PreMeshConnections::kRemembered);
}

TEST_F(PreMeshTest, one_that_cannot_be_ended_is_counted_and_tried_again) {
  open(1, 3);
  place().faults = {"cut 2"};
  make_captured(web_with(seconds(0)));
  pass(base::Millis(400));
  EXPECT_EQ(cut(), (std::set<uint64_t>{1, 3}));
  EXPECT_EQ(seen().stuck, 1u);
  EXPECT_EQ(enroller->metrics().pre_mesh_end_failures, 1u);
  place().faults.clear();
  pass(seconds(6));
  EXPECT_EQ(cut(), (std::set<uint64_t>{1, 2, 3}));
  EXPECT_EQ(seen(), (PreMesh{.ended = 3}));
}

TEST_F(PreMeshTest, what_could_not_be_listed_at_once_is_never_ended_since_the_meshs_may_be_among_it) {
  open(1, 2);
  place().faults = {"uncarried"};
  make_captured(web_with(seconds(0)));
  place().faults.clear();
  pass(seconds(20));
  EXPECT_EQ(seen().open, 2u);
  EXPECT_TRUE(seen().late);
  EXPECT_TRUE(place().cut.empty());
}

TEST_F(PreMeshTest, a_pod_that_has_to_be_armed_again_is_not_listed_anew) {
  open(1, 1);
  make_captured(web_with(seconds(10)));
  kernel.faults = {"attach"};
  kernel.links.clear();
  open(2, 2);
  pass(seconds(4));
  kernel.faults.clear();
  prove();
  pass(seconds(10));
  EXPECT_EQ(cut(), (std::set<uint64_t>{1}));
}

TEST_F(PreMeshTest, an_agent_that_starts_anew_knows_them_and_drains_them_at_the_time_that_was_said) {
  open(1, 3);
  make_captured(web_with(seconds(30)));
  pass(seconds(10));
  restart_agent();
  open(4, 4);
  place().uncarried.erase(place().uncarried.begin());
  enrol({web_with(seconds(30))});
  prove();
  EXPECT_EQ(seen().open, 2u);
  EXPECT_TRUE(seen().recalled);
  pass(seconds(15));
  EXPECT_TRUE(place().cut.empty());
  pass(seconds(6));
  EXPECT_EQ(cut(), (std::set<uint64_t>{2, 3}));
  EXPECT_TRUE(memory.records.empty()) << "nothing is left to be known";
}

TEST_F(PreMeshTest, a_pod_without_a_record_has_no_connections_of_before_that_anybody_knows_of) {
  make_captured();
  EXPECT_TRUE(memory.records.empty());
  restart_agent();
  open(1, 1);
  enrol({web_with(seconds(0))});
  prove();
  EXPECT_EQ(seen().open, 0u);
  EXPECT_TRUE(place().cut.empty());
  EXPECT_EQ(enroller->metrics().pre_mesh_memory_failures, 0u) << "there was nothing to know";
}

TEST_F(PreMeshTest, who_leaves_the_mesh_and_who_ended_unseen_is_forgotten) {
  open(1, 1);
  make_captured();
  ASSERT_TRUE(memory.records.contains(100));
  enrol({});
  EXPECT_TRUE(memory.records.empty());
  memory.records[777] = {};
  restart_agent();
  enrol({web_pod()});
  EXPECT_FALSE(memory.records.contains(777));
}

TEST_F(PreMeshTest, a_memory_that_fails_is_counted_and_stops_nobody) {
  open(1, 1);
  memory.faults = {"put", "find"};
  make_captured(web_with(seconds(30)));
  EXPECT_EQ(enroller->metrics().pre_mesh_memory_failures, 1u);
  EXPECT_EQ(seen().open, 1u);
  restart_agent();
  enrol({web_with(seconds(30))});
  prove();
  EXPECT_TRUE(enroller->ready());
  EXPECT_EQ(enroller->metrics().pre_mesh_memory_failures, 1u);
}

}  // namespace
}  // namespace weft::enrol
