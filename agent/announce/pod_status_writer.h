#pragma once
// What the Announcer decides, written to an API server: annotations through
// pods/status, and Events.
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "agent/enrol/announcer.h"
#include "agent/kube/client.h"
#include "agent/kube/events.h"

namespace weft::announce {

struct WriterCounters {
  std::atomic<uint64_t> written{0};
  std::atomic<uint64_t> failed{0};   // the Announcer asks again as long as the object does not show it
  std::atomic<uint64_t> dropped{0};  // the queue was full
};

// Owned by the node role. annotate() and tell() come from the loop's thread and
// never wait: a thread of its own talks to the server, one write at a time, the
// newest word on each pod.
class PodStatusWriter final : public enrol::PodStatusDoor {
 public:
  static constexpr size_t kMaxQueue = 4096;

  // `node`: whose agent speaks. `clock` outlives it.
  static base::Result<std::unique_ptr<PodStatusWriter>> create(kube::Config config, const base::Clock& clock,
                                                               const std::string& node);
  ~PodStatusWriter() override;

  void annotate(const enrol::AnnouncedPod& pod, const enrol::Announcement& announcement) override;
  void tell(const enrol::AnnouncedPod& pod, const enrol::PodEvent& event) override;
  [[nodiscard]] const WriterCounters& counters() const { return counters_; }
  [[nodiscard]] const kube::EventCounters& events() const { return events_->counters(); }

 private:
  struct Write {
    enrol::AnnouncedPod pod;
    enrol::Announcement announcement;
  };
  explicit PodStatusWriter(std::unique_ptr<kube::Client> client) : client_(std::move(client)) {}
  void run();
  void write(const Write& one);

  std::unique_ptr<kube::Client> client_;
  std::unique_ptr<kube::EventRecorder> events_;
  WriterCounters counters_;
  bool failing_ = false;  // the thread's own: the last write; said once
  std::mutex mutex_;      // guards queue_ and stopping_
  std::condition_variable wake_;
  std::deque<Write> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

// RFC 7396: all annotations as they shall be (on the agent's own pod also in
// which boot it is armed), for the pod with this uid alone (another is a
// conflict).
[[nodiscard]] objects::Node patch_of(const enrol::AnnouncedPod& pod, const enrol::Announcement& announcement);

}  // namespace weft::announce
