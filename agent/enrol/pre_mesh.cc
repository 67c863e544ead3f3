#include "agent/enrol/pre_mesh.h"

namespace weft::enrol {

void PreMeshConnections::keep(const std::vector<ArrivedConnection>& open) {
  cookies_.clear();
  now_ = {};
  for (const ArrivedConnection& one : open) {
    if (cookies_.size() >= kRemembered) return;
    if (!cookies_.insert(one.cookie).second) continue;
    ++now_.open;
    if (now_.some.size() < kNamed) now_.some.push_back(one.local.to_string() + " - " + one.peer.to_string());
  }
}

base::Status PreMeshConnections::take(PodNetns& netns) {
  TRY_ASSIGN(const auto open, netns.uncarried());
  keep(open);
  return {};
}

base::Status PreMeshConnections::look(PodNetns& netns) {
  if (cookies_.empty()) return {};
  TRY_ASSIGN(auto open, netns.uncarried());
  std::erase_if(open, [&](const ArrivedConnection& one) { return !cookies_.contains(one.cookie); });
  keep(open);
  return {};
}

void PreMeshConnections::forget() {
  cookies_.clear();
  now_ = {};
}

}  // namespace weft::enrol
