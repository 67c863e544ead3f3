#include "agent/announce/pod_status_writer.h"

#include <gtest/gtest.h>

namespace weft::announce {
namespace {

TEST(PodStatusPatch, both_annotations_are_set_for_that_very_pod) {
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

} // namespace
} // namespace weft::announce
