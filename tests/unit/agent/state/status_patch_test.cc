// What is applied to an object's status, and what is not worth a write.
#include "agent/state/status_patch.h"

#include <gtest/gtest.h>

#include "tests/support/manifests.h"
#include "tests/support/object_builders.h"

namespace weft::state {
namespace {

using objects::Node;

ObjectStatus status(const std::string& accepted = "True", const std::string& message = "fine") {
  return {.key = {"VirtualService", "dev", "httpgo"},
          .generation = 3,
          .conditions = {{"Accepted", accepted, "Accepted", message}, {"ResolvedRefs", "True", "ResolvedRefs", "all"}},
          .api_version = "networking.istio.io/v1",
          .uid = "u1"};
}

// The object after `patch` was applied to it.
Node applied(const Node& patch) {
  return patch;
}

std::string time_of(const Node& object, const std::string& type) {
  for (const Node& item : object.at({"status", "conditions"}).items())
    if (item.at({"type"}).as_string() == type) return item.at({"lastTransitionTime"}).as_string();
  return "none";
}

TEST(StatusPatch, names_the_object_by_its_uid_and_says_all_conditions) {
  const auto patch = status_patch(status(), Node::mapping(), test::at(0));
  ASSERT_TRUE(patch);
  EXPECT_EQ(patch->at({"apiVersion"}).as_string(), "networking.istio.io/v1");
  EXPECT_EQ(patch->at({"kind"}).as_string(), "VirtualService");
  EXPECT_EQ(patch->at({"metadata", "uid"}).as_string(), "u1");
  EXPECT_EQ(patch->at({"status", "observedGeneration"}).as_int(), 3);
  const auto& conditions = patch->at({"status", "conditions"}).items();
  ASSERT_EQ(conditions.size(), 2u);
  EXPECT_EQ(conditions[0].at({"message"}).as_string(), "fine");
  EXPECT_EQ(conditions[0].at({"observedGeneration"}).as_int(), 3);
  EXPECT_EQ(time_of(*patch, "Accepted"), objects::to_string(test::at(0)));
}

TEST(StatusPatch, nothing_is_written_twice) {
  const Node there = applied(*status_patch(status(), Node::mapping(), test::at(0)));
  EXPECT_FALSE(status_patch(status(), there, test::at(60)));
}

TEST(StatusPatch, integers_that_come_back_as_text_are_the_same) {
  Node there = applied(*status_patch(status(), Node::mapping(), test::at(0)));
  there["status"].set("observedGeneration", Node::string("3"));
  EXPECT_FALSE(status_patch(status(), there, test::at(60)));
}

TEST(StatusPatch, a_condition_changes_its_time_with_its_status_alone) {
  const Node there = applied(*status_patch(status(), Node::mapping(), test::at(0)));
  const auto reworded = status_patch(status("True", "other words"), there, test::at(60));
  ASSERT_TRUE(reworded);
  EXPECT_EQ(time_of(*reworded, "Accepted"), objects::to_string(test::at(0)));
  const auto flipped = status_patch(status("False"), there, test::at(60));
  ASSERT_TRUE(flipped);
  EXPECT_EQ(time_of(*flipped, "Accepted"), objects::to_string(test::at(60)));
  EXPECT_EQ(time_of(*flipped, "ResolvedRefs"), objects::to_string(test::at(0)));
}

TEST(StatusPatch, a_new_generation_is_written_although_nothing_else_changed) {
  const Node there = applied(*status_patch(status(), Node::mapping(), test::at(0)));
  ObjectStatus next = status();
  next.generation = 4;
  const auto patch = status_patch(next, there, test::at(60));
  ASSERT_TRUE(patch);
  EXPECT_EQ(time_of(*patch, "Accepted"), objects::to_string(test::at(0)));
}

TEST(StatusPatch, findings_are_told_as_istio_tells_them_and_are_bounded) {
  ObjectStatus told = status();
  for (int i = 0; i < 50; ++i)
    told.findings.push_back({.code = "UnsupportedField", .path = "spec.x" + std::to_string(i), .message = "no effect"});
  told.findings[1].severity = objects::Severity::kWarning;
  const auto patch = status_patch(told, Node::mapping(), test::at(0));
  const auto& messages = patch->at({"status", "validationMessages"}).items();
  ASSERT_EQ(messages.size(), 20u);
  EXPECT_EQ(messages[0].at({"type", "code"}).as_string(), "UnsupportedField");
  EXPECT_EQ(messages[0].at({"type", "name"}).as_string(), "spec.x0");
  EXPECT_EQ(messages[0].at({"level"}).as_string(), "ERROR");
  EXPECT_EQ(messages[1].at({"level"}).as_string(), "WARNING");
  Node there = *patch;
  for (Node* item : {const_cast<Node*>(&there.at({"status", "validationMessages"}).items()[0])}) item->erase("message");
  EXPECT_FALSE(status_patch(told, there, test::at(1))) << "Istio's own CRDs prune the text";
}

TEST(StatusPatch, a_long_message_is_cut_at_a_character) {
  std::string text(4095, 'a');
  text += "\u00e4\u00e4";
  const auto patch = status_patch(status("True", text), Node::mapping(), test::at(0));
  EXPECT_EQ(patch->at({"status", "conditions"}).items()[0].at({"message"}).as_string(), std::string(4095, 'a') + "...");
}

TEST(StatusPatch, a_former_condition_that_no_longer_holds_is_left_out) {
  Node there = applied(*status_patch(status(), Node::mapping(), test::at(0)));
  ObjectStatus fewer = status();
  fewer.conditions.pop_back();
  const auto patch = status_patch(fewer, there, test::at(60));
  ASSERT_TRUE(patch);
  EXPECT_EQ(patch->at({"status", "conditions"}).items().size(), 1u);
}

TEST(StatusPatch, a_broken_time_of_somebody_else_is_replaced) {
  Node there = applied(*status_patch(status(), Node::mapping(), test::at(0)));
  Node& first = const_cast<Node&>(there.at({"status", "conditions"}).items()[0]);
  first.set("lastTransitionTime", Node::string("yesterday"));
  const auto patch = status_patch(status(), there, test::at(60));
  ASSERT_TRUE(patch);
  EXPECT_EQ(time_of(*patch, "Accepted"), objects::to_string(test::at(60)));
}

TEST(StatusPatch, only_kinds_of_custom_resources_have_a_status_of_ours) {
  EXPECT_TRUE(has_own_status("VirtualService"));
  EXPECT_TRUE(has_own_status("AuthorizationPolicy"));
  EXPECT_FALSE(has_own_status("Pod"));
  EXPECT_FALSE(has_own_status("Service"));
  EXPECT_FALSE(has_own_status("File"));
}

}  // namespace
}  // namespace weft::state
