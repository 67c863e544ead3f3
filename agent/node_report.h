#pragma once
// The node's parts as the report shows them.
#include <vector>

#include "agent/enrol/status.h"
#include "agent/event_log.h"
#include "agent/kernel/kernel.h"
#include "agent/report.h"

namespace weft::agent {

void add_pods(Report& report, const std::vector<enrol::PodStatus>& pods);
[[nodiscard]] objects::Node describe_kernel(const kernel::Kernel& kernel, const EventLog& events);
[[nodiscard]] objects::Node describe_enrolment(const enrol::EnrolMetrics& metrics,
                                               const publish::PublisherCounters& channel);

}  // namespace weft::agent
