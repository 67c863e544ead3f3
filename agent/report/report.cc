#include "agent/report/report.h"

#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <system_error>

namespace weft::agent {
namespace {

using objects::Node;

Node integer(uint64_t value) {
  return Node::integer(static_cast<int64_t>(value));
}

void add_pre_mesh(const PodReport& pod, Node& item) {
  const enrol::PreMesh& all = pod.pre_mesh;
  if (all.open > 0) {
    item.set("preMeshConnections", integer(all.open));
    Node some = Node::sequence();
    for (const std::string& one : all.some) some.append(Node::string(one));
    item.set("somePreMesh", std::move(some));
  }
  if (all.ended > 0) item.set("preMeshEnded", integer(all.ended));
  if (all.unlisted > 0) item.set("preMeshUnlisted", integer(all.unlisted));
  if (all.open + all.ended > 0) item.set("preMeshPolicy", Node::string(pod.pre_mesh_policy));
}

Node pods_of(const Report& report) {
  Node list = Node::sequence();
  for (const auto& pod : report.pods) {
    Node item = Node::mapping();
    item.set("name", Node::string(pod.name));
    item.set("state", Node::string(pod.state));
    item.set("captured", Node::boolean(pod.captured));
    if (!pod.reason.empty()) item.set("reason", Node::string(pod.reason));
    add_pre_mesh(pod, item);
    if (!pod.excluded.empty()) item.set("excluded", Node::string(pod.excluded));
    list.append(std::move(item));
  }
  return list;
}

Node proxies_of(const Report& report) {
  Node list = Node::sequence();
  for (const auto& proxy : report.proxies) {
    Node item = Node::mapping();
    item.set("pid", Node::integer(proxy.pid));
    item.set("version", Node::string(proxy.version));
    item.set("workers", Node::integer(proxy.workers));
    item.set("ackedVersion", integer(proxy.acked_version));
    if (proxy.refused_version != 0) {
      item.set("refusedVersion", integer(proxy.refused_version));
      item.set("refusal", Node::string(proxy.refusal));
    }
    list.append(std::move(item));
  }
  return list;
}

}  // namespace

std::string to_json(const Report& report, const procfs::ProcessKey& process) {
  Node root = Node::mapping();
  root.set("schema", Node::string("weft.agent/v1"));
  root.set("kind", Node::string("Agent"));
  root.set("role", Node::string(report.role));
  root.set("name", Node::string(report.writer));
  Node writer = Node::mapping();
  writer.set("pid", Node::integer(process.pid));
  writer.set("startTicks", integer(process.started));
  root.set("process", std::move(writer));
  root.set("ready", Node::boolean(report.ready));
  Node waiting = Node::sequence();
  for (const auto& what : report.waiting_for) waiting.append(Node::string(what));
  root.set("waitingFor", std::move(waiting));
  root.set("snapshotVersion", integer(report.snapshot_version));
  root.set("pods", pods_of(report));
  root.set("proxies", proxies_of(report));
  if (!report.kernel.is_null()) root.set("kernel", report.kernel);
  if (!report.counters.is_null()) root.set("counters", report.counters);
  if (!report.cni.is_null()) root.set("cni", report.cni);
  if (!report.announced.is_null()) root.set("announced", report.announced);
  if (!report.certificates.is_null()) root.set("certificates", report.certificates);
  return objects::to_json(root) + "\n";
}

ReportWriter::ReportWriter(std::filesystem::path directory, std::string writer)
    : path_(directory.empty() ? directory : directory / ("Agent." + writer + ".json")),
      process_(procfs::find_process(getpid()).value_or(procfs::ProcessKey{})) {
  std::error_code not_there;
  if (!path_.empty()) std::filesystem::remove(path_, not_there);
}

base::Status ReportWriter::write(const Report& report) {
  if (path_.empty()) return {};
  std::string text = to_json(report, process_);
  if (text == written_) return {};
  const std::filesystem::path aside = path_.string() + ".tmp";
  {
    std::ofstream out(aside, std::ios::trunc);
    out << text;
    if (!out.flush()) return base::fail_errno("write " + aside.string());
  }
  std::error_code error;
  std::filesystem::rename(aside, path_, error);
  if (error) return base::fail_errno(error.value(), "rename " + path_.string());
  written_ = std::move(text);
  return {};
}

}  // namespace weft::agent
