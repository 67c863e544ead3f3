#include "agent/state/api_status_writer.h"

#include <chrono>
#include <utility>

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
    : client_(client), clock_(clock), options_(std::move(options)), queue_(clock, options_.queue) {}

ApiStatusWriter::~ApiStatusWriter() = default;

void ApiStatusWriter::enqueue(const ObjectStatus& status) {
  queue_.put(text_of(status.key), [this, status] { return tell(status); });
}

base::Status ApiStatusWriter::apply(const std::vector<ObjectStatus>& statuses, const std::vector<StatusKey>& removed) {
  const std::lock_guard lock(mutex_);
  for (const StatusKey& key : removed) {
    latest_.erase(key);
    queue_.drop(text_of(key));
  }
  for (const ObjectStatus& status : statuses) {
    if (status.uid.empty() || !has_own_status(status.key.kind)) continue;
    latest_[status.key] = status;
    if (leading_) enqueue(status);
  }
  return {};
}

void ApiStatusWriter::set_leading(bool leading) {
  const std::lock_guard lock(mutex_);
  if (leading == leading_) return;
  leading_ = leading;
  queue_.clear();
  if (!leading) return;
  for (const auto& [key, status] : latest_) enqueue(status);
}

ApiOutcome ApiStatusWriter::tell(const ObjectStatus& status) {
  const auto resource = kube::known_resource(status.api_version, status.key.kind);
  if (!resource) return ApiOutcome::kDone;  // has_own_status() and the watch know the same kinds
  const auto current = client_.get(*resource, status.key.ns, status.key.name);
  if (!current) return judge(current.error(), status);
  if (current->at({"metadata", "uid"}).as_string() != status.uid) {
    ++counters_.gone;
    return ApiOutcome::kDone;
  }
  const auto patch = status_patch(status, *current, wall_seconds(clock_));
  if (!patch) {
    ++counters_.unchanged;
    return ApiOutcome::kDone;
  }
  if (options_.leads && !options_.leads()) return ApiOutcome::kAgain;
  const auto applied = client_.apply(*resource, *patch, {.manager = options_.manager, .subresource = "status"});
  if (!applied) return judge(applied.error(), status);
  ++counters_.written;
  said_failure_ = false;
  conflicting_.erase(status.key);
  return ApiOutcome::kDone;
}

ApiOutcome ApiStatusWriter::judge(const kube::ApiError& error, const ObjectStatus& status) {
  if (error.not_found()) {
    ++counters_.gone;
    return ApiOutcome::kDone;
  }
  if (error.conflict()) {
    ++counters_.conflicts;
    if (conflicting_.size() > kMaxConflicting) conflicting_.clear();
    if (conflicting_.insert(status.key).second)
      spdlog::warn("status of {} is another's and stays as it is: {}", text_of(status.key), error.message);
    return ApiOutcome::kDone;
  }
  if (error.forbidden()) {
    ++counters_.forbidden;
    if (!std::exchange(said_forbidden_, true)) spdlog::warn("statuses cannot be written: {}", error.message);
    return ApiOutcome::kForbidden;
  }
  ++counters_.failures;
  // A status that the server calls invalid will not become valid by repetition.
  const bool hopeless = error.code >= 400 && error.code < 500 && error.code != 429 && error.code != 401;
  if (!std::exchange(said_failure_, true)) spdlog::warn("status of {}: {}", text_of(status.key), base::describe(error));
  return hopeless ? ApiOutcome::kDone : ApiOutcome::kAgain;
}

}  // namespace weft::state
