#include "agent/state/api_status_writer.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "agent/state/status_patch.h"
#include "userspace-proxy/base/log.h"

namespace weft::state {
namespace {

constexpr size_t kMaxConflicting = 10'000;

std::string text_of(const StatusKey& key) {
  return key.kind + " " + key.ns + "/" + key.name;
}

objects::Time wall_seconds(const base::Clock& clock) {
  return std::chrono::floor<std::chrono::seconds>(clock.wall_now());
}

}  // namespace

ApiStatusWriter::ApiStatusWriter(kube::Client& client, const base::Clock& clock, ApiStatusOptions options)
    : client_(client), clock_(clock), options_(std::move(options)), tokens_(options_.burst), filled_(clock.now()) {
  thread_ = std::thread([this] { run(); });
}

ApiStatusWriter::~ApiStatusWriter() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void ApiStatusWriter::enqueue(const StatusKey& key) {
  if (queued_.insert(key).second) queue_.push_back(key);
  counters_.waiting = queue_.size();
}

base::Status ApiStatusWriter::apply(const std::vector<ObjectStatus>& statuses, const std::vector<StatusKey>& removed) {
  const std::lock_guard lock(mutex_);
  for (const StatusKey& key : removed) latest_.erase(key);
  for (const ObjectStatus& status : statuses) {
    if (status.uid.empty() || !has_own_status(status.key.kind)) continue;
    latest_[status.key] = status;
    if (leading_) enqueue(status.key);
  }
  wake_.notify_all();
  return {};
}

void ApiStatusWriter::set_leading(bool leading) {
  const std::lock_guard lock(mutex_);
  if (leading == leading_) return;
  leading_ = leading;
  queue_.clear();
  queued_.clear();
  counters_.waiting = 0;
  if (!leading) return;
  for (const auto& [key, status] : latest_) enqueue(key);
  wake_.notify_all();
}

// How long to wait until one more object may be looked at; 0: now, and it is counted.
base::Nanos ApiStatusWriter::take_token(base::Instant now) {
  tokens_ = std::min(options_.burst, tokens_ + options_.per_second * std::chrono::duration<double>(now - filled_).count());
  filled_ = now;
  if (tokens_ < 1)
    return std::chrono::duration_cast<base::Nanos>(std::chrono::duration<double>((1 - tokens_) / options_.per_second));
  tokens_ -= 1;
  return base::Nanos(0);
}

// True with a key at the front of the queue and leave to look at it; false: the end.
bool ApiStatusWriter::wait_for_work(std::unique_lock<std::mutex>& lock) {
  while (!stopping_) {
    if (queue_.empty()) {
      wake_.wait(lock);
      continue;
    }
    base::Nanos pause = std::exchange(backoff_, base::Nanos(0));
    if (pause == base::Nanos(0)) pause = take_token(clock_.now());
    if (pause == base::Nanos(0)) return true;
    wake_.wait_for(lock, pause, [this] { return stopping_; });
  }
  return false;
}

void ApiStatusWriter::run() {
  base::Nanos retry = options_.retry_first;
  std::unique_lock lock(mutex_);
  while (wait_for_work(lock)) {
    const StatusKey key = queue_.front();
    queue_.pop_front();
    queued_.erase(key);
    counters_.waiting = queue_.size();
    const auto found = latest_.find(key);
    if (found == latest_.end()) continue;
    const ObjectStatus status = found->second;
    lock.unlock();
    const Outcome outcome = tell(status);
    lock.lock();
    if (outcome == Outcome::kDone) {
      retry = options_.retry_first;
      continue;
    }
    if (leading_ && latest_.contains(key)) enqueue(key);
    backoff_ = outcome == Outcome::kAgainMuchLater ? options_.retry_forbidden : retry;
    retry = std::min(retry * 2, options_.retry_most);
  }
}

ApiStatusWriter::Outcome ApiStatusWriter::tell(const ObjectStatus& status) {
  const auto resource = kube::known_resource(status.api_version, status.key.kind);
  if (!resource) return Outcome::kDone;  // has_own_status() and the watch know the same kinds
  const auto current = client_.get(*resource, status.key.ns, status.key.name);
  if (!current) return judge(current.error(), status);
  if (current->at({"metadata", "uid"}).as_string() != status.uid) {
    ++counters_.gone;
    return Outcome::kDone;
  }
  const auto patch = status_patch(status, *current, wall_seconds(clock_));
  if (!patch) {
    ++counters_.unchanged;
    return Outcome::kDone;
  }
  if (options_.leads && !options_.leads()) return Outcome::kAgain;
  const auto applied = client_.apply(*resource, *patch, {.manager = options_.manager, .subresource = "status"});
  if (!applied) return judge(applied.error(), status);
  ++counters_.written;
  said_failure_ = false;
  conflicting_.erase(status.key);
  return Outcome::kDone;
}

ApiStatusWriter::Outcome ApiStatusWriter::judge(const kube::ApiError& error, const ObjectStatus& status) {
  if (error.not_found()) {
    ++counters_.gone;
    return Outcome::kDone;
  }
  if (error.conflict()) {
    ++counters_.conflicts;
    if (conflicting_.size() > kMaxConflicting) conflicting_.clear();
    if (conflicting_.insert(status.key).second)
      spdlog::warn("status of {} is another's and stays as it is: {}", text_of(status.key), error.message);
    return Outcome::kDone;
  }
  if (error.forbidden()) {
    ++counters_.forbidden;
    if (!std::exchange(said_forbidden_, true)) spdlog::warn("statuses cannot be written: {}", error.message);
    return Outcome::kAgainMuchLater;
  }
  ++counters_.failures;
  // A status that the server calls invalid will not become valid by repetition.
  const bool hopeless = error.code >= 400 && error.code < 500 && error.code != 429 && error.code != 401;
  if (!std::exchange(said_failure_, true)) spdlog::warn("status of {}: {}", text_of(status.key), base::describe(error));
  return hopeless ? Outcome::kDone : Outcome::kAgain;
}

}  // namespace weft::state
