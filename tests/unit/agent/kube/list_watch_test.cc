// One reflector without a server: what it asks, what it tells, and how it takes failures.
#include "agent/kube/list_watch.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"

namespace weft::kube {
namespace {

using base::Nanos;
using objects::Node;
using Strings = std::vector<std::string>;

struct Diary final : ReflectorSink {
  void on_object(Node object) override {
    told.push_back("+" + name_of(object).name + "@" + object.at({"metadata", "resourceVersion"}).as_string());
    last = std::move(object);
  }
  void on_gone(const ObjectName& name) override { told.push_back("-" + name.name); }
  void on_synced() override { told.emplace_back("synced"); }
  void on_batch_end() override { ++batches; }
  void on_state(const ReflectorState& state) override { states.emplace_back(name_of(state.phase)); }
  Strings take() { return std::exchange(told, {}); }
  Strings told, states;
  Node last;
  int batches = 0;
};

std::string object(const std::string& name, int version) {
  return fmt::format(R"({{"metadata":{{"name":"{}","namespace":"dev","resourceVersion":"{}"}}}})", name,
                     version);
}
std::string list(const Strings& objects, int version, const std::string& next = "") {
  return fmt::format(
      R"({{"kind":"PodList","metadata":{{"resourceVersion":"{}","continue":"{}"}},"items":[{}]}})", version,
      next, fmt::join(objects, ","));
}
std::string event(const std::string& type, const std::string& object) {
  return fmt::format("{{\"type\":\"{}\",\"object\":{}}}\n", type, object);
}
std::string status(int code, const std::string& reason) {
  return fmt::format(R"({{"kind":"Status","code":{},"reason":"{}","message":"because"}})", code, reason);
}

struct ListWatchTest : ::testing::Test {
  explicit ListWatchTest(ReflectorLimits chosen = {})
      : limits(chosen), core({.resource = *known_resource("v1", "Pod"), .unread = parse::Unread({"spec.long"})}, diary, counters, limits, 7) {}

  // A whole exchange; returns how long to wait.
  Nanos answer(int code, const std::string& body, Nanos lasts = {}) {
    ask = core.ask();
    core.began(clock.now());
    core.on_head(code, {}, clock.now());
    std::optional<base::Error> failure;
    if (const auto taken = core.on_body(body, clock.now()); !taken) failure = taken.error();
    clock.advance(lasts);
    return core.on_end(failure, clock.now());
  }
  Nanos cut(const std::string& what = "connection refused") {
    ask = core.ask();
    return core.on_end(base::Error{.kind = base::ErrorKind::kSystem, .what = what}, clock.now());
  }
  void sync(const Strings& objects, int version) {
    ASSERT_EQ(answer(200, list(objects, version)), Nanos(0));
    ASSERT_TRUE(core.watching());
    diary.take();
  }

  test::FakeClock clock;
  ReflectorLimits limits;
  Diary diary;
  ReflectorCounters counters;
  ListWatch core;
  ListWatch::Ask ask;
};

TEST_F(ListWatchTest, what_the_consumer_does_not_look_at_is_left_out_of_lists_and_of_events) {
  const auto with_spec = [](int version) {
    std::string text = object("a", version);
    text.insert(text.size() - 1, R"(,"spec":{"long":[1,2,3],"short":4})");
    return text;
  };
  for (const std::string& body : {list({with_spec(1)}, 9), event("MODIFIED", with_spec(10))}) {
    EXPECT_EQ(answer(200, body), Nanos(0));
    EXPECT_EQ(objects::to_json(diary.last.at({"spec"}), 0), R"({"short":4})");
  }
}

TEST_F(ListWatchTest, a_whole_look_is_timed_from_its_first_chunk_to_its_last) {
  EXPECT_EQ(answer(200, list({object("a", 1)}, 9, "more/1"), base::Millis(30)), Nanos(0));
  EXPECT_EQ(counters.list_ms, 0u);
  EXPECT_EQ(answer(200, list({object("b", 2)}, 9), base::Millis(12)), Nanos(0));
  EXPECT_EQ(counters.list_ms, 42u);
}

TEST_F(ListWatchTest, a_list_comes_in_chunks_and_is_whole_after_the_last) {
  EXPECT_EQ(answer(200, list({object("a", 1)}, 9, "more/1")), Nanos(0));
  EXPECT_EQ(ask.path, "/api/v1/pods?limit=250");
  EXPECT_EQ(diary.take(), Strings{"+a@1"});
  EXPECT_EQ(answer(200, list({object("b", 2)}, 9)), Nanos(0));
  EXPECT_EQ(ask.path, "/api/v1/pods?limit=250&continue=more%2F1");
  EXPECT_EQ(diary.take(), (Strings{"+b@2", "synced"}));
  EXPECT_EQ(diary.states, (Strings{"listing", "watching"}));
  EXPECT_EQ(diary.last.at({"kind"}).as_string(), "Pod");
  EXPECT_EQ(diary.last.at({"apiVersion"}).as_string(), "v1");
  EXPECT_EQ(counters.objects, 2u);
}

TEST_F(ListWatchTest, a_watch_begins_where_the_list_was_and_goes_on_from_the_last_event_or_bookmark) {
  sync({object("a", 1)}, 9);
  EXPECT_EQ(answer(200, event("MODIFIED", object("a", 10)) + event("ADDED", object("b", 11)) +
                            event("DELETED", object("a", 12)) + event("BOOKMARK", object("", 20))),
            Nanos(0));
  EXPECT_NE(ask.path.find("watch=true&allowWatchBookmarks=true&resourceVersion=9&timeoutSeconds="),
            std::string::npos);
  EXPECT_EQ(diary.take(), (Strings{"+a@10", "+b@11", "-a"}));
  EXPECT_EQ(core.ask().path.find("resourceVersion=20") == std::string::npos, false);
  EXPECT_EQ(counters.events, 3u);
  EXPECT_EQ(counters.bookmarks, 1u);
  EXPECT_EQ(counters.objects, 1u);
}

TEST_F(ListWatchTest, the_time_of_a_watch_is_drawn_between_its_bounds) {
  sync({}, 9);
  std::set<Nanos> seen;
  for (int i = 0; i < 50; ++i) {
    const auto asked = core.ask();
    const Nanos lasts = asked.deadline - limits.idle;
    EXPECT_GE(lasts, limits.watch_at_least);
    EXPECT_LT(lasts, 2 * limits.watch_at_least);
    seen.insert(lasts);
  }
  EXPECT_GT(seen.size(), 40u);
}

TEST_F(ListWatchTest,
       a_version_that_is_too_old_leads_to_a_list_that_tells_what_vanished_and_only_what_changed) {
  sync({object("a", 1), object("b", 2), object("c", 3)}, 9);
  const Nanos wait = answer(200, event("ERROR", status(410, "Expired")));
  EXPECT_LT(wait, std::chrono::seconds(1));
  EXPECT_EQ(counters.relists, 1u);
  EXPECT_EQ(diary.take(), Strings{});
  answer(200, list({object("a", 1), object("c", 30), object("d", 31)}, 40));
  EXPECT_EQ(ask.path, "/api/v1/pods?limit=250");
  EXPECT_EQ(diary.take(), (Strings{"+c@30", "+d@31", "-b", "synced"}));
  EXPECT_EQ(counters.unchanged, 1u);
}

TEST_F(ListWatchTest, what_came_by_the_watch_and_vanished_unseen_is_gone_after_the_next_list) {
  sync({object("a", 1)}, 9);
  answer(200, event("ADDED", object("b", 10)) + event("MODIFIED", object("a", 11)));
  diary.take();
  answer(410, status(410, "Expired"));
  answer(200, list({object("a", 11), object("c", 30)}, 40));
  EXPECT_EQ(diary.take(), (Strings{"+c@30", "-b", "synced"}));
  EXPECT_EQ(counters.objects, 2u);
}

TEST_F(ListWatchTest, an_answer_of_410_is_the_same_and_again_and_again_it_waits_longer) {
  sync({object("a", 1)}, 9);
  Nanos last{0};
  for (int i = 0; i < 5; ++i) {
    last = answer(410, status(410, "Expired"));
    answer(200, list({object("a", 1)}, 9));
  }
  EXPECT_EQ(counters.relists, 5u);
  EXPECT_GT(last, std::chrono::seconds(10));
}

TEST_F(ListWatchTest, a_server_that_answers_with_a_refusal_is_not_away_and_is_spared_longer) {
  sync({object("a", 1)}, 9);
  Nanos wait{0};
  for (int i = 0; i < 20; ++i) wait = answer(500, status(500, "InternalError"));
  EXPECT_FALSE(core.away());
  EXPECT_GE(wait, limits.backoff_most);
}

TEST_F(ListWatchTest, a_server_that_is_back_and_refuses_at_first_is_asked_again_soon) {
  sync({object("a", 1)}, 9);
  for (int i = 0; i < 20; ++i) clock.advance(cut());
  EXPECT_LE(answer(403, status(403, "Forbidden")), 2 * limits.backoff_first);
  EXPECT_LE(answer(403, status(403, "Forbidden")), 4 * limits.backoff_first);
}

TEST_F(ListWatchTest, while_the_server_is_away_what_was_told_is_kept_and_the_waits_grow_up_to_their_bound) {
  sync({object("a", 1)}, 9);
  Nanos before{0};
  for (int i = 0; i < 20; ++i) {
    const Nanos wait = cut();
    EXPECT_GE(wait, limits.backoff_first);
    EXPECT_LE(wait, 2 * limits.backoff_away);
    EXPECT_TRUE(core.away());
    if (i > 0 && i < 5) {
      EXPECT_GE(2 * wait, before);
    }
    before = wait;
    clock.advance(wait);
  }
  EXPECT_GE(before, limits.backoff_away);
  EXPECT_EQ(diary.take(), Strings{});
  EXPECT_EQ(core.state().phase, ReflectorPhase::kStale);
  EXPECT_GT(clock.now() - core.state().since, std::chrono::minutes(3)) << "since the first failure";
  answer(200, event("MODIFIED", object("a", 10)));
  EXPECT_NE(ask.path.find("resourceVersion=9"), std::string::npos) << "goes on where it was";
  EXPECT_EQ(core.state().phase, ReflectorPhase::kWatching);
  EXPECT_LT(cut(), 2 * limits.backoff_first) << "it worked until just now";
}

TEST_F(ListWatchTest,
       after_silence_a_new_connection_is_asked_for_and_after_a_broken_one_the_shared_one_will_do) {
  sync({}, 9);
  EXPECT_FALSE(core.ask().fresh);
  core.on_end(base::Error{.kind = base::ErrorKind::kTimeout, .what = "silence"}, clock.now());
  EXPECT_TRUE(core.ask().fresh);
  cut();
  EXPECT_FALSE(core.ask().fresh);
  answer(503, "");
  EXPECT_FALSE(core.ask().fresh);
}

TEST_F(ListWatchTest, retry_after_of_a_busy_server_is_kept_to) {
  for (const int code : {429, 503}) {
    ask = core.ask();
    core.on_head(code, std::chrono::seconds(20), clock.now());
    EXPECT_TRUE(core.on_body(status(code, "TooManyRequests"), clock.now()));
    EXPECT_GE(core.on_end(std::nullopt, clock.now()), std::chrono::seconds(20));
  }
  EXPECT_EQ(counters.busy, 2u);
  ask = core.ask();
  core.on_head(429, std::chrono::hours(5), clock.now());
  EXPECT_LT(core.on_end(std::nullopt, clock.now()), std::chrono::minutes(4)) << "but not to any wish";
  EXPECT_NE(core.state().why.find("429"), std::string::npos);
}

TEST_F(ListWatchTest, a_continue_token_that_expires_begins_the_look_anew_and_nothing_is_lost) {
  sync({object("a", 1), object("b", 2)}, 9);
  answer(410, "");
  answer(200, list({object("a", 1)}, 20, "next"));
  answer(410, status(410, "Expired"));
  EXPECT_EQ(diary.take(), Strings{}) << "half a look tells of nobody's end";
  answer(200, list({object("b", 2)}, 30));
  EXPECT_EQ(ask.path, "/api/v1/pods?limit=250");
  EXPECT_EQ(diary.take(), (Strings{"-a", "synced"}));
}

TEST_F(ListWatchTest, an_answer_that_is_too_long_is_asked_for_in_smaller_pieces) {
  ask = core.ask();
  core.on_head(200, {}, clock.now());
  EXPECT_EQ(core.on_end(base::Error{.kind = base::ErrorKind::kLimit}, clock.now()), Nanos(0));
  EXPECT_EQ(core.ask().path, "/api/v1/pods?limit=125");
  for (int i = 0; i < 8; ++i) core.on_end(base::Error{.kind = base::ErrorKind::kLimit}, clock.now());
  EXPECT_EQ(core.ask().path, "/api/v1/pods?limit=1");
  EXPECT_GT(core.on_end(base::Error{.kind = base::ErrorKind::kLimit}, clock.now()), Nanos(0))
      << "one object too long";
}

TEST_F(ListWatchTest, what_nobody_serves_is_told_as_no_objects_and_looked_for_on_and_on) {
  EXPECT_GE(answer(404, "404 page not found"), limits.backoff_most);
  EXPECT_EQ(diary.take(), Strings{"synced"});
  EXPECT_EQ(core.state().phase, ReflectorPhase::kAbsent);
  answer(404, "404 page not found");
  EXPECT_EQ(diary.take(), Strings{}) << "said once";
  answer(200, list({object("a", 1)}, 9));
  EXPECT_EQ(diary.take(), (Strings{"+a@1", "synced"}));
}

TEST_F(ListWatchTest, objects_outlive_a_404_that_does_not_last) {
  sync({object("a", 1)}, 9);
  answer(404, "");
  EXPECT_FALSE(core.watching());
  answer(404, "");
  EXPECT_EQ(diary.take(), Strings{});
  EXPECT_EQ(core.state().phase, ReflectorPhase::kStale);
  clock.advance(limits.absent_after);
  answer(404, "");
  EXPECT_EQ(diary.take(), (Strings{"-a", "synced"}));
  EXPECT_EQ(core.state().phase, ReflectorPhase::kAbsent);
}

TEST_F(ListWatchTest, a_version_the_server_does_not_take_leads_to_a_list_in_the_end) {
  sync({object("a", 1)}, 9);
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(core.watching());
    answer(504, status(504, "Timeout"));
  }
  EXPECT_FALSE(core.watching());
  EXPECT_EQ(diary.take(), Strings{});
}

TEST_F(ListWatchTest, a_watch_that_ends_at_once_without_a_word_is_not_asked_for_in_a_circle) {
  sync({}, 9);
  EXPECT_GE(answer(200, ""), limits.backoff_first);
  EXPECT_GE(answer(200, ""), 2 * limits.backoff_first);
  EXPECT_EQ(answer(200, "", std::chrono::minutes(6)), Nanos(0)) << "its time was up";
}

TEST_F(ListWatchTest, events_arrive_in_any_pieces) {
  sync({}, 9);
  ask = core.ask();
  core.on_head(200, {}, clock.now());
  for (const char c : event("ADDED", object("a", 10)) + event("ADDED", object("b", 11)))
    ASSERT_TRUE(core.on_body(std::string_view(&c, 1), clock.now()));
  EXPECT_EQ(diary.take(), (Strings{"+a@10", "+b@11"}));
}

TEST_F(ListWatchTest, what_is_no_event_ends_the_watch_and_is_counted) {
  sync({}, 9);
  for (const std::string& bad :
       {std::string("hello\n"), std::string("{}\n"), event("ADDED", "7"), event("ADDED", "{}"),
        event("NEWS", object("a", 1)), event("ADDED", object("", 1))})
    EXPECT_GT(answer(200, bad), Nanos(0)) << bad;
  EXPECT_EQ(counters.malformed, 6u);
  EXPECT_EQ(diary.take(), Strings{});
  EXPECT_GT(answer(200, event("ADDED", object("a", 10))), Nanos(-1));
  EXPECT_EQ(diary.take(), Strings{"+a@10"});
}

TEST_F(ListWatchTest, what_is_no_list_is_counted_and_tells_of_no_end) {
  sync({object("a", 1)}, 9);
  answer(410, "");
  for (const char* bad : {"hello", "{}", R"({"kind":"PodList","metadata":{},"items":[]})",
                          R"({"kind":"PodList","metadata":{"resourceVersion":"1"},"items":[{}]})"})
    EXPECT_GT(answer(200, bad), Nanos(0)) << bad;
  EXPECT_EQ(counters.malformed, 4u);
  EXPECT_EQ(diary.take(), Strings{});
}

struct SmallLimits : ListWatchTest {
  SmallLimits() : ListWatchTest({.max_chunk = 4096, .max_line = 200, .max_objects = 3}) {}
};

TEST_F(SmallLimits, lines_chunks_and_objects_are_bounded) {
  sync({object("a", 1)}, 9);
  EXPECT_GT(answer(200, event("ADDED", object(std::string(300, 'x'), 1))), Nanos(0));
  EXPECT_EQ(counters.malformed, 1u);
  answer(200,
         event("ADDED", object("b", 2)) + event("ADDED", object("c", 3)) + event("ADDED", object("d", 4)));
  EXPECT_EQ(diary.take(), (Strings{"+b@2", "+c@3"}));
  EXPECT_EQ(core.state().phase, ReflectorPhase::kStale);
  EXPECT_NE(core.state().why.find("more than 3 objects"), std::string::npos);
  EXPECT_EQ(counters.objects, 3u);
  answer(410, "");
  answer(200, std::string(5000, ' '));
  EXPECT_NE(core.ask().path.find("limit=125"), std::string::npos);
}

TEST(ListWatchSelectors, are_part_of_every_question) {
  test::FakeClock clock;
  Diary diary;
  ReflectorCounters counters;
  ListWatch core({.resource = *known_resource("v1", "Pod"),
                  .ns = "dev",
                  .label_selector = "a=b",
                  .field_selector = "spec.nodeName=n1"},
                 diary, counters, {}, 7);
  EXPECT_EQ(core.ask().path,
            "/api/v1/namespaces/dev/pods?labelSelector=a%3Db&fieldSelector=spec.nodeName%3Dn1&limit=250");
}

TEST(Lines, are_cut_however_they_arrive_and_bounded) {
  for (size_t piece = 1; piece < 12; ++piece) {
    Lines lines(5);
    Strings got;
    const std::string text = "one\r\n\ntwo\nthree\nx";
    for (size_t at = 0; at < text.size(); at += piece)
      EXPECT_TRUE(lines.feed(std::string_view(text).substr(at, piece), [&](std::string_view line) {
        got.emplace_back(line);
        return true;
      }));
    EXPECT_EQ(got, (Strings{"one", "two", "three"})) << piece;
    EXPECT_EQ(lines.kept(), 1u);
  }
  Lines lines(5);
  const auto yes = [](std::string_view) { return true; };
  EXPECT_TRUE(lines.feed("12345", yes));
  EXPECT_FALSE(lines.feed("6", yes));
  Lines other(5);
  EXPECT_FALSE(other.feed("1\n2\n", [](std::string_view line) { return line != "2"; }));
}

}  // namespace
}  // namespace weft::kube
