#include "agent/state/annotation_writer.h"

#include <utility>

#include "userspace-proxy/base/log.h"

namespace weft::state {

using objects::Node;

Node annotation_patch(const std::string& uid, const Annotations& annotations) {
  Node words = Node::mapping();
  for (const auto& [key, value] : annotations) words.set(key, value.empty() ? Node() : Node::string(value));
  Node metadata = Node::mapping();
  metadata.set("uid", Node::string(uid));
  metadata.set("annotations", std::move(words));
  Node out = Node::mapping();
  out.set("metadata", std::move(metadata));
  return out;
}

AnnotationWriter::AnnotationWriter(kube::Client& client, const base::Clock& clock, std::string manager,
                                   ApiQueueOptions options)
    : client_(client), manager_(std::move(manager)), queue_(clock, options) {}

void AnnotationWriter::annotate(const std::string& ns, const std::string& name, const std::string& uid,
                                Annotations annotations) {
  queue_.put(uid, [this, ns, name, patch = annotation_patch(uid, annotations)] { return write(ns, name, patch); });
}

ApiOutcome AnnotationWriter::write(const std::string& ns, const std::string& name, const Node& patch) {
  static const auto kPods = kube::known_resource("v1", "Pod");
  const auto answer = client_.merge_patch(*kPods, ns, name, patch, {.manager = manager_, .subresource = "status"});
  if (answer) {
    ++counters_.written;
    said_failure_ = false;
    return ApiOutcome::kDone;
  }
  const kube::ApiError& error = answer.error();
  // Another pod of that name: its uid cannot be changed to the one we mean (422, by a newer server perhaps 409).
  const bool another = error.conflict() || (error.code == 422 && error.message.contains("metadata.uid"));
  if (error.not_found() || another) {
    ++counters_.gone;
    return ApiOutcome::kDone;
  }
  ++(error.forbidden() ? counters_.forbidden : counters_.failures);
  if (!std::exchange(said_failure_, true))
    spdlog::warn("annotations of Pod {}/{} cannot be written: {}", ns, name, base::describe(error));
  if (error.forbidden()) return ApiOutcome::kForbidden;
  const bool hopeless = error.code >= 400 && error.code < 500 && error.code != 429 && error.code != 401;
  return hopeless ? ApiOutcome::kDone : ApiOutcome::kAgain;
}

}  // namespace weft::state
