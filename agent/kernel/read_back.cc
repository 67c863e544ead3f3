#include <cstring>

#include "agent/kernel/apply.h"
#include "agent/kernel/maps.h"

namespace weft::kernel {
namespace {

using compile::Tables;

base::Status read_backends(const MapSet& maps, Tables& tables) {
  std::map<uint32_t, compile::Service*> by_id;
  for (auto& [key, service] : tables.services) by_id[service.head.service_id] = &service;
  return read_all<weft_backend_key, weft_backend>(
      maps.at("backends").get(), [&](const weft_backend_key& key, const weft_backend& backend) {
        auto found = by_id.find(key.service_id);
        const bool in_use = found != by_id.end() && found->second->head.generation == key.generation &&
                            key.slot < found->second->backends.size();
        if (!in_use) return tables.strays.push_back(key);
        found->second->backends[key.slot] = backend;
      });
}

bool stands_there(const compile::Service& service, const weft_backend_slot_key& key,
                  const weft_backend_slot& value) {
  if ((service.head.flags & WEFT_SERVICE_AFFINITY) == 0 || service.head.generation != value.generation)
    return false;
  if (value.slot >= service.backends.size()) return false;
  const auto& backend = service.backends[value.slot];
  return backend.port == key.port && std::memcmp(&backend.address, &key.address, sizeof key.address) == 0;
}

base::Status read_slots(const MapSet& maps, Tables& tables) {
  std::map<uint32_t, const compile::Service*> by_id;
  for (const auto& [key, service] : tables.services) by_id[service.head.service_id] = &service;
  return read_all<weft_backend_slot_key, weft_backend_slot>(
      maps.at("backend_slots").get(), [&](const weft_backend_slot_key& key, const weft_backend_slot& value) {
        auto found = by_id.find(key.service_id);
        if (found == by_id.end() || !stands_there(*found->second, key, value))
          tables.stray_slots.push_back(key);
      });
}

// A pod that is armed, under the uid that `names` has for its id.
base::Status read_pods(const MapSet& maps, Tables& tables) {
  return read_all<weft_pod_key, weft_pod>(maps.at("pods").get(), [&](const weft_pod_key&, weft_pod pod) {
    auto name = tables.names.find({WEFT_NAME_POD, pod.pod_id});
    if (name == tables.names.end() || name->second.generation != pod.generation) return;
    pod.flags &= ~kArmingFlags;
    tables.pods.emplace(name->second.text, pod);
  });
}

}  // namespace

base::Result<Tables> read_back(const MapSet& maps) {
  Tables tables;
  TRY((read_all<weft_name_key, weft_name>(
      maps.at("names").get(), [&](const auto& k, const auto& v) { tables.names.emplace(k, v); })));
  TRY((read_all<weft_address, weft_workload>(
      maps.at("workloads").get(), [&](const auto& k, const auto& v) { tables.workloads.emplace(k, v); })));
  TRY((read_by_key<weft_policy_key, weft_policy>(
      maps.at("policy").get(), [&](const auto& k, const auto& v) { tables.policies.emplace(k, v); })));
  TRY((read_all<weft_port_key, weft_port_mode>(
      maps.at("port_modes").get(), [&](const auto& k, const auto& v) { tables.port_modes.emplace(k, v); })));
  TRY((read_by_key<weft_exclusion_key, weft_exclusion>(
      maps.at("exclusions").get(), [&](const auto& k, const auto& v) { tables.exclusions.emplace(k, v); })));
  TRY((read_all<weft_service_key, weft_service>(
      maps.at("services").get(), [&](const weft_service_key& key, const weft_service& head) {
        compile::Service service{head, {}};
        // A hole reads as zeroes: it differs from any real backend, so the next sync() writes the table anew.
        service.backends.resize(std::min<uint32_t>(head.backend_count, 1u << 20));
        tables.services.emplace(key, std::move(service));
      })));
  TRY(read_backends(maps, tables));
  TRY(read_slots(maps, tables));
  TRY(read_pods(maps, tables));
  return tables;
}

}  // namespace weft::kernel
