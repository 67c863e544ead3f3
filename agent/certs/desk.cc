#include "agent/certs/desk.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/certs/pem.h"
#include "agent/certs/schedule.h"
#include "userspace-proxy/base/log.h"

namespace weft::certs {
namespace {

// The wall clock may be set: nothing is slept over for longer than this.
constexpr base::Millis kLongestNap{30'000};

}  // namespace

std::string_view name_of(State state) {
  switch (state) {
    case State::kPending:
      return "pending";
    case State::kValid:
      return "valid";
    case State::kFailed:
      return "failed";
  }
  return "unknown";
}

void Desk::enter(Slot& slot, Step step) {
  const bool forward = static_cast<int>(step) == static_cast<int>(slot.step) + 1;
  CHECK(forward || step == Step::kRest);
  slot.step = step;
  slot.since = clock_.now();
  if (step == Step::kRest) slot.request.clear();
}

// Above every number of an agent before this one (microseconds since 1970): the proxies live on, and to them
// a key id grows.
uint64_t Desk::next_key_id() {
  const auto micros =
      std::chrono::duration_cast<std::chrono::microseconds>(clock_.wall_now().time_since_epoch());
  last_key_ = std::max(last_key_ + 1, static_cast<uint64_t>(micros.count()));
  return last_key_;
}

void Desk::add_slot(const model::SpiffeId& identity, publish::ProxyId proxy) {
  slots_[{identity, proxy}].since = clock_.now();
}

void Desk::set_wanted(std::set<model::SpiffeId> wanted) {
  for (const auto& identity : wanted_) {
    if (wanted.contains(identity)) continue;
    ++counters_.forgotten;
    pauses_.erase(identity);
    for (const auto proxy : proxies_) {
      slots_.erase({identity, proxy});
      doors_.forget_identity(proxy, identity);
    }
  }
  for (const auto& identity : wanted)
    if (!wanted_.contains(identity))
      for (const auto proxy : proxies_) add_slot(identity, proxy);
  wanted_ = std::move(wanted);
}

void Desk::add_proxy(publish::ProxyId proxy) {
  if (!proxies_.insert(proxy).second) return;
  for (const auto& identity : wanted_) add_slot(identity, proxy);
}

void Desk::remove_proxy(publish::ProxyId proxy) {
  proxies_.erase(proxy);
  std::erase_if(slots_, [&](const auto& slot) { return slot.first.proxy == proxy; });
}

void Desk::set_roots(RootsPtr roots, bool rules) {
  roots_ = std::move(roots);
  roots_rule_ = rules;
  if (roots_ == nullptr) return;
  const auto now = clock_.wall_now();
  for (auto& [key, slot] : slots_) {
    if (!slot.held || is_believed(slot.held->chain, *roots_, now)) continue;
    ++counters_.disbelieved;
    slot.held->renew_at = std::min(slot.held->renew_at, now);
    slot.priority = std::max(slot.priority, Priority::kWarmUp);
  }
  for (auto& [identity, pause] : pauses_) pause.until = clock_.now();
}

void Desk::need(publish::ProxyId proxy, const model::SpiffeId& identity) {
  const auto found = slots_.find({identity, proxy});
  if (found == slots_.end()) {
    if (!proxies_.contains(proxy)) return;  // it has just left
    ++counters_.needs_foreign;
    doors_.tell_failure(proxy, {identity, "no enrolled pod of this node has this identity"});
    return;
  }
  Slot& slot = found->second;
  if (slot.held && clock_.now() - slot.held->given < kLostAfter) return;  // it is on its way
  if (slot.held) slot.held->renew_at = std::min(slot.held->renew_at, clock_.wall_now());
  slot.priority = Priority::kRealTime;
}

void Desk::take_request(publish::ProxyId proxy, const model::CertificateRequest& request) {
  if (!wanted_.contains(request.identity)) {
    ++counters_.requests_foreign;
    return;
  }
  const auto found = slots_.find({request.identity, proxy});
  if (found == slots_.end() || found->second.step != Step::kKey || found->second.key_id != request.key_id) {
    ++counters_.requests_stale;
    return;
  }
  if (auto read = read_request(request.request); !read) {
    ++counters_.requests_malformed;
    return fail(found->first, found->second, "the proxy: " + read.error().what);
  }
  enter(found->second, Step::kQueued);
  found->second.request = request.request;
}

RootsPtr Desk::take_answer(uint64_t ask, const base::Result<Answer>& answer) {
  const auto node = asked_.extract(ask);
  CHECK(!node.empty());
  const auto found = slots_.find(node.mapped().key);
  // Another slot of the same name may have come since: the key's number tells.
  if (found == slots_.end() || found->second.step != Step::kAsked ||
      found->second.key_id != node.mapped().key_id) {
    ++counters_.answers_late;
    return nullptr;
  }
  auto& [key, slot] = *found;
  if (!answer) {
    ++counters_.ask_failures.at(static_cast<size_t>(answer.error().kind));
    const std::string why = "the CA: " + base::describe(answer.error());
    if (answer.error().kind != base::ErrorKind::kNotFound || !wait_a_moment(key, slot, why)) fail(key, slot, why);
    return nullptr;
  }
  const Roots* anchors = roots_rule_ ? roots_.get() : nullptr;
  auto checked = check_answer(*answer, key.identity, slot.request, clock_.wall_now(), anchors);
  if (checked) return take_certificate(key, slot, std::move(*checked));
  ++counters_.answers_refused.at(static_cast<size_t>(checked.error().why));
  fail(key, slot, checked.error().what);
  return nullptr;
}

RootsPtr Desk::take_certificate(const SlotKey& key, Slot& slot, Certificate certificate) {
  const auto now = clock_.wall_now();
  enter(slot, Step::kRest);
  ++counters_.issued;
  pauses_.erase(key.identity);
  slot.priority = Priority::kRenewal;
  slot.failed = false;
  slot.last_error.clear();
  const auto [begin, end] = std::pair(certificate.not_before, certificate.not_after);
  slot.held = Held{slot.key_id,
                   certificate.chain,
                   begin,
                   end,
                   renewal_time(begin, end, now, chance_()),
                   alarm_time(begin, end),
                   clock_.now()};
  doors_.give_certificate(key.proxy, key.identity, slot.key_id, std::move(certificate.chain));
  return certificate.roots;
}

// What is merely too early is no failure yet: connections go on waiting, and nobody has to look. False: it has lasted.
bool Desk::wait_a_moment(const SlotKey& key, Slot& slot, const std::string& why) {
  Pause& pause = pauses_[key.identity];
  if (pause.soon >= kSoonTries) return false;
  if (pause.soon++ == 0) spdlog::info("certs: {}: waiting: {}", key.identity.to_string(), why);
  enter(slot, Step::kRest);
  slot.last_error = why.substr(0, model::kMaxRefusal);
  pause.until = clock_.now() + soon_pause(chance_());
  return true;
}

void Desk::fail(const SlotKey& key, Slot& slot, const std::string& why) {
  enter(slot, Step::kRest);
  ++slot.failures;
  if (why != slot.last_error) spdlog::warn("certs: {}: {}", key.identity.to_string(), why);
  slot.last_error = why.substr(0, model::kMaxRefusal);
  Pause& pause = pauses_[key.identity];
  pause.until = clock_.now() + pause_after(pause.failures++, chance_());
  if (slot.held) return;  // it stays in use; the proxy need not know
  slot.failed = true;
  doors_.tell_failure(key.proxy, {key.identity, slot.last_error});
}

void Desk::expire(const SlotKey& key, Slot& slot) {
  ++counters_.expired;
  slot.held.reset();
  slot.failed = true;
  slot.priority = std::max(slot.priority, Priority::kWarmUp);
  if (slot.last_error.empty()) slot.last_error = "the CA has not answered in time";
  spdlog::error("certs: {}: the certificate has expired: {}", key.identity.to_string(), slot.last_error);
  doors_.tell_failure(
      key.proxy,
      {key.identity, ("the certificate has expired: " + slot.last_error).substr(0, model::kMaxRefusal)});
  // Of back-off and expiry the earlier: from here on every second counts again.
  if (const auto pause = pauses_.find(key.identity); pause != pauses_.end()) pause->second = {};
}

void Desk::watch_ages() {
  const auto wall = clock_.wall_now();
  for (auto& [key, slot] : slots_) {
    if (slot.step == Step::kKey && clock_.now() - slot.since >= kKeyTimeout) {
      ++counters_.keys_late;
      fail(key, slot, "the proxy has not made a key in time");
    }
    if (!slot.held) continue;
    if (wall >= slot.held->not_after) {
      expire(key, slot);
    } else if (wall >= slot.held->alarm_at && !slot.held->alarmed) {
      slot.held->alarmed = true;
      ++counters_.near_expiry;
      spdlog::warn("certs: {}: less than a fifth of the certificate's life is left: {}",
                   key.identity.to_string(),
                   slot.last_error.empty() ? "it is being renewed" : slot.last_error);
    }
  }
}

bool Desk::is_due(const SlotKey& key, const Slot& slot) const {
  if (slot.step != Step::kRest) return false;
  if (slot.held && clock_.wall_now() < slot.held->renew_at) return false;
  const auto pause = pauses_.find(key.identity);
  return pause == pauses_.end() || clock_.now() >= pause->second.until;
}

void Desk::start_keys() {
  std::map<publish::ProxyId, size_t> busy;
  std::vector<Slots::value_type*> due;
  for (auto& entry : slots_) {
    if (entry.second.step != Step::kRest) ++busy[entry.first.proxy];
    if (is_due(entry.first, entry.second)) due.push_back(&entry);
  }
  std::ranges::sort(due, [](const auto* a, const auto* b) {
    if (a->second.priority != b->second.priority) return a->second.priority > b->second.priority;
    if (a->second.since != b->second.since) return a->second.since < b->second.since;
    return a->first < b->first;
  });
  for (auto* entry : due) {
    auto& [key, slot] = *entry;
    if (roots_rule_ && roots_ == nullptr) {
      const std::string why = "there is no trust bundle: the file of roots could not be read yet";
      if (!wait_a_moment(key, slot, why)) fail(key, slot, why);
      continue;
    }
    if (busy[key.proxy] == kMostKeys) continue;
    ++busy[key.proxy];
    enter(slot, Step::kKey);
    slot.key_id = next_key_id();
    doors_.want_key(key.proxy, {key.identity, slot.key_id});
  }
}

void Desk::start_asking() {
  while (asked_.size() < kMostAsked) {
    Slots::value_type* next = nullptr;
    for (auto& entry : slots_) {
      const Slot& slot = entry.second;
      if (slot.step != Step::kQueued) continue;
      if (next != nullptr && slot.priority < next->second.priority) continue;
      if (next != nullptr && slot.priority == next->second.priority && slot.since >= next->second.since)
        continue;
      next = &entry;
    }
    if (next == nullptr) return;
    auto& [key, slot] = *next;
    enter(slot, Step::kAsked);
    ++slot.requests;
    ++counters_.asked;
    asked_[++last_ask_] = {key, slot.key_id};
    doors_.ask({last_ask_, key.identity, slot.request, roots_rule_ ? roots_ : nullptr});
  }
}

base::Nanos Desk::turn() {
  watch_ages();
  start_asking();
  start_keys();
  return until_next();
}

base::Nanos Desk::until_next(const SlotKey& key, const Slot& slot) const {
  const auto now = clock_.now();
  const auto wall = clock_.wall_now();
  base::Nanos wait = kLongestNap;
  if (slot.held) wait = std::min<base::Nanos>(wait, slot.held->not_after - wall);
  if (slot.held && !slot.held->alarmed) wait = std::min<base::Nanos>(wait, slot.held->alarm_at - wall);
  if (slot.step == Step::kKey) wait = std::min<base::Nanos>(wait, slot.since + kKeyTimeout - now);
  if (slot.step != Step::kRest) return wait;
  base::Nanos start{0};
  if (slot.held) start = slot.held->renew_at - wall;
  if (const auto pause = pauses_.find(key.identity); pause != pauses_.end())
    start = std::max<base::Nanos>(start, pause->second.until - now);
  // What is due already waits for a place, not for the time.
  return start > base::Nanos{0} ? std::min(wait, start) : wait;
}

base::Nanos Desk::until_next() const {
  base::Nanos wait = kLongestNap;
  for (const auto& [key, slot] : slots_) wait = std::min(wait, until_next(key, slot));
  return std::max(wait, base::Nanos{0});
}

std::vector<IdentityStatus> Desk::status() const {
  std::vector<IdentityStatus> out;
  for (const auto& [key, slot] : slots_) {
    IdentityStatus one{.identity = key.identity, .proxy = key.proxy};
    one.state = slot.held ? State::kValid : slot.failed ? State::kFailed : State::kPending;
    one.under_way = slot.step != Step::kRest;
    if (slot.held) {
      one.key_id = slot.held->key_id;
      one.not_before = slot.held->not_before;
      one.not_after = slot.held->not_after;
      one.renew_at = slot.held->renew_at;
    }
    one.last_error = slot.last_error;
    one.requests = slot.requests;
    one.failures = slot.failures;
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace weft::certs
