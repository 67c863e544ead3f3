// Faults under load, the short list: what each one may cost. The long list is `scripts/cluster faults`, run
// by hand.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "tests/cluster/kube_lab.h"

namespace weft::test {
namespace {

using std::chrono::seconds;

std::string weftctl() {
  const char* dir = std::getenv("WEFT_BIN");
  return (dir ? std::string(dir) : std::string(WEFT_SOURCE_DIR) + "/build/release/bin") + "/weftctl";
}

// No answer to a stranger and no plain text on the wire in any of them; ends of weft's own programs, of
// kubelet and of the API server, an overwritten CNI configuration and a new gateway cost no request.
TEST(FaultsTest, what_dies_beside_the_data_path_costs_no_request_and_nothing_lets_plain_text_through) {
  const KubeLab lab("faults");
  ASSERT_EQ(lab.trouble(), "");
  const Answer installed =
      lab.cluster({"with", weftctl(), "install", "--set", "image=weft.local/weft:dev", "--kubeconfig",
                   "/run/weft-cluster/" + lab.name() + "/admin.kubeconfig"},
                  seconds(180));
  ASSERT_TRUE(installed.ok()) << installed.out << installed.err;
  const Answer faults = lab.cluster({"faults", "short"}, seconds(600));
  std::printf("%s\n", faults.out.c_str());
  EXPECT_TRUE(faults.ok()) << faults.err;
}

}  // namespace
}  // namespace weft::test
