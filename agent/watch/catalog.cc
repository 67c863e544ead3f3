#include "agent/watch/catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <unordered_map>
#include <utility>

namespace weft::watch {
namespace {

using objects::Finding;
using objects::Node;
using objects::ObjectKey;

constexpr size_t kMaxFindings = 200;  // of one file: enough for any reader, and a bound for hostile files

constexpr uint64_t mix(uint64_t a, uint64_t b) {
  uint64_t x = (a ^ b) * 0x9e3779b97f4a7c15;
  x ^= x >> 32;
  return x * 0xd6e8feb86659fd93;
}

uint64_t hash_text(std::string_view text) {
  return mix(std::hash<std::string_view>{}(text), text.size());
}

// Marks count: an object that moved down by a line has other places in its findings.
uint64_t hash_node(const Node& node) {
  uint64_t hash =
      mix(static_cast<uint64_t>(node.kind()), (uint64_t{node.mark().line} << 32) | node.mark().column);
  for (const Node& item : node.items()) hash = mix(hash, hash_node(item));
  for (const Node::Entry& entry : node.entries())
    hash = mix(mix(hash, hash_text(entry.key)), mix(entry.mark.line, hash_node(entry.value)));
  if (node.is_mapping() || node.is_sequence()) return hash;
  return mix(hash, hash_text(node.is_string() ? node.as_string() : objects::to_json(node, 0)));
}

}  // namespace

Catalog::Catalog(objects::DecodeOptions decode, parse::YamlLimits limits, WatchCounters& counters)
    : decode_(std::move(decode)), limits_(limits), counters_(counters) {}

Catalog::File& Catalog::file_at(const std::string& path) {
  File& file = files_[path];
  if (file.order == 0) file.order = ++next_order_;
  touched_files_.insert(path);
  return file;
}

void Catalog::put(const std::string& path, std::string_view text, objects::Time birth) {
  const uint64_t text_hash = hash_text(text);
  const auto known = files_.find(path);
  if (known != files_.end() && known->second.text_hash == text_hash) return;
  File& file = file_at(path);
  file.text_hash = text_hash;
  ++counters_.files_parsed;
  parse::YamlResult yaml = parse::read_yaml(text, path, limits_);
  if (!yaml.findings.empty()) {
    ++counters_.files_refused;
    file.refusals = std::move(yaml.findings);
    // The parts stay, so that unchanged documents are recognised when the file is repaired.
    return;
  }
  file.parts = decode_parts(file, std::move(yaml.documents), birth);
  take_results(file, path);
  if (!file.refusals.empty()) ++counters_.files_refused;
}

std::vector<Catalog::Part> Catalog::decode_parts(File& file, std::vector<objects::Document> documents,
                                                 objects::Time birth) {
  objects::DecodeOptions options = decode_;
  options.first_seen = [&](const ObjectKey& key) {
    touched_keys_.insert(key);  // commit() forgets the time again if the object is refused after all
    Claim& claim = claims_[key];
    if (claim.first_seen == objects::Time{}) claim.first_seen = birth;
    return claim.first_seen;
  };
  std::unordered_map<uint64_t, Part*> before;
  for (Part& part : file.parts) before.emplace(part.hash, &part);
  std::vector<Part> parts;
  parts.reserve(documents.size());
  for (const objects::Document& document : documents) {
    const uint64_t hash = hash_node(document.root);
    const auto same = before.find(hash);
    if (same == before.end()) {
      parts.push_back({hash, objects::decode(document, options)});
      continue;
    }
    parts.push_back(std::move(*same->second));
    before.erase(same);
  }
  return parts;
}

void Catalog::take_results(File& file, const std::string& path) {
  std::map<ObjectKey, Held> held;
  std::set<ObjectKey> refused;
  std::map<ObjectKey, objects::ObjectPtr> stand_ins;
  bool nameless = false;  // something was refused of which not even the name is known
  file.refusals.clear();
  for (const Part& part : file.parts) {
    for (const objects::Decoded& result : part.results) {
      if (!result.object) {
        std::ranges::copy(result.findings, std::back_inserter(file.refusals));
        nameless |= !result.key;
        if (result.key) refused.insert(*result.key);
        if (result.stand_in) stand_ins.emplace(*result.key, result.stand_in);
        continue;
      }
      if (held.try_emplace(*result.key, Held{result.object, result.findings}).second) continue;
      file.refusals.push_back({.code = "DuplicateObject",
                               .file = path,
                               .line = result.object->mark.line,
                               .column = result.object->mark.column,
                               .message = fmt::format("{} occurs twice in this file; this one has no effect",
                                                      to_string(*result.key)),
                               .object = result.key});
    }
  }
  for (auto& [key, old] : file.held) {
    // What is refused keeps its last good form, and what has vanished may be what is refused.
    const bool keep = (nameless || refused.contains(key)) && !stand_ins.contains(key);
    const bool good = !old.object->refused;
    if (keep || (good && stand_ins.contains(key))) held.try_emplace(key, old);
  }
  // Policies fail closed: without a good form, what stands in for the refused one counts.
  for (const auto& [key, object] : stand_ins) held.try_emplace(key, Held{object, {}});
  for (const auto& [key, old] : file.held)
    if (!held.contains(key)) unclaim(key, path);
  for (const auto& [key, now] : held) claim(key, path);
  file.held = std::move(held);
}

void Catalog::refuse(const std::string& path, Finding why) {
  File& file = file_at(path);
  file.text_hash = 0;
  file.refusals = {std::move(why)};
  ++counters_.files_refused;
}

void Catalog::remove(const std::string& path) {
  const auto file = files_.find(path);
  if (file == files_.end()) return;
  for (const auto& [key, held] : file->second.held) unclaim(key, path);
  touched_files_.insert(path);
  file->second.held.clear();
  file->second.parts.clear();
  file->second.refusals.clear();
  file->second.text_hash = 0;
  file->second.order = 0;  // gone, unless it is put again before commit()
}

std::vector<std::string> Catalog::remove_missing(std::string_view directory,
                                                 const std::set<std::string>& seen) {
  std::vector<std::string> missing;
  for (auto file = files_.lower_bound(directory); file != files_.end() && file->first.starts_with(directory);
       ++file)
    if (!seen.contains(file->first)) missing.push_back(file->first);
  for (const std::string& path : missing) remove(path);
  return missing;
}

void Catalog::keep_below(std::string_view directory, std::set<std::string>& seen) const {
  for (auto file = files_.lower_bound(directory); file != files_.end() && file->first.starts_with(directory);
       ++file)
    seen.insert(file->first);
}

void Catalog::claim(const ObjectKey& key, const std::string& path) {
  touched_keys_.insert(key);
  std::vector<std::string>& files = claims_[key].files;
  if (std::ranges::find(files, path) == files.end()) files.push_back(path);
  if (files.size() > 1) touched_files_.insert(files.begin(), files.end());
}

void Catalog::unclaim(const ObjectKey& key, const std::string& path) {
  touched_keys_.insert(key);
  std::vector<std::string>& files = claims_[key].files;
  touched_files_.insert(files.begin(), files.end());
  std::erase(files, path);
}

const std::string* Catalog::speaker(const Claim& claim) const {
  const auto first = std::ranges::min_element(claim.files, {},
                                              [&](const std::string& path) { return files_.at(path).order; });
  return first == claim.files.end() ? nullptr : &*first;
}

void Catalog::settle(const ObjectKey& key, std::vector<Event>& removals, std::vector<Event>& upserts) {
  const auto place = claims_.find(key);
  if (place == claims_.end()) return;
  Claim& claim = place->second;
  const std::string* path = speaker(claim);
  if (!path) {
    if (claim.emitted) removals.emplace_back(Remove{key});
    claims_.erase(place);
    return;
  }
  const Held& held = files_.at(*path).held.at(key);
  if (held.object == claim.emitted) return;
  claim.emitted = held.object;
  upserts.emplace_back(Upsert{key, held.object, held.warnings});
}

std::vector<Finding> Catalog::findings_of(const std::string& path, const File& file) const {
  std::vector<Finding> out = file.refusals;
  for (const auto& [key, held] : file.held) {
    const Claim& claim = claims_.at(key);
    const std::string* first = claim.files.size() > 1 ? speaker(claim) : nullptr;
    if (!first || *first == path) continue;
    const objects::Object& other = *files_.at(*first).held.at(key).object;
    out.push_back(
        {.code = "DuplicateObject",
         .file = path,
         .line = held.object->mark.line,
         .column = held.object->mark.column,
         .message = fmt::format("{} is defined in {}:{} already, which was seen first; the one in {} has no "
                                "effect",
                                to_string(key), *first, other.mark.line, path),
         .object = key});
  }
  if (out.size() > kMaxFindings) {
    const size_t more = out.size() - kMaxFindings;
    out.resize(kMaxFindings);
    out.push_back({.code = "MoreFindings",
                   .file = path,
                   .message = fmt::format("{} more findings in this file are not listed", more)});
  }
  return out;
}

std::vector<Event> Catalog::commit() {
  // Removals first: an address or a name that changes hands is free before it is taken.
  std::vector<Event> events, upserts;
  for (const ObjectKey& key : std::exchange(touched_keys_, {})) settle(key, events, upserts);
  std::ranges::move(upserts, std::back_inserter(events));
  for (const std::string& path : std::exchange(touched_files_, {})) {
    const auto place = files_.find(path);
    if (place == files_.end()) continue;
    File& file = place->second;
    std::vector<Finding> now = findings_of(path, file);
    if (now != file.said) events.emplace_back(FileFindings{path, now});
    file.said = std::move(now);
    if (file.order == 0) files_.erase(place);
  }
  counters_.events += events.size();
  return events;
}

}  // namespace weft::watch
