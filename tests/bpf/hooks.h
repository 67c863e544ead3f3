#pragma once
// The real programs on a cgroup of the test's own, without the agent: maps and links live in file descriptors
// only, so nothing is pinned and everything is gone with the test.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "bpf/abi/weft_abi.h"
#include "tests/support/netns_harness.h"
#include "userspace-proxy/base/address.h"

namespace weft::test {

struct HookOptions {
  uint32_t mark = WEFT_MARK_DEFAULT;
  bool has_ifindex = true;  // false: what runs on a 5.15 kernel
  bool has_set_retval = true;
};

class Hooks {
 public:
  explicit Hooks(const Cgroup& pods, const HookOptions& options = {});
  ~Hooks();
  Hooks(const Hooks&) = delete;
  Hooks& operator=(const Hooks&) = delete;

  // The kubelet's probes: what `kubelet` opens from `node`.
  void attach_probe(const Cgroup& kubelet, const Netns& node);
  // The pod's own sk_lookup instance; detach_pod() takes it away.
  void attach_pod(const Netns& netns);
  void detach_pod(const Netns& netns);

  [[nodiscard]] int map(const std::string& name) const;

  template <typename Key, typename Value>
  void put(const std::string& name, const Key& key, const Value& value) const {
    if (bpf_map_update_elem(map(name), &key, &value, BPF_ANY) != 0)
      throw std::runtime_error("write to " + name);
  }
  template <typename Key>
  void erase(const std::string& name, const Key& key) const {
    bpf_map_delete_elem(map(name), &key);
  }
  template <typename Value, typename Key>
  std::optional<Value> get(const std::string& name, const Key& key) const {
    Value value{};
    if (bpf_map_lookup_elem(map(name), &key, &value) != 0) return std::nullopt;
    return value;
  }

  // Summed over the CPUs.
  [[nodiscard]] uint64_t count(weft_counter counter) const;
  [[nodiscard]] uint64_t excluded(weft_exclusion_counter counter) const;
  // What was reported since the last call.
  [[nodiscard]] std::vector<weft_event> events();

 private:
  struct Objects;
  struct LinkDestroy {
    void operator()(bpf_link* link) const { bpf_link__destroy(link); }
  };
  struct PodLookup;

  [[nodiscard]] uint64_t sum(const char* map_name, size_t fields, size_t field) const;
  void share_maps(bpf_object* object) const;
  void attach(bpf_program* program, const Cgroup& pods);

  HookOptions options_;
  std::unique_ptr<Objects> objects_;
  std::map<std::string, int> maps_;
  std::vector<std::unique_ptr<bpf_link, LinkDestroy>> links_;
  std::map<uint64_t, std::unique_ptr<PodLookup>> lookups_;
  std::vector<weft_event> reported_;
  ring_buffer* ring_ = nullptr;
};

[[nodiscard]] weft_address to_abi(const base::Address& address);
[[nodiscard]] base::Address from_abi(const weft_address& address);

}  // namespace weft::test
