// What a node's agent holds of a cluster: pods, Services and slices as an API server hands them out, through the reader,
// the decoder and state. Prints bytes of heap and milliseconds.
//   bench_served [PODS [SERVICES]]
#include <fmt/format.h>
#include <malloc.h>

#include <chrono>
#include <cstdlib>
#include <fstream>

#include "agent/objects/served.h"
#include "agent/parse/json.h"
#include "agent/state/state.h"
#include "agent/watch/served_catalog.h"
#include "tests/support/served_cluster.h"
#include "userspace-proxy/base/result.h"

namespace {

using namespace weft;
using objects::Kind;

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
    auto node = reader.read(text, {}, parse::Unread(objects::unread_fields(kind)));
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
  const test::ServedCluster texts(pods, services);
  state::StateOptions options;
  options.node = "node-0";
  Cluster cluster;
  state::State state(options);
  size_t before = heap();
  for (int i = 0; i < pods; ++i) {
    cluster.put(Kind::kPod, texts.pod(i));
    if (cluster.catalog.pending() > 1000) state.fold(cluster.catalog.commit());
  }
  state.fold(cluster.catalog.commit());
  malloc_trim(0);
  fmt::print("pods: {} of {} bytes of JSON; held by watch and store: {} bytes a pod\n", pods, texts.pod(0).size(),
             (heap() - before) / static_cast<size_t>(pods));
  fmt::print("reading {:.0f} ms, decoding {:.0f} ms\n", cluster.reading, cluster.decoding);
  before = heap();
  cluster.put(Kind::kNamespace, texts.ns());
  for (int i = 0; i < services; ++i) {
    cluster.put(Kind::kService, texts.service(i));
    cluster.put(Kind::kEndpointSlice, texts.slice(i));
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
  cluster.put(Kind::kPod, texts.pod(0));
  fmt::print("a pod told again: {} events\n", cluster.catalog.commit().size());
  std::string changed = texts.pod(0);
  changed.replace(changed.find("Running"), 7, "Failed");
  cluster.put(Kind::kPod, changed);
  state.fold(cluster.catalog.commit());
  begin = std::chrono::steady_clock::now();
  build = state.build();
  malloc_trim(0);
  fmt::print("a build after one pod changed {:.1f} ms; resident {} KiB\n", milliseconds_since(begin), resident_kib());
  return 0;
}
