#include "agent/objects/pre_mesh_policy.h"

#include <gtest/gtest.h>

#include "agent/objects/annotations.h"

namespace weft::objects {
namespace {

using std::chrono::seconds;

Labels says(const std::string& word) {
  return {{kPreMeshAnnotation, word}, {"app", "x"}};
}

TEST(PreMeshPolicy, the_three_words_are_read_and_written_alike) {
  EXPECT_EQ(parse_pre_mesh_policy("leave")->end_after, std::nullopt);
  EXPECT_EQ(parse_pre_mesh_policy("cut")->end_after, seconds(0));
  EXPECT_EQ(parse_pre_mesh_policy("drain=90s")->end_after, seconds(90));
  for (const char* word : {"leave", "cut", "drain=30s", "drain=1m30s", "drain=1h", "drain=250ms", "drain=720h"})
    EXPECT_EQ(to_string(*parse_pre_mesh_policy(word)), word);
}

TEST(PreMeshPolicy, every_other_word_is_refused_with_what_was_expected) {
  for (const char* word : {"", "Leave", " cut", "drain", "drain=", "drain=0", "drain=0s", "drain=-5s", "drain=30",
                           "drain=721h", "drain=999999999h", "drain 30s", "cut=5s", "leave;cut"})
    EXPECT_FALSE(parse_pre_mesh_policy(word)) << word;
  EXPECT_EQ(parse_pre_mesh_policy("kill\x01").error().what, "expected leave, cut or drain=TIME, found \"kill?\"");
  EXPECT_EQ(parse_pre_mesh_policy("drain=soon").error().what,
            "expected a time above 0 and up to 720h after drain=, such as 30s, found \"drain=soon\"");
}

TEST(PreMeshPolicy, a_pods_own_word_goes_before_its_namespaces) {
  EXPECT_EQ(read_pre_mesh({}, {}), AnnotatedPreMesh{});
  EXPECT_EQ(to_string(read_pre_mesh({}, says("cut")).policy), "cut");
  EXPECT_EQ(to_string(read_pre_mesh(says("leave"), says("cut")).policy), "leave");
  EXPECT_EQ(to_string(read_pre_mesh(says("drain=5s"), says("nonsense")).policy), "drain=5s");
  EXPECT_EQ(read_pre_mesh(says("drain=5s"), says("nonsense")).problem, "");
}

TEST(PreMeshPolicy, what_cannot_be_read_leaves_whatever_the_other_says_and_names_the_field) {
  const auto own = read_pre_mesh(says("kill"), says("cut"));
  EXPECT_EQ(own.policy, PreMeshPolicy{});
  EXPECT_EQ(own.problem, "annotation weft.mesh/pre-mesh-connections: expected leave, cut or drain=TIME, found \"kill\"; "
                         "until it is mended they are left");
  EXPECT_TRUE(read_pre_mesh({}, says("kill"))
                  .problem.starts_with("annotation weft.mesh/pre-mesh-connections of the namespace: expected"));
}

}  // namespace
}  // namespace weft::objects
