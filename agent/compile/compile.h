#pragma once
// Snapshot -> kernel tables -> map changes. Pure: touches no kernel, no clock, no file.
#include "agent/compile/ids.h"
#include "agent/compile/tables.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::compile {

// Where the capture self-test connects: addresses of documentation ranges, never routed. The kernel sends
// every connection to them to the proxy, which answers "weft\n".
inline constexpr const char* kSelfTestV4 = "192.0.2.1";
inline constexpr const char* kSelfTestV6 = "2001:db8::1";
inline constexpr uint16_t kSelfTestPort = 15021;

// How Tables::pods names a pod: its uid, or "ns/name" where the source of objects gives none.
[[nodiscard]] std::string pod_key(const model::Workload& workload);

// The tables that `snapshot` asks for. Service generations are numbered by diff().
[[nodiscard]] Tables compile(const model::Snapshot& snapshot, Ids& ids);

// What turns `old` (as the kernel has it) into `desired`, in the order in which it is safe: names, workloads,
// policy entries, pods, then services in groups (backends of the new generation, then the entries that flip
// to them), then what is gone: services, a grace period, policy entries, backends of old generations,
// workloads, names. Settles the service generations of `desired`: unchanged backends keep theirs, others get
// the next one.
[[nodiscard]] Changes diff(const Tables& old, Tables& desired);

}  // namespace weft::compile
