#include "agent/report_parts.h"

namespace weft::agent {
namespace {

using objects::Node;

Node number(uint64_t value) {
  return Node::integer(static_cast<int64_t>(value));
}

std::string_view word(kernel::Start start) {
  switch (start) {
    case kernel::Start::kCreated:
      return "created";
    case kernel::Start::kReused:
      return "reused";
    case kernel::Start::kUpgraded:
      return "upgraded";
  }
  return "unknown";
}

std::string_view word(kernel::LinkState state) {
  switch (state) {
    case kernel::LinkState::kAttached:
      return "attached";
    case kernel::LinkState::kDetached:
      return "detached";
    case kernel::LinkState::kAbsent:
      return "absent";
  }
  return "unknown";
}

void add_stock(Node& out, const enrol::StockGauges& gauges, const enrol::StockCounters& counters) {
  out.set("stock_level", number(gauges.level));
  out.set("stock_target", number(gauges.target));
  out.set("stock_made", number(counters.made));
  out.set("stock_failures", number(counters.failures));
  out.set("stock_ran_dry", number(counters.ran_dry));
}

void add_channel(Node& out, const publish::PublisherCounters& channel) {
  out.set("proxies_accepted", number(channel.proxies_accepted));
  out.set("proxies_refused", number(channel.proxies_refused));
  out.set("proxies_lost", number(channel.proxies_lost));
  out.set("channel_invalid_packets", number(channel.invalid_packets));
  out.set("snapshots_sent", number(channel.snapshots_sent));
  out.set("snapshots_taken", number(channel.snapshots_taken));
  out.set("snapshots_refused", number(channel.snapshots_refused));
  out.set("snapshots_unsendable", number(channel.snapshots_unsendable));
  out.set("certificates_sent", number(channel.certificates_sent));
  out.set("certificates_unsendable", number(channel.certificates_unsendable));
  out.set("stock_sockets_sent", number(channel.stock_sockets_sent));
  out.set("stock_sockets_unwanted", number(channel.stock_sockets_unwanted));
}

void add_own(Node& out, const RoleCounters& own) {
  out.set("status_failures", number(own.status_failures));
  out.set("report_failures", number(own.report_failures));
}

}  // namespace

void add_pods(Report& report, const std::vector<enrol::PodStatus>& pods) {
  for (const auto& pod : pods) {
    const std::string state = pod.leaving ? "leaving" : pod.captured ? "captured" : "waiting";
    std::string reason = pod.gap == enrol::Gap::kNone ? "" : std::string(enrol::name_of(pod.gap));
    if (!pod.detail.empty()) reason += (reason.empty() ? "" : ": ") + pod.detail;
    report.pods.push_back({pod.name, state, pod.captured, reason, pod.pre_mesh, objects::to_string(pod.pre_mesh_policy)});
  }
}

Node describe(const kernel::CgroupChoice& choice) {
  Node out = Node::mapping();
  out.set("directory", Node::string(choice.directory));
  out.set("why", Node::string(choice.why));
  return out;
}

Node describe(const enrol::AnnouncerCounters& decided, const announce::PodStatusWriter& writer) {
  Node out = Node::mapping();
  out.set("withdrawn", number(decided.withdrawn));
  out.set("stale", number(decided.stale));
  out.set("written", number(writer.counters().written));
  out.set("failed", number(writer.counters().failed));
  out.set("dropped", number(writer.counters().dropped));
  out.set("events", number(decided.events));
  out.set("events_failed", number(writer.events().failed));
  return out;
}

Node describe_kernel(const kernel::Kernel& kernel, const EventLog& events) {
  Node out = Node::mapping();
  out.set("start", Node::string(std::string(word(kernel.start()))));
  Node attachments = Node::sequence();
  for (const auto& attachment : kernel.attachments()) {
    Node item = Node::mapping();
    item.set("hook", Node::string(attachment.hook));
    item.set("state", Node::string(std::string(word(attachment.state))));
    item.set("ours", number(attachment.ours));
    item.set("foreign", number(attachment.foreign));
    attachments.append(std::move(item));
  }
  out.set("attachments", std::move(attachments));
  Node counters = Node::mapping();
  if (auto values = kernel.counters(); values)
    for (const auto& counter : *values)
      if (counter.value != 0) counters.set(counter.name, number(counter.value));
  counters.set("services_left_out", number(kernel.failures().services_left_out));
  counters.set("pods_left_to_proxy", number(kernel.failures().pods_left_to_proxy));
  counters.set("pods_made_strict", number(kernel.failures().pods_made_strict));
  counters.set("pods_left_captured", number(kernel.failures().pods_left_captured));
  counters.set("writes_failed", number(kernel.failures().writes_failed));
  counters.set("hooks_repaired", number(kernel.failures().hooks_repaired));
  counters.set("events", number(events.events()));
  counters.set("events_unsaid", number(events.unsaid()));
  out.set("counters", std::move(counters));
  return out;
}

Node describe_node(const enrol::EnrolMetrics& metrics, const publish::PublisherCounters& channel,
                   const RoleCounters& own) {
  Node out = Node::mapping();
  out.set("captured_pods", number(metrics.captured_pods));
  out.set("enrolled_pods", number(metrics.enrolled_pods));
  out.set("leaving_pods", number(metrics.leaving_pods));
  out.set("pre_mesh_connections", number(metrics.pre_mesh_connections));
  out.set("pre_mesh_ended", number(metrics.pre_mesh_ended));
  out.set("pre_mesh_end_failures", number(metrics.pre_mesh_end_failures));
  out.set("pre_mesh_memory_failures", number(metrics.pre_mesh_memory_failures));
  for (size_t i = 1; i < enrol::kGaps; ++i)
    out.set("uncaptured_pod_seconds_" + std::string(enrol::name_of(static_cast<enrol::Gap>(i))),
            number(static_cast<uint64_t>(metrics.uncaptured_pod_seconds[i])));
  for (size_t i = 0; i < enrol::kRepairs; ++i)
    out.set("repaired_" + std::string(enrol::name_of(static_cast<enrol::Repair>(i))),
            number(metrics.repairs[i]));
  out.set("arm_failures", number(metrics.arm_failures));
  out.set("self_tests_passed", number(metrics.self_tests_passed));
  out.set("self_tests_failed", number(metrics.self_tests_failed));
  add_stock(out, metrics.stock, metrics.stock_counters);
  add_channel(out, channel);
  add_own(out, own);
  out.set("exempt_failures", number(own.exempt_failures));
  out.set("connections_judged_again", number(own.rejudged.looked_at));
  out.set("connections_cut", number(own.rejudged.cut));
  out.set("excluding_pods", number(own.excluding_pods));
  out.set("pods_with_refused_exclusions", number(own.refused_exclusions));
  out.set("pods_with_refused_pre_mesh_policy", number(own.refused_pre_mesh));
  out.set("judge_again_failures", number(own.rejudged.failures));
  return out;
}

Node describe_gateway(const enrol::GatewaySockets& sockets, const publish::PublisherCounters& channel,
                      const RoleCounters& own) {
  Node out = Node::mapping();
  out.set("ports_closed", number(sockets.problems().size()));
  add_stock(out, sockets.stock(), sockets.stock_counters());
  add_channel(out, channel);
  add_own(out, own);
  return out;
}

}  // namespace weft::agent
