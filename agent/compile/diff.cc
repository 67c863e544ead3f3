#include <algorithm>

#include "agent/compile/compile.h"

namespace weft::compile {
namespace {

// So many backends are written before the entries that flip to them: enough for one batch, few enough that a
// full rewrite does not need twice the room.
constexpr size_t kGroupBackends = 512;

template <typename T>
bool same(const T& a, const T& b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

bool has_affinity(const Service& service) {
  return (service.head.flags & WEFT_SERVICE_AFFINITY) != 0;
}

// Whether both have the same contents in `backends` and `backend_slots`.
bool same_backends(const Service& a, const Service& b) {
  return has_affinity(a) == has_affinity(b) && std::ranges::equal(a.backends, b.backends, same<weft_backend>);
}

Table<weft_backend_slot_key, weft_backend_slot> slots_of(const Service& service) {
  Table<weft_backend_slot_key, weft_backend_slot> out;
  if (!has_affinity(service)) return out;
  for (uint32_t slot = 0; slot < service.backends.size(); ++slot) {
    const auto& backend = service.backends[slot];
    out.emplace(weft_backend_slot_key{backend.address, service.head.service_id, backend.port, 0},
                weft_backend_slot{service.head.generation, slot});
  }
  return out;
}

template <typename Put, typename Key, typename Value>
void put_changed(const Table<Key, Value>& old, const Table<Key, Value>& desired, Changes& out) {
  for (const auto& [key, value] : desired) {
    auto before = old.find(key);
    if (before == old.end() || !same(before->second, value)) out.push_back(Put{key, value});
  }
}

template <typename Erase, typename Key, typename Value>
void erase_gone(const Table<Key, Value>& old, const Table<Key, Value>& desired, Changes& out) {
  for (const auto& [key, value] : old)
    if (!desired.contains(key)) out.push_back(Erase{key});
}

void set_pods(const Tables& old, const Tables& desired, Changes& out) {
  for (const auto& [uid, pod] : desired.pods) {
    auto before = old.pods.find(uid);
    if (before == old.pods.end() || !same(before->second, pod)) out.push_back(SetPod{pod});
  }
}

// The order of services in the changes: staged backends, then flips, group by group; what they leave behind
// is erased after all of them.
class ServiceChanges {
 public:
  ServiceChanges(const Tables& old, Tables& desired, Changes& out)
      : old_(old), desired_(desired), out_(out) {
    for (const auto& key : old.strays) {
      auto& newest = stray_generation_[key.service_id];
      newest = std::max(newest, key.generation);
    }
  }

  void write() {
    for (auto& [key, service] : desired_.services) write_service(key, service);
    flip();
    for (const auto& [key, service] : old_.services) {
      if (desired_.services.contains(key)) continue;
      out_.push_back(EraseService{key});
      leave_behind(service, {});
    }
    gone_.insert(gone_.end(), old_.strays.begin(), old_.strays.end());
    drop_stray_slots();
  }

  [[nodiscard]] const std::vector<weft_backend_key>& gone() const { return gone_; }
  [[nodiscard]] const std::vector<weft_backend_slot_key>& gone_slots() const { return gone_slots_; }

 private:
  void write_service(const weft_service_key& key, Service& service) {
    auto before = old_.services.find(key);
    if (before == old_.services.end()) {
      service.head.generation = 1;
      return stage(key, service);
    }
    const Service& previous = before->second;
    const bool same_id = previous.head.service_id == service.head.service_id;
    if (same_id && same_backends(previous, service)) {
      service.head.generation = previous.head.generation;
      if (!same(previous.head, service.head)) flips_.push_back({key, service.head});
      return;
    }
    service.head.generation = std::max(previous.head.generation, newest_stray(previous.head.service_id)) + 1;
    leave_behind(previous, slots_of(service));
    stage(key, service);
  }

  // A generation that an earlier agent began to stage is not continued: its entries are erased below.
  [[nodiscard]] uint32_t newest_stray(uint32_t service_id) const {
    auto found = stray_generation_.find(service_id);
    return found == stray_generation_.end() ? 0 : found->second;
  }

  void stage(const weft_service_key& key, const Service& service) {
    const auto& head = service.head;
    for (uint32_t slot = 0; slot < service.backends.size(); ++slot)
      out_.push_back(PutBackend{{head.service_id, head.generation, slot}, service.backends[slot]});
    for (const auto& [slot_key, slot] : slots_of(service)) out_.push_back(PutBackendSlot{slot_key, slot});
    staged_ += service.backends.size();
    flips_.push_back({key, head});
    if (staged_ >= kGroupBackends) flip();
  }

  void flip() {
    out_.insert(out_.end(), flips_.begin(), flips_.end());
    flips_.clear();
    staged_ = 0;
  }

  // Slots that `kept` has were overwritten, not left behind.
  void leave_behind(const Service& service, const Table<weft_backend_slot_key, weft_backend_slot>& kept) {
    for (uint32_t slot = 0; slot < service.backends.size(); ++slot)
      gone_.push_back({service.head.service_id, service.head.generation, slot});
    for (const auto& [key, slot] : slots_of(service))
      if (!kept.contains(key)) gone_slots_.push_back(key);
  }

  void drop_stray_slots() {
    if (old_.stray_slots.empty()) return;
    Table<weft_backend_slot_key, weft_backend_slot> kept;
    for (const auto& [key, service] : desired_.services) kept.merge(slots_of(service));
    for (const auto& key : old_.stray_slots)
      if (!kept.contains(key)) gone_slots_.push_back(key);
  }

  const Tables& old_;
  Tables& desired_;
  Changes& out_;
  std::map<uint32_t, uint32_t> stray_generation_;  // the newest, by service id
  std::vector<PutService> flips_;
  size_t staged_ = 0;
  std::vector<weft_backend_key> gone_;
  std::vector<weft_backend_slot_key> gone_slots_;
};

}  // namespace

Changes diff(const Tables& old, Tables& desired) {
  Changes out;
  put_changed<PutName>(old.names, desired.names, out);
  // New policy entries before the flags that make them count, old ones after the flags that made them count.
  put_changed<PutPolicy>(old.policies, desired.policies, out);
  put_changed<PutPortMode>(old.port_modes, desired.port_modes, out);
  put_changed<PutExclusion>(old.exclusions, desired.exclusions, out);
  put_changed<PutWorkload>(old.workloads, desired.workloads, out);
  set_pods(old, desired, out);
  ServiceChanges services(old, desired, out);
  services.write();
  const size_t before_deletions = out.size();
  erase_gone<ErasePolicy>(old.policies, desired.policies, out);
  erase_gone<ErasePortMode>(old.port_modes, desired.port_modes, out);
  erase_gone<EraseExclusion>(old.exclusions, desired.exclusions, out);
  for (const auto& key : services.gone()) out.push_back(EraseBackend{key});
  for (const auto& key : services.gone_slots()) out.push_back(EraseBackendSlot{key});
  erase_gone<EraseWorkload>(old.workloads, desired.workloads, out);
  erase_gone<EraseName>(old.names, desired.names, out);
  // A hook that read a head or a flag before it was flipped still looks for what belonged to it.
  if (out.size() > before_deletions)
    out.insert(out.begin() + static_cast<ptrdiff_t>(before_deletions), GracePeriod{});
  return out;
}

}  // namespace weft::compile
