#include "agent/enrol/pod_keeper.h"

#include <sys/epoll.h>

#include <algorithm>
#include <utility>

#include "userspace-proxy/base/log.h"

namespace weft::enrol {
namespace {

constexpr base::Nanos kArmRetry = std::chrono::seconds(1);
constexpr base::Nanos kCheckEvery =
    base::Millis(500);  // kernel tables and link: nobody tells when they change
constexpr base::Nanos kThoroughEvery =
    std::chrono::seconds(5);  // rule and route: changes are told; this is the net
constexpr base::Nanos kFinishEvery = std::chrono::seconds(1);
constexpr base::Nanos kTestRetry = std::chrono::seconds(1);
constexpr base::Nanos kLookEvery = std::chrono::seconds(5);  // which connections of before are left

}  // namespace

PodKeeper::PodKeeper(Enroller& owner, std::unique_ptr<PodNetns> netns, const DesiredPod& desired,
                     bool inherited)
    : owner_(owner),
      loop_(owner.loop_),
      pod_(owner.doors_.kernel, owner.doors_.outlet, std::move(netns), desired, inherited),
      pre_mesh_taken_(inherited) {
  for (const model::Family family : pod_.families()) proofs_.push_back({.family = family});
  if (inherited) recall_pre_mesh();
  if (auto added = loop_.add(pod_.netns().changes_fd(), EPOLLIN, this); !added)
    spdlog::warn("enrol: pod {}: its rules and routes are looked at every few seconds only: {}", desired.name,
                 base::describe(added.error()));
}

PodKeeper::~PodKeeper() {
  loop_.remove(pod_.netns().changes_fd(), this);
}

void PodKeeper::on_io(uint32_t) {
  // Looked at in the next tick: a pod that changes its routes all the time costs no more than that.
  pod_.netns().forget_changes();
  dirty_ = true;
}

void PodKeeper::tick(base::Instant now) {
  if (pod_.step() == Step::kLingering) {
    if (now < next_finish_) return;
    next_finish_ = now + kFinishEvery;
    if (!pod_.is_in_place()) return pod_.abandon();
    (void)pod_.finish();
    return;
  }
  if (pod_.step() < Step::kArmed) arm(now);
  if (pod_.step() == Step::kArmed) look_at_pre_mesh(now);
  if (pod_.step() == Step::kArmed) check(now);
  if (pod_.step() == Step::kArmed) test(now);
  if (pod_.step() == Step::kArmed) end_pre_mesh(now);
}

void PodKeeper::note(const base::Status& status, const char* what) {
  const std::string trouble = status ? "" : base::describe(status.error());
  if (trouble == trouble_) return;
  trouble_ = trouble;
  if (!status) spdlog::error("enrol: {} pod {}: {}", what, pod_.key().name, trouble);
}

void PodKeeper::arm(base::Instant now) {
  if (now < next_arm_) return;
  next_arm_ = now + kArmRetry;
  const base::Status armed = pod_.arm();
  note(armed, "arming");
  if (!armed) {
    ++owner_.numbers_.arm_failures;
    return;
  }
  spdlog::info("enrol: pod {} is armed (netns {})", pod_.key().name, pod_.key().netns_cookie);
  for (const model::Family family : pod_.families()) {
    owner_.stock_.add({pod_.key(), model::StockKind::kOutbound, family});
    owner_.stock_.add({pod_.key(), model::StockKind::kInbound, family});
  }
  next_test_ = now;
  if (enrolled_at_ == base::Instant{}) enrolled_at_ = now;
}

// What cannot be listed now is listed at the next look.
void PodKeeper::look_at_pre_mesh(base::Instant now) {
  if (now < next_look_) return;
  next_look_ = now + kLookEvery;
  const base::Status seen =
      pre_mesh_taken_ ? pre_mesh_.look(pod_.netns()) : pre_mesh_.take(pod_.netns(), now != enrolled_at_);
  if (!seen) return spdlog::warn("enrol: pod {}: its connections: {}", pod_.key().name, base::describe(seen.error()));
  if (!std::exchange(pre_mesh_taken_, true) && pre_mesh_.now().open > 0)
    spdlog::info("enrol: pod {}: {} connections of before go on past the mesh", pod_.key().name, pre_mesh_.now().open);
  remember_pre_mesh();
}

void PodKeeper::note_memory(const base::Status& status) {
  if (status || status.error().kind == base::ErrorKind::kNotFound) return;
  ++owner_.numbers_.pre_mesh_memory_failures;
  spdlog::warn("enrol: pod {}: what the next agent shall know of its connections of before: {}", pod_.key().name,
               base::describe(status.error()));
}

void PodKeeper::recall_pre_mesh() {
  if (owner_.doors_.pre_mesh == nullptr) return;
  const auto record = owner_.doors_.pre_mesh->find(pod_.key().netns_cookie);
  if (!record) return note_memory(std::unexpected(record.error()));
  pre_mesh_.recall(*record);
  enrolled_at_ = record->enrolled_at;
  pre_mesh_remembered_ = true;
}

// Once when they are listed and once when none is left: those that end meanwhile do no harm there.
void PodKeeper::remember_pre_mesh() {
  PreMeshMemory* const memory = owner_.doors_.pre_mesh;
  const bool any = pre_mesh_.now().open > 0;
  if (memory == nullptr || any == pre_mesh_remembered_) return;
  pre_mesh_remembered_ = any;
  const uint64_t netns = pod_.key().netns_cookie;
  note_memory(any ? memory->put(netns, pre_mesh_.record(enrolled_at_)) : memory->forget(netns));
}

// Not before the capture is proven: whoever is cut calls again, and that call shall be the mesh's.
void PodKeeper::end_pre_mesh(base::Instant now) {
  const objects::PreMeshPolicy& policy = pod_.desired().pre_mesh;
  const PreMesh& all = pre_mesh_.now();
  if (!policy.end_after || all.open == 0 || all.late || now < next_end_) return;
  if (now - enrolled_at_ < *policy.end_after || !status().captured) return;
  const size_t before = all.ended;
  const base::Status ended = pre_mesh_.end_some(pod_.netns());
  owner_.numbers_.pre_mesh_ended += all.ended - before;
  if (!ended) {
    ++owner_.numbers_.pre_mesh_end_failures;
    next_end_ = now + kLookEvery;
    spdlog::error("enrol: pod {}: {} of {} connections of before could not be ended: {}", pod_.key().name, all.stuck,
                  all.open, base::describe(ended.error()));
  }
  if (all.open == 0 && all.ended > before)
    spdlog::info("enrol: pod {}: {} connections of before were ended by policy ({})", pod_.key().name, all.ended,
                 objects::to_string(policy));
  remember_pre_mesh();
}

void PodKeeper::check(base::Instant now) {
  const bool thorough = dirty_ || now >= next_thorough_;
  if (!thorough && now < next_check_) return;
  next_check_ = now + kCheckEvery;
  if (thorough) {
    next_thorough_ = now + kThoroughEvery;
    lost_ = !pod_.is_in_place();
    if (lost_) return;
  }
  dirty_ = false;
  const RepairCounts before = owner_.numbers_.repairs;
  const base::Status repaired = pod_.check(thorough, owner_.numbers_.repairs);
  note(repaired, "repairing");
  for (size_t i = 0; i < kRepairs; ++i) {
    if (before[i] == owner_.numbers_.repairs[i]) continue;
    const std::string what = "its " + std::string(name_of(static_cast<Repair>(i))) + " was missing" +
                             (repaired ? " and has been put back" : "");
    if (repaired) spdlog::warn("enrol: pod {}: {}", pod_.key().name, what);
    doubt(what + ": connections of the meantime may have gone past the mesh");
  }
}

void PodKeeper::doubt(const std::string& why) {
  for (Proof& proof : proofs_) {
    if (!proof.passed) continue;  // why it is not captured is said already
    proof.passed = false;
    proof.failure = why;
  }
  next_test_ = {};
}

void PodKeeper::test(base::Instant now) {
  if (owner_.proxy_ == 0 || now < next_test_) return;
  // Each pod has its own place within the interval, so that they do not all test at once.
  const base::Nanos every = owner_.options_.self_test_every;
  const bool proven = std::ranges::all_of(proofs_, &Proof::passed);
  const base::Nanos shift = every / 8 * (pod_.key().netns_cookie % 8) / 8;
  next_test_ = now + (proven ? every - shift : std::min(kTestRetry, every));
  for (Proof& proof : proofs_)
    if (!proof.running) start_test(proof);
}

void PodKeeper::start_test(Proof& proof) {
  proof.running = true;
  const bool v4 = proof.family == model::Family::kV4;
  const auto& target = v4 ? owner_.options_.self_test_v4 : owner_.options_.self_test_v6;
  owner_.doors_.tester.start(
      pod_.netns().fd(), target,
      [this, family = proof.family, alive = std::weak_ptr<const bool>(alive_)](const std::string& failure) {
        if (!alive.expired()) finish_test(family, failure);
      });
}

void PodKeeper::finish_test(model::Family family, const std::string& failure) {
  const auto proof = std::ranges::find(proofs_, family, &Proof::family);
  if (proof == proofs_.end()) return;
  proof->running = false;
  const bool passed = failure.empty();
  ++(passed ? owner_.numbers_.self_tests_passed : owner_.numbers_.self_tests_failed);
  if (!passed && failure != proof->failure)
    spdlog::error("enrol: pod {} is not captured ({}): {}", pod_.key().name,
                  family == model::Family::kV4 ? "IPv4" : "IPv6", failure);
  if (passed && !proof->passed) spdlog::info("enrol: pod {} is captured", pod_.key().name);
  proof->passed = passed;
  proof->failure = failure;
  dirty_ = dirty_ || !passed;
  if (!passed) next_test_ = std::min(next_test_, loop_.clock().now() + kTestRetry);
  owner_.publish_status();
}

void PodKeeper::update(const DesiredPod& desired) {
  next_arm_ = {};
  note(pod_.update(desired), "updating");
  if (proofs_.size() == pod_.families().size()) return;
  proofs_.clear();
  for (const model::Family family : pod_.families()) proofs_.push_back({.family = family});
}

void PodKeeper::release() {
  note(pod_.release(), "releasing");
  for (Proof& proof : proofs_) proof.passed = false;
  pre_mesh_.forget();
  remember_pre_mesh();
  pre_mesh_taken_ = false;
  enrolled_at_ = {};
  next_finish_ = {};
  next_look_ = {};
  next_end_ = {};
}

PodStatus PodKeeper::status() const {
  PodStatus status{.name = pod_.key().name, .netns_cookie = pod_.key().netns_cookie, .pre_mesh = pre_mesh_.now(),
                   .pre_mesh_policy = pod_.desired().pre_mesh};
  if (pod_.step() == Step::kLingering) {
    status.leaving = true;
    return status;
  }
  const auto gap = [&](Gap why, std::string detail) {
    status.gap = why;
    status.detail = std::move(detail);
    return status;
  };
  if (pod_.step() != Step::kArmed || !trouble_.empty()) return gap(Gap::kArming, trouble_);
  if (owner_.proxy_ == 0) return gap(Gap::kNoProxy, "no proxy is connected");
  for (const Proof& proof : proofs_) {
    if (proof.passed) continue;
    if (proof.failure.empty()) return gap(Gap::kUntested, "the first self-test is under way");
    return gap(Gap::kSelfTest, proof.failure);
  }
  status.captured = true;
  return status;
}

}  // namespace weft::enrol
