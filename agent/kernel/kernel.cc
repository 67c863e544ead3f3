#include "agent/kernel/kernel.h"

#include <unistd.h>

#include <algorithm>

#include "agent/kernel/apply.h"
#include "agent/kernel/impl.h"
#include "agent/kernel/maps.h"

namespace weft::kernel {

namespace {

// A second run finds the room that the first one made.
constexpr int kRuns = 2;

constexpr const char* kCounterNames[] = {
#define WEFT_COUNTER_NAME(name, meaning) #name,
    WEFT_COUNTERS(WEFT_COUNTER_NAME)
};
constexpr const char* kExclusionCounterNames[] = {
    WEFT_EXCLUSION_COUNTERS(WEFT_COUNTER_NAME)
#undef WEFT_COUNTER_NAME
};

// The fields of one per-CPU entry, each summed over the CPUs.
template <typename Counters, size_t N>
base::Status add_sums(int map, const char* const (&names)[N], std::vector<Counter>& out) {
  static_assert(sizeof(Counters) == N * sizeof(uint64_t));
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return base::fail_errno("count the CPUs");
  std::vector<Counters> per_cpu(static_cast<size_t>(cpus));
  const uint32_t key = 0;
  if (bpf_map_lookup_elem(map, &key, per_cpu.data()) != 0) return base::fail_errno("read counters");
  for (size_t i = 0; i < N; ++i) {
    uint64_t sum = 0;
    for (const auto& counters : per_cpu) sum += reinterpret_cast<const __u64*>(&counters)[i];
    out.push_back({names[i], sum});
  }
  return {};
}

}  // namespace

Kernel::Kernel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Kernel::~Kernel() = default;

base::Result<std::unique_ptr<Kernel>> Kernel::open(const Options& options) {
  auto impl = std::make_unique<Impl>();
  TRY_ASSIGN(impl->installed, install(options));
  TRY_ASSIGN(impl->current, read_back(impl->installed.maps));
  return std::unique_ptr<Kernel>(new Kernel(std::move(impl)));
}

Start Kernel::start() const {
  return impl_->installed.start;
}
const compile::Tables& Kernel::current() const {
  return impl_->current;
}
bool Kernel::has_exclusions_of(uint32_t pod_id) const {
  return !impl_->lacking_exclusions.contains(pod_id);
}
const Failures& Kernel::failures() const {
  return impl_->failures;
}

base::Status Kernel::sync(compile::Tables desired) {
  Shortfall shortfall;
  for (int run = 0; run < kRuns; ++run) {
    shortfall = apply_changes(impl_->installed.maps, compile::diff(impl_->current, desired));
    if (shortfall.first.empty()) {
      impl_->current = std::move(desired);
      impl_->lacking_exclusions.clear();
      return {};
    }
    // What was written and what was not is best known by the maps themselves.
    TRY_ASSIGN(impl_->current, read_back(impl_->installed.maps));
  }
  impl_->current.pods = desired.pods;
  for (auto& [uid, pod] : impl_->current.pods) {
    if (shortfall.pods.contains(pod.pod_id)) pod.flags |= WEFT_POD_INBOUND_PROXY;
    if (shortfall.strict_pods.contains(pod.pod_id)) pod.flags = strict_everywhere(pod.flags);
  }
  impl_->lacking_exclusions = std::move(shortfall.captured_pods);
  impl_->failures.pods_left_captured += impl_->lacking_exclusions.size();
  impl_->failures.services_left_out += shortfall.services.size();
  impl_->failures.pods_left_to_proxy += shortfall.pods.size();
  impl_->failures.pods_made_strict += shortfall.strict_pods.size();
  impl_->failures.writes_failed += shortfall.writes;
  return base::fail(base::ErrorKind::kLimit,
                    shortfall.first + "; left out: " + std::to_string(shortfall.services.size()) +
                        " services, the policy of " + std::to_string(shortfall.pods.size()) + " pods, the port modes of " +
                        std::to_string(shortfall.strict_pods.size()) + " pods, the exclusions of " +
                        std::to_string(impl_->lacking_exclusions.size()) + " pods, " +
                        std::to_string(shortfall.writes) + " other entries");
}

base::Result<compile::Tables> Kernel::read_tables() const {
  return read_back(impl_->installed.maps);
}

base::Status Kernel::set_exempt_cgroups(const std::vector<Exempt>& cgroups, bool known_proxies) {
  std::map<uint64_t, weft_exempt_reason> wanted;
  for (const auto& exempt : cgroups) {
    TRY_ASSIGN(auto id, cgroup_id(exempt.directory));
    wanted[id] = exempt.reason;
  }
  const int map = impl_->map("exempt_cgroups");
  std::vector<weft_exempt_key> gone;
  TRY((read_all<weft_exempt_key, weft_exempt>(map, [&](const weft_exempt_key& key, const weft_exempt& value) {
    const bool stays = !known_proxies && value.reason == WEFT_EXEMPT_PROXY;
    if (!wanted.contains(key.cgroup_id) && !stays) gone.push_back(key);
  })));
  for (const auto& [id, reason] : wanted) {
    const weft_exempt_key key{id};
    const weft_exempt value{reason};
    if (bpf_map_update_elem(map, &key, &value, BPF_ANY) != 0) return base::fail_errno("exempt a cgroup");
  }
  for (const auto& key : gone) bpf_map_delete_elem(map, &key);
  return {};
}

base::Result<unsigned> Kernel::repair_hooks() {
  TRY_ASSIGN(auto repaired, attach_missing(impl_->installed));
  impl_->failures.hooks_repaired += repaired;
  return repaired;
}

base::Result<std::vector<Counter>> Kernel::counters() const {
  std::vector<Counter> out;
  TRY(add_sums<weft_counters>(impl_->map("counters"), kCounterNames, out));
  TRY(add_sums<weft_exclusion_counters>(impl_->map("excluded_counts"), kExclusionCounterNames, out));
  return out;
}

std::vector<Attachment> Kernel::attachments() const {
  std::vector<Attachment> out;
  for (const auto& hook : impl_->installed.hooks.cgroup) {
    if (!is_placed(impl_->installed, hook)) continue;
    auto view = view_attachment(impl_->installed, hook);
    out.push_back(view ? *view
                       : Attachment{.hook = hook.name, .state = LinkState::kAbsent, .ours = 0, .foreign = 0});
  }
  return out;
}

int Kernel::events_map() const {
  return impl_->map("events");
}

}  // namespace weft::kernel
