#pragma once
// Annotations of pods, written through pods/status: the node's agent has no right to change pods.
#include <atomic>
#include <cstdint>
#include <map>
#include <string>

#include "agent/kube/client.h"
#include "agent/state/api_queue.h"

namespace weft::state {

// By name; an empty value removes the annotation.
using Annotations = std::map<std::string, std::string>;

struct AnnotationCounters {
  std::atomic<uint64_t> written{0};
  std::atomic<uint64_t> gone{0};  // the pod ended meanwhile, or another has its name
  std::atomic<uint64_t> forbidden{0};
  std::atomic<uint64_t> failures{0};  // anything else; tried again unless the server calls it wrong
};

// The newest word about each pod is written, for the pod with that uid alone. Owner: main. Thread: annotate() any, the
// requests the queue's. The client outlives it.
class AnnotationWriter {
 public:
  AnnotationWriter(kube::Client& client, const base::Clock& clock, std::string manager = "weft-agent",
                   ApiQueueOptions options = {});

  // Waits for nothing. Annotations that are not named stay as they are.
  void annotate(const std::string& ns, const std::string& name, const std::string& uid, Annotations annotations);
  [[nodiscard]] const AnnotationCounters& counters() const { return counters_; }
  [[nodiscard]] size_t waiting() const { return queue_.waiting(); }

 private:
  [[nodiscard]] ApiOutcome write(const std::string& ns, const std::string& name, const objects::Node& patch);

  kube::Client& client_;
  const std::string manager_;
  AnnotationCounters counters_;
  bool said_failure_ = false;  // the queue's thread's
  ApiQueue queue_;             // dies first
};

// RFC 7396; metadata.uid makes the server refuse it for another pod of that name. Pure.
[[nodiscard]] objects::Node annotation_patch(const std::string& uid, const Annotations& annotations);

}  // namespace weft::state
