// What a node's agent holds of a cluster: pods, Services and slices as an API server hands them out, through the reader,
// the decoder and state. Prints bytes of heap and milliseconds.
//   bench_served [PODS [SERVICES]]
#include <fmt/format.h>
#include <malloc.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "agent/parse/json.h"
#include "agent/state/state.h"
#include "agent/watch/served_catalog.h"
#include "userspace-proxy/base/result.h"

namespace {

using namespace weft;
using objects::Kind;

std::string fixture(const std::string& name) {
  std::ifstream in(std::string(WEFT_SOURCE_DIR) + "/tests/unit/agent/objects/served/" + name + ".json");
  std::stringstream text;
  text << in.rdbuf();
  CHECK(!text.str().empty());
  return text.str();
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

std::string address(int i) {
  return fmt::format("10.{}.{}.{}", 128 + i / 65536, i / 256 % 256, i % 256);
}

std::string pod_name(int i) {
  return fmt::format("application-{}-7d9c5b8f6b-{:05}", i % 1000, i);
}

std::string make_pod(const std::string& like, int i) {
  std::string out = like;
  replace_all(out, "httpgo-v1-7d9c5b8f6b-x2x7q", pod_name(i));
  replace_all(out, "\"uid\": \"0d7a5f3e-6a0e-4c55-9f43-3f0f6d3c7a51\"", fmt::format("\"uid\": \"0d7a5f3e-6a0e-4c55-9f43-{:012}\"", i));
  replace_all(out, "10.244.1.7", address(i));
  replace_all(out, "fd00:10:244:1::7", fmt::format("fd00:10::{:x}", i + 1));
  replace_all(out, "node-b", fmt::format("node-{}", i / 100));
  replace_all(out, "\"app\": \"httpgo\"", fmt::format("\"app\": \"application-{}\"", i % 1000));
  return out;
}

std::string make_service(const std::string& like, int i) {
  std::string out = like;
  replace_all(out, "istio-ingressgateway", fmt::format("application-{}", i));
  replace_all(out, "istio-system", "dev");
  replace_all(out, "10.96.184.20", fmt::format("10.96.{}.{}", i / 256 % 256, i % 256));
  return out;
}

std::string make_slice(int i, int pods, int services) {
  std::string endpoints;
  for (int pod = i; pod < pods; pod += services)
    endpoints += fmt::format(
        "{}{{\"addresses\": [\"{}\"], \"conditions\": {{\"ready\": true, \"serving\": true, \"terminating\": false}}, "
        "\"nodeName\": \"node-{}\", \"targetRef\": {{\"kind\": \"Pod\", \"namespace\": \"dev\", \"name\": \"{}\", \"uid\": \"u\"}}}}",
        endpoints.empty() ? "" : ",", address(pod), pod / 100, pod_name(pod));
  return fmt::format(
      "{{\"metadata\": {{\"name\": \"application-{}-x\", \"namespace\": \"dev\", \"uid\": \"s{}\", \"generation\": 1, \"labels\": "
      "{{\"kubernetes.io/service-name\": \"application-{}\"}}}}, \"addressType\": \"IPv4\", \"endpoints\": [{}], \"ports\": "
      "[{{\"name\": \"http2\", \"port\": 8888, \"protocol\": \"TCP\"}}]}}",
      i, i, i, endpoints);
}

size_t heap() {
  return mallinfo2().uordblks + mallinfo2().hblkhd;
}

double milliseconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

long resident_kib() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("VmRSS:")) return std::atol(line.c_str() + 6);
  return 0;
}

struct Cluster {
  watch::ServedCounters counters;
  watch::ServedCatalog catalog{counters};
  parse::JsonReader reader;
  double reading = 0, decoding = 0;

  void put(Kind kind, const std::string& text) {
    auto begin = std::chrono::steady_clock::now();
    auto node = reader.read(text);
    CHECK(node.has_value());
    reading += milliseconds_since(begin);
    begin = std::chrono::steady_clock::now();
    catalog.put(kind, "v1", *node);
    decoding += milliseconds_since(begin);
  }
};

}  // namespace

int main(int argc, char** argv) {
  const int pods = argc > 1 ? std::atoi(argv[1]) : 5000, services = argc > 2 ? std::atoi(argv[2]) : 1000;
  const std::string pod = fixture("pod"), service = fixture("service");
  state::StateOptions options;
  options.node = "node-0";
  Cluster cluster;
  state::State state(options);
  size_t before = heap();
  for (int i = 0; i < pods; ++i) {
    cluster.put(Kind::kPod, make_pod(pod, i));
    if (cluster.catalog.pending() > 1000) state.fold(cluster.catalog.commit());
  }
  state.fold(cluster.catalog.commit());
  malloc_trim(0);
  fmt::print("pods: {} of {} bytes of JSON; held by watch and store: {} bytes a pod\n", pods, make_pod(pod, 0).size(),
             (heap() - before) / static_cast<size_t>(pods));
  fmt::print("reading {:.0f} ms, decoding {:.0f} ms\n", cluster.reading, cluster.decoding);
  before = heap();
  cluster.put(Kind::kNamespace, fixture("namespace"));
  for (int i = 0; i < services; ++i) {
    cluster.put(Kind::kService, make_service(service, i));
    cluster.put(Kind::kEndpointSlice, make_slice(i, pods, services));
  }
  state.fold(cluster.catalog.commit());
  state.fold(watch::Synced{});
  fmt::print("services: {}, each with a slice: {} bytes a service\n", services, (heap() - before) / static_cast<size_t>(services));
  before = heap();
  auto begin = std::chrono::steady_clock::now();
  state::Build build = state.build();
  fmt::print("first build {:.0f} ms, {} workloads, {} bytes a pod more\n", milliseconds_since(begin),
             build.snapshot->workloads.size(), (heap() - before) / static_cast<size_t>(pods));
  before = heap();
  cluster.put(Kind::kPod, make_pod(pod, 0));
  fmt::print("a pod told again: {} events\n", cluster.catalog.commit().size());
  std::string changed = make_pod(pod, 0);
  replace_all(changed, "Running", "Failed");
  cluster.put(Kind::kPod, changed);
  state.fold(cluster.catalog.commit());
  begin = std::chrono::steady_clock::now();
  build = state.build();
  malloc_trim(0);
  fmt::print("a build after one pod changed {:.1f} ms; resident {} KiB\n", milliseconds_since(begin), resident_kib());
  return 0;
}
