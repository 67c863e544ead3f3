#include "agent/compile/ids.h"

#include <algorithm>

namespace weft::compile {
namespace {

weft_name name_value(std::string_view text, uint32_t generation) {
  weft_name value{};
  value.generation = generation;
  std::memcpy(value.text, text.data(), std::min(text.size(), sizeof value.text - 1));
  return value;
}

// A name that does not fit is not recorded: it gets another number after a restart, which harms nobody. No
// name that Kubernetes admits is that long.
bool fits(std::string_view text) {
  return text.size() < sizeof(weft_name::text);
}

template <typename Entries>
void forget_unused(Entries& entries) {
  std::erase_if(entries, [](const auto& item) { return !item.second.used; });
}

template <typename Entries>
void clear_used(Entries& entries) {
  for (auto& [key, entry] : entries) entry.used = false;
}

}  // namespace

Ids Ids::recover(const Tables& pinned) {
  Ids ids;
  for (const auto& [key, value] : pinned.names) ids.learn(key, value);
  for (const auto& [key, service] : pinned.services) {
    ids.services_[key] = {.id = service.head.service_id, .generation = 0, .used = false};
    ids.next_[WEFT_NAME_SERVICE] = std::max(ids.next_[WEFT_NAME_SERVICE], service.head.service_id + 1);
  }
  // Backends of a service that was never flipped in still own their number.
  for (const auto& stray : pinned.strays)
    ids.next_[WEFT_NAME_SERVICE] = std::max(ids.next_[WEFT_NAME_SERVICE], stray.service_id + 1);
  return ids;
}

void Ids::learn(const weft_name_key& key, const weft_name& value) {
  std::string text(value.text, strnlen(value.text, sizeof value.text));
  auto count = [this](uint32_t kind, uint32_t next) { next_[kind] = std::max(next_[kind], next); };
  switch (key.kind) {
    case WEFT_NAME_IDENTITY:
      identities_[text] = {.id = key.id, .generation = 0, .used = false};
      return count(key.kind, key.id + 1);
    case WEFT_NAME_NAMESPACE:
      namespaces_[text] = {.id = key.id, .generation = 0, .used = false};
      return count(key.kind, key.id + 1);
    case WEFT_NAME_POD:
      if (key.id == 0 || key.id > WEFT_MAX_LOCAL_PODS) return;
      pods_[text] = {.id = key.id, .generation = value.generation, .used = false};
      pod_ids_.insert(key.id);
      pod_cursor_ = std::max(pod_cursor_, key.id);
      return count(key.kind, value.generation + 1);
    case WEFT_NAME_NEXT:
      if (key.id < WEFT_NAME_NEXT) count(key.id, value.generation);
      return;
    default:
      return;
  }
}

void Ids::begin() {
  clear_used(identities_);
  clear_used(namespaces_);
  clear_used(pods_);
  clear_used(services_);
}

void Ids::finish() {
  forget_unused(identities_);
  forget_unused(namespaces_);
  forget_unused(services_);
  for (const auto& [uid, entry] : pods_)
    if (!entry.used) pod_ids_.erase(entry.id);
  forget_unused(pods_);
}

uint32_t Ids::number(ByText& entries, std::string_view text, weft_name_kind kind) {
  auto found = entries.find(text);
  if (found == entries.end()) {
    Entry entry{.id = take_next(kind), .generation = 0, .used = true};
    found = entries.emplace(std::string(text), entry).first;
  }
  found->second.used = true;
  return found->second.id;
}

uint32_t Ids::identity(std::string_view service_account_key) {
  return number(identities_, service_account_key, WEFT_NAME_IDENTITY);
}

uint32_t Ids::name_space(std::string_view name) {
  return number(namespaces_, name, WEFT_NAME_NAMESPACE);
}

uint32_t Ids::service(const weft_service_key& key) {
  auto [found, added] = services_.try_emplace(key);
  if (added) found->second.id = take_next(WEFT_NAME_SERVICE);
  found->second.used = true;
  return found->second.id;
}

PodId Ids::pod(std::string_view uid) {
  auto found = pods_.find(uid);
  if (found != pods_.end()) {
    found->second.used = true;
    return {found->second.id, found->second.generation};
  }
  if (pod_ids_.size() >= WEFT_MAX_LOCAL_PODS) return {};
  do {
    pod_cursor_ = pod_cursor_ % WEFT_MAX_LOCAL_PODS + 1;
  } while (pod_ids_.contains(pod_cursor_));
  Entry entry{.id = pod_cursor_, .generation = take_next(WEFT_NAME_POD), .used = true};
  pod_ids_.insert(entry.id);
  pods_.emplace(std::string(uid), entry);
  return {entry.id, entry.generation};
}

Table<weft_name_key, weft_name> Ids::names() const {
  Table<weft_name_key, weft_name> out;
  auto add = [&out](const ByText& entries, weft_name_kind kind) {
    for (const auto& [text, entry] : entries)
      if (fits(text)) out.emplace(weft_name_key{kind, entry.id}, name_value(text, entry.generation));
  };
  add(identities_, WEFT_NAME_IDENTITY);
  add(namespaces_, WEFT_NAME_NAMESPACE);
  add(pods_, WEFT_NAME_POD);
  for (uint32_t kind = WEFT_NAME_IDENTITY; kind < WEFT_NAME_NEXT; ++kind)
    if (next_[kind] > 1) out.emplace(weft_name_key{WEFT_NAME_NEXT, kind}, name_value("", next_[kind]));
  return out;
}

}  // namespace weft::compile
