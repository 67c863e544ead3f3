#pragma once
// What all files say together: which object stands where, which file speaks for it, and what changed.
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/watch/directory.h"

namespace weft::watch {

// Knows nothing of the file system. Owner: the watch's worker; one thread. Changes are collected by put(),
// refuse() and remove(), and come out as net events by commit(): an object that moved from one file to
// another in between is one Upsert, an object that was written as it was is nothing. Cost goes with the
// changed files, not with all.
class Catalog {
 public:
  Catalog(objects::DecodeOptions decode, parse::YamlLimits limits, WatchCounters& counters);

  // `birth` orders files that are seen for the first time and dates objects that do not say when they were
  // made.
  void put(const std::string& path, std::string_view text, objects::Time birth);
  // The file is there but cannot be used: its objects keep their last good form.
  void refuse(const std::string& path, objects::Finding why);
  void remove(const std::string& path);
  // Like remove(), for every known path below the directory (with trailing slash, or empty) that is not in
  // `seen`.
  std::vector<std::string> remove_missing(std::string_view directory, const std::set<std::string>& seen);
  // Adds every known path below `directory` to `seen`.
  void keep_below(std::string_view directory, std::set<std::string>& seen) const;

  [[nodiscard]] std::vector<Event> commit();

 private:
  // A document and what became of it; a List yields several results.
  struct Part {
    uint64_t hash = 0;
    std::vector<objects::Decoded> results;
  };
  struct Held {
    objects::ObjectPtr object;
    std::vector<objects::Finding> warnings;
  };
  struct File {
    uint64_t order = 0;  // the smallest speaks for an object
    uint64_t text_hash = 0;
    std::vector<Part> parts;
    std::map<objects::ObjectKey, Held> held;  // last good forms
    std::vector<objects::Finding> refusals;   // what is wrong in the file itself
    std::vector<objects::Finding> said;       // last FileFindings
  };
  struct Claim {
    std::vector<std::string> files;  // all that hold the object
    objects::ObjectPtr emitted;
    objects::Time first_seen{};
  };

  File& file_at(const std::string& path);
  std::vector<Part> decode_parts(File& file, std::vector<objects::Document> documents, objects::Time birth);
  void take_results(File& file, const std::string& path);
  void claim(const objects::ObjectKey& key, const std::string& path);
  void unclaim(const objects::ObjectKey& key, const std::string& path);
  [[nodiscard]] const std::string* speaker(const Claim& claim) const;
  void settle(const objects::ObjectKey& key, std::vector<Event>& removals, std::vector<Event>& upserts);
  [[nodiscard]] std::vector<objects::Finding> findings_of(const std::string& path, const File& file) const;

  objects::DecodeOptions decode_;
  parse::YamlLimits limits_;
  WatchCounters& counters_;
  uint64_t next_order_ = 0;
  std::map<std::string, File, std::less<>> files_;
  std::map<objects::ObjectKey, Claim> claims_;
  // Since the last commit:
  std::set<objects::ObjectKey> touched_keys_;
  std::set<std::string> touched_files_;
};

}  // namespace weft::watch
