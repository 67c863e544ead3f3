// The harness itself: what the other tests of this folder stand on.
//
//   left 10.77.0.1 / fd77::1  ---- veth ----  right 10.77.0.2 / fd77::2
#include "tests/support/netns_harness.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stdexcept>

namespace weft::test {
namespace {

TEST(Harness, NamespacesReachEachOtherOverVethInBothFamilies) {
  Netns left, right;
  EXPECT_NE(left.cookie(), right.cookie());
  connect_veth(left, "l0", {"10.77.0.1/24", "fd77::1/64"}, right, "r0", {"10.77.0.2/24", "fd77::2/64"});
  EXPECT_NE(left.sh("ip -4 addr show dev l0").find("10.77.0.1/24"), std::string::npos);
  EXPECT_NE(right.sh("ip -6 neigh get fd77::1 dev r0 2>/dev/null; ip -6 route get fd77::1").find("r0"),
            std::string::npos);
}

TEST(Harness, PodsHangOnTheNodesBridgeWithDefaultRoutes) {
  NodeNet node({"10.77.0.254/24", "fd77::fe/64"});
  Netns pod;
  node.attach(pod, {"10.77.0.3/24", "fd77::3/64"});
  EXPECT_NE(pod.sh("ip route get 192.0.2.1").find("via 10.77.0.254"), std::string::npos);
  EXPECT_NE(pod.sh("ip -6 route get 2001:db8::1").find("via fd77::fe"), std::string::npos);
}

TEST(Harness, ACgroupIsJoinedForAWhileAndRemovedAfterwards) {
  std::string path;
  {
    Cgroup group("harness");
    path = group.path();
    EXPECT_GT(group.id(), 0U);
    const std::string name = value_inside({.cgroup = &group}, [] {
      char text[512] = {};
      FILE* file = std::fopen("/proc/self/cgroup", "re");
      const size_t got = std::fread(text, 1, sizeof text - 1, file);
      std::fclose(file);
      return std::string(text, got);
    });
    EXPECT_NE(name.find("weft-test-"), std::string::npos);
    EXPECT_THROW(inside({.cgroup = &group}, [] { throw std::runtime_error("on purpose"); }),
                 std::runtime_error);
  }
  struct stat status{};
  EXPECT_NE(::stat(path.c_str(), &status), 0) << path << " is left over";
}

TEST(Harness, AChildHandsBackItsTextOrItsFailure) {
  Netns netns;
  Child child({.netns = &netns}, [] { return std::string("done"); });
  EXPECT_EQ(child.wait(), "done");
  Child failing({}, []() -> std::string { throw std::runtime_error("broken on purpose"); });
  EXPECT_THROW((void)failing.wait(), std::runtime_error);
  Child sleeping({}, [] {
    ::pause();
    return std::string();
  });
  EXPECT_THROW((void)sleeping.wait(std::chrono::milliseconds(50)), std::runtime_error);
}

}  // namespace
}  // namespace weft::test
