#pragma once
// A role's parts as its report shows them.
#include <vector>

#include "agent/announce/pod_status_writer.h"
#include "agent/enrol/gateway_sockets.h"
#include "agent/enrol/rejudge.h"
#include "agent/enrol/status.h"
#include "agent/event_log.h"
#include "agent/kernel/cgroup_tree.h"
#include "agent/kernel/kernel.h"
#include "agent/report/report.h"

namespace weft::agent {

void add_pods(Report& report, const std::vector<enrol::PodStatus>& pods);
[[nodiscard]] objects::Node describe(const kernel::CgroupChoice& choice);
[[nodiscard]] objects::Node describe(const enrol::AnnouncerCounters& decided,
                                     const announce::PodStatusWriter& writer);
[[nodiscard]] objects::Node describe_kernel(const kernel::Kernel& kernel, const EventLog& events);
// What the loop of a role counts itself.
struct RoleCounters {
  uint64_t status_failures = 0;  // statuses of objects that could not be written
  uint64_t report_failures = 0;  // the same of its own report
  enrol::RejudgeCounters rejudged{};  // role node
  // Role node: enrolled pods of which something goes around the mesh, and those that ask for what does not count.
  uint64_t excluding_pods = 0, refused_exclusions = 0;
  uint64_t refused_pre_mesh = 0;  // of those that ask for a policy on connections of before which does not count
  uint64_t exempt_failures = 0;  // role node: a cgroup of weft's own that is unknown or could not be exempted
};
[[nodiscard]] objects::Node describe_node(const enrol::EnrolMetrics& metrics,
                                          const publish::PublisherCounters& channel, const RoleCounters& own);
[[nodiscard]] objects::Node describe_gateway(const enrol::GatewaySockets& sockets,
                                             const publish::PublisherCounters& channel,
                                             const RoleCounters& own);

}  // namespace weft::agent
