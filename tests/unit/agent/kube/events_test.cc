// Events: the same again is a series, and nobody is flooded.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "agent/kube/events.h"
#include "agent/kube/resource.h"
#include "tests/support/fake_clock.h"

namespace weft::kube {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

Happening happening(const std::string& pod, const std::string& reason = "MeshCaptured") {
  return {.regarding = {.api_version = "v1", .kind = "Pod", .ns = "dev", .name = pod, .uid = "u-" + pod},
          .reason = reason,
          .action = "Capturing",
          .note = "all of it"};
}

struct EventsTest : ::testing::Test {
  explicit EventsTest(EventOptions chosen = {.controller = "weft.mesh/agent", .instance = "node-a"})
      : ledger(std::move(chosen), counters) {}
  std::optional<EventWrite> add(const Happening& one) {
    return ledger.add(one, clock.now(), clock.wall_now());
  }
  test::FakeClock clock;
  EventCounters counters;
  EventLedger ledger;
};

TEST_F(EventsTest, the_first_is_a_whole_event) {
  const auto write = add(happening("web"));
  ASSERT_TRUE(write);
  EXPECT_TRUE(write->create);
  EXPECT_EQ(write->ns, "dev");
  EXPECT_EQ(write->object.at({"reason"}).as_string(), "MeshCaptured");
  EXPECT_EQ(write->object.at({"type"}).as_string(), "Normal");
  EXPECT_EQ(write->object.at({"regarding", "uid"}).as_string(), "u-web");
  EXPECT_EQ(write->object.at({"reportingInstance"}).as_string(), "node-a");
  EXPECT_EQ(write->object.at({"eventTime"}).as_string(), "2023-11-14T22:13:20.000000Z");
  EXPECT_EQ(write->object.at({"metadata", "name"}).as_string(), write->name);
  EXPECT_TRUE(write->name.starts_with("web."));
}

TEST_F(EventsTest, the_same_again_is_a_series_that_is_written_once_a_minute) {
  const auto first = add(happening("web"));
  for (int i = 0; i < 50; ++i) {
    clock.advance(seconds(1));
    EXPECT_FALSE(add(happening("web")));
    EXPECT_TRUE(ledger.due(clock.now()).empty());
  }
  clock.advance(seconds(10));
  const auto due = ledger.due(clock.now());
  ASSERT_EQ(due.size(), 1u);
  EXPECT_FALSE(due[0].create);
  EXPECT_EQ(due[0].name, first->name);
  EXPECT_EQ(due[0].object.at({"series", "count"}).as_int(), 51);
  EXPECT_TRUE(ledger.due(clock.now()).empty()) << "it has not grown since";
  EXPECT_EQ(counters.series, 50u);
}

TEST_F(EventsTest, after_a_long_silence_it_is_a_new_event) {
  const auto first = add(happening("web"));
  clock.advance(minutes(7));
  const auto second = add(happening("web"));
  ASSERT_TRUE(second);
  EXPECT_NE(second->name, first->name);
}

TEST_F(EventsTest, other_pods_reasons_and_types_are_other_events) {
  EXPECT_TRUE(add(happening("web")));
  EXPECT_TRUE(add(happening("db")));
  EXPECT_TRUE(add(happening("web", "MeshCaptureFailed")));
  Happening warning = happening("web");
  warning.warning = true;
  EXPECT_EQ(add(warning)->object.at({"type"}).as_string(), "Warning");
}

TEST_F(EventsTest, many_reasons_about_one_object_are_bounded_and_others_are_still_heard) {
  for (int i = 0; i < 40; ++i) add(happening("web", fmt::format("Reason{}", i)));
  EXPECT_EQ(counters.dropped, 15u);
  EXPECT_TRUE(add(happening("db")));
  clock.advance(minutes(5));
  EXPECT_TRUE(add(happening("web", "Later"))) << "one more each five minutes";
  EXPECT_FALSE(add(happening("web", "Latest")));
}

TEST_F(EventsTest, all_objects_together_are_bounded) {
  for (int i = 0; i < 300; ++i) add(happening(fmt::format("web-{}", i)));
  EXPECT_EQ(counters.dropped, 200u);
  clock.advance(seconds(2));
  for (int i = 300; i < 320; ++i) add(happening(fmt::format("web-{}", i)));
  EXPECT_EQ(counters.dropped, 210u);
}

TEST_F(EventsTest, an_event_the_server_lost_is_told_anew) {
  const auto first = add(happening("web"));
  ledger.forget(first->ns, first->name);
  EXPECT_TRUE(add(happening("web")));
}

TEST_F(EventsTest, long_words_are_cut_between_characters_and_names_are_valid) {
  Happening one = happening(std::string(199, 'a') + ".b");
  one.note = std::string(1023, 'x') + "\xc3\xa4";
  const auto write = add(one);
  EXPECT_EQ(write->object.at({"note"}).as_string(), std::string(1023, 'x'));
  EXPECT_LE(write->name.size(), 253u);
  EXPECT_EQ(write->name.find(".."), std::string::npos);
  EXPECT_TRUE(is_path_segment(write->name));
}

TEST_F(EventsTest, events_about_cluster_wide_objects_live_in_default) {
  Happening one = happening("node-a");
  one.regarding.ns.clear();
  EXPECT_EQ(add(one)->ns, "default");
}

struct FewSeries : EventsTest {
  FewSeries() : EventsTest({.max_series = 3}) {}
};

TEST_F(FewSeries, the_memory_of_series_is_bounded) {
  for (int i = 0; i < 50; ++i) {
    clock.advance(seconds(1));
    add(happening(fmt::format("web-{}", i)));
  }
  EXPECT_LE(ledger.series(), 3u);
}

}  // namespace
}  // namespace weft::kube
