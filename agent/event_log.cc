#include "agent/event_log.h"

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
  const char* meaning = event.counter < kMeanings.size() ? kMeanings[event.counter] : "unknown reason";
  spdlog::info("{} -> {}: {}{}", address_of(event.source, event.source_port).to_string(),
               address_of(event.destination, event.destination_port).to_string(), meaning,
               rule_name(event.rule_id));
}

}  // namespace weft::agent
