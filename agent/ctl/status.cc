#include <fmt/format.h>

#include <map>
#include <set>

#include "agent/ctl/columns.h"
#include "agent/ctl/inspect.h"
#include "agent/ctl/printer.h"
#include "agent/sandbox/daemon.h"
#include "agent/sandbox/forward.h"
#include "agent/sandbox/kubelet.h"

namespace weft::ctl {
namespace {

using sandbox::list_at;
using sandbox::text_at;

std::string health_of(const ClusterView& view, const std::string& name) {
  const Json* pod = view.one({"Pod", "weft-system", name});
  if (pod == nullptr) return "-";
  return sandbox::condition_holds(*pod, "Ready") ? "ready" : pod_status(*pod);
}

std::string nodes_text(const Layout& layout, const ClusterView& view) {
  Table table({"NODE", "ADDRESS", "PODS", "READY", "ENROLLED", "CAPTURED", "AGENT", "PROXY"});
  for (const std::string& node : layout.node_names()) {
    size_t pods = 0, ready = 0, enrolled = 0, captured = 0;
    if (const Json* report = agent_report(view, node))
      for (const Json& pod : list_at(*report, "pods")) captured += sandbox::bool_at(pod, "captured") ? 1 : 0;
    for (const Json* pod : view.find("Pod")) {
      if (text_at(*pod, "spec.nodeName") != node || sandbox::bool_at(*pod, "spec.hostNetwork")) continue;
      ++pods;
      ready += sandbox::condition_holds(*pod, "Ready") ? 1 : 0;
      enrolled += condition_of(*pod, "Enrolled") == "True" ? 1 : 0;
    }
    table.add({node, layout.node_v4(layout.node_number(node)), std::to_string(pods), std::to_string(ready),
               std::to_string(enrolled), std::to_string(captured), health_of(view, "weft-agent-" + node),
               health_of(view, "weft-proxy-" + node)});
  }
  return table.text();
}

// Conditions that do not hold and findings, each once, with the object they are about.
std::string findings_text(const ClusterView& view) {
  std::set<std::string> lines;
  for (const WrittenStatus& status : view.statuses()) {
    const std::string object = fmt::format("{} {}{}{}", status.object.kind, status.object.ns,
                                           status.object.ns.empty() ? "" : "/", status.object.name);
    for (const Json& condition : list_at(status.content, "conditions")) {
      const std::string type = text_at(condition, "type"), state = text_at(condition, "status");
      const bool bad = type == "PartiallyInvalid" || type == "Shadowed" ? state == "True" : state == "False";
      // Being left alone is what most pods want.
      if (bad && text_at(condition, "reason") != "NotSelected")
        lines.insert(fmt::format("  {}: {}={} {}: {}\n", object, type, state, text_at(condition, "reason"),
                                 text_at(condition, "message")));
    }
    const Json wrapped{{"status", {{"weft", Json::array({status.content})}}}};
    for (const std::string& line : finding_lines(wrapped))
      lines.insert(fmt::format("  {}: {}\n", object, line));
  }
  std::string out;
  for (const std::string& line : lines) out += line;
  return out.empty() ? "  none\n" : out;
}

std::string waiting_text(const ClusterView& view) {
  std::string out;
  for (const WrittenStatus& status : view.statuses()) {
    if (status.object.kind != "Agent" || sandbox::bool_at(status.content, "ready")) continue;
    for (const Json& part : list_at(status.content, "waitingFor"))
      out += fmt::format("  agent {}: waits for {}\n", status.object.name, sandbox::scalar_text(part));
    for (const Json& pod : list_at(status.content, "pods"))
      if (!sandbox::bool_at(pod, "captured"))
        out += fmt::format("  pod {}: {} {}\n", text_at(pod, "name"), text_at(pod, "state"),
                           text_at(pod, "reason"));
  }
  for (const Json* pod : view.find("Pod")) {
    if (sandbox::condition_holds(*pod, "Ready") || text_at(*pod, "status.phase") == "Succeeded") continue;
    std::string message;
    for (const Json& status : list_at(*pod, "status.containerStatuses"))
      if (message.empty()) message = text_at(status, "state.waiting.message");
    out += fmt::format("  {}/{}: {}{}\n", text_at(*pod, "metadata.namespace"), text_at(*pod, "metadata.name"),
                       pod_status(*pod), message.empty() ? "" : ": " + message);
  }
  return out;
}

// Of each pod that was enrolled while it had connections.
std::string pre_mesh_text(const ClusterView& view) {
  std::string out;
  for (const WrittenStatus& status : view.statuses()) {
    if (status.object.kind != "Agent") continue;
    for (const Json& pod : list_at(status.content, "pods")) {
      const auto some = list_at(pod, "somePreMesh");
      if (some.empty()) continue;
      out += fmt::format("  pod {}: {}, such as {}; policy: {}\n", text_at(pod, "name"),
                         sandbox::scalar_text(pod["preMeshConnections"]), sandbox::scalar_text(some[0]),
                         text_at(pod, "preMeshPolicy"));
    }
  }
  return out;
}

}  // namespace

std::string status_text(const Layout& layout, const ClusterView& view) {
  const auto& plan = layout.plan();
  std::string out = fmt::format("sandbox {}: {} nodes{}{}, daemon {}\n", plan.name, plan.nodes,
                                plan.dual_stack ? ", dual stack" : "", plan.mesh ? "" : ", no mesh",
                                sandbox::daemon_is_running(layout)
                                    ? "running"
                                    : "NOT RUNNING (weftctl sandbox --name " + plan.name + " up --resume)");
  out += fmt::format("state {}, pods' cgroups {}/node*/kubepods\n\n", layout.state(), layout.cgroup());
  out += nodes_text(layout, view);
  if (auto url = gateway_url(layout, "http2"))
    out += fmt::format("\ngateway http://{} (inside: exec outside -- curl), http://{} (from this machine)\n",
                       *url, host_url(layout).value_or("-"));
  const std::string waiting = waiting_text(view);
  if (!waiting.empty()) out += "\nnot ready:\n" + waiting;
  const std::string pre_mesh = pre_mesh_text(view);
  if (!pre_mesh.empty()) out += "\nconnections of before the mesh, which go on past it:\n" + pre_mesh;
  if (plan.mesh) out += "\nfindings:\n" + findings_text(view);
  return out;
}

}  // namespace weft::ctl
