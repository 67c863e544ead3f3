#include "agent/watch/served_catalog.h"

#include <utility>

#include "agent/objects/kinds.h"
#include "agent/objects/served.h"

namespace weft::watch {

using objects::ObjectKey;

void ServedCatalog::put(objects::Kind kind, std::string_view version, const objects::Node& root) {
  ++counters_.taken;
  objects::Decoded decoded = objects::decode_served(root, kind, version);
  if (!decoded.key) {
    ++counters_.unreadable;
    return;
  }
  Held& held = held_[*decoded.key];
  if (decoded.object) {
    accept(std::move(decoded), held);
  } else {
    ++counters_.refused;
    refuse(std::move(decoded), root, objects::api_version_of(objects::traits_of(kind), version), held);
  }
  counters_.objects = held_.size();
}

void ServedCatalog::take_over(const ObjectKey& key, objects::ObjectPtr object, std::vector<objects::Finding> findings,
                              Held& held) {
  held.object = object;
  changes_[key].upsert = Upsert{key, std::move(object), std::move(findings)};
}

void ServedCatalog::withdraw(const ObjectKey& key, Held& held) {
  held.object = nullptr;
  changes_[key] = {.removed = true, .upsert = std::nullopt, .findings = std::nullopt};
}

void ServedCatalog::accept(objects::Decoded decoded, Held& held) {
  const ObjectKey& key = *decoded.key;
  if (held.refused) {
    held.refused = false;
    changes_[key].findings = ObjectFindings{.key = key};
  } else if (held.object && objects::says_the_same(*held.object, *decoded.object)) {
    ++counters_.unchanged;
    return;
  }
  take_over(key, std::move(decoded.object), std::move(decoded.findings), held);
}

void ServedCatalog::refuse(objects::Decoded decoded, const objects::Node& root, std::string api_version, Held& held) {
  const ObjectKey& key = *decoded.key;
  const std::string& uid = root.at({"metadata", "uid"}).as_string();
  const int64_t generation = root.at({"metadata", "generation"}).as_int();
  if (held.refused && generation != 0 && held.refused_uid == uid && held.refused_generation == generation) {
    ++counters_.unchanged;  // somebody wrote its status
    return;
  }
  const bool good = held.object && !held.object->refused && held.object->meta.uid == uid;
  if (!good && held.object) withdraw(key, held);
  if (!good && decoded.stand_in) take_over(key, std::move(decoded.stand_in), {}, held);
  held.refused = true;
  held.refused_uid = uid;
  held.refused_generation = generation;
  changes_[key].findings = ObjectFindings{.key = key,
                                          .findings = std::move(decoded.findings),
                                          .api_version = std::move(api_version),
                                          .uid = uid,
                                          .generation = generation};
}

void ServedCatalog::remove(const ObjectKey& key) {
  if (held_.erase(key) == 0) return;
  changes_[key] = {.removed = true, .upsert = std::nullopt, .findings = std::nullopt};
  counters_.objects = held_.size();
}

std::vector<Event> ServedCatalog::commit() {
  std::vector<Event> events;
  for (const auto& [key, change] : changes_)
    if (change.removed) events.emplace_back(Remove{key});
  for (auto& [key, change] : changes_)
    if (change.upsert) events.emplace_back(std::move(*change.upsert));
  for (auto& [key, change] : changes_)
    if (change.findings) events.emplace_back(std::move(*change.findings));
  changes_.clear();
  counters_.events += events.size();
  return events;
}

}  // namespace weft::watch
