#include "agent/enrol/enroller.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "agent/compile/compile.h"
#include "agent/enrol/pod_keeper.h"
#include "userspace-proxy/base/log.h"

namespace weft::enrol {
namespace {

constexpr base::Nanos kTick = base::Millis(200);
constexpr uint32_t kMoment = WEFT_POD_ENROLLED | WEFT_POD_MARKING;

base::Result<std::vector<base::Fd>> make_stock_of(const std::map<uint64_t, std::unique_ptr<PodKeeper>>& pods,
                                                  const model::StockKey& key, uint32_t count) {
  const auto it = pods.find(key.pod.netns_cookie);
  if (it == pods.end()) return base::fail(base::ErrorKind::kNotFound, "the pod is gone");
  return it->second->netns().make_stock(key.kind, key.family, count);
}

}  // namespace

std::string_view name_of(Gap gap) {
  constexpr std::array<std::string_view, kGaps> kNames = {"none",     "namespace", "arming",
                                                          "no_proxy", "untested",  "self_test"};
  return kNames[static_cast<size_t>(gap)];
}

Enroller::Enroller(base::Loop& loop, EnrolDoors doors, EnrolOptions options)
    : loop_(loop),
      doors_(std::move(doors)),
      options_(options),
      timer_(loop.timers(), [this] { tick(); }),
      last_tick_(loop.clock().now()),
      stock_(loop.clock(), doors_.outlet, [this](const model::StockKey& key, uint32_t count) {
        return make_stock_of(pods_, key, count);
      }) {
  timer_.arm(kTick);
}

Enroller::~Enroller() = default;

base::Status Enroller::adopt() {
  TRY_ASSIGN(inherited_, doors_.kernel.pods());
  if (!inherited_.empty())
    spdlog::info("enrol: {} pods were left captured by an earlier agent", inherited_.size());
  return {};
}

PodKeeper* Enroller::find_open(const DesiredPod& desired) {
  for (auto& [cookie, keeper] : pods_) {
    const Pod& pod = keeper->pod();
    if (pod.key().name == desired.name && pod.desired().netns_path == desired.netns_path && pod.is_in_place())
      return keeper.get();
  }
  return nullptr;
}

bool Enroller::is_armed(const std::string& name, const std::string& netns_path) const {
  return std::ranges::any_of(pods_, [&](const auto& entry) {
    const Pod& pod = entry.second->pod();
    return pod.step() == Step::kArmed && pod.key().name == name && pod.netns_is(netns_path);
  });
}

PodNetns* Enroller::netns_of(uint32_t pod_id) const {
  for (const auto& [cookie, keeper] : pods_) {
    const Pod& pod = keeper->pod();
    if (pod.step() == Step::kArmed && pod.desired().entry.pod_id == pod_id) return &keeper->netns();
  }
  return nullptr;
}

void Enroller::release_absent(const std::vector<DesiredPod>& desired) {
  std::set<const PodKeeper*> wanted;
  for (const DesiredPod& one : desired) wanted.insert(find_open(one));
  for (auto& [cookie, keeper] : pods_) {
    if (wanted.contains(keeper.get()) || keeper->pod().step() == Step::kLingering) continue;
    spdlog::info("enrol: pod {} leaves the mesh", keeper->pod().key().name);
    keeper->release();
    if (keeper->pod().is_in_place()) continue;
    keeper->abandon();  // it ended: no connection of it is left
  }
  drop_gone();
}

void Enroller::enrol(const std::vector<DesiredPod>& desired) {
  waiting_.clear();
  for (const DesiredPod& one : desired) {
    PodKeeper* keeper = find_open(one);
    if (keeper == nullptr) {
      waiting_.push_back({one, ""});
      continue;
    }
    keeper->update(one);
  }
  open_waiting();
  const bool first = !std::exchange(first_enrol_done_, true);
  release_inherited();
  if (first) forget_strangers();
  keep_all();
  publish_status();
}

void Enroller::open_waiting() {
  std::vector<Waiting> still;
  for (Waiting& one : std::exchange(waiting_, {})) {
    if (one.pod.netns_path.empty()) {
      one.why = "its network namespace is not known yet";
      still.push_back(std::move(one));
      continue;
    }
    auto netns = doors_.open(one.pod.netns_path);
    if (!netns) {
      one.why = base::describe(netns.error());
      still.push_back(std::move(one));
      continue;
    }
    take_in(std::move(*netns), one.pod);
  }
  waiting_ = std::move(still);
}

void Enroller::take_in(std::unique_ptr<PodNetns> netns, const DesiredPod& desired) {
  const uint64_t cookie = netns->cookie();
  const auto inherited = inherited_.extract(cookie);
  bool captured = !inherited.empty() && (inherited.mapped().flags & kMoment) == kMoment;
  // A namespace that is known under another path or name: the newest word counts, and it stays captured.
  if (auto known = pods_.extract(cookie); !known.empty()) {
    const Pod& before = known.mapped()->pod();
    captured = captured || before.step() == Step::kArmed;
    if (before.key().name != desired.name) {
      stock_.remove_pod(before.key());
      doors_.outlet.remove_pod(before.key());
    }
    loop_.retire(std::move(known.mapped()));
  }
  make_room(desired.entry.listener_slot);
  pods_.emplace(cookie, std::make_unique<PodKeeper>(*this, std::move(netns), desired, captured));
}

// A pod's place in the tables is given to another while it still lingers: its last connections go down with
// it.
void Enroller::make_room(uint32_t listener_slot) {
  for (auto& [cookie, keeper] : pods_) {
    const Pod& pod = keeper->pod();
    if (pod.step() == Step::kLingering && pod.desired().entry.listener_slot == listener_slot)
      keeper->abandon();
  }
  drop_gone();
}

// But not one that may be the namespace of a pod which is waited for: an agent that starts anew does not know at once
// where everybody lives, and what was captured stays so.
void Enroller::release_inherited() {
  const auto is_waited_for = [this](const auto& entry) {
    return std::ranges::any_of(waiting_, [&](const Waiting& one) {
      return one.pod.entry.pod_id == entry.second.pod_id && one.pod.entry.generation == entry.second.generation;
    });
  };
  for (;;) {
    const auto it = std::ranges::find_if_not(inherited_, is_waited_for);
    if (it == inherited_.end()) return;
    const auto [cookie, entry] = *it;
    if (auto netns = doors_.find(cookie)) {
      spdlog::info("enrol: a pod of an earlier agent (netns {}) leaves the mesh", cookie);
      take_in(std::move(*netns), {.name = "unknown/unknown", .entry = entry});
      pods_.at(cookie)->release();
      continue;
    }
    clear_tables(cookie, entry);
    inherited_.erase(cookie);
  }
}

// What an earlier agent remembered of pods that have ended meanwhile.
void Enroller::forget_strangers() {
  if (doors_.pre_mesh == nullptr) return;
  std::set<uint64_t> here;
  for (const auto& [cookie, keeper] : pods_) here.insert(cookie);
  for (const auto& [cookie, entry] : inherited_) here.insert(cookie);
  doors_.pre_mesh->keep_only(here);
}

// Of a pod whose namespace nobody can enter any more.
void Enroller::clear_tables(uint64_t cookie, const weft_pod& entry) {
  for (uint32_t i = 0; i < WEFT_LISTENERS_PER_POD; ++i)
    (void)doors_.kernel.clear_listener(entry.listener_slot + i);
  (void)doors_.kernel.detach_pod(cookie);
  (void)doors_.kernel.remove_pod(cookie);
}

void Enroller::keep_all() {
  const base::Instant now = loop_.clock().now();
  for (auto& [cookie, keeper] : pods_) {
    keeper->tick(now);
    if (!keeper->lost() || keeper->pod().step() == Step::kGone) continue;
    waiting_.push_back({keeper->pod().desired(), ""});
    keeper->release();
    keeper->abandon();
  }
  drop_gone();
}

void Enroller::doubt_all(const std::string& why) {
  for (auto& [cookie, keeper] : pods_) keeper->doubt(why);
}

void Enroller::drop_gone() {
  for (auto it = pods_.begin(); it != pods_.end();) {
    const auto here = it++;
    if (here->second->pod().step() != Step::kGone) continue;
    spdlog::info("enrol: pod {} has left", here->second->pod().key().name);
    stock_.remove_pod(here->second->pod().key());
    loop_.retire(std::move(here->second));
    pods_.erase(here);
  }
}

void Enroller::tick() {
  timer_.arm(kTick);
  const base::Instant now = loop_.clock().now();
  account(now - std::exchange(last_tick_, now));
  open_waiting();
  if (first_enrol_done_) release_inherited();
  keep_all();
  stock_.tick();
  publish_status();
}

void Enroller::account(base::Nanos passed) {
  const double seconds = std::chrono::duration<double>(passed).count();
  for (const PodStatus& pod : collect())
    if (!pod.captured && !pod.leaving)
      numbers_.uncaptured_pod_seconds[static_cast<size_t>(pod.gap)] += seconds;
}

std::vector<PodStatus> Enroller::collect() const {
  std::vector<PodStatus> all;
  for (const auto& [cookie, keeper] : pods_) all.push_back(keeper->status());
  for (const Waiting& one : waiting_)
    all.push_back({.name = one.pod.name, .gap = Gap::kNamespace, .detail = one.why});
  return all;
}

void Enroller::publish_status() {
  std::vector<PodStatus> all = collect();
  numbers_.captured_pods = static_cast<uint64_t>(std::ranges::count_if(all, &PodStatus::captured));
  numbers_.leaving_pods = static_cast<uint64_t>(std::ranges::count_if(all, &PodStatus::leaving));
  numbers_.enrolled_pods = all.size() - numbers_.leaving_pods;
  numbers_.pre_mesh_connections = 0;
  for (const PodStatus& pod : all) numbers_.pre_mesh_connections += pod.pre_mesh.open;
  numbers_.stock = stock_.gauges();
  numbers_.stock_counters = stock_.counters();
  bool changed = false;
  {
    base::MutexLock lock(mutex_);
    changed = status_ != all;
    status_ = std::move(all);
    metrics_ = numbers_;
    ready_ = first_enrol_done_ && numbers_.captured_pods == numbers_.enrolled_pods;
  }
  if (changed && on_change_) on_change_();
}

std::vector<PodStatus> Enroller::status() const {
  base::MutexLock lock(mutex_);
  return status_;
}

EnrolMetrics Enroller::metrics() const {
  base::MutexLock lock(mutex_);
  return metrics_;
}

bool Enroller::ready() const {
  base::MutexLock lock(mutex_);
  return ready_;
}

void Enroller::on_proxy_ready(publish::ProxyId proxy) {
  loop_.post([this, proxy] {
    proxies_.insert(proxy);
    follow_proxy();
  });
}

void Enroller::on_proxy_gone(publish::ProxyId proxy) {
  loop_.post([this, proxy] {
    proxies_.erase(proxy);
    follow_proxy();
  });
}

// The newest proxy gets the stock. When it goes, an older one that is still there serves on and gets it
// again.
void Enroller::follow_proxy() {
  const publish::ProxyId newest = proxies_.empty() ? 0 : *proxies_.rbegin();
  if (newest == proxy_) return;
  proxy_ = newest;
  if (proxy_ == 0) stock_.proxy_gone();
  if (proxy_ != 0) stock_.proxy_ready();
  for (auto& [cookie, keeper] : pods_) keeper->proxy_changed();
  publish_status();
}

void Enroller::on_stock_level(publish::ProxyId proxy, const model::StockLevel& report) {
  loop_.post([this, proxy, report] {
    if (proxy == proxy_) stock_.report(report);
  });
}

std::vector<DesiredPod> desired_pods(const model::Snapshot& snapshot,
                                     const std::vector<LocalTerms>& terms, const compile::Tables& tables) {
  CHECK(terms.size() == snapshot.local_pods.size());
  std::vector<DesiredPod> desired;
  for (size_t i = 0; i < terms.size(); ++i) {
    const model::Workload& workload = snapshot.workloads[snapshot.local_pods[i].workload];
    const auto entry = tables.pods.find(compile::pod_key(workload));
    if (entry == tables.pods.end()) continue;
    desired.push_back({.name = model::key_of(workload),
                       .netns_path = terms[i].netns_path,
                       .entry = entry->second,
                       .pre_mesh = terms[i].pre_mesh});
  }
  return desired;
}

}  // namespace weft::enrol
