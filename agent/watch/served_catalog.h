#pragma once
// The objects of an API server as they are now, and what changed: Catalog's counterpart behind the second door.
#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/watch/event.h"

namespace weft::watch {

// Read by any thread.
struct ServedCounters {
  std::atomic<uint64_t> taken{0};       // forms of objects that came
  std::atomic<uint64_t> unchanged{0};   // of these: nothing that the mesh reads was different
  std::atomic<uint64_t> refused{0};     // of these: refused; their objects' statuses say why
  std::atomic<uint64_t> unreadable{0};  // of these: not even kind and name could be read
  std::atomic<uint64_t> objects{0};     // held now
  std::atomic<uint64_t> events{0};      // handed on
};

// Knows nothing of servers. Changes are collected by put() and remove(), and come out as net events by commit(). An
// object whose new form is refused keeps its last good one; without a good one what fails closed stands in, if its kind
// does. An object that was deleted and made again (another uid) has no former good form. Owner: ClusterWatch; one
// thread.
class ServedCatalog {
 public:
  explicit ServedCatalog(ServedCounters& counters) : counters_(counters) {}

  // `version` as it was asked for: "v1".
  void put(objects::Kind kind, std::string_view version, const objects::Node& root);
  void remove(const objects::ObjectKey& key);
  // Removals first: an address or a name that changes hands is free before it is taken.
  [[nodiscard]] std::vector<Event> commit();
  [[nodiscard]] size_t pending() const { return changes_.size(); }

 private:
  struct Held {
    objects::ObjectPtr object;  // in force; null: the only form known is refused, and nothing stands in for it
    bool refused = false;       // the newest form is
    std::string refused_uid;
    int64_t refused_generation = 0;
  };
  struct Change {
    bool removed = false;  // before what follows
    std::optional<Upsert> upsert;
    std::optional<ObjectFindings> findings;
  };
  void accept(objects::Decoded decoded, Held& held);
  void refuse(objects::Decoded decoded, const objects::Node& root, std::string api_version, Held& held);
  void take_over(const objects::ObjectKey& key, objects::ObjectPtr object, std::vector<objects::Finding> findings,
                 Held& held);
  void withdraw(const objects::ObjectKey& key, Held& held);

  ServedCounters& counters_;
  std::map<objects::ObjectKey, Held> held_;
  std::map<objects::ObjectKey, Change> changes_;
};

}  // namespace weft::watch
