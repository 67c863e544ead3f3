#pragma once
// Snapshots in a few words, and a kernel that is only maps.
#include <netinet/in.h>

#include <set>
#include <string>
#include <vector>

#include "agent/compile/compile.h"

namespace weft::compile {

inline base::Address address(const std::string& text) {
  return *base::Address::parse(text);
}

inline weft_address in_kernel(const std::string& text) {
  weft_address out;
  std::memcpy(out.bytes, address(text).bytes.data(), sizeof out.bytes);
  return out;
}

inline weft_service_key key_of(const std::string& ip, uint16_t port, uint8_t protocol = IPPROTO_TCP) {
  return {in_kernel(ip), port, protocol, 0};
}

// Adds a workload; returns its index.
inline uint32_t add_workload(model::Snapshot& snapshot, const std::string& name,
                             const std::vector<std::string>& addresses,
                             const std::string& account = "default") {
  model::Workload workload;
  workload.name = name;
  workload.ns = "dev";
  workload.uid = "uid-" + name;
  workload.service_account = account;
  workload.enrolled = true;
  for (const auto& text : addresses) workload.addresses.push_back(address(text));
  snapshot.workloads.push_back(workload);
  return static_cast<uint32_t>(snapshot.workloads.size() - 1);
}

// Makes a workload an enrolled pod of this node.
inline model::LocalPod& add_local_pod(model::Snapshot& snapshot, uint32_t workload) {
  snapshot.workloads[workload].local = true;
  snapshot.local_pods.push_back({.workload = workload});
  return snapshot.local_pods.back();
}

inline model::Endpoint endpoint(const std::string& ip, uint16_t port, uint32_t workload = model::kNone,
                                uint32_t weight = 1) {
  return {.address = {address(ip), port}, .workload = workload, .weight = weight};
}

// Adds a service with one port 80 and its cluster; returns its index.
inline uint32_t add_service(model::Snapshot& snapshot, const std::string& name,
                            const std::vector<std::string>& addresses,
                            std::vector<model::Endpoint> endpoints) {
  const auto index = static_cast<uint32_t>(snapshot.services.size());
  model::Service service;
  service.name = name;
  service.ns = "dev";
  for (const auto& text : addresses) service.addresses.push_back(address(text));
  service.ports.push_back({.port = 80, .cluster = static_cast<uint32_t>(snapshot.clusters.size())});
  snapshot.services.push_back(service);
  snapshot.clusters.push_back({.service = index, .service_port = 80, .endpoints = std::move(endpoints)});
  return index;
}

// The kernel's maps after some changes.
struct FakeKernel {
  Table<weft_service_key, weft_service> services;
  Table<weft_backend_key, weft_backend> backends;
  Table<weft_backend_slot_key, weft_backend_slot> slots;
  Table<weft_address, weft_workload> workloads;
  Table<weft_policy_key, weft_policy> policies;
  Table<weft_port_key, weft_port_mode> port_modes;
  Table<weft_exclusion_key, weft_exclusion> exclusions;
  Table<weft_name_key, weft_name> names;

  void take(const PutName& c) { names[c.key] = c.value; }
  void take(const EraseName& c) { names.erase(c.key); }
  void take(const PutPolicy& c) { policies[c.key] = c.value; }
  void take(const ErasePolicy& c) { policies.erase(c.key); }
  void take(const PutPortMode& c) { port_modes[c.key] = c.value; }
  void take(const ErasePortMode& c) { port_modes.erase(c.key); }
  void take(const PutExclusion& c) { exclusions[c.key] = c.value; }
  void take(const EraseExclusion& c) { exclusions.erase(c.key); }
  void take(const PutWorkload& c) { workloads[c.key] = c.value; }
  void take(const EraseWorkload& c) { workloads.erase(c.key); }
  void take(const PutBackend& c) { backends[c.key] = c.value; }
  void take(const EraseBackend& c) { backends.erase(c.key); }
  void take(const PutBackendSlot& c) { slots[c.key] = c.value; }
  void take(const EraseBackendSlot& c) { slots.erase(c.key); }
  void take(const PutService& c) { services[c.key] = c.head; }
  void take(const EraseService& c) { services.erase(c.key); }
  void take(const SetPod&) {}
  void take(const GracePeriod&) {}
  void apply(const Change& change) {
    std::visit([this](const auto& c) { take(c); }, change);
  }

  // Every service has every slot of the generation it points at, and every alias stays inside.
  [[nodiscard]] bool whole() const {
    for (const auto& [key, head] : services) {
      for (uint32_t slot = 0; slot < head.backend_count; ++slot) {
        auto found = backends.find({head.service_id, head.generation, slot});
        if (found == backends.end() || found->second.alias >= head.backend_count) return false;
      }
    }
    return true;
  }

  // What an agent that starts again reads.
  [[nodiscard]] Tables read_back() const {
    Tables out;
    out.names = names;
    out.port_modes = port_modes;
    out.exclusions = exclusions;
    out.workloads = workloads;
    out.policies = policies;
    auto stray = backends;
    for (const auto& [key, head] : services) {
      Service service{head, {}};
      for (uint32_t slot = 0; slot < head.backend_count; ++slot) {
        service.backends.push_back(backends.at({head.service_id, head.generation, slot}));
        stray.erase({head.service_id, head.generation, slot});
      }
      out.services.emplace(key, service);
    }
    for (const auto& [key, backend] : stray) out.strays.push_back(key);
    return out;
  }
};

template <typename Kind>
size_t count(const Changes& changes) {
  size_t n = 0;
  for (const auto& change : changes) n += std::holds_alternative<Kind>(change);
  return n;
}

// Position of the last change of a kind; SIZE_MAX without one.
template <typename Kind>
size_t last(const Changes& changes) {
  size_t at = SIZE_MAX;
  for (size_t i = 0; i < changes.size(); ++i)
    if (std::holds_alternative<Kind>(changes[i])) at = i;
  return at;
}

template <typename Kind>
size_t first(const Changes& changes) {
  for (size_t i = 0; i < changes.size(); ++i)
    if (std::holds_alternative<Kind>(changes[i])) return i;
  return SIZE_MAX;
}

}  // namespace weft::compile
