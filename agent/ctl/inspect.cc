#include "agent/ctl/inspect.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "agent/ctl/printer.h"
#include "agent/sandbox/files.h"
#include "agent/sandbox/forward.h"
#include "agent/sandbox/kubelet.h"
#include "agent/sandbox/pod_spec.h"

namespace weft::ctl {
namespace {

using sandbox::list_at;
using sandbox::text_at;

base::Result<const Json*> pod_named(const ClusterView& view, const std::string& ns, const std::string& name) {
  const Json* pod = view.one({"Pod", ns, name});
  if (pod != nullptr) return pod;
  return base::fail(
      base::ErrorKind::kNotFound,
      fmt::format("pod \"{}\" not found in namespace {}: see `weftctl sandbox get pods -A`", name, ns));
}

std::string last_lines(const std::string& text, int count) {
  if (count < 0) return text;
  size_t at = text.size();
  if (at > 0 && text[at - 1] == '\n') --at;
  for (int i = 0; i < count; ++i) {
    const size_t before = at == 0 ? std::string::npos : text.rfind('\n', at - 1);
    if (before == std::string::npos) return text;
    at = before;
  }
  return count == 0 ? "" : text.substr(at + 1);
}

void print_prefixed(const std::string& text, const std::string& prefix) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1);
    fmt::print("{}{}", prefix, text.substr(at, end - at + 1));
    at = end + 1;
  }
  std::fflush(stdout);
}

struct LogSource {
  std::string file, prefix;
  size_t printed = 0;
};

base::Result<std::vector<LogSource>> log_sources(const Layout& layout, const LogOptions& options) {
  const ClusterView view = ClusterView::load(layout);
  std::vector<const Json*> pods;
  if (!options.pod.empty()) {
    TRY_ASSIGN(const Json* pod, pod_named(view, options.ns, options.pod));
    pods.push_back(pod);
  }
  if (options.pod.empty())
    for (const Json* pod : view.find("Pod", options.ns))
      if (!options.selector.empty() &&
          matches_selector(options.selector, sandbox::at(*pod, "metadata.labels")))
        pods.push_back(pod);
  std::vector<LogSource> sources;
  for (const Json* pod : pods) {
    for (const Json& spec : list_at(*pod, "spec.containers")) {
      const std::string container = text_at(spec, "name"), name = text_at(*pod, "metadata.name");
      if (!options.container.empty() && container != options.container) continue;
      const bool many =
          pods.size() > 1 || (options.container.empty() && list_at(*pod, "spec.containers").size() > 1);
      sources.push_back(
          {sandbox::log_dir(layout, text_at(*pod, "metadata.namespace"), name) + "/" + container + ".log",
           many ? fmt::format("[{}/{}] ", name, container) : "", 0});
    }
  }
  if (sources.empty() && !options.container.empty())
    return base::fail(base::ErrorKind::kNotFound, "no container \"" + options.container + "\" in that pod");
  return sources;
}

// Node pods share their node's name space; "outside" is no part of the cluster.
base::Status become_process(const Layout& layout, const std::string& netns, const std::string& cgroup,
                            const std::vector<std::string>& command) {
  sandbox::Launch launch;
  launch.argv = command;
  launch.netns = layout.netns(netns);
  launch.cgroup = layout.cgroup() + "/" + cgroup;
  return sandbox::become(launch);
}

// What is not ready yet, in words.
std::vector<std::string> missing_parts(const ClusterView& view, const std::string& ns) {
  std::vector<std::string> missing;
  for (const Json* deployment : view.find("Deployment", ns)) {
    const DeploymentState state = state_of(*deployment, view);
    if (!state.complete())
      missing.push_back(fmt::format("deployment {}/{}: {} of {} ready",
                                    text_at(*deployment, "metadata.namespace"),
                                    text_at(*deployment, "metadata.name"), state.ready, state.wanted));
  }
  for (const Json* pod : view.find("Pod", ns)) {
    const std::string phase = text_at(*pod, "status.phase");
    if (phase == "Succeeded" || sandbox::condition_holds(*pod, "Ready")) continue;
    std::string message;
    for (const Json& status : list_at(*pod, "status.containerStatuses"))
      if (message.empty()) message = text_at(status, "state.waiting.message");
    missing.push_back(fmt::format("pod {}/{}: {}{}", text_at(*pod, "metadata.namespace"),
                                  text_at(*pod, "metadata.name"), phase,
                                  message.empty() ? "" : ": " + message));
  }
  return missing;
}

// Agents that have not captured what they should yet.
std::vector<std::string> waiting_agents(const Layout& layout, const ClusterView& view) {
  std::vector<std::string> writers = layout.node_names(), missing;
  for (const Json* pod : view.find("Pod", "istio-system"))
    if (sandbox::label_of(*pod, "istio") == "ingressgateway" &&
        !sandbox::has(*pod, "metadata.deletionTimestamp"))
      writers.push_back("istio-system." + text_at(*pod, "metadata.name"));
  for (const std::string& writer : writers) {
    const Json* report = agent_report(view, writer);
    if (report != nullptr && sandbox::bool_at(*report, "ready")) continue;
    std::string why = report == nullptr ? "has not said anything yet" : "waits for ";
    if (report != nullptr)
      for (const Json& part : list_at(*report, "waitingFor"))
        why += (why.size() > 10 ? "; " : "") + sandbox::scalar_text(part);
    missing.push_back(fmt::format("agent {} {}", writer, why));
  }
  return missing;
}

}  // namespace

base::Status print_logs(const Layout& layout, const LogOptions& options) {
  if (options.pod.empty() && options.selector.empty())
    return base::fail(base::ErrorKind::kInvalid, "logs: name a pod, or select some with -l key=value");
  TRY_ASSIGN(auto sources, log_sources(layout, options));
  for (LogSource& source : sources) {
    const std::string old = options.tail >= 0 ? "" : sandbox::read_file(source.file + ".1").value_or("");
    const std::string text = sandbox::read_file(source.file).value_or("");
    source.printed = text.size();
    print_prefixed(last_lines(old + text, options.tail), source.prefix);
  }
  while (options.follow) {
    ::poll(nullptr, 0, 200);
    for (LogSource& source : sources) {
      const std::string text = sandbox::read_file(source.file).value_or("");
      if (text.size() < source.printed) source.printed = 0;  // rotated
      print_prefixed(text.substr(source.printed), source.prefix);
      source.printed = text.size();
    }
  }
  return {};
}

base::Status exec(const Layout& layout, const std::string& where, const std::string& container,
                  const std::string& ns, const std::vector<std::string>& command) {
  if (command.empty()) return base::fail(base::ErrorKind::kInvalid, "exec: say what to run after --");
  if (where == "outside") return become_process(layout, "outside", "outside", command);
  if (layout.node_number(where) != 0) return become_process(layout, where, where + "/host", command);
  const ClusterView view = ClusterView::load(layout);
  TRY_ASSIGN(const Json* pod, pod_named(view, ns, where.starts_with("pod/") ? where.substr(4) : where));
  if (!sandbox::has(*pod, "status.podIP"))
    return base::fail(base::ErrorKind::kConflict, "pod \"" + where + "\" has no network yet");
  const Json* spec = nullptr;
  for (const Json& item : list_at(*pod, "spec.containers"))
    if (spec == nullptr && (container.empty() || text_at(item, "name") == container)) spec = &item;
  if (spec == nullptr)
    return base::fail(base::ErrorKind::kNotFound,
                      "no container \"" + container + "\" in pod \"" + where + "\"");
  TRY_ASSIGN(auto launch, sandbox::container_launch(layout, *pod, *spec));
  launch.argv = command;
  launch.cgroup = sandbox::pod_cgroup(layout, *pod) + "/exec";
  if (const char* term = ::getenv("TERM")) launch.env->push_back(std::string("TERM=") + term);
  TRY(sandbox::make_directories(launch.cgroup));
  return sandbox::become(launch);
}

base::Result<std::string> gateway_url(const Layout& layout, const std::string& port_name) {
  const ClusterView view = ClusterView::load(layout);
  const Json* service = view.one({"Service", "istio-system", "istio-ingressgateway"});
  if (service == nullptr)
    return base::fail(base::ErrorKind::kNotFound,
                      "this sandbox has no ingress gateway (was it made with --no-mesh?)");
  int64_t node_port = 0;
  for (const Json& port : list_at(*service, "spec.ports"))
    if (text_at(port, "name") == port_name) node_port = sandbox::int_at(port, "nodePort");
  if (node_port == 0)
    return base::fail(base::ErrorKind::kNotFound,
                      "istio-ingressgateway has no node port named \"" + port_name + "\"");
  std::string host;
  for (const Json* pod : view.find("Pod", "istio-system")) {
    if (!sandbox::selects({{"istio", "ingressgateway"}}, sandbox::at(*pod, "metadata.labels"))) continue;
    if (host.empty() || sandbox::condition_holds(*pod, "Ready")) host = text_at(*pod, "status.hostIP", host);
  }
  if (host.empty())
    return base::fail(base::ErrorKind::kNotFound, "no pod of istio-ingressgateway has a node yet");
  return fmt::format("{}:{}", host, node_port);
}

base::Result<std::string> host_url(const Layout& layout) {
  const uint16_t port = sandbox::forward_port(layout);
  if (port == 0) return base::fail(base::ErrorKind::kNotFound, "the port of this machine is not open (yet)");
  return fmt::format("127.0.0.1:{}", port);
}

base::Status wait_ready(const Layout& layout, const std::string& ns, int timeout_seconds) {
  const auto start = std::chrono::steady_clock::now();
  const auto deadline = start + std::chrono::seconds(timeout_seconds);
  std::vector<std::string> missing;
  while (true) {
    const ClusterView view = ClusterView::load(layout);
    missing = missing_parts(view, ns);
    const auto agents =
        ns.empty() && layout.plan().mesh ? waiting_agents(layout, view) : std::vector<std::string>();
    missing.insert(missing.end(), agents.begin(), agents.end());
    const auto now = std::chrono::steady_clock::now();
    if (missing.empty()) {
      fmt::print("everything is ready after {:.1f} s\n", std::chrono::duration<double>(now - start).count());
      return {};
    }
    if (now >= deadline) break;
    ::poll(nullptr, 0, 100);
  }
  std::string text = fmt::format("not ready after {} s:", timeout_seconds);
  for (const std::string& part : missing) text += "\n  " + part;
  return base::fail(base::ErrorKind::kTimeout, text);
}

}  // namespace weft::ctl
