#pragma once
// What the agent says about itself: one file Agent.<writer>.json in the status directory, read by weftctl.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "agent/enrol/pre_mesh.h"
#include "agent/objects/node.h"
#include "agent/procfs/process.h"
#include "agent/publish/publisher.h"
#include "userspace-proxy/base/result.h"

namespace weft::agent {

struct PodReport {
  std::string name;   // "ns/name"
  std::string state;  // where it is between un-enrolled and captured
  bool captured = false;
  std::string reason;  // why it is not
  enrol::PreMesh pre_mesh;      // connections of before
  std::string pre_mesh_policy;  // and what becomes of them
  std::string excluded = {};  // what of it goes around the mesh; empty: nothing
};

struct Report {
  std::string role, writer;
  bool ready = false;
  std::vector<std::string> waiting_for;  // what keeps it from being ready, as sentences
  uint64_t snapshot_version = 0;
  std::vector<PodReport> pods;
  std::vector<publish::ProxyStatus> proxies;
  objects::Node kernel;        // role node: how it started, counters, attachments
  objects::Node counters;      // of the agent's own rooms
  objects::Node cni;           // role node on Kubernetes: how pods come to it; null elsewhere
  objects::Node announced;     // role node behind an API server: what pods' objects were told; null elsewhere
  objects::Node certificates;  // identities, trust bundle and their counters; null: there is no CA
};

// Writes the report aside and renames it, only when its text has changed. It says of which process it is, and begins by
// removing what the agent before this one said: that it was ready says nothing of this one. Without a directory nothing
// is written. Owner: a role. Thread: the control loop's.
class ReportWriter {
 public:
  ReportWriter(std::filesystem::path directory, std::string writer);
  base::Status write(const Report& report);

 private:
  const std::filesystem::path path_;
  const procfs::ProcessKey process_;
  std::string written_;
};

[[nodiscard]] std::string to_json(const Report& report, const procfs::ProcessKey& process);

}  // namespace weft::agent
