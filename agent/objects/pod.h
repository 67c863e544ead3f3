#pragma once
// Pod and Deployment, with what the mesh and the sandbox's kubelet need.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/objects/kubernetes.h"

namespace weft::objects {

struct Probe {
  enum class Method : uint8_t { kNone, kTcpSocket, kHttpGet, kExec, kGrpc };
  Method method = Method::kNone;
  PortReference port;
  std::string host;  // empty: the pod's address
  std::string path, scheme;
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<std::string> command;
  std::string grpc_service;
  uint32_t initial_delay_seconds = 0, period_seconds = 10, timeout_seconds = 1;
  uint32_t success_threshold = 1, failure_threshold = 3;
};

struct EnvVar {
  std::string name, value;
  std::string field_path;  // valueFrom.fieldRef, e.g. "status.podIP"
};

struct ContainerPort {
  std::string name;
  TransportProtocol protocol = TransportProtocol::kTcp;
  uint16_t port = 0;
  uint16_t host_port = 0;
};

struct Container {
  std::string name, image, working_dir;
  std::vector<std::string> command, args;
  std::vector<EnvVar> env;
  std::vector<ContainerPort> ports;
  // Shared because copies are many and most of them have none.
  std::shared_ptr<const Probe> readiness, liveness, startup;
  Mark mark;
};

struct PodSpec {
  std::string node_name, service_account = "default", hostname, subdomain, scheduler_name;
  std::string restart_policy = "Always";
  std::string dns_policy = "ClusterFirst";
  bool host_network = false;
  uint32_t termination_grace_seconds = 30;
  Labels node_selector;
  std::vector<Container> init_containers, containers;
};

struct ContainerStatus {
  std::string name, image, container_id;
  bool ready = false, started = false;
  uint32_t restart_count = 0;
  std::string state;   // waiting, running, terminated
  std::string reason;  // of waiting or terminated: ImagePullBackOff, Completed ...
  std::string message;
  int exit_code = 0;
};

struct PodStatus {
  std::string phase, reason, message;
  std::string host_ip;
  std::vector<base::Address> pod_ips;
  std::vector<Condition> conditions;
  std::vector<ContainerStatus> containers;
  std::optional<Time> start_time;
};

struct Pod : Object {
  static constexpr Kind kKind = Kind::kPod;
  Pod() : Object(kKind) {}
  PodSpec spec;
  PodStatus status;
  [[nodiscard]] bool ready() const;  // condition Ready is True
};

struct Deployment : Object {
  static constexpr Kind kKind = Kind::kDeployment;
  Deployment() : Object(kKind) {}
  uint32_t replicas = 1;
  Labels selector;  // matchLabels
  Labels template_labels, template_annotations;
  PodSpec template_spec;
  Node template_node;  // spec.template as written: the pods' manifests are made from it
  std::string strategy = "RollingUpdate";
  PortReference max_surge{.name = "25%"}, max_unavailable{.name = "25%"};  // a number or a percentage
};

}  // namespace weft::objects
