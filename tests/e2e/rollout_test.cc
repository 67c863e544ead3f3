// Rolling restarts under requests: httpgo dies on SIGTERM with its open requests, so only drained endpoints,
// told in time, keep callers from seeing it (reference httpgo.md 6.7).
//
//   outside --- node port --- [gateway pod] --- httpgo-v1, httpgo-v2: replaced one by one
#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "tests/support/cluster.h"

namespace weft::test {
namespace {

// How often each status came in `n` requests, each on a connection of its own.
std::map<std::string, int> statuses(Cluster& cluster, const std::string& url, int n) {
  const Answer answer =
      cluster.exec("outside", {"bash", "-c",
                               "for i in $(seq " + std::to_string(n) +
                                   "); do curl -s -m 5 -o /dev/null -w '%{http_code}\\n' http://" + url +
                                   "/httpgo; sleep 0.02; done"});
  std::map<std::string, int> count;
  std::istringstream lines(answer.out);
  for (std::string line; std::getline(lines, line);) ++count[line];
  return count;
}

TEST(Rollout, of_both_versions_and_of_the_gateway_is_not_felt_by_callers) {
  Cluster cluster("e2e-rollout");
  ASSERT_EQ(cluster.trouble(), "");
  ASSERT_TRUE(cluster.ctl({"create", "namespace", "dev"}).ok());
  ASSERT_TRUE(cluster.ctl({"label", "namespace", "dev", "istio-injection=enabled"}).ok());
  ASSERT_TRUE(cluster.apply_file(std::string(WEFT_SOURCE_DIR) + "/manifests/httpgo").ok());
  ASSERT_TRUE(cluster.ctl({"wait", "--timeout", "40"}).ok()) << cluster.ctl({"status"}).out;
  std::string url = cluster.ctl({"url"}).out;
  url.erase(url.find_last_not_of('\n') + 1);
  ASSERT_TRUE(
      eventually([&] { return statuses(cluster, url, 5) == std::map<std::string, int>{{"200", 5}}; }));

  const auto before = cluster.ready_pods("dev", "version", "v1");
  for (const char* name : {"httpgo-v1", "httpgo-v2"})
    ASSERT_TRUE(cluster.ctl({"rollout", "restart", "deployment", name, "-n", "dev"}).ok());
  EXPECT_EQ(statuses(cluster, url, 150), (std::map<std::string, int>{{"200", 150}}));
  ASSERT_TRUE(cluster.ctl({"wait", "--timeout", "30"}).ok());
  EXPECT_NE(cluster.ready_pods("dev", "version", "v1"), before);

  ASSERT_TRUE(
      cluster.ctl({"rollout", "restart", "deployment", "istio-ingressgateway", "-n", "istio-system"}).ok());
  EXPECT_EQ(statuses(cluster, url, 150), (std::map<std::string, int>{{"200", 150}}));
}

}  // namespace
}  // namespace weft::test
