#include <gtest/gtest.h>

#include "userspace-proxy/model/snapshot.h"

namespace weft::model {
namespace {

TEST(NeedsTunnel, a_port_that_the_called_pod_leaves_out_of_the_mesh_is_called_plainly_by_everybody) {
  Snapshot snapshot{
      .workloads = {{.name = "a", .enrolled = true, .local = true}, {.name = "b", .enrolled = true}}};
  snapshot.settings.mutual_tls = true;
  EXPECT_TRUE(needs_tunnel(snapshot, 0, 1, 80));
  snapshot.workloads[1].excluded_ports = {80, 90};
  EXPECT_FALSE(needs_tunnel(snapshot, 0, 1, 80));
  EXPECT_TRUE(needs_tunnel(snapshot, 0, 1, 81));
  snapshot.role = Role::kGateway;
  EXPECT_FALSE(needs_tunnel(snapshot, kNone, 1, 90));
  snapshot.workloads[1].excluded_ports = {0};
  EXPECT_FALSE(needs_tunnel(snapshot, kNone, 1, 81)) << "0 means every port";
}

TEST(NeedsTunnel, what_the_caller_leaves_out_never_comes_to_a_proxy_and_changes_nothing_here) {
  Snapshot snapshot{
      .workloads = {{.name = "a", .enrolled = true, .local = true}, {.name = "b", .enrolled = true}}};
  snapshot.settings.mutual_tls = true;
  snapshot.workloads[0].excluded_ports = {0};
  EXPECT_TRUE(needs_tunnel(snapshot, 0, 1, 80));
}

}  // namespace
}  // namespace weft::model
