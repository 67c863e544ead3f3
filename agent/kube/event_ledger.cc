// What becomes of a Happening: a new Event, a longer series, or nothing.
#include <fmt/format.h>

#include <algorithm>

#include "agent/kube/events.h"
#include "agent/kube/micro_time.h"

namespace weft::kube {
namespace {

using base::Instant;
using base::Nanos;
using objects::Node;

// Bounds of events.k8s.io/v1 (validation of the API server).
constexpr size_t kMaxNote = 1024;
constexpr size_t kMaxWord = 128;
// The name is "<object>.<16 hex digits>", a DNS subdomain of at most 253.
constexpr size_t kMaxNamePart = 200;

// Cut at a character's boundary: half a UTF-8 sequence would make the whole request unreadable.
std::string cut(const std::string& text, size_t most) {
  if (text.size() <= most) return text;
  size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

std::string event_name(const std::string& object, base::WallTime wall, uint64_t number) {
  std::string part = object.substr(0, kMaxNamePart);
  while (!part.empty() && (part.back() == '.' || part.back() == '-')) part.pop_back();
  const auto nanos = static_cast<uint64_t>(wall.time_since_epoch().count());
  return fmt::format("{}.{:016x}", part.empty() ? "weft" : part, nanos + number);
}

Node reference(const Regarding& regarding) {
  Node out = Node::mapping();
  const auto set = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) out.set(key, Node::string(value));
  };
  set("apiVersion", regarding.api_version);
  set("kind", regarding.kind);
  set("namespace", regarding.ns);
  set("name", regarding.name);
  set("uid", regarding.uid);
  return out;
}

}  // namespace

bool EventLedger::take(Bucket& bucket, size_t burst, Nanos refill, Instant now) {
  const double gained =
      std::chrono::duration<double>(now - bucket.filled) / std::chrono::duration<double>(refill);
  bucket.tokens = std::min(static_cast<double>(burst), bucket.tokens + gained);
  bucket.filled = now;
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

bool EventLedger::admit(const Regarding& regarding, Instant now) {
  if (!all_) all_ = Bucket{static_cast<double>(options_.burst), now};
  if (buckets_.size() >= options_.max_series && !buckets_.contains(regarding)) {
    const Nanos full = options_.refill_per_object * static_cast<int64_t>(options_.burst_per_object);
    std::erase_if(buckets_, [&](const auto& entry) { return now - entry.second.filled >= full; });
    if (buckets_.size() >= options_.max_series) return false;
  }
  Bucket& own = buckets_.try_emplace(regarding, Bucket{static_cast<double>(options_.burst_per_object), now})
                    .first->second;
  return take(own, options_.burst_per_object, options_.refill_per_object, now) &&
         take(*all_, options_.burst, options_.refill, now);
}

// The series that was silent for longest makes room.
void EventLedger::make_room(Instant now) {
  if (series_.size() < options_.max_series) return;
  std::erase_if(series_, [&](const auto& entry) { return now - entry.second.last > options_.series_gap; });
  if (series_.size() < options_.max_series) return;
  series_.erase(std::ranges::min_element(series_, {}, [](const auto& entry) { return entry.second.last; }));
}

std::optional<EventWrite> EventLedger::add(const Happening& happening, Instant now, base::WallTime wall) {
  counters_.happenings.fetch_add(1, std::memory_order_relaxed);
  const Key key{happening.regarding, happening.warning, happening.reason, happening.action};
  const auto found = series_.find(key);
  if (found != series_.end() && now - found->second.last <= options_.series_gap) {
    Series& series = found->second;
    ++series.count;
    series.last = now;
    series.last_wall = wall;
    counters_.series.fetch_add(1, std::memory_order_relaxed);
    return std::nullopt;  // due() writes it
  }
  if (found != series_.end()) series_.erase(found);
  if (!admit(happening.regarding, now)) {
    counters_.dropped.fetch_add(1, std::memory_order_relaxed);
    return std::nullopt;
  }
  make_room(now);
  // Events of cluster-wide objects live in "default", as Kubernetes' own do.
  Series series{.ns = happening.regarding.ns.empty() ? "default" : happening.regarding.ns,
                .name = event_name(happening.regarding.name, wall, ++number_),
                .last = now,
                .written = now,
                .last_wall = wall};
  EventWrite write{
      .create = true, .ns = series.ns, .name = series.name, .object = event_object(happening, series)};
  series_.emplace(key, std::move(series));
  return write;
}

Node EventLedger::event_object(const Happening& happening, const Series& series) const {
  Node event = Node::mapping();
  event.set("apiVersion", Node::string("events.k8s.io/v1"));
  event.set("kind", Node::string("Event"));
  event["metadata"].set("name", Node::string(series.name));
  event["metadata"].set("namespace", Node::string(series.ns));
  event.set("eventTime", Node::string(micro_time(series.last_wall)));
  event.set("reportingController", Node::string(options_.controller));
  event.set("reportingInstance", Node::string(cut(options_.instance, kMaxWord)));
  event.set("type", Node::string(happening.warning ? "Warning" : "Normal"));
  event.set("reason", Node::string(cut(happening.reason, kMaxWord)));
  event.set("action", Node::string(cut(happening.action, kMaxWord)));
  event.set("note", Node::string(cut(happening.note, kMaxNote)));
  event.set("regarding", reference(happening.regarding));
  return event;
}

std::vector<EventWrite> EventLedger::due(Instant now) {
  std::vector<EventWrite> out;
  for (auto& [key, series] : series_) {
    if (series.count == series.written_count || now - series.written < options_.series_write) continue;
    series.written = now;
    series.written_count = series.count;
    Node patch = Node::mapping();
    patch["series"].set("count", Node::integer(static_cast<int64_t>(series.count)));
    patch["series"].set("lastObservedTime", Node::string(micro_time(series.last_wall)));
    out.push_back({.create = false, .ns = series.ns, .name = series.name, .object = std::move(patch)});
  }
  std::erase_if(series_, [&](const auto& entry) {
    const Series& series = entry.second;
    return series.count == series.written_count && now - series.last > options_.series_gap;
  });
  return out;
}

void EventLedger::forget(const std::string& ns, const std::string& name) {
  std::erase_if(series_,
                [&](const auto& entry) { return entry.second.ns == ns && entry.second.name == name; });
}

}  // namespace weft::kube
