#include "agent/state/peer_modes.h"

#include <algorithm>

#include "agent/state/authorization.h"
#include "agent/state/endpoints.h"

namespace weft::state {
namespace {

using model::PeerMode;
using objects::MtlsMode;
using objects::PeerAuthentication;

PeerMode mode_of(MtlsMode mode) {
  return mode == MtlsMode::kStrict ? PeerMode::kStrict : PeerMode::kPermissive;
}

// Lets a level speak: what it says replaces what the levels above said.
void apply(const PeerAuthentication* object, PodModes& out) {
  if (!object) return;
  out.deciding.push_back(store_key(*object));
  if (object->mode == MtlsMode::kUnset) return;
  out.mode = mode_of(object->mode);
  out.source = place_of(*object, "", object->mark);
}

void apply_namespace(const PeerAuthentication* object, const NamespacePolicy* ns, PodModes& out) {
  apply(object, out);
  if (!ns || ns->peer_mode_source.empty()) return;
  const bool object_speaks = object && object->mode != MtlsMode::kUnset;
  if (object_speaks && (out.mode == PeerMode::kStrict || ns->peer_mode == PeerMode::kPermissive)) return;
  out.mode = ns->peer_mode;
  out.source = ns->peer_mode_source;
}

// A port that says UNSET has the mode of its pod. Under a strict parent, an object that leaves the pod's mode UNSET
// excepts ports only if it calls one of them PERMISSIVE.
void apply_ports(const PeerAuthentication& object, PodModes& out) {
  const bool inherits = object.mode == MtlsMode::kUnset && out.mode == PeerMode::kStrict;
  const bool excepts = !inherits || std::ranges::find(object.ports, MtlsMode::kPermissive, &objects::PortMtls::mode) !=
                                        object.ports.end();
  for (const objects::PortMtls& port : object.ports) {
    if (port.mode == MtlsMode::kUnset || mode_of(port.mode) == out.mode) continue;
    if (mode_of(port.mode) == PeerMode::kPermissive && !excepts) continue;
    const std::string what = "portLevelMtls[" + std::to_string(port.port) + "]";
    out.ports.push_back({port.port, mode_of(port.mode), place_of(object, what, port.mark)});
  }
}

}  // namespace

PeerModes::PeerModes(const Objects<PeerAuthentication>& objects, std::string root_namespace)
    : root_namespace_(std::move(root_namespace)) {
  for (const auto& [key, object] : objects) {
    Level& level = levels_[key.ns];
    if (!object->selector.empty()) {
      level.selecting.push_back(object);
    } else if (!level.whole || objects::older(*object, *level.whole)) {
      level.whole = object;
    }
  }
  for (auto& [ns, level] : levels_)
    std::ranges::sort(level.selecting, [](const auto& a, const auto& b) { return objects::older(*a, *b); });
}

const PeerModes::Level* PeerModes::level(const std::string& ns) const {
  const auto found = levels_.find(ns);
  return found == levels_.end() ? nullptr : &found->second;
}

PodModes PeerModes::of(const objects::Pod& pod, const NamespacePolicy* ns) const {
  PodModes out;
  const auto whole = [](const Level* level) { return level ? level->whole.get() : nullptr; };
  const Level* const mesh = level(root_namespace_);
  if (pod.meta.ns == root_namespace_) {  // mesh and namespace are one level
    apply_namespace(whole(mesh), ns, out);
    return out;
  }
  const Level* const own = level(pod.meta.ns);
  apply(whole(mesh), out);
  apply_namespace(whole(own), ns, out);
  if (!own) return out;
  const auto chosen = std::ranges::find_if(
      own->selecting, [&](const auto& object) { return selects(object->selector, pod.meta.labels); });
  if (chosen == own->selecting.end()) return out;
  apply(chosen->get(), out);
  apply_ports(**chosen, out);
  return out;
}

bool PeerModes::counts(const PeerAuthentication& object) const {
  return object.selector.empty() || object.meta.ns != root_namespace_;
}

const PeerAuthentication* PeerModes::older_than(const PeerAuthentication& object) const {
  const Level* const own = level(object.meta.ns);
  if (!own || !object.selector.empty() || !own->whole || own->whole.get() == &object) return nullptr;
  return own->whole.get();
}

}  // namespace weft::state
