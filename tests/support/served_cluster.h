#pragma once
// Pods, Services and EndpointSlices of a large cluster, as the texts that an API server hands out. Made from
// the fixtures of the tests of objects, so that they are as long as real ones.
#include <fmt/format.h>

#include <fstream>
#include <sstream>
#include <string>

#include "userspace-proxy/base/result.h"

namespace weft::test {

class ServedCluster {
 public:
  // Every Service has pods/services endpoints.
  ServedCluster(int pods, int services) : pods_(pods), services_(services) {}

  [[nodiscard]] std::string pod(int i) const {
    std::string out = pod_;
    replace(out, "httpgo-v1-7d9c5b8f6b-x2x7q", pod_name(i));
    replace(out, "0d7a5f3e-6a0e-4c55-9f43-3f0f6d3c7a51", fmt::format("0d7a5f3e-6a0e-4c55-9f43-{:012}", i));
    replace(out, "10.244.1.7", address(i));
    replace(out, "fd00:10:244:1::7", fmt::format("fd00:10::{:x}", i + 1));
    replace(out, "node-b", node_name(i));
    replace(out, "\"app\": \"httpgo\"", fmt::format("\"app\": \"application-{}\"", i % services_));
    return out;
  }
  [[nodiscard]] std::string service(int i) const {
    std::string out = service_;
    replace(out, "istio-ingressgateway", fmt::format("application-{}", i));
    replace(out, "istio-system", "dev");
    replace(out, "10.96.184.20", fmt::format("10.96.{}.{}", i / 256 % 256, i % 256));
    return out;
  }
  [[nodiscard]] std::string slice(int i) const {
    std::string endpoints;
    for (int pod = i; pod < pods_; pod += services_)
      endpoints += fmt::format(
          R"({}{{"addresses": ["{}"], "conditions": {{"ready": true, "serving": true, "terminating": false}}, )"
          R"("nodeName": "{}", "targetRef": {{"kind": "Pod", "namespace": "dev", "name": "{}", "uid": "u"}}}})",
          endpoints.empty() ? "" : ",", address(pod), node_name(pod), pod_name(pod));
    return fmt::format(
        R"({{"metadata": {{"name": "application-{0}-x", "namespace": "dev", "uid": "s{0}", "generation": 1, "labels": )"
        R"({{"kubernetes.io/service-name": "application-{0}"}}}}, "addressType": "IPv4", "endpoints": [{1}], "ports": )"
        R"([{{"name": "http2", "port": 8888, "protocol": "TCP"}}]}})",
        i, endpoints);
  }
  [[nodiscard]] std::string ns() const { return namespace_; }

 private:
  static std::string fixture(const std::string& name) {
    std::ifstream in(std::string(WEFT_SOURCE_DIR) + "/tests/unit/agent/objects/served/" + name + ".json");
    std::stringstream text;
    text << in.rdbuf();
    CHECK(!text.str().empty());
    return text.str();
  }
  static void replace(std::string& text, const std::string& from, const std::string& to) {
    for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
      text.replace(at, from.size(), to);
  }
  static std::string address(int i) {
    return fmt::format("10.{}.{}.{}", 128 + i / 65536, i / 256 % 256, i % 256);
  }
  static std::string node_name(int i) { return fmt::format("node-{}", i / 100); }
  [[nodiscard]] std::string pod_name(int i) const {
    return fmt::format("application-{}-7d9c5b8f6b-{:05}", i % services_, i);
  }

  const int pods_, services_;
  const std::string pod_ = fixture("pod"), service_ = fixture("service"), namespace_ = fixture("namespace");
};

}  // namespace weft::test
