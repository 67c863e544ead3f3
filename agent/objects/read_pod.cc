// Pod and Deployment.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "agent/objects/kinds.h"
#include "agent/objects/pod.h"
#include "agent/objects/read.h"
#include "agent/objects/values.h"

namespace weft::objects {
namespace {

void read_http_get(const Node& node, const std::string& path, Probe& probe, Report& report) {
  probe.method = Probe::Method::kHttpGet;
  probe.port = read_port_reference(get(node, "port"), path + ".port", report);
  probe.host = text(node, "host");
  probe.path = text(node, "path", "/");
  probe.scheme = text(node, "scheme", "HTTP");
  for (const Node& header : get(node, "httpHeaders").items())
    probe.headers.emplace_back(text(header, "name"), text(header, "value"));
}

void read_method(const Node& node, const std::string& path, Probe& probe, Report& report) {
  constexpr std::string_view kMethods[] = {"tcpSocket", "httpGet", "exec", "grpc"};
  const auto given =
      std::ranges::count_if(kMethods, [&](std::string_view method) { return has(node, method); });
  if (given != 1) report.invalid(path, node, "expected exactly one of exec, httpGet, tcpSocket and grpc");
  if (has(node, "httpGet")) return read_http_get(get(node, "httpGet"), path + ".httpGet", probe, report);
  if (has(node, "tcpSocket")) {
    probe.method = Probe::Method::kTcpSocket;
    probe.host = text(get(node, "tcpSocket"), "host");
    probe.port = read_port_reference(node.at({"tcpSocket", "port"}), path + ".tcpSocket.port", report);
  }
  if (has(node, "exec")) {
    probe.method = Probe::Method::kExec;
    probe.command = texts(get(node, "exec"), "command");
  }
  if (has(node, "grpc")) {
    probe.method = Probe::Method::kGrpc;
    probe.port = {.number = static_cast<uint16_t>(number(get(node, "grpc"), "port"))};
    probe.grpc_service = text(get(node, "grpc"), "service");
  }
}

std::shared_ptr<const Probe> read_probe(const Node& container, std::string_view key, const std::string& path,
                                        Report& report) {
  const Node& node = get(container, key);
  if (node.is_null()) return nullptr;
  Probe probe;
  read_method(node, fmt::format("{}.{}", path, key), probe, report);
  const auto seconds = [&](std::string_view name, uint32_t fallback) {
    const auto value = static_cast<uint32_t>(number(node, name));
    return value == 0 ? fallback : value;  // 0 means the default, as in Kubernetes
  };
  probe.initial_delay_seconds = seconds("initialDelaySeconds", 0);
  probe.period_seconds = seconds("periodSeconds", 10);
  probe.timeout_seconds = seconds("timeoutSeconds", 1);
  probe.success_threshold = seconds("successThreshold", 1);
  probe.failure_threshold = seconds("failureThreshold", 3);
  return std::make_shared<const Probe>(std::move(probe));
}

void read_ports(const Node& container, const std::string& path, Container& out, Report& report) {
  const Node& ports = get(container, "ports");
  for (size_t i = 0; i < ports.items().size(); ++i) {
    const Node& node = ports.items()[i];
    const std::string port_path = item_path(path + ".ports", i);
    const std::string name = text(node, "name");
    if (!name.empty() && !is_port_name(name))
      report.invalid(port_path + ".name", get(node, "name"),
                     "expected at most 15 lower-case letters, digits and '-', with at least one letter");
    out.ports.push_back({.name = name,
                         .protocol = read_protocol(node, port_path, report),
                         .port = static_cast<uint16_t>(number(node, "containerPort")),
                         .host_port = static_cast<uint16_t>(number(node, "hostPort"))});
  }
}

Container read_container(const Node& node, const std::string& path, Report& report) {
  Container container;
  container.name = text(node, "name");
  container.image = text(node, "image");
  container.working_dir = text(node, "workingDir");
  container.command = texts(node, "command");
  container.args = texts(node, "args");
  for (const Node& env : get(node, "env").items())
    container.env.push_back({.name = text(env, "name"),
                             .value = text(env, "value"),
                             .field_path = env.at({"valueFrom", "fieldRef", "fieldPath"}).as_string()});
  read_ports(node, path, container, report);
  container.readiness = read_probe(node, "readinessProbe", path, report);
  container.liveness = read_probe(node, "livenessProbe", path, report);
  container.startup = read_probe(node, "startupProbe", path, report);
  container.mark = node.mark();
  return container;
}

std::vector<Container> read_containers(const Node& spec, std::string_view key, const std::string& path,
                                       std::set<std::string>& names, Report& report) {
  std::vector<Container> out;
  const Node& list = get(spec, key);
  for (size_t i = 0; i < list.items().size(); ++i) {
    const Node& node = list.items()[i];
    const std::string item = item_path(fmt::format("{}.{}", path, key), i);
    out.push_back(read_container(node, item, report));
    if (!is_dns_label(out.back().name))
      report.invalid(item + ".name", get(node, "name"), "expected lower-case letters, digits and '-'");
    if (!names.insert(out.back().name).second)
      report.invalid(item + ".name", get(node, "name"),
                     fmt::format("the container name \"{}\" occurs twice", out.back().name));
  }
  return out;
}

PodSpec read_pod_spec(const Node& spec, const std::string& path, Report& report) {
  PodSpec out;
  out.node_name = text(spec, "nodeName");
  out.service_account = text(spec, "serviceAccountName", text(spec, "serviceAccount"));
  if (out.service_account.empty()) out.service_account = "default";
  out.hostname = text(spec, "hostname");
  out.subdomain = text(spec, "subdomain");
  out.scheduler_name = text(spec, "schedulerName");
  out.restart_policy = text(spec, "restartPolicy", "Always");
  out.dns_policy = text(spec, "dnsPolicy", "ClusterFirst");
  out.host_network = flag(spec, "hostNetwork");
  out.termination_grace_seconds = static_cast<uint32_t>(number(spec, "terminationGracePeriodSeconds", 30));
  out.node_selector = string_map(spec, "nodeSelector");
  std::set<std::string> names;
  out.init_containers = read_containers(spec, "initContainers", path, names, report);
  out.containers = read_containers(spec, "containers", path, names, report);
  if (out.containers.empty())
    report.invalid(path + ".containers", get(spec, "containers"), "expected at least one container");
  return out;
}

ContainerStatus read_container_status(const Node& node) {
  ContainerStatus status;
  status.name = text(node, "name");
  status.image = text(node, "image");
  status.container_id = text(node, "containerID");
  status.ready = flag(node, "ready");
  status.started = flag(node, "started");
  status.restart_count = static_cast<uint32_t>(number(node, "restartCount"));
  for (std::string_view state : {"waiting", "running", "terminated"}) {
    const Node& detail = node.at({"state", state});
    if (detail.is_null()) continue;
    status.state = state;
    status.reason = text(detail, "reason");
    status.message = text(detail, "message");
    status.exit_code = static_cast<int>(number(detail, "exitCode"));
  }
  return status;
}

PodStatus read_pod_status(const Node& node, Report& report) {
  PodStatus status;
  status.phase = text(node, "phase", "Pending");
  status.reason = text(node, "reason");
  status.message = text(node, "message");
  status.host_ip = text(node, "hostIP");
  const Node& ips = get(node, "podIPs");
  for (size_t i = 0; i < ips.items().size(); ++i) {
    const auto address =
        read_address(get(ips.items()[i], "ip"), item_path("status.podIPs", i) + ".ip", report);
    if (address) status.pod_ips.push_back(*address);
  }
  if (status.pod_ips.empty() && !text(node, "podIP").empty())
    if (const auto address = read_address(get(node, "podIP"), "status.podIP", report))
      status.pod_ips.push_back(*address);
  status.conditions = read_conditions(node);
  for (const Node& item : get(node, "containerStatuses").items())
    status.containers.push_back(read_container_status(item));
  if (has(node, "startTime")) status.start_time = parse_time(text(node, "startTime"));
  return status;
}

// maxSurge and maxUnavailable: a number from 0, or "25%".
PortReference read_share(const Node& node, const std::string& path, Report& report) {
  if (node.is_null()) return {.name = "25%"};
  const std::string& share = node.as_string();
  const bool percent =
      share.size() > 1 && share.size() <= 5 && share.ends_with('%') &&
      std::ranges::all_of(share.substr(0, share.size() - 1), [](char c) { return c >= '0' && c <= '9'; });
  if (node.is_string() ? !percent : (node.as_int() < 0 || node.as_int() > 65535))
    report.invalid(
        path, node,
        fmt::format("expected a number or a percentage such as \"25%\", found {}", describe(node)));
  return {.number = static_cast<uint16_t>(node.as_int()), .name = share};
}

void check_selector(const Node& spec, const Deployment& deployment, Report& report) {
  const Node& selector = get(spec, "selector");
  if (has(selector, "matchExpressions"))
    report.warn("UnsupportedField", "spec.selector.matchExpressions",
                get(selector, "matchExpressions").mark(),
                "weft does not support this field yet, it has no effect");
  if (deployment.selector.empty())
    report.invalid("spec.selector", selector, "expected at least one label in matchLabels");
  for (const auto& [key, value] : deployment.selector) {
    const auto label = deployment.template_labels.find(key);
    if (label == deployment.template_labels.end() || label->second != value)
      report.invalid("spec.selector.matchLabels", get(selector, "matchLabels"),
                     fmt::format("the template's labels do not have {}={}", key, value));
  }
}

}  // namespace

std::shared_ptr<Object> read_pod(const Node& root, Report& report) {
  auto pod = std::make_shared<Pod>();
  pod->spec = read_pod_spec(get(root, "spec"), "spec", report);
  pod->status = read_pod_status(get(root, "status"), report);
  return pod;
}

std::shared_ptr<Object> read_deployment(const Node& root, Report& report) {
  auto deployment = std::make_shared<Deployment>();
  const Node& spec = get(root, "spec");
  const Node& pod_template = get(spec, "template");
  deployment->replicas = static_cast<uint32_t>(number(spec, "replicas", 1));
  deployment->selector =
      read_labels(get(spec, "selector"), "matchLabels", "spec.selector.matchLabels", report);
  const Node& meta = get(pod_template, "metadata");
  deployment->template_labels = read_labels(meta, "labels", "spec.template.metadata.labels", report);
  deployment->template_annotations = string_map(meta, "annotations");
  deployment->template_spec = read_pod_spec(get(pod_template, "spec"), "spec.template.spec", report);
  deployment->template_node = pod_template;
  const Node& strategy = get(spec, "strategy");
  deployment->strategy = text(strategy, "type", "RollingUpdate");
  const Node& rolling = get(strategy, "rollingUpdate");
  const std::string path = "spec.strategy.rollingUpdate";
  deployment->max_surge = read_share(get(rolling, "maxSurge"), path + ".maxSurge", report);
  deployment->max_unavailable = read_share(get(rolling, "maxUnavailable"), path + ".maxUnavailable", report);
  check_selector(spec, *deployment, report);
  return deployment;
}

}  // namespace weft::objects
