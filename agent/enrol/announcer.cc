#include "agent/enrol/announcer.h"

#include <fstream>
#include <set>
#include <utility>

namespace weft::enrol {
namespace {

constexpr const char* kEnabled = "enabled";
constexpr const char* kPending = "pending";

bool same_capture(const Announcement& a, const Announcement& b) {
  return a.redirection == b.redirection && a.captured == b.captured;
}

}  // namespace

base::Result<std::string> read_boot_id(const std::string& path) {
  std::ifstream in(path);
  std::string id;
  if (!(in >> id)) return base::fail_errno("read " + path);
  return id;
}

Announcement Announcer::wanted(const AnnouncedPod& pod, const PodStatus* status, const Record& record) const {
  if (pod.ns + "/" + pod.name == own_pod_) {
    Announcement own = pod.shown;
    own.armed = armed_ ? boot_id_ : "";
    own.attached = attached_;
    return own;
  }
  if (status == nullptr) {
    // None of ours. What another mesh wrote of its own pods is not ours to take away.
    if (!pod.enrolled && pod.shown.captured.empty() && pod.shown.excluded.empty()) return pod.shown;
    return {};
  }
  Announcement out{.redirection = kEnabled,
                   .captured = boot_id_ + "/" + std::to_string(status->netns_cookie),
                   .excluded = pod.excludes};
  if (status->captured) return out;
  switch (status->gap) {
    case Gap::kNoProxy:
      // Proven before and armed still: a proxy that comes back in a moment finds its calls waiting.
      if (same_capture(pod.shown, out) || (record.is_sent && same_capture(record.sent, out))) return out;
      return {.redirection = kPending, .excluded = pod.excludes};
    case Gap::kUntested:
      return {.redirection = kPending, .excluded = pod.excludes};
    default:
      return {};
  }
}

void Announcer::write(const AnnouncedPod& pod, const Announcement& want, Record& record) {
  if (pod.shown == want) {
    record.is_sent = false;
    return;
  }
  const base::Instant now = clock_.now();
  if (record.is_sent && record.sent == want && now - record.sent_at < kRepeat) return;
  if (!pod.shown.captured.empty() && want.captured != pod.shown.captured &&
      !(record.is_sent && record.sent == want))
    ++(want.captured.empty() && pod.shown.captured.starts_with(boot_id_ + "/") ? counters_.withdrawn
                                                                               : counters_.stale);
  record.sent = want;
  record.sent_at = now;
  record.is_sent = true;
  ++counters_.written;
  door_.annotate(pod, want);
}

// Each once, for as long as it stays the newest: an agent that starts anew does not repeat what the object
// shows.
void Announcer::tell(const AnnouncedPod& pod, const PodStatus& status, Record& record) {
  PodEvent event;
  if (status.captured) {
    event = {.reason = "MeshCaptured",
             .message = "all TCP of this pod passes the mesh, proven by a connection from inside it"};
    const bool shown_already = record.told.empty() && same_capture(pod.shown, wanted(pod, &status, record));
    if (shown_already) record.told = event.reason + event.message;
  } else if (status.gap == Gap::kSelfTest || status.gap == Gap::kArming) {
    if (status.detail.empty()) return;
    event = {.warning = true, .reason = "MeshCaptureFailed", .message = status.detail};
  } else {
    return;
  }
  if (record.told == event.reason + event.message) return;
  record.told = event.reason + event.message;
  tell(pod, event);
}

void Announcer::tell(const AnnouncedPod& pod, const PodEvent& event) {
  ++counters_.events;
  door_.tell(pod, event);
}

// Once, when they are first seen: how many are left, the agent's report says.
void Announcer::tell_pre_mesh(const AnnouncedPod& pod, const PodStatus& status, Record& record) {
  const bool any = status.pre_mesh.open > 0;
  if (!std::exchange(record.told_pre_mesh, any) && any) {
    ++counters_.events;
    door_.tell(pod, {.reason = "PreMeshConnections",
                     .message = std::to_string(status.pre_mesh.open) +
                                " connections were open before this pod was captured: they go on past the "
                                "mesh until they end, the first of them " +
                                status.pre_mesh.some.front()});
  }
}

// Nothing goes around the mesh without a word, and nothing that was asked for is passed over without one.
void Announcer::tell_exclusions(const AnnouncedPod& pod, const Announcement& want, Record& record) {
  if (pod.exclusion_problem != record.told_problem) {
    record.told_problem = pod.exclusion_problem;
    if (!pod.exclusion_problem.empty())
      tell(pod, {.warning = true,
                 .reason = "MeshExclusionRefused",
                 .message = pod.exclusion_problem,
                 .action = "Excluding: " + pod.exclusion_problem});
  }
  const bool armed = !want.redirection.empty();
  // An agent that starts anew does not repeat what the object shows.
  if (record.told_excluded.empty() && pod.shown.excluded == want.excluded) record.told_excluded = want.excluded;
  if (!armed || want.excluded == record.told_excluded) return;
  record.told_excluded = want.excluded;
  tell(pod, {.reason = "MeshExcluded",
             .message = want.excluded.empty() ? "nothing goes around the mesh any more"
                                              : "goes around the mesh: " + want.excluded,
             .action = "Excluding: " + want.excluded});
}

void Announcer::update(const std::vector<AnnouncedPod>& pods, const std::vector<PodStatus>& statuses) {
  std::map<std::string, const PodStatus*> by_name;
  for (const PodStatus& status : statuses)
    if (!status.leaving) by_name[status.name] = &status;
  std::set<std::string> present;
  for (const AnnouncedPod& pod : pods) {
    present.insert(pod.uid);
    const auto found = pod.enrolled ? by_name.find(pod.ns + "/" + pod.name) : by_name.end();
    const PodStatus* const status = found == by_name.end() ? nullptr : found->second;
    Record& record = records_[pod.uid];
    const Announcement want = wanted(pod, status, record);
    if (status != nullptr) {
      tell(pod, *status, record);
      tell_pre_mesh(pod, *status, record);
      tell_exclusions(pod, want, record);
    }
    write(pod, want, record);
  }
  std::erase_if(records_, [&](const auto& entry) { return !present.contains(entry.first); });
}

}  // namespace weft::enrol
