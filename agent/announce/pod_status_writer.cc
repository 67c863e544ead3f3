#include "agent/announce/pod_status_writer.h"

#include <pthread.h>

#include <algorithm>

#include "agent/objects/annotations.h"
#include "userspace-proxy/base/log.h"

namespace weft::announce {
namespace {

constexpr const char* kManager = "weft-agent";
constexpr base::Nanos kDeadline = std::chrono::seconds(5);

objects::Node text_or_null(const std::string& text) {
  return text.empty() ? objects::Node() : objects::Node::string(text);
}

}  // namespace

objects::Node patch_of(const enrol::AnnouncedPod& pod, const enrol::Announcement& announcement) {
  objects::Node annotations = objects::Node::mapping();
  annotations.set(objects::kRedirectionAnnotation, text_or_null(announcement.redirection));
  annotations.set(objects::kCapturedAnnotation, text_or_null(announcement.captured));
  if (!announcement.armed.empty() || !pod.shown.armed.empty())
    annotations.set(objects::kArmedAnnotation, text_or_null(announcement.armed));
  if (!announcement.attached.empty())
    annotations.set(objects::kAttachedAnnotation, text_or_null(announcement.attached));
  if (!announcement.excluded.empty() || !pod.shown.excluded.empty())
    annotations.set(objects::kExcludedAnnotation, text_or_null(announcement.excluded));
  objects::Node metadata = objects::Node::mapping();
  metadata.set("uid", objects::Node::string(pod.uid));
  metadata.set("annotations", std::move(annotations));
  objects::Node patch = objects::Node::mapping();
  patch.set("metadata", std::move(metadata));
  return patch;
}

base::Result<std::unique_ptr<PodStatusWriter>> PodStatusWriter::create(kube::Config config,
                                                                       const base::Clock& clock,
                                                                       const std::string& node) {
  TRY_ASSIGN(auto client, kube::Client::create(std::move(config), clock));
  std::unique_ptr<PodStatusWriter> writer(new PodStatusWriter(std::move(client)));
  kube::EventOptions events;
  events.controller = "weft.mesh/agent";
  events.instance = node;
  writer->events_ = std::make_unique<kube::EventRecorder>(*writer->client_, clock, std::move(events));
  writer->thread_ = std::thread([raw = writer.get()] {
    pthread_setname_np(pthread_self(), "pod-status");
    raw->run();
  });
  return writer;
}

// An agent that ends takes nothing back: its pods stay captured.
PodStatusWriter::~PodStatusWriter() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  client_->stop();
  thread_.join();
  events_.reset();
}

void PodStatusWriter::annotate(const enrol::AnnouncedPod& pod, const enrol::Announcement& announcement) {
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(queue_, [&](const Write& one) { return one.pod.uid == pod.uid; });
    if (queue_.size() >= kMaxQueue) {
      ++counters_.dropped;
      return;
    }
    queue_.push_back({pod, announcement});
  }
  wake_.notify_one();
}

void PodStatusWriter::tell(const enrol::AnnouncedPod& pod, const enrol::PodEvent& event) {
  events_->record({.regarding = {"v1", "Pod", pod.ns, pod.name, pod.uid},
                   .warning = event.warning,
                   .reason = event.reason,
                   .action = event.action,
                   .note = event.message});
}

void PodStatusWriter::run() {
  for (;;) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    const Write one = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    write(one);
  }
}

void PodStatusWriter::write(const Write& one) {
  static const kube::Resource kPods = *kube::known_resource("v1", "Pod");
  const auto written =
      client_->merge_patch(kPods, one.pod.ns, one.pod.name, patch_of(one.pod, one.announcement),
                           {.manager = kManager, .subresource = "status"}, {.deadline = kDeadline});
  // A pod that has gone, or was made anew, needs no word.
  const bool moot = !written && (written.error().not_found() || written.error().conflict());
  if (written) ++counters_.written;
  if (written || moot) {
    failing_ = false;
    return;
  }
  ++counters_.failed;
  if (!std::exchange(failing_, true))
    spdlog::warn("pod status: {}/{}: {}", one.pod.ns, one.pod.name, base::describe(written.error()));
}

}  // namespace weft::announce
