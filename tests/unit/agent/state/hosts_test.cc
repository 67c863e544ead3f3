#include "agent/state/hosts.h"

#include <gtest/gtest.h>

namespace weft::state {
namespace {

TEST(Hosts, ShortNamesAreCompletedWithTheNamespaceOfTheRule) {
  EXPECT_EQ(complete_host("httpgo", "dev", "cluster.local"), "httpgo.dev.svc.cluster.local");
  EXPECT_EQ(complete_host("HTTPgo", "dev", "mesh.example"), "httpgo.dev.svc.mesh.example");
  EXPECT_EQ(complete_host("httpgo.prod", "dev", "cluster.local"), "httpgo.prod");
  EXPECT_EQ(complete_host("a.b.com.", "dev", "cluster.local"), "a.b.com");
  EXPECT_EQ(complete_host("*", "dev", "cluster.local"), "*");
  EXPECT_EQ(complete_host("*.Foo.com", "dev", "cluster.local"), "*.foo.com");
  EXPECT_EQ(complete_host("fd00::1", "dev", "cluster.local"), "fd00::1");
}

TEST(Hosts, AWildcardCoversEveryDepthBelowButNotItsOwnDomain) {
  EXPECT_TRUE(covers("*.foo.com", "a.foo.com"));
  EXPECT_TRUE(covers("*.foo.com", "b.a.foo.com"));
  EXPECT_TRUE(covers("*.foo.com", "*.a.foo.com"));
  EXPECT_TRUE(covers("*", "foo.com"));
  EXPECT_FALSE(covers("*.foo.com", "foo.com"));
  EXPECT_FALSE(covers("*.foo.com", "a.bar.com"));
  EXPECT_FALSE(covers("a.foo.com", "*.foo.com"));
}

TEST(Hosts, IntersectionIsTheNarrowerOfTwo) {
  EXPECT_EQ(intersection("*", "a.b"), "a.b");
  EXPECT_EQ(intersection("a.b", "*.b"), "a.b");
  EXPECT_EQ(intersection("*", "*"), "*");
  EXPECT_EQ(intersection("a.b", "c.b"), std::nullopt);
}

TEST(Hosts, ExactHostsGoBeforeLongWildcardsAndThoseBeforeShortOnes) {
  EXPECT_TRUE(more_specific("a.b", "*.com.example.org"));
  EXPECT_TRUE(more_specific("*.a.b", "*.b"));
  EXPECT_TRUE(more_specific("*.b", "*"));
}

TEST(Hosts, GatewaysAreCompletedWithTheNamespaceOfTheRule) {
  EXPECT_EQ(complete_gateway("httpgo-gateway", "dev"), "dev/httpgo-gateway");
  EXPECT_EQ(complete_gateway("ops/shared", "dev"), "ops/shared");
  EXPECT_EQ(complete_gateway("./mine", "dev"), "dev/mine");
  EXPECT_EQ(complete_gateway("mesh", "dev"), "mesh");
}

TEST(Hosts, ExportToNothingWrittenMeansEverybody) {
  EXPECT_TRUE(visibility_of({}, "dev").in("anywhere"));
  EXPECT_TRUE(visibility_of({"*"}, "dev").in("anywhere"));
  EXPECT_TRUE(visibility_of({"."}, "dev").in("dev"));
  EXPECT_FALSE(visibility_of({"."}, "dev").in("ops"));
  EXPECT_TRUE(visibility_of({"ops"}, "dev").in("ops"));
  EXPECT_FALSE(visibility_of({"ops"}, "dev").in("dev"));
  EXPECT_FALSE(visibility_of({"~"}, "dev").in("dev"));
}

}  // namespace
}  // namespace weft::state
