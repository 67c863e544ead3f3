#include "agent/enrol/pre_mesh.h"

#include <algorithm>

namespace weft::enrol {

void PreMeshConnections::keep(const std::vector<ArrivedConnection>& open) {
  cookies_.clear();
  now_.open = 0;
  now_.some.clear();
  for (const ArrivedConnection& one : open) {
    if (!cookies_.insert(one.cookie).second) continue;
    ++now_.open;
    if (now_.some.size() < kNamed) now_.some.push_back(one.local.to_string() + " - " + one.peer.to_string());
  }
}

base::Result<std::vector<ArrivedConnection>> PreMeshConnections::still_open(PodNetns& netns) const {
  TRY_ASSIGN(auto open, netns.uncarried());
  std::erase_if(open, [&](const ArrivedConnection& one) { return !cookies_.contains(one.cookie); });
  return open;
}

base::Status PreMeshConnections::take(PodNetns& netns, bool late) {
  TRY_ASSIGN(auto open, netns.uncarried());
  now_ = {.unlisted = open.size() - std::min(open.size(), kRemembered), .late = late};
  open.resize(open.size() - now_.unlisted);
  keep(open);
  return {};
}

base::Status PreMeshConnections::look(PodNetns& netns) {
  if (cookies_.empty()) return {};
  TRY_ASSIGN(const auto open, still_open(netns));
  keep(open);
  now_.stuck = std::min(now_.stuck, now_.open);
  return {};
}

base::Status PreMeshConnections::end_some(PodNetns& netns) {
  TRY_ASSIGN(const auto open, still_open(netns));
  std::vector<ArrivedConnection> left;
  base::Status failure;
  size_t ended = 0, stuck = 0;
  for (const ArrivedConnection& one : open) {
    base::Status cut;
    if (ended < kAtOnce && (cut = netns.cut(one))) {
      ++ended;
      continue;
    }
    left.push_back(one);
    if (cut) continue;
    ++stuck;
    failure = std::move(cut);
  }
  keep(left);
  now_.ended += ended;
  now_.stuck = stuck;
  return failure;
}

void PreMeshConnections::forget() {
  cookies_.clear();
  now_ = {};
}

// How many of them are left, the next look tells.
void PreMeshConnections::recall(const PreMeshRecord& record) {
  cookies_ = record.cookies;
  now_ = {.unlisted = record.unlisted, .late = record.late, .recalled = true};
}

PreMeshRecord PreMeshConnections::record(base::Instant enrolled_at) const {
  return {.enrolled_at = enrolled_at, .unlisted = now_.unlisted, .late = now_.late, .cookies = cookies_};
}

}  // namespace weft::enrol
