#pragma once
// Objects for the sandbox's tests, as short as they can be.
#include <string>

#include "agent/sandbox/json.h"

namespace weft::sandbox::test {

inline Json pod(const std::string& name, const std::string& node, const std::string& owner = "",
                const std::string& hash = "") {
  Json pod{{"kind", "Pod"},
           {"metadata",
            {{"name", name}, {"namespace", "dev"}, {"uid", "uid-" + name}, {"labels", {{"app", "web"}}}}},
           {"spec", {{"containers", Json::array({{{"name", "c"}, {"image", "cmssw/httpgo"}}})}}}};
  if (!node.empty()) pod["spec"]["nodeName"] = node;
  if (!owner.empty())
    pod["metadata"]["ownerReferences"] =
        Json::array({{{"kind", "ReplicaSet"}, {"name", owner + "-" + hash}}});
  if (!hash.empty()) pod["metadata"]["labels"]["pod-template-hash"] = hash;
  return pod;
}

inline Json ready(Json pod, const std::string& ip, const std::string& v6 = "") {
  pod["status"]["conditions"] = Json::array({{{"type", "Ready"}, {"status", "True"}}});
  pod["status"]["podIP"] = ip;
  pod["status"]["podIPs"] = Json::array({{{"ip", ip}}});
  if (!v6.empty()) pod["status"]["podIPs"].push_back({{"ip", v6}});
  pod["status"]["phase"] = "Running";
  return pod;
}

inline Json terminating(Json pod) {
  pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  return pod;
}

inline Json service(const std::string& name, Json spec) {
  return Json{
      {"kind", "Service"}, {"metadata", {{"name", name}, {"namespace", "dev"}}}, {"spec", std::move(spec)}};
}

}  // namespace weft::sandbox::test
