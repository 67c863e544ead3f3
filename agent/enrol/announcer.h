#pragma once
// What the pods' objects say about their capture: annotations written only after proof, withdrawn when it
// fails, and worth something only for the sandbox and the boot they were written in. Decides; a door writes.
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "agent/enrol/status.h"
#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/result.h"

namespace weft::enrol {

// As annotations (objects/annotations.h); empty: it is not there.
struct Announcement {
  std::string redirection;  // "enabled", "pending": armed, no proxy has proven it yet
  std::string captured;     // "<boot id>/<netns cookie>"
  std::string armed = {};   // of the agent's own pod: "<boot id>"
  std::string excluded = {};  // what goes around the mesh: "outbound 3306; inbound 8080"
  std::string attached = {};  // of the agent's own pod: "<directory> (<why there>)"
  bool operator==(const Announcement&) const = default;
};

// A pod of this node as its object shows it.
struct AnnouncedPod {
  std::string ns, name, uid;
  bool enrolled = false;
  Announcement shown;
  std::string excludes;           // what its kernel tables leave out of the mesh, as Announcement::excluded
  std::string exclusion_problem;  // what it asks to leave out and does not count, as a sentence
  std::string pre_mesh_problem = {};  // the same of what shall become of its connections of before
};

struct PodEvent {
  bool warning = false;
  // MeshCaptured, MeshCaptureFailed, PreMeshConnections, PreMeshConnectionsEnded, PreMeshPolicyRefused, MeshExcluded,
  // MeshExclusionRefused
  std::string reason;
  std::string message;  // a sentence
  // What was being done. Events about one pod that differ in their message alone are taken for one, so what is excluded
  // stands here too.
  std::string action = "Capturing";
};

// Writes through pods/status; never pods. Neither call waits; what becomes of a write is seen in the object,
// and what is not seen is written again.
class PodStatusDoor {
 public:
  virtual ~PodStatusDoor() = default;
  // All annotations at once, for the pod with this uid alone.
  virtual void annotate(const AnnouncedPod& pod, const Announcement& announcement) = 0;
  virtual void tell(const AnnouncedPod& pod, const PodEvent& event) = 0;
};

struct AnnouncerCounters {
  uint64_t written = 0, withdrawn = 0, stale = 0;  // stale: of another boot or sandbox, found at the object
  uint64_t events = 0;
};

// Owned by main, in the loop's thread.
class Announcer {
 public:
  // A write that the object does not show after this time is repeated.
  static constexpr base::Nanos kRepeat = std::chrono::seconds(10);

  // `boot_id`: of the running kernel (read_boot_id()). `door` outlives it.
  // `own_pod`: "ns/name" of the agent's pod; empty: it has none.
  Announcer(const base::Clock& clock, std::string boot_id, PodStatusDoor& door, std::string own_pod = "")
      : clock_(clock), boot_id_(std::move(boot_id)), own_pod_(std::move(own_pod)), door_(door) {}

  // Whether every new pod of this node is captured, or kept waiting: said on the agent's own pod with the next update().
  void set_armed(bool armed) { armed_ = armed; }
  void set_attached(std::string at) { attached_ = std::move(at); }

  // Call with every change and now and then: what the objects show, and how the pods stand.
  void update(const std::vector<AnnouncedPod>& pods, const std::vector<PodStatus>& statuses);
  [[nodiscard]] const AnnouncerCounters& counters() const { return counters_; }

 private:
  struct Record {
    Announcement sent;
    base::Instant sent_at{};
    bool is_sent = false;
    std::string told;  // the last event on its capture: reason and message
    bool told_pre_mesh = false;
    size_t told_ended = 0;  // of its connections of before
    // As the last events said them.
    std::string told_excluded, told_exclusion_problem, told_pre_mesh_problem;
  };

  [[nodiscard]] Announcement wanted(const AnnouncedPod& pod, const PodStatus* status,
                                    const Record& record) const;
  void write(const AnnouncedPod& pod, const Announcement& want, Record& record);
  void tell(const AnnouncedPod& pod, const PodStatus& status, Record& record);
  void tell_pre_mesh(const AnnouncedPod& pod, const PodStatus& status, Record& record);
  void tell_ended(const AnnouncedPod& pod, const PodStatus& status, Record& record);
  void tell_problem(const AnnouncedPod& pod, const std::string& problem, std::string& told, const char* reason,
                    const char* action);
  void tell_exclusions(const AnnouncedPod& pod, const Announcement& want, Record& record);
  void tell(const AnnouncedPod& pod, const PodEvent& event);

  const base::Clock& clock_;
  const std::string boot_id_, own_pod_;
  bool armed_ = false;
  std::string attached_;
  PodStatusDoor& door_;
  std::map<std::string, Record> records_;  // by uid
  AnnouncerCounters counters_;
};

// The boot that the node's kubelet reports (Node .status.nodeInfo.bootID), from its file.
[[nodiscard]] base::Result<std::string> read_boot_id(const std::string& path);

}  // namespace weft::enrol
