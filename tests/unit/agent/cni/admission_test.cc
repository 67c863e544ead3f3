#include "agent/cni/admission.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>

#include "agent/cni/sandbox_book.h"
#include "tests/support/fake_clock.h"

namespace weft::cni {
namespace {

struct FakeJudge final : PodJudge {
  Judgement judge(const Request& sandbox) const override {
    const auto found = pods.find(sandbox.name);
    return found == pods.end() ? Judgement{Verdict::kUnknown, "not seen"}
                               : Judgement{found->second, "a label"};
  }
  Judgement judge_namespace(const std::string& ns) const override {
    const auto found = namespaces.find(ns);
    return found == namespaces.end() ? Judgement{Verdict::kUnknown, "not seen"}
                                     : Judgement{found->second, "a label"};
  }
  std::map<std::string, Verdict> pods, namespaces;
};

struct FakeCapturer final : Capturer {
  void sandbox_is(const Request& sandbox) override { known.insert(sandbox.name); }
  void sandbox_gone(const Request& sandbox) override { known.erase(sandbox.name); }
  bool is_armed(const Request& sandbox) const override { return armed.contains(sandbox.name); }
  std::string why_not_armed(const Request&) const override { return "the rule cannot be set"; }
  std::set<std::string> known, armed;
};

class AdmissionTest : public ::testing::Test {
 protected:
  AdmissionTest()
      : loop_(*base::Loop::create(clock_)), admission_(*loop_, judge_, capturer_, {.max_waiting = 3}) {}

  static Request pod(const std::string& name) {
    return {.command = Command::kAdd,
            .container_id = "c-" + name,
            .netns = "/run/netns/" + name,
            .ns = "dev",
            .name = name,
            .uid = name};
  }
  void add(const std::string& name) {
    admission_.on_add(pod(name), [this, name](Answer answer) {
      EXPECT_FALSE(answers_.contains(name)) << "answered twice";
      answers_[name] = std::move(answer);
    });
  }
  void pass(base::Nanos time) {
    for (base::Nanos done{}; done < time; done += base::Millis(50)) {
      clock_.advance(base::Millis(50));
      loop_->turn(0);
    }
  }
  [[nodiscard]] uint64_t count(Outcome outcome) const {
    return admission_.counters().adds[static_cast<size_t>(outcome)];
  }

  test::FakeClock clock_;
  std::unique_ptr<base::Loop> loop_;
  FakeJudge judge_;
  FakeCapturer capturer_;
  Admission admission_;
  std::map<std::string, Answer> answers_;
};

TEST_F(AdmissionTest, a_pod_to_be_captured_starts_when_it_is_armed_and_not_before) {
  judge_.pods["web"] = Verdict::kCapture;
  add("web");
  EXPECT_TRUE(capturer_.known.contains("web"));
  pass(std::chrono::seconds(1));
  EXPECT_TRUE(answers_.empty());
  capturer_.armed.insert("web");
  admission_.look_again();
  ASSERT_TRUE(answers_.contains("web"));
  EXPECT_TRUE(answers_["web"].ok);
  EXPECT_TRUE(answers_["web"].captured);
  EXPECT_EQ(count(Outcome::kCaptured), 1U);
  EXPECT_GE(admission_.counters().longest_add, std::chrono::seconds(1));
}

TEST_F(AdmissionTest, a_pod_outside_the_mesh_starts_at_once_and_its_sandbox_is_known_all_the_same) {
  judge_.pods["web"] = Verdict::kLeave;
  add("web");
  EXPECT_TRUE(answers_["web"].ok);
  EXPECT_FALSE(answers_["web"].captured);
  EXPECT_TRUE(capturer_.known.contains("web"));
}

TEST_F(AdmissionTest, a_pod_whose_object_comes_later_is_waited_for) {
  capturer_.armed.insert("web");
  add("web");
  pass(std::chrono::seconds(2));
  EXPECT_TRUE(answers_.empty());
  judge_.pods["web"] = Verdict::kCapture;
  pass(base::Millis(100));
  EXPECT_TRUE(answers_["web"].captured);
}

TEST_F(AdmissionTest, what_cannot_be_armed_in_time_is_tried_again_and_says_why) {
  judge_.pods["web"] = Verdict::kCapture;
  add("web");
  pass(std::chrono::seconds(5));
  EXPECT_FALSE(answers_["web"].ok);
  EXPECT_EQ(answers_["web"].code, Code::kTryAgainLater);
  EXPECT_NE(answers_["web"].message.find("the rule cannot be set"), std::string::npos);
  EXPECT_EQ(admission_.waiting(), 0U);
}

TEST_F(AdmissionTest, with_the_api_server_away_the_namespace_decides) {
  judge_.namespaces["dev"] = Verdict::kLeave;
  add("web");
  pass(std::chrono::seconds(5));
  EXPECT_TRUE(answers_["web"].ok);
  EXPECT_EQ(count(Outcome::kLeftByNamespace), 1U);
  judge_.namespaces["dev"] = Verdict::kCapture;
  add("other");
  pass(std::chrono::seconds(5));
  EXPECT_FALSE(answers_["other"].ok) << "who it is, nobody knows";
  judge_.namespaces.clear();
  add("third");
  pass(std::chrono::seconds(5));
  EXPECT_FALSE(answers_["third"].ok);
}

TEST_F(AdmissionTest, not_more_than_some_wait_at_a_time) {
  for (const char* name : {"a", "b", "c"}) add(name);
  EXPECT_TRUE(answers_.empty());
  add("d");
  EXPECT_EQ(answers_["d"].code, Code::kTryAgainLater);
}

TEST_F(AdmissionTest, a_sandbox_that_goes_waits_no_longer) {
  add("web");
  admission_.on_del(pod("web"));
  EXPECT_EQ(admission_.waiting(), 0U);
  EXPECT_FALSE(capturer_.known.contains("web"));
  pass(std::chrono::seconds(5));
  EXPECT_TRUE(answers_.empty());
}

TEST_F(AdmissionTest, check_fails_for_a_pod_that_lost_its_capture) {
  std::optional<Answer> answer;
  const auto check = [&] {
    admission_.on_check(pod("web"), [&](Answer said) { answer = std::move(said); });
    return *answer;
  };
  EXPECT_TRUE(check().ok) << "nobody knows better";
  judge_.pods["web"] = Verdict::kCapture;
  EXPECT_EQ(check().code, Code::kNotCaptured);
  capturer_.armed.insert("web");
  EXPECT_TRUE(check().ok);
  EXPECT_EQ(admission_.counters().checks_failed, 1U);
}

TEST(SandboxBook, what_the_runtime_tells_is_newer_than_what_a_look_found) {
  std::set<std::string> files = {"/run/netns/old", "/run/netns/new", "/run/netns/other"};
  SandboxBook book([&](const std::string& path) { return files.contains(path); });
  EXPECT_TRUE(book.found({{"u", "/run/netns/old"}}));
  EXPECT_FALSE(book.found({{"u", "/run/netns/old"}}));
  const Request sandbox{.container_id = "c2",
                        .netns = "/run/netns/new",
                        .ns = "dev",
                        .name = "web",
                        .uid = "u",
                        .addresses = {"10.0.0.1"}};
  EXPECT_TRUE(book.add(sandbox));
  EXPECT_FALSE(book.add(sandbox));
  // A look that began before the sandbox was made.
  EXPECT_FALSE(book.found({{"u", "/run/netns/old"}}));
  EXPECT_EQ(book.by_uid().at("u").netns, "/run/netns/new");
  EXPECT_EQ(book.by_uid().at("u").name, "web");
  files.erase("/run/netns/new");
  EXPECT_TRUE(book.found({{"u", "/run/netns/other"}}));
  EXPECT_EQ(book.by_uid().at("u").netns, "/run/netns/other");
  EXPECT_EQ(book.by_uid().at("u").name, "") << "whose it is, only its uid says";
}

TEST(SandboxBook, only_the_sandbox_that_goes_is_forgotten) {
  SandboxBook book([](const std::string&) { return true; });
  Request first{.container_id = "c1", .netns = "/run/netns/1", .ns = "dev", .name = "web", .uid = "u"};
  Request second = first;
  second.container_id = "c2";
  second.netns = "/run/netns/2";
  book.add(first);
  book.add(second);
  EXPECT_FALSE(book.remove(first)) << "told late: the pod has another by now";
  EXPECT_TRUE(book.remove(second));
  EXPECT_TRUE(book.by_uid().empty());
}

}  // namespace
}  // namespace weft::cni
