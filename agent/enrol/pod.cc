#include "agent/enrol/pod.h"

#include <algorithm>
#include <cstring>

#include "userspace-proxy/base/log.h"

namespace weft::enrol {
namespace {

constexpr uint32_t kMoment = WEFT_POD_ENROLLED | WEFT_POD_MARKING;
constexpr std::array kKinds = {model::ListenerKind::kOutbound, model::ListenerKind::kInbound,
                               model::ListenerKind::kRefuse, model::ListenerKind::kAttested};

uint32_t offset_of(model::ListenerKind kind, model::Family family) {
  const bool v4 = family == model::Family::kV4;
  switch (kind) {
    case model::ListenerKind::kOutbound:
      return v4 ? WEFT_LISTENER_OUTBOUND4 : WEFT_LISTENER_OUTBOUND6;
    case model::ListenerKind::kInbound:
      return v4 ? WEFT_LISTENER_INBOUND4 : WEFT_LISTENER_INBOUND6;
    case model::ListenerKind::kAttested:
      return v4 ? WEFT_LISTENER_ATTESTED4 : WEFT_LISTENER_ATTESTED6;
    default:
      return v4 ? WEFT_LISTENER_REFUSE4 : WEFT_LISTENER_REFUSE6;
  }
}

base::Address to_address(const weft_address& address) {
  base::Address out;
  std::copy(std::begin(address.bytes), std::end(address.bytes), out.bytes.begin());
  return out;
}

std::vector<model::Family> families_of(const weft_pod& entry) {
  std::vector<model::Family> families;
  // All zero: the pod has none.
  if (to_address(entry.ipv4) != base::Address{}) families.push_back(model::Family::kV4);
  if (to_address(entry.ipv6) != base::Address{}) families.push_back(model::Family::kV6);
  return families;
}

// The same pod in the tables: what else differs is an attribute.
bool same_place(const weft_pod& a, const weft_pod& b) {
  return a.pod_id == b.pod_id && a.generation == b.generation && a.listener_slot == b.listener_slot &&
         std::memcmp(&a.ipv4, &b.ipv4, sizeof a.ipv4) == 0 &&
         std::memcmp(&a.ipv6, &b.ipv6, sizeof a.ipv6) == 0;
}

bool same_entry(const weft_pod& a, const weft_pod& b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

// Which steps may follow a step; whatever else is a mistake of ours.
constexpr bool may_follow(Step from, Step to) {
  if (to == Step::kGone) return true;
  if (to == Step::kLingering) return from != Step::kGone;
  if (from == Step::kLingering) return to == Step::kOpened;
  return to < from || static_cast<int>(to) == static_cast<int>(from) + 1;
}

}  // namespace

std::string_view name_of(Step step) {
  constexpr std::array<std::string_view, 8> kNames = {"opened", "listening", "linked",    "routed",
                                                      "ruled",  "armed",     "lingering", "gone"};
  return kNames[static_cast<size_t>(step)];
}

std::string_view name_of(Repair repair) {
  constexpr std::array<std::string_view, kRepairs> kNames = {"entry", "listener", "link",
                                                             "route", "rule",     "namespace"};
  return kNames[static_cast<size_t>(repair)];
}

Pod::Pod(PodKernel& kernel, publish::Outlet& outlet, std::unique_ptr<PodNetns> netns, DesiredPod desired,
         bool inherited)
    : kernel_(kernel),
      outlet_(outlet),
      netns_(std::move(netns)),
      desired_(std::move(desired)),
      key_{desired_.name, netns_->cookie()},
      families_(families_of(desired_.entry)),
      moment_flags_(inherited ? kMoment : 0) {}

base::Address Pod::address(model::Family family) const {
  return to_address(family == model::Family::kV4 ? desired_.entry.ipv4 : desired_.entry.ipv6);
}

void Pod::enter(Step step) {
  CHECK(may_follow(step_, step));
  spdlog::debug("enrol: pod {} (netns {}): {} -> {}", key_.name, key_.netns_cookie, name_of(step_),
                name_of(step));
  step_ = step;
}

base::Status Pod::arm() {
  while (step_ < Step::kArmed) TRY(advance());
  return {};
}

base::Status Pod::advance() {
  switch (step_) {
    case Step::kOpened:
      TRY(netns_->prepare());
      TRY(open_listeners());
      enter(Step::kListening);
      return {};
    case Step::kListening:
      TRY(put_entry(moment_flags_));
      TRY(put_listeners());
      TRY(link());
      enter(Step::kLinked);
      return {};
    case Step::kLinked:
      TRY(add_routes());
      enter(Step::kRouted);
      return {};
    case Step::kRouted:
      TRY(add_rules());
      enter(Step::kRuled);
      return {};
    case Step::kRuled:
      TRY(put_entry(kMoment));
      enter(Step::kArmed);
      return {};
    default:
      return {};
  }
}

base::Status Pod::open_listeners() {
  if (!listeners_.empty()) return {};
  std::vector<Listener> made;
  for (const model::Family family : families_) {
    TRY_ASSIGN(auto sockets, netns_->make_listeners(family, kKinds.size()));
    for (size_t i = 0; i < kKinds.size(); ++i) {
      made.push_back({.key = {key_, kKinds[i], family, 0},
                      .offset = offset_of(kKinds[i], family),
                      .socket = std::make_shared<const base::Fd>(std::move(sockets[i]))});
    }
  }
  listeners_ = std::move(made);
  for (const Listener& listener : listeners_) outlet_.add_listener(listener.key, listener.socket);
  return {};
}

base::Status Pod::put_listeners() {
  for (const Listener& listener : listeners_)
    TRY(kernel_.set_listener(desired_.entry.listener_slot + listener.offset, listener.socket->get()));
  return {};
}

base::Status Pod::link() {
  return kernel_.attach_pod(key_.netns_cookie, netns_->fd());
}

base::Status Pod::add_routes() {
  for (const model::Family family : families_) TRY(netns_->add_route(family, address(family)));
  return {};
}

base::Status Pod::add_rules() {
  for (const model::Family family : families_) TRY(netns_->add_rule(family));
  return {};
}

base::Status Pod::put_entry(uint32_t moment_flags) {
  weft_pod entry = desired_.entry;
  // Attributes of an entry that is there are the table writer's (SetPod); it may have made them stricter.
  if (const auto there = kernel_.pod(key_.netns_cookie); there && same_place(*there, entry)) entry = *there;
  entry.flags = (entry.flags & ~kMoment) | moment_flags;
  TRY(kernel_.put_pod(key_.netns_cookie, entry));
  moment_flags_ = moment_flags;
  return {};
}

base::Status Pod::update(const DesiredPod& desired) {
  desired_.pre_mesh = desired.pre_mesh;
  const bool same = same_entry(desired.entry, desired_.entry);
  if (same && step_ != Step::kLingering) return {};
  const bool moved = desired.entry.listener_slot != desired_.entry.listener_slot;
  const bool other_families = families_of(desired.entry) != families_;
  if (step_ == Step::kLingering) enter(Step::kOpened);
  desired_ = desired;
  if (other_families) {
    families_ = families_of(desired_.entry);
    listeners_.clear();
    if (step_ != Step::kOpened) enter(Step::kOpened);
  }
  if (step_ <= Step::kListening) return {};
  if (moved) TRY(put_listeners());
  return put_entry(moment_flags_);
}

base::Status Pod::release() {
  const bool known = step_ > Step::kOpened || moment_flags_ != 0;
  enter(Step::kLingering);
  return known ? put_entry(0) : base::Status{};
}

bool Pod::finish() {
  CHECK(step_ == Step::kLingering);
  const auto marked = netns_->marked_connections();
  if (marked && *marked > 0) return false;
  abandon();
  return true;
}

void Pod::abandon() {
  enter(Step::kGone);
  const auto note = [&](const base::Status& status) {
    if (!status) spdlog::warn("enrol: leaving pod {}: {}", key_.name, base::describe(status.error()));
  };
  for (const model::Family family : families_) note(netns_->remove_rule(family));
  for (const model::Family family : families_) note(netns_->remove_route(family));
  note(kernel_.detach_pod(key_.netns_cookie));
  for (const Listener& listener : listeners_)
    note(kernel_.clear_listener(desired_.entry.listener_slot + listener.offset));
  note(kernel_.remove_pod(key_.netns_cookie));
  outlet_.remove_pod(key_);
  listeners_.clear();
}

base::Status Pod::check(bool thorough, RepairCounts& repairs) {
  if (step_ != Step::kArmed) return {};
  TRY(check_tables(repairs));
  if (thorough) TRY(check_namespace(repairs));
  return {};
}

base::Status Pod::check_tables(RepairCounts& repairs) {
  const auto entry = kernel_.pod(key_.netns_cookie);
  if (!entry || (entry->flags & kMoment) != kMoment) {
    ++repairs[static_cast<size_t>(Repair::kEntry)];
    TRY(put_entry(kMoment));
  }
  for (const Listener& listener : listeners_) {
    const uint32_t slot = desired_.entry.listener_slot + listener.offset;
    if (kernel_.has_listener(slot)) continue;
    ++repairs[static_cast<size_t>(Repair::kListener)];
    TRY(kernel_.set_listener(slot, listener.socket->get()));
  }
  if (kernel_.is_attached(key_.netns_cookie)) return {};
  ++repairs[static_cast<size_t>(Repair::kLink)];
  // Without the link a looped SYN could reach the application itself.
  if (auto linked = link(); !linked) return fall_back(Step::kListening, linked);
  return {};
}

base::Status Pod::check_namespace(RepairCounts& repairs) {
  if (!netns_->is_prepared()) {
    ++repairs[static_cast<size_t>(Repair::kNamespace)];
    if (auto prepared = netns_->prepare(); !prepared) return fall_back(Step::kOpened, prepared);
  }
  for (const model::Family family : families_) {
    TRY_ASSIGN(const bool route, netns_->has_route(family));
    if (!route) {
      ++repairs[static_cast<size_t>(Repair::kRoute)];
      if (auto added = netns_->add_route(family, address(family)); !added)
        return fall_back(Step::kLinked, added);
    }
    TRY_ASSIGN(const bool rule, netns_->has_rule(family));
    if (!rule) {
      ++repairs[static_cast<size_t>(Repair::kRule)];
      if (auto added = netns_->add_rule(family); !added) return fall_back(Step::kRouted, added);
    }
  }
  return {};
}

base::Status Pod::fall_back(Step step, base::Status why) {
  enter(step);
  TRY(put_entry(moment_flags_ & ~uint32_t{WEFT_POD_MARKING}));
  return why;
}

}  // namespace weft::enrol
