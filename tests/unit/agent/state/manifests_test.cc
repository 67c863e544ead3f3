// The example's manifests unedited, read as the agent reads them.
#include <gtest/gtest.h>

#include "agent/watch/directory.h"
#include "tests/support/httpgo_objects.h"
#include "tests/support/state_world.h"

namespace weft::test {
namespace {

void put_manifests(World& world) {
  watch::ScanResult read =
      watch::scan(WEFT_SOURCE_DIR "/manifests/httpgo", objects::DecodeOptions{.default_namespace = "dev"});
  EXPECT_TRUE(read.findings.empty());
  EXPECT_EQ(read.objects.size(), 7u);
  for (const watch::ScannedObject& scanned : read.objects) {
    ASSERT_NE(scanned.decoded.object, nullptr) << scanned.file;
    EXPECT_TRUE(scanned.decoded.findings.empty()) << objects::to_string(scanned.decoded.findings.front());
    world.put(scanned.decoded.object);
  }
}

TEST(Manifests, OfTheExampleServeItUneditedWithoutAWordOfComplaint) {
  const Httpgo app;
  for (const auto& options : {node_options(), gateway_options()}) {
    World world(options);
    world.put(app.ns).put(app.v1).put(app.v2).put(app.slice).put(app.gateway_pod).put(app.gateway_service);
    put_manifests(world);
    if (options.role == model::Role::kGateway) {
      EXPECT_EQ(world.gateway(80, {.host = "localhost", .path = "/httpgo"}),
                "50 outbound|8888|v1|httpgo.dev.svc.cluster.local + 50 "
                "outbound|8888|v2|httpgo.dev.svc.cluster.local");
      EXPECT_EQ(world.gateway(80, {.host = "localhost", .path = "/httpgo/payload"}), "404");
    } else {
      EXPECT_EQ(world.mesh("dev", "httpgo", 8888, {.host = "httpgo.dev", .path = "/payload"}), "direct");
    }
    for (const auto& [key, status] : world.statuses()) {
      for (const objects::Condition& condition : status.conditions) {
        if (key.kind == "Pod") continue;
        EXPECT_EQ(condition.status, "True") << key.kind << " " << key.name << " " << condition.message;
        EXPECT_NE(condition.type, "PartiallyInvalid")
            << key.kind << " " << key.name << " " << condition.message;
      }
    }
  }
}

}  // namespace
}  // namespace weft::test
