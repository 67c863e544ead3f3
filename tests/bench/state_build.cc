// What a change costs the state: bench_state [services] [endpoints a service] [percent of services with a
// VirtualService]
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "agent/state/state.h"
#include "tests/support/object_builders.h"

namespace {

using namespace weft;
using namespace weft::test;

struct Size {
  uint32_t services = 1000, endpoints = 5, routed_percent = 10;
};

std::string address(uint32_t number) {
  return base::Address::v4(0x0a000001u + number).to_string();
}
std::string service_name(uint32_t i) {
  return "svc-" + std::to_string(i);
}

void put(state::State& state, const objects::ObjectPtr& object) {
  state.fold(watch::Upsert{objects::key_of(*object), object, {}});
}

objects::ObjectPtr slice(const Size& size, uint32_t service, uint32_t count) {
  std::vector<objects::SliceEndpoint> endpoints;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t number = service * size.endpoints + i;
    endpoints.push_back(an_endpoint(address(number), "dev", "pod-" + std::to_string(number)));
  }
  return a_slice("dev", service_name(service) + "-x", service_name(service), {{"http", 8080}},
                 std::move(endpoints));
}

objects::ObjectPtr pod(uint32_t number) {
  const std::string name = "pod-" + std::to_string(number);
  return a_pod(
      "dev", name,
      {.ip = address(number),
       .node = "node-" + std::to_string(number % 20),
       .labels = {{"app", "a"}, {"version", number % 2 ? "v1" : "v2"}, {"pod-template-hash", "5d8f7c9b4"}},
       .owner_kind = "ReplicaSet",
       .owner = "app-5d8f7c9b4"});
}

void fill(state::State& state, const Size& size) {
  put(state, a_namespace("dev", {{"istio-injection", "enabled"}}));
  for (uint32_t i = 0; i < size.services; ++i) {
    put(state, a_service("dev", service_name(i), base::Address::v4(0x0a600001u + i).to_string(),
                         {a_port("http", 80, 8080)}));
    put(state, slice(size, i, size.endpoints));
    if (i % 100 >= size.routed_percent) continue;
    put(state, a_rule("dev", service_name(i), service_name(i),
                      {{"v1", {{"version", "v1"}}}, {"v2", {{"version", "v2"}}}}));
    put(state, a_virtual_service("dev", service_name(i), {service_name(i)},
                                 {a_route({on(prefix("/"))}, {to(service_name(i), 80, "v1", 50),
                                                              to(service_name(i), 80, "v2", 50)})}));
  }
  for (uint32_t i = 0; i < size.services * size.endpoints; ++i) put(state, pod(i));
}

// CPU time of this thread: what the work costs, whatever else the machine is doing.
double milliseconds(const std::function<void()>& work) {
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
  };
  const double start = now();
  work();
  return now() - start;
}

void report(const char* what, state::State& state, const std::function<void(uint32_t)>& change) {
  std::vector<double> times;
  for (uint32_t round = 0; round < 21; ++round) {
    change(round);
    times.push_back(milliseconds([&] { (void)state.build(); }));
  }
  std::ranges::sort(times);
  fmt::print("{:<34} min {:7.2f}  median {:7.2f}  max {:7.2f} ms\n", what, times.front(),
             times[times.size() / 2], times.back());
}

}  // namespace

int main(int argc, char** argv) {
  Size size;
  uint32_t* const fields[] = {&size.services, &size.endpoints, &size.routed_percent};
  for (int i = 1; i < std::min(argc, 4); ++i) *fields[i - 1] = static_cast<uint32_t>(std::atoi(argv[i]));
  state::StateOptions options;
  options.node = "node-0";
  state::State state(options);
  const double folded = milliseconds([&] { fill(state, size); });
  const double built = milliseconds([&] { (void)state.build(); });
  fmt::print(
      "{} services, {} endpoints each, {} % routed; CPU time: fold of all {:.1f} ms, first build {:.1f} ms\n",
      size.services, size.endpoints, size.routed_percent, folded, built);
  report("one endpoint gone or back", state,
         [&](uint32_t round) { put(state, slice(size, 7, size.endpoints - round % 2)); });
  report("one pod's labels", state, [&](uint32_t round) {
    auto changed = std::make_shared<objects::Pod>(*objects::as<objects::Pod>(pod(3)));
    changed->meta.labels["round"] = std::to_string(round);
    put(state, changed);
  });
  report("one VirtualService", state, [&](uint32_t round) {
    put(state,
        a_virtual_service("dev", "bench", {service_name(3)},
                          {a_route({on(prefix("/" + std::to_string(round)))}, {to(service_name(3))})}));
  });
  return 0;
}
