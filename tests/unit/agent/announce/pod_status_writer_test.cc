#include "agent/announce/pod_status_writer.h"

#include <gtest/gtest.h>

#include "agent/objects/annotations.h"

namespace weft::announce {
namespace {

TEST(PodStatusPatch, all_annotations_are_set_for_that_very_pod) {
  const enrol::AnnouncedPod pod{"dev", "web", "u1", true, {}};
  EXPECT_EQ(
      objects::to_json(patch_of(pod, {"enabled", "boot/7"}), 0),
      R"({"metadata":{"uid":"u1","annotations":{"ambient.istio.io/redirection":"enabled","weft.mesh/captured":"boot/7"}}})");
}

TEST(PodStatusPatch, what_shall_not_be_there_is_taken_away) {
  const enrol::AnnouncedPod pod{
      "dev", "web", "u1", true, {"enabled", "boot/7"}};
  EXPECT_EQ(
      objects::to_json(patch_of(pod, {"pending", ""}), 0),
      R"({"metadata":{"uid":"u1","annotations":{"ambient.istio.io/redirection":"pending","weft.mesh/captured":null}}})");
}

TEST(PodStatusPatch, only_the_agents_own_pod_hears_of_the_boot) {
  enrol::AnnouncedPod own{"weft-system", "weft-agent-x", "u9", false, {}};
  const auto armed = [&](const std::string &boot) {
    return patch_of(own, {"", "", boot}).at({"metadata", "annotations", objects::kArmedAnnotation});
  };
  EXPECT_EQ(armed("boot-1").as_string(), "boot-1");
  const enrol::AnnouncedPod other{"dev", "web", "u1", true, {}};
  EXPECT_EQ(patch_of(other, {"enabled", "b/7"}).at({"metadata", "annotations"}).find(objects::kArmedAnnotation), nullptr);
  own.shown.armed = "boot-1";
  const objects::Node patch = patch_of(own, {});
  ASSERT_NE(patch.at({"metadata", "annotations"}).find(objects::kArmedAnnotation), nullptr) << "null takes it away";
}

TEST(PodStatusPatch, what_is_excluded_is_said_and_taken_away) {
  enrol::AnnouncedPod pod{"dev", "web", "u1", true, {}};
  const enrol::Announcement said{.redirection = "enabled",
                                 .captured = "boot/7",
                                 .excluded = "outbound 3306"};
  EXPECT_NE(objects::to_json(patch_of(pod, said), 0)
                .find(R"("weft.mesh/excluded":"outbound 3306")"),
            std::string::npos);
  pod.shown = said;
  EXPECT_NE(objects::to_json(patch_of(pod, {"enabled", "boot/7"}), 0)
                .find(R"("weft.mesh/excluded":null)"),
            std::string::npos);
}

} // namespace
} // namespace weft::announce
