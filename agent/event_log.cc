#include "agent/event_log.h"

#include <fmt/format.h>
#include <sys/epoll.h>

#include <array>
#include <chrono>
#include <cstring>

#include "userspace-proxy/base/log.h"

namespace weft::agent {
namespace {

#define WEFT_MEANING(name, meaning) meaning,
constexpr std::array<const char*, WEFT_COUNTER_COUNT> kMeanings = {WEFT_COUNTERS(WEFT_MEANING)};
#undef WEFT_MEANING

base::SocketAddress address_of(const weft_address& address, uint16_t port) {
  base::SocketAddress out;
  std::memcpy(out.address.bytes.data(), address.bytes, sizeof address.bytes);
  out.port = port;
  return out;
}

}  // namespace

base::Result<std::unique_ptr<EventLog>> EventLog::create(base::Loop& loop, int events_map) {
  auto log = std::unique_ptr<EventLog>(new EventLog(loop));
  TRY_ASSIGN(log->reader_,
             kernel::EventReader::open(events_map, [raw = log.get()](const weft_event& e) { raw->say(e); }));
  TRY(loop.add(log->reader_->fd(), EPOLLIN, log.get()));
  return log;
}

EventLog::~EventLog() {
  if (reader_ != nullptr) loop_.remove(reader_->fd(), this);
}

void EventLog::on_io(uint32_t) {
  if (auto taken = reader_->consume(); !taken)
    spdlog::warn("kernel events: {}", base::describe(taken.error()));
}

std::string EventLog::rule_name(uint32_t rule_id) const {
  if (rule_id == 0) return "";
  if (snapshot_ != nullptr)
    for (const auto& rule : snapshot_->policy_rules)
      if (rule.id == rule_id) return ", rule " + rule.source;
  return ", rule " + std::to_string(rule_id);
}

const model::LocalPod* EventLog::pod_at(const base::Address& address) const {
  if (snapshot_ == nullptr) return nullptr;
  for (const auto& pod : snapshot_->local_pods)
    for (const auto& own : snapshot_->workloads[pod.workload].addresses)
      if (own == address) return &pod;
  return nullptr;
}

// The rule, or who asked for proof, or whose ALLOW rules did not match: where a user has to look.
std::string EventLog::decided_by(const weft_event& event) const {
  if (event.rule_id != 0) return rule_name(event.rule_id);
  const model::LocalPod* pod = pod_at(address_of(event.destination, 0).address);
  if (pod == nullptr) return "";
  if (event.counter == WEFT_COUNTER_lookup_refused_anonymous) {
    for (const auto& port : pod->port_modes)
      if (port.port == event.destination_port) return ", asked for by " + port.source;
    return pod->peer_mode_source.empty() ? "" : ", asked for by " + pod->peer_mode_source;
  }
  if (event.counter != WEFT_COUNTER_lookup_refused_by_policy && event.counter != WEFT_COUNTER_connect_denied_by_policy)
    return "";
  for (const uint32_t index : pod->rules) {
    const auto& rule = snapshot_->policy_rules[index];
    if (!rule.deny && !rule.dry_run) return ", no ALLOW rule matches, the first is " + rule.source;
  }
  return "";
}

std::string EventLog::sentence(const weft_event& event) const {
  const char* meaning = event.counter < kMeanings.size() ? kMeanings[event.counter] : "unknown reason";
  return fmt::format("{} -> {}: {}{}", address_of(event.source, event.source_port).to_string(),
                     address_of(event.destination, event.destination_port).to_string(), meaning,
                     decided_by(event));
}

void EventLog::say(const weft_event& event) {
  ++events_;
  const base::Instant now = loop_.clock().now();
  if (now - window_ >= std::chrono::seconds(1)) {
    window_ = now;
    lines_ = 0;
  }
  if (++lines_ > kLinesPerSecond) {
    ++unsaid_;
    return;
  }
  spdlog::info("{}", sentence(event));
}

void EventLog::say_cut(const weft_event& event) const {
  spdlog::info("{}; the connection was open and is cut", sentence(event));
}

}  // namespace weft::agent
