#pragma once
// The desired contents of the kernel tables as plain values, and what has to be written to get there.
#include <compare>
#include <cstring>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "bpf/abi/weft_abi.h"

namespace weft::compile {

// Keys of the kernel tables hold no hidden padding, so their bytes are their identity and their order.
struct BytesLess {
  template <typename T>
  bool operator()(const T& a, const T& b) const {
    return std::memcmp(&a, &b, sizeof(T)) < 0;
  }
};
template <typename Key, typename Value>
using Table = std::map<Key, Value, BytesLess>;

// One entry of `services` and the backends of its current generation, by slot.
struct Service {
  weft_service head{};
  std::vector<weft_backend> backends;
};

struct Tables {
  Table<weft_name_key, weft_name> names;
  Table<weft_address, weft_workload> workloads;
  Table<weft_policy_key, weft_policy> policies;
  Table<weft_port_key, weft_port_mode> port_modes;
  Table<weft_exclusion_key, weft_exclusion> exclusions;
  Table<weft_service_key, Service> services;
  // By pod uid (pod_key). `flags` holds what configuration says (STRICT, FAIL_OPEN, INBOUND_PROXY, TLS_SAME_NODE,
  // EXCLUDES_*, HAS_*); the flags of the moment, ENROLLED and MARKING, belong to whoever arms the pod and puts it under its netns
  // cookie.
  std::map<std::string, weft_pod> pods;
  // Only in tables read back from the kernel: what no service entry points at (an earlier agent died before
  // its last deletions).
  std::vector<weft_backend_key> strays;
  std::vector<weft_backend_slot_key> stray_slots;
  // What could not be expressed, as sentences for the log and the status; each of them fails closed.
  std::vector<std::string> problems;
};

struct PutName {
  weft_name_key key;
  weft_name value;
};
struct EraseName {
  weft_name_key key;
};
struct PutWorkload {
  weft_address key;
  weft_workload value;
};
struct EraseWorkload {
  weft_address key;
};
struct PutPolicy {
  weft_policy_key key;
  weft_policy value;
};
struct ErasePolicy {
  weft_policy_key key;
};
struct PutPortMode {
  weft_port_key key;
  weft_port_mode value;
};
struct ErasePortMode {
  weft_port_key key;
};
struct PutExclusion {
  weft_exclusion_key key;
  weft_exclusion value;
};
struct EraseExclusion {
  weft_exclusion_key key;
};
// Brings the armed pod with this pod_id and generation, if there is one, to the declared attributes.
struct SetPod {
  weft_pod value;
};
struct PutBackend {
  weft_backend_key key;
  weft_backend value;
};
struct EraseBackend {
  weft_backend_key key;
};
// Where a backend of a service with session affinity stands.
struct PutBackendSlot {
  weft_backend_slot_key key;
  weft_backend_slot value;
};
struct EraseBackendSlot {
  weft_backend_slot_key key;
};
// Makes the backends of head.generation the ones in use: the flip.
struct PutService {
  weft_service_key key;
  weft_service head;
};
struct EraseService {
  weft_service_key key;
};
// All hooks that may still be looking at what was flipped away have returned.
struct GracePeriod {};

using Change = std::variant<PutName, PutPolicy, PutPortMode, PutExclusion, PutWorkload, SetPod, PutBackend,
                            PutBackendSlot, PutService, EraseService, GracePeriod, ErasePolicy, ErasePortMode,
                            EraseExclusion, EraseBackend, EraseBackendSlot, EraseWorkload, EraseName>;

// Ordered: applied first to last, no prefix of it leaves a table that a hook could misread.
using Changes = std::vector<Change>;

}  // namespace weft::compile
