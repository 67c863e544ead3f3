#include "agent/install/readiness.h"

#include <fmt/format.h>

#include <string_view>

namespace weft::install {
namespace {

using objects::Node;

std::string_view condition(const Node& object, std::string_view type) {
  for (const Node& item : object.at({"status", "conditions"}).items())
    if (item.at({"type"}).as_string() == type) return item.at({"status"}).as_string();
  return "";
}

// The controller has not seen the newest form yet, so its numbers are about an older one.
bool is_unseen(const Node& object) {
  return object.at({"status", "observedGeneration"}).as_int() < object.at({"metadata", "generation"}).as_int();
}

Readiness counted(int64_t wanted, int64_t fresh, int64_t available) {
  if (fresh < wanted) return {false, fmt::format("{} of {} updated", fresh, wanted)};
  if (available < wanted) return {false, fmt::format("{} of {} available", available, wanted)};
  return {};
}

Readiness of_deployment(const Node& object) {
  if (is_unseen(object)) return {false, "not looked at by its controller yet"};
  const Node& status = object.at({"status"});
  const Node& replicas = object.at({"spec", "replicas"});
  const int64_t wanted = replicas.is_null() ? 1 : replicas.as_int();
  const Readiness counts =
      counted(wanted, status.at({"updatedReplicas"}).as_int(), status.at({"availableReplicas"}).as_int());
  if (!counts.ready) return counts;
  const int64_t old = status.at({"replicas"}).as_int() - status.at({"updatedReplicas"}).as_int();
  if (old > 0) return {false, fmt::format("{} of the old form are still there", old)};
  return {};
}

Readiness of_daemon_set(const Node& object) {
  if (is_unseen(object)) return {false, "not looked at by its controller yet"};
  const Node& status = object.at({"status"});
  return counted(status.at({"desiredNumberScheduled"}).as_int(), status.at({"updatedNumberScheduled"}).as_int(),
                 status.at({"numberAvailable"}).as_int());
}

}  // namespace

Readiness readiness_of(const Node& object) {
  const std::string& kind = object.at({"kind"}).as_string();
  if (!object.at({"metadata", "deletionTimestamp"}).is_null()) return {false, "is being deleted"};
  if (kind == "Deployment") return of_deployment(object);
  if (kind == "DaemonSet") return of_daemon_set(object);
  if (kind == "CustomResourceDefinition" && condition(object, "Established") != "True") return {false, "not established"};
  if (kind == "Namespace" && object.at({"status", "phase"}).as_string() != "Active") return {false, "not active"};
  if (kind == "Pod" && condition(object, "Ready") != "True") return {false, trouble_of_pod(object)};
  return {};
}

std::string trouble_of_pod(const Node& pod) {
  for (const char* list : {"initContainerStatuses", "containerStatuses"}) {
    for (const Node& status : pod.at({"status", list}).items()) {
      const Node& waiting = status.at({"state", "waiting"});
      const std::string& reason = waiting.at({"reason"}).as_string();
      const std::string& message = waiting.at({"message"}).as_string();
      const Node& ended = status.at({"lastState", "terminated"});
      if (!reason.empty())
        return fmt::format("{}: {}{}{}", status.at({"name"}).as_string(), reason, message.empty() ? "" : ": ", message);
      if (!status.at({"ready"}).as_bool() && !ended.is_null())
        return fmt::format("{}: ended with {} before", status.at({"name"}).as_string(), ended.at({"exitCode"}).as_int());
      if (!status.at({"ready"}).as_bool() && !status.at({"state", "running"}).is_null())
        return fmt::format("{}: runs, is not ready", status.at({"name"}).as_string());
    }
  }
  for (const Node& item : pod.at({"status", "conditions"}).items())
    if (item.at({"status"}).as_string() == "False" && !item.at({"message"}).as_string().empty())
      return item.at({"message"}).as_string();
  return "";
}

}  // namespace weft::install
