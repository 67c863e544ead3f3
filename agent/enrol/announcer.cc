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

// Of connections of before: what becomes of them.
std::string fate_of(const PodStatus& pod) {
  const std::string policy = "policy (" + objects::to_string(pod.pre_mesh_policy) + ")";
  const std::string left = "they go on past the mesh until they end";
  if (!pod.pre_mesh_policy.end_after) return left;
  if (pod.pre_mesh.late) return left + ", listed too late for " + policy + " to tell them from the mesh's";
  return left + " or " + policy + " ends them";
}

std::string unlisted_text(const PreMesh& all) {
  if (all.unlisted == 0) return "";
  return "; " + std::to_string(all.unlisted) + " more were open than can be listed: they go on until they end";
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
  const PreMesh& all = status.pre_mesh;
  if (std::exchange(record.told_pre_mesh, all.open > 0) || all.open == 0 || all.recalled) return;
  tell(pod, {.reason = "PreMeshConnections",
             .message = std::to_string(all.open) + " connections were open before this pod was captured: " +
                        fate_of(status) + ", the first of them " + all.some.front() + unlisted_text(all)});
}

// Once for all that a turn of policy has ended.
void Announcer::tell_ended(const AnnouncedPod& pod, const PodStatus& status, Record& record) {
  const PreMesh& all = status.pre_mesh;
  if (all.ended > record.told_ended && all.open > all.stuck) return;  // there is more to come
  const size_t told = std::exchange(record.told_ended, all.ended);
  if (all.ended <= told) return;
  const std::string policy = objects::to_string(status.pre_mesh_policy);
  const std::string ended = std::to_string(all.ended - told);
  std::string message = ended + " connections of before the mesh were ended by policy (" + policy + ")";
  if (all.stuck > 0) message += "; " + std::to_string(all.stuck) + " could not be ended";
  tell(pod, {.reason = "PreMeshConnectionsEnded",
             .message = message + unlisted_text(all),
             .action = "Ending " + ended + " by " + policy});
}

// What was asked for is not passed over without a word.
void Announcer::tell_problem(const AnnouncedPod& pod, const std::string& problem, std::string& told,
                             const char* reason, const char* action) {
  if (problem == std::exchange(told, problem) || problem.empty()) return;
  tell(pod, {.warning = true, .reason = reason, .message = problem, .action = action + problem});
}

// Nothing goes around the mesh without a word.
void Announcer::tell_exclusions(const AnnouncedPod& pod, const Announcement& want, Record& record) {
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
      tell_problem(pod, pod.pre_mesh_problem, record.told_pre_mesh_problem, "PreMeshPolicyRefused", "Enrolling: ");
      tell_pre_mesh(pod, *status, record);
      tell_ended(pod, *status, record);
      tell_problem(pod, pod.exclusion_problem, record.told_exclusion_problem, "MeshExclusionRefused", "Excluding: ");
      tell_exclusions(pod, want, record);
    }
    write(pod, want, record);
  }
  std::erase_if(records_, [&](const auto& entry) { return !present.contains(entry.first); });
}

}  // namespace weft::enrol
