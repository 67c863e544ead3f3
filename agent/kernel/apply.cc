#include "agent/kernel/apply.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "agent/kernel/maps.h"

namespace weft::kernel {
namespace {

using namespace compile;  // the kinds of Change

// Returns when every hook that was running has returned: hooks run under RCU, and this waits for a grace
// period.
void wait_for_running_hooks() {
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0) usleep(20000);
}

// Writes waiting to go out together.
template <typename Key, typename Value>
struct Pending {
  std::vector<Key> keys;
  std::vector<Value> values;
};

// Walks the changes in order. Equal kinds in a row leave as one batch; the flips wait for their backends.
class Applier {
 public:
  explicit Applier(const MapSet& maps) : maps_(maps) {}

  Shortfall run(const Changes& changes) {
    size_t kind = std::variant_npos;
    for (const Change& change : changes) {
      if (change.index() != kind) flush();
      kind = change.index();
      std::visit([this](const auto& c) { take(c); }, change);
    }
    flush();
    return std::move(short_);
  }

 private:
  template <typename Key, typename Value>
  static void add(Pending<Key, Value>& pending, const Key& key, const Value& value) {
    pending.keys.push_back(key);
    pending.values.push_back(value);
  }

  void take(const PutName& c) { add(names_, c.key, c.value); }
  void take(const PutPolicy& c) { add(policies_, c.key, c.value); }
  void take(const PutPortMode& c) { add(port_modes_, c.key, c.value); }
  void take(const PutExclusion& c) { add(exclusions_, c.key, c.value); }
  void take(const PutWorkload& c) { add(workloads_, c.key, c.value); }
  void take(const PutBackend& c) {
    if (!short_.services.contains(c.key.service_id)) add(backends_, c.key, c.value);
  }
  void take(const PutBackendSlot& c) {
    if (!short_.services.contains(c.key.service_id)) add(slots_, c.key, c.value);
  }
  void take(const PutService& c) {
    if (!short_.services.contains(c.head.service_id)) add(services_, c.key, c.head);
  }
  void take(const EraseName& c) { gone_names_.push_back(c.key); }
  void take(const ErasePolicy& c) { gone_policies_.push_back(c.key); }
  void take(const ErasePortMode& c) { gone_port_modes_.push_back(c.key); }
  void take(const EraseExclusion& c) { gone_exclusions_.push_back(c.key); }
  void take(const EraseWorkload& c) { gone_workloads_.push_back(c.key); }
  void take(const EraseService& c) { gone_services_.push_back(c.key); }
  // A service that was left out still uses its old generation.
  void take(const EraseBackend& c) {
    if (!short_.services.contains(c.key.service_id)) gone_backends_.push_back(c.key);
  }
  void take(const EraseBackendSlot& c) {
    if (!short_.services.contains(c.key.service_id)) gone_slots_.push_back(c.key);
  }
  void take(const GracePeriod&) { wait_for_running_hooks(); }
  void take(const SetPod& c) {
    auto armed = find_pod(maps_, c.value.pod_id, c.value.generation);
    if (!armed) return fail("pods", armed.error().sys_errno);
    for (const auto& key : *armed) set_pod(key, c.value);
  }

  void set_pod(const weft_pod_key& key, weft_pod value) {
    weft_pod before{};
    if (bpf_map_lookup_elem(fd("pods"), &key, &before) != 0) return;
    value.flags |= before.flags & kArmingFlags;
    if (short_.pods.contains(value.pod_id)) value.flags |= WEFT_POD_INBOUND_PROXY;
    if (short_.strict_pods.contains(value.pod_id)) value.flags = strict_everywhere(value.flags);
    if (bpf_map_update_elem(fd("pods"), &key, &value, BPF_EXIST) != 0) fail("pods", errno);
  }

  [[nodiscard]] int fd(const char* map) const { return maps_.at(map).get(); }

  void note(const char* map, int why) {
    if (!short_.first.empty()) return;
    // The kernel says E2BIG for a full hash and ENOSPC for a full trie.
    const bool full = why == E2BIG || why == ENOSPC || why == ENOMEM;
    short_.first = std::string("map \"") + map + "\": " + (full ? "full" : std::strerror(why));
  }
  void fail(const char* map, int why) {
    ++short_.writes;
    note(map, why);
  }

  template <typename Key, typename Value, typename Failed>
  void put(const char* map, Pending<Key, Value>& pending, Failed failed) {
    if (pending.keys.empty()) return;
    put_all(fd(map), pending.keys, pending.values, [&](size_t i, int why) {
      failed(pending.keys[i], pending.values[i]);
      note(map, why);
    });
    pending = {};
  }

  template <typename Key>
  void erase(const char* map, std::vector<Key>& keys) {
    if (!keys.empty()) erase_all(fd(map), keys, [&](size_t, int why) { fail(map, why); });
    keys.clear();
  }

  void flush() {
    auto counted = [this](const auto&, const auto&) { ++short_.writes; };
    put("names", names_, counted);
    put("policy", policies_, [&](const weft_policy_key& key, const auto&) { leave_to_proxy(key.pod_id); });
    put("port_modes", port_modes_, [&](const weft_port_key& key, const auto&) { make_strict(key.pod_id); });
    // What is missing is captured, which is the safe side.
    put("exclusions", exclusions_,
        [&](const auto&, const weft_exclusion& exclusion) { short_.captured_pods.insert(exclusion.pod_id); });
    put("workloads", workloads_, counted);
    flush_backends();
    put("backend_slots", slots_,
        [&](const weft_backend_slot_key& key, const auto&) { leave_out(key.service_id); });
    flip_services();
    erase("services", gone_services_);
    erase("policy", gone_policies_);
    erase("port_modes", gone_port_modes_);
    erase("exclusions", gone_exclusions_);
    erase("backends", gone_backends_);
    erase("backend_slots", gone_slots_);
    erase("workloads", gone_workloads_);
    erase("names", gone_names_);
  }

  void flush_backends() {
    staged_.insert(staged_.end(), backends_.keys.begin(), backends_.keys.end());
    std::set<uint32_t> failed;
    put("backends", backends_,
        [&](const weft_backend_key& key, const auto&) { failed.insert(key.service_id); });
    for (uint32_t service_id : failed) leave_out(service_id);
  }

  void flip_services() {
    if (services_.keys.empty()) return;
    put("services", services_, [&](const auto&, const weft_service& head) { leave_out(head.service_id); });
    staged_.clear();  // in use now
  }

  // A rule that the kernel cannot hold must not be forgotten: the proxy knows them all.
  void leave_to_proxy(uint32_t pod_id) {
    if (!short_.pods.insert(pod_id).second) return;
    rewrite(pod_id);
  }

  // A port whose mode the kernel cannot hold may be the strict one.
  void make_strict(uint32_t pod_id) {
    if (!short_.strict_pods.insert(pod_id).second) return;
    rewrite(pod_id);
  }

  // The armed entry of this pod again, with what short_ now says of it.
  void rewrite(uint32_t pod_id) {
    auto status =
        read_all<weft_pod_key, weft_pod>(fd("pods"), [&](const weft_pod_key& key, const weft_pod& pod) {
          if (pod.pod_id == pod_id) set_pod(key, pod);
        });
    if (!status) fail("pods", status.error().sys_errno);
  }

  // Takes back what was staged for a service that will not be flipped.
  void leave_out(uint32_t service_id) {
    if (!short_.services.insert(service_id).second) return;
    std::vector<weft_backend_key> back;
    for (const auto& key : staged_)
      if (key.service_id == service_id) back.push_back(key);
    erase_all(fd("backends"), back, [&](size_t, int why) { fail("backends", why); });
  }

  const MapSet& maps_;
  Shortfall short_;
  std::vector<weft_backend_key> staged_;  // of services not flipped yet
  Pending<weft_name_key, weft_name> names_;
  Pending<weft_policy_key, weft_policy> policies_;
  Pending<weft_port_key, weft_port_mode> port_modes_;
  Pending<weft_exclusion_key, weft_exclusion> exclusions_;
  Pending<weft_address, weft_workload> workloads_;
  Pending<weft_backend_key, weft_backend> backends_;
  Pending<weft_backend_slot_key, weft_backend_slot> slots_;
  Pending<weft_service_key, weft_service> services_;
  std::vector<weft_name_key> gone_names_;
  std::vector<weft_policy_key> gone_policies_;
  std::vector<weft_port_key> gone_port_modes_;
  std::vector<weft_exclusion_key> gone_exclusions_;
  std::vector<weft_address> gone_workloads_;
  std::vector<weft_service_key> gone_services_;
  std::vector<weft_backend_key> gone_backends_;
  std::vector<weft_backend_slot_key> gone_slots_;
};

}  // namespace

Shortfall apply_changes(const MapSet& maps, const Changes& changes) {
  return Applier(maps).run(changes);
}

base::Result<std::vector<weft_pod_key>> find_pod(const MapSet& maps, uint32_t pod_id, uint32_t generation) {
  std::vector<weft_pod_key> out;
  TRY((read_all<weft_pod_key, weft_pod>(maps.at("pods").get(),
                                        [&](const weft_pod_key& key, const weft_pod& pod) {
                                          if (pod.pod_id == pod_id && pod.generation == generation)
                                            out.push_back(key);
                                        })));
  return out;
}

}  // namespace weft::kernel
