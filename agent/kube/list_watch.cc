#include "agent/kube/list_watch.h"

#include <fmt/format.h>

namespace weft::kube {
namespace {

using base::ErrorKind;
using base::Instant;
using base::Nanos;
using objects::Node;

constexpr size_t kMaxErrorBody = 64 * 1024;
constexpr int kVersionRefusals = 5;
// A watch that ends sooner without a word is no service: it is not asked for again at once.
constexpr Nanos kShortWatch = std::chrono::seconds(1);
// A watch that lasted this long or said something shows that all is well again.
constexpr Nanos kGoodWatch = std::chrono::seconds(30);

void count(std::atomic<uint64_t>& counter, uint64_t by = 1) {
  counter.fetch_add(by, std::memory_order_relaxed);
}

std::string key_of(const ObjectName& name) {
  return name.ns + "/" + name.name;
}

ObjectName name_of_key(const std::string& key) {
  const size_t slash = key.find('/');
  return {key.substr(0, slash), key.substr(slash + 1)};
}

std::unexpected<base::Error> malformed(std::string what) {
  return base::fail(ErrorKind::kInvalid, std::move(what), base::Side::kDestination);
}

}  // namespace

std::string_view name_of(ReflectorPhase phase) {
  switch (phase) {
    case ReflectorPhase::kListing:
      return "listing";
    case ReflectorPhase::kWatching:
      return "watching";
    case ReflectorPhase::kStale:
      return "stale";
    case ReflectorPhase::kAbsent:
      return "absent";
  }
  return "unknown";
}

ListWatch::ListWatch(ReflectorSpec spec, ReflectorSink& sink, ReflectorCounters& counters,
                     const ReflectorLimits& limits, uint64_t seed)
    : spec_(std::move(spec)),
      unread_in_event_(parse::Unread::below("object", spec_.unread)),
      sink_(sink),
      counters_(counters),
      limits_(limits),
      backoff_(limits.backoff_first, limits.backoff_most, seed),
      chunk_(std::max(1u, limits.chunk)),
      lines_(limits.max_line) {}

ListWatch::Ask ListWatch::ask() {
  code_ = 0;
  retry_after_ = {};
  body_.clear();
  lines_.clear();
  told_ = 0;
  was_away_ = std::exchange(away_, false);
  watch_error_.reset();
  Ask out{.path = spec_.resource.path(spec_.ns), .watch = watching_, .fresh = std::exchange(fresh_, false)};
  char mark = '?';
  const auto add = [&](std::string_view key, std::string_view value) {
    if (value.empty()) return;
    out.path += fmt::format("{}{}={}", std::exchange(mark, '&'), key, percent_encode(value));
  };
  add("labelSelector", spec_.label_selector);
  add("fieldSelector", spec_.field_selector);
  if (!watching_) {
    add("limit", std::to_string(chunk_));
    add("continue", next_);
    out.deadline = limits_.list_deadline;
    return out;
  }
  const Nanos lasts = backoff_.spread().between(limits_.watch_at_least, 2 * limits_.watch_at_least);
  add("watch", "true");
  add("allowWatchBookmarks", "true");
  add("resourceVersion", version_);
  add("timeoutSeconds", std::to_string(std::max<int64_t>(1, lasts / std::chrono::seconds(1))));
  out.deadline = lasts + limits_.idle;  // the server ends it; should it not, we do
  return out;
}

void ListWatch::began(Instant now) {
  active_at_ = now;
  if (!watching_ && !look_began_) look_began_ = now;
}

void ListWatch::on_head(int code, Nanos retry_after, Instant now) {
  code_ = code;
  retry_after_ = retry_after;
  head_at_ = now;
  active_at_ = now;
  if (!watching_ || code != 200) return;
  count(counters_.watches);
  last_heard_ = now;
  enter(ReflectorPhase::kWatching, "", now);
}

base::Status ListWatch::on_body(std::string_view bytes, Instant now) {
  active_at_ = now;
  count(counters_.bytes, bytes.size());
  if (code_ != 200) {
    if (body_.size() < kMaxErrorBody) body_.append(bytes.substr(0, kMaxErrorBody - body_.size()));
    return {};
  }
  last_heard_ = now;
  if (!watching_) {
    if (body_.size() + bytes.size() > limits_.max_chunk)
      return base::fail(ErrorKind::kLimit, fmt::format("an answer of more than {} bytes", limits_.max_chunk));
    body_.append(bytes);
    return {};
  }
  base::Status taken;
  const uint64_t before = told_;
  const bool good = lines_.feed(bytes, [&](std::string_view line) {
    taken = take_line(line);
    return taken.has_value();
  });
  if (told_ != before) sink_.on_batch_end();
  if (!taken) return taken;
  if (!good) return malformed(fmt::format("an event of more than {} bytes", limits_.max_line));
  return {};
}

base::Nanos ListWatch::on_end(const std::optional<base::Error>& failure, Instant now) {
  if (failure && !watching_ && failure->kind == ErrorKind::kLimit && chunk_ > 1) {
    chunk_ /= 2;
    return {};
  }
  if (failure) {
    if (failure->kind == ErrorKind::kInvalid) count(counters_.malformed);
    // A connection that broke is gone; one that only hangs would be used again. Not asked for else: all
    // reflectors would come back with a connection each.
    fresh_ = failure->kind == ErrorKind::kTimeout;
    away_ = code_ == 0;
    return failed(ApiError(*failure), now);
  }
  if (code_ != 200)
    return failed(api_error("GET " + spec_.resource.path(spec_.ns), code_, body_, retry_after_), now);
  return watching_ ? end_of_watch(now) : end_of_list(now);
}

base::Nanos ListWatch::end_of_list(Instant now) {
  if (next_.empty()) enter(ReflectorPhase::kListing, "", now);
  const auto page = read_page(
      reader_, body_, spec_.resource, [this](Node item) { return take_listed(std::move(item)); },
      limits_.max_chunk, spec_.unread);
  sink_.on_batch_end();
  // Pages are megabytes, so there is one buffer for all of a look and none after it. (A string that is assigned an empty one
  // keeps its room.)
  if (!page || page->next.empty()) std::string().swap(body_);
  if (!page) {
    count(counters_.malformed);
    return failed(ApiError(page.error()), now);
  }
  count(counters_.chunks);
  if (!page->next.empty() && page->next == next_) {
    count(counters_.malformed);
    return failed(ApiError(malformed("the list does not get on").error()), now);
  }
  if (!page->next.empty()) {
    next_ = page->next;
    return {};
  }
  finish_list(*page, now);
  return {};
}

base::Status ListWatch::take_listed(Node object) {
  const ObjectName name = name_of(object);
  const auto [place, fresh] = known_.try_emplace(key_of(name));
  if (fresh && known_.size() > limits_.max_objects) {
    known_.erase(place);
    return base::fail(ErrorKind::kLimit, fmt::format("more than {} objects", limits_.max_objects));
  }
  Known& known = place->second;
  known.look = look_;
  std::string version = object.at({"metadata", "resourceVersion"}).as_string();
  counters_.objects.store(known_.size(), std::memory_order_relaxed);
  if (!fresh && known.version == version && !version.empty()) {
    count(counters_.unchanged);
    return {};
  }
  known.version = std::move(version);
  sink_.on_object(std::move(object));
  return {};
}

void ListWatch::forget_unseen() {
  for (auto it = known_.begin(); it != known_.end();) {
    if (it->second.look == look_) {
      ++it;
      continue;
    }
    sink_.on_gone(name_of_key(it->first));
    it = known_.erase(it);
  }
  counters_.objects.store(known_.size(), std::memory_order_relaxed);
}

void ListWatch::finish_list(const ListPage& page, Instant now) {
  forget_unseen();
  ++look_;
  version_ = page.resource_version;
  next_.clear();
  chunk_ = std::max(1u, limits_.chunk);
  watching_ = true;
  synced_ = true;
  absent_since_.reset();
  last_heard_ = now;
  count(counters_.lists);
  if (look_began_) counters_.list_ms = static_cast<uint64_t>((now - *look_began_) / base::Millis(1));
  look_began_.reset();
  sink_.on_synced();
  enter(ReflectorPhase::kWatching, "", now);
}

base::Status ListWatch::take_line(std::string_view line) {
  auto event = reader_.read(line, {.bytes = limits_.max_line, .nodes = 1'000'000, .depth = 100}, unread_in_event_);
  if (!event) return malformed("an event that is " + event.error().what);
  Node* object = event->find("object");
  const std::string type = event->at({"type"}).as_string();
  if (!object || !object->is_mapping()) return malformed("an event without an object");
  return take_event(type, std::move(*object));
}

base::Status ListWatch::take_event(std::string_view type, Node object) {
  if (type == "ERROR") {
    const Node& status = object;
    watch_error_ = api_error("watching " + spec_.resource.plural,
                             static_cast<int>(status.at({"code"}).as_int()), objects::to_json(status, 0));
    return {};
  }
  const std::string version = object.at({"metadata", "resourceVersion"}).as_string();
  if (version.empty()) return malformed("an event without a resourceVersion");
  if (type == "BOOKMARK") {
    count(counters_.bookmarks);
    ++told_;
    version_ = version;
    return {};
  }
  const ObjectName name = name_of(object);
  if (name.name.empty()) return malformed("an event of an object without a name");
  if (type == "DELETED") {
    if (known_.erase(key_of(name)) > 0) sink_.on_gone(name);
  } else if (type == "ADDED" || type == "MODIFIED") {
    const auto [place, fresh] = known_.try_emplace(key_of(name));
    if (fresh && known_.size() > limits_.max_objects) {
      known_.erase(place);
      return base::fail(ErrorKind::kLimit, fmt::format("more than {} objects", limits_.max_objects));
    }
    // As of the last look: the next one has to find it again.
    place->second = {.version = version, .look = look_ - 1};
    fill_in_kind(object, spec_.resource);
    sink_.on_object(std::move(object));
  } else {
    return malformed(fmt::format("an event of the type \"{}\"", type.substr(0, 40)));
  }
  counters_.objects.store(known_.size(), std::memory_order_relaxed);
  count(counters_.events);
  ++told_;
  version_ = version;
  return {};
}

base::Nanos ListWatch::end_of_watch(Instant now) {
  if (watch_error_) return failed(*std::move(watch_error_), now);
  version_refusals_ = 0;
  if (told_ > 0 || now - head_at_ >= kGoodWatch) backoff_.reset();
  // Its time was up, or the server is being replaced: go on from where it ended.
  if (told_ > 0 || now - head_at_ >= kShortWatch) return {};
  return backoff_.next();
}

base::Nanos ListWatch::failed(ApiError error, Instant now) {
  count(counters_.errors);
  if (error.code == 429 || error.code == 503) count(counters_.busy);
  const bool worked = watching_ && code_ == 200 && (told_ > 0 || now - head_at_ >= kGoodWatch);
  if (worked) backoff_.reset();  // until just now
  // A server that has just come up refuses (403) until it has read its roles: a matter of seconds.
  if (was_away_ && code_ != 0) backoff_.reset();
  if (error.retry_after == Nanos(0)) error.retry_after = retry_after_;
  return watching_ ? watch_failed(error, now) : list_failed(error, now);
}

base::Nanos ListWatch::list_failed(const ApiError& error, Instant now) {
  if (error.code == 404) return absent(error, now);
  absent_since_.reset();
  if (error.code == 410) {
    // The continue token is too old: what was told stays known, the look begins anew.
    next_.clear();
    ++look_;
  }
  enter(ReflectorPhase::kStale, error.what, now);
  return wait_after(error);
}

base::Nanos ListWatch::watch_failed(const ApiError& error, Instant now) {
  if (error.code == 410) {
    count(counters_.relists);
    return list_anew();
  }
  enter(ReflectorPhase::kStale, error.what, now);
  const bool about_version = error.code == 400 || error.code == 404 || error.code == 422 || error.code == 504;
  version_refusals_ = about_version ? version_refusals_ + 1 : 0;
  // The version may be one of a store that was put back to an older state: then only a list helps.
  if (error.code == 404 || version_refusals_ >= kVersionRefusals) {
    watching_ = false;
    version_refusals_ = 0;
  }
  return wait_after(error);
}

base::Nanos ListWatch::wait_after(const ApiError& error) {
  return backoff_.next(error.retry_after, away_ ? limits_.backoff_away : limits_.backoff_most);
}

// 410: at once the first time, but not all agents of a cluster in the same instant.
base::Nanos ListWatch::list_anew() {
  watching_ = false;
  next_.clear();
  const bool first = backoff_.failures() == 0;
  const Nanos wait = backoff_.next();
  return first ? std::min(wait, backoff_.spread().between(Nanos(0), std::chrono::seconds(1))) : wait;
}

// Nobody serves it. A consumer that has never heard of any is told that there is none, so that it may begin;
// one that holds objects keeps them until it is certain: a server that is coming up may not have read its
// CRDs yet.
base::Nanos ListWatch::absent(const ApiError& error, Instant now) {
  if (!absent_since_) absent_since_ = now;
  if (!known_.empty() && now - *absent_since_ < limits_.absent_after) {
    enter(ReflectorPhase::kStale, error.what, now);
    return backoff_.next(error.retry_after);
  }
  next_.clear();
  ++look_;
  forget_unseen();
  const bool news = !synced_ || state_.phase != ReflectorPhase::kAbsent;
  synced_ = true;
  last_heard_ = now;
  if (news) sink_.on_synced();
  enter(ReflectorPhase::kAbsent,
        fmt::format("the API server does not serve {} of {}: are its CRDs installed?", spec_.resource.plural,
                    spec_.resource.api_version()),
        now);
  backoff_.reset();
  return backoff_.spread().between(limits_.backoff_most, 2 * limits_.backoff_most);
}

void ListWatch::enter(ReflectorPhase phase, std::string why, Instant now) {
  if (state_.phase == phase && state_.why == why && state_.since != Instant{}) return;
  // How long it is stale counts from the first failure, whatever the later ones say.
  if (state_.phase != phase || state_.since == Instant{}) state_.since = now;
  state_.phase = phase;
  state_.why = std::move(why);
  sink_.on_state(state_);
}

}  // namespace weft::kube
