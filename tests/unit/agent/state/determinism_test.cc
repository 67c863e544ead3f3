// The Snapshot depends on the objects alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

#include "tests/support/httpgo_objects.h"
#include "tests/support/state_world.h"

namespace weft::test {
namespace {

// Bytes without the version, which counts publications.
std::string content(const model::Snapshot& snapshot) {
  model::Snapshot copy = snapshot;
  copy.version = 0;
  return model::encode(copy);
}

std::string fresh(const state::StateOptions& options, const std::vector<objects::ObjectPtr>& objects,
                  std::map<state::StatusKey, state::ObjectStatus>* statuses = nullptr) {
  World world(options);
  for (const auto& object : objects) world.put(object);
  const std::string out = content(world.look());
  if (statuses) *statuses = world.statuses();
  return out;
}

TEST(Determinism, EveryOrderOfTheExamplesObjectsGivesTheSameSnapshotAndStatuses) {
  std::vector<objects::ObjectPtr> objects = Httpgo().all();
  std::mt19937 random(1);
  for (const auto& options : {node_options(), gateway_options()}) {
    std::map<state::StatusKey, state::ObjectStatus> expected_statuses;
    const std::string expected = fresh(options, objects, &expected_statuses);
    for (int round = 0; round < 300; ++round) {
      std::ranges::shuffle(objects, random);
      World world(options);
      for (const auto& object : objects) {
        world.put(object);
        if (random() % 3 == 0) world.look();  // intermediate looks leave no trace
      }
      ASSERT_EQ(content(world.look()), expected) << "round " << round;
      ASSERT_EQ(world.statuses(), expected_statuses) << "round " << round;
    }
  }
}

// A small world in which rules collide: same hosts, same ages, exports, gateways, finished pods, moving
// slices.
class RandomObjects {
 public:
  explicit RandomObjects(uint32_t seed) : random_(seed) {}

  objects::ObjectPtr next() {
    switch (pick(8)) {
      case 0:
        return a_namespace(ns(), pick(2) ? Labels{{"istio-injection", "enabled"}} : Labels{},
                           pick(2) ? Labels{{"weft.mesh/deny-from", ns()}} : Labels{});
      case 1: {
        const uint32_t n = pick(5);
        return a_pod(ns(), "p" + std::to_string(n),
                     {.ip = "10.1.0." + std::to_string(n + 1),
                      .node = "node-" + std::to_string(pick(2) + 1),
                      .labels = {{"version", version()}, {"istio", pick(2) ? "ingressgateway" : "no"}},
                      .phase = pick(4) ? "Running" : "Failed"});
      }
      case 2:
        return a_service(ns(), service(), "10.96.0." + std::to_string(pick(9) + 1),
                         {a_port("http", 80, 8080), a_port(pick(2) ? "grpc" : "tcp", 81)},
                         pick(2) ? Labels{{"istio", "ingressgateway"}} : Labels{});
      case 3:
        return slice();
      case 4:
        return a_gateway(ns(), "g", {{"istio", "ingressgateway"}},
                         {a_server(pick(2) ? 80 : 81, pick(3) ? "HTTP" : "TLS",
                                   {pick(2) ? "*" : "*.dev.svc.cluster.local"})});
      case 5:
      case 6:
        return virtual_service();
      default:
        return rule();
    }
  }
  uint32_t pick(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }

 private:
  std::string ns() { return std::array{"dev", "ops", "istio-system"}[pick(3)]; }
  std::string service() { return std::array{"web", "api"}[pick(2)]; }
  std::string version() { return std::array{"v1", "v2"}[pick(2)]; }
  std::vector<std::string> export_to() {
    return std::array<std::vector<std::string>, 4>{{{}, {"."}, {"ops"}, {"*"}}}[pick(4)];
  }
  objects::ObjectPtr slice() {
    std::vector<objects::SliceEndpoint> endpoints;
    for (uint32_t i = 0; i < 5; ++i)
      if (pick(2)) endpoints.push_back(an_endpoint("10.1.0." + std::to_string(i + 1)));
    return a_slice(ns(), "s" + std::to_string(pick(2)), service(), {{"http", 8080}, {"grpc", 81}}, endpoints);
  }
  objects::ObjectPtr virtual_service() {
    auto match = on(pick(2) ? prefix("/") : exact("/a"));
    if (pick(3) == 0) match.source_namespace = ns();
    if (pick(3) == 0) match.source_labels = {{"version", version()}};
    auto out = a_virtual_service(
        ns(), "vs" + std::to_string(pick(2)), {pick(2) ? service() : "*.dev.svc.cluster.local"},
        {a_route({match}, {to(service(), 80, version(), 1), to(service(), 80, "", 2)}),
         a_route({}, {to(service())})},
        {pick(2) ? "mesh" : "g", "dev/g"});
    out->export_to = export_to();
    return aged(out, pick(2));
  }
  objects::ObjectPtr rule() {
    auto out = a_rule(ns(), "dr" + std::to_string(pick(2)), pick(2) ? service() : "*.svc.cluster.local",
                      {{version(), {{"version", version()}}}});
    out->export_to = export_to();
    return aged(out, pick(2));
  }
  std::mt19937 random_;
};

TEST(Determinism, AnySequenceOfChangesEndsAsAFreshFoldOfWhatIsLeft) {
  for (uint32_t seed = 1; seed <= 40; ++seed) {
    for (const auto& options : {node_options(), gateway_options("istio-system", "p1")}) {
      RandomObjects source(seed);
      World world(options);
      std::map<objects::ObjectKey, objects::ObjectPtr> alive;
      for (int step = 0; step < 120; ++step) {
        const objects::ObjectPtr object = source.next();
        const objects::ObjectKey key = objects::key_of(*object);
        if (source.pick(4) == 0) {
          alive.erase(key);
          world.drop(key.kind, key.ns, key.name);
        } else {
          alive[key] = object;
          world.put(object);
        }
        if (source.pick(4) == 0) world.look();
      }
      std::vector<objects::ObjectPtr> left;
      for (const auto& [key, object] : alive) left.push_back(object);
      std::map<state::StatusKey, state::ObjectStatus> expected_statuses;
      const std::string expected = fresh(options, left, &expected_statuses);
      ASSERT_EQ(content(world.look()), expected) << "seed " << seed;
      ASSERT_EQ(world.statuses(), expected_statuses) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace weft::test
