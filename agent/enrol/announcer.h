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

inline constexpr const char* kRedirectionAnnotation = "ambient.istio.io/redirection";
inline constexpr const char* kCapturedAnnotation = "weft.mesh/captured";

// Empty: the annotation is not there.
struct Announcement {
  std::string redirection;  // "enabled", "pending": armed, no proxy has proven it yet
  std::string captured;     // "<boot id>/<netns cookie>"
  bool operator==(const Announcement&) const = default;
};

// A pod of this node as its object shows it.
struct AnnouncedPod {
  std::string ns, name, uid;
  bool enrolled = false;
  Announcement shown;
};

struct PodEvent {
  bool warning = false;
  std::string reason;   // MeshCaptured, MeshCaptureFailed, PreMeshConnections
  std::string message;  // a sentence
};

// Writes through pods/status; never pods. Neither call waits; what becomes of a write is seen in the object,
// and what is not seen is written again.
class PodStatusDoor {
 public:
  virtual ~PodStatusDoor() = default;
  // Both annotations at once, for the pod with this uid alone.
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

  // `boot_id`: of the running kernel (own_boot_id()). `door` outlives it.
  Announcer(const base::Clock& clock, std::string boot_id, PodStatusDoor& door)
      : clock_(clock), boot_id_(std::move(boot_id)), door_(door) {}

  // Call with every change and now and then: what the objects show, and how the pods stand.
  void update(const std::vector<AnnouncedPod>& pods, const std::vector<PodStatus>& statuses);
  [[nodiscard]] const AnnouncerCounters& counters() const { return counters_; }

 private:
  struct Record {
    Announcement sent;
    base::Instant sent_at{};
    bool is_sent = false;
    std::string told;  // the last event: reason and message
    bool told_pre_mesh = false;
  };

  [[nodiscard]] Announcement wanted(const AnnouncedPod& pod, const PodStatus* status,
                                    const Record& record) const;
  void write(const AnnouncedPod& pod, const Announcement& want, Record& record);
  void tell(const AnnouncedPod& pod, const PodStatus& status, Record& record);
  void tell_pre_mesh(const AnnouncedPod& pod, const PodStatus& status, Record& record);

  const base::Clock& clock_;
  const std::string boot_id_;
  PodStatusDoor& door_;
  std::map<std::string, Record> records_;  // by uid
  AnnouncerCounters counters_;
};

// /proc/sys/kernel/random/boot_id
[[nodiscard]] base::Result<std::string> own_boot_id();

}  // namespace weft::enrol
