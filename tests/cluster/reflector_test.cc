// Reflectors against real API servers that die, freeze, forget and get behind.
#include <fstream>

#include "tests/cluster/kube_fixture.h"

namespace weft::kube {
namespace {

using namespace std::chrono_literals;
using objects::Node;
using test::ApiServers;
using test::eventually;
using Objects = std::map<std::string, std::string>;

struct ReflectorTest : KubeTest {
  void TearDown() override {
    for (const int port : {ApiServers::kFirst, ApiServers::kSecond})
      EXPECT_TRUE(servers_.ready(port)) << port;
  }
  std::unique_ptr<Reflectors> reflect(std::vector<std::pair<ReflectorSpec, Mirror*>> all,
                                      const ReflectorLimits& limits = {}) {
    auto made = Reflectors::create(servers_.config(ApiServers::kFirst), clock, limits);
    CHECK(made.has_value());
    for (auto& [spec, mirror] : all) (*made)->add(spec, *mirror);
    (*made)->start();
    return *std::move(made);
  }
  void put(Client& asker, const std::string& ns, const std::string& name, const std::string& value) {
    const auto put = asker.apply(maps, config_map(name, value, ns), {.manager = "test", .force = true});
    ASSERT_TRUE(put) << put.error().what;
  }
  bool becomes(const Mirror& mirror, const Objects& wanted, std::chrono::milliseconds limit = 15s) {
    const bool good = eventually([&] { return mirror.objects() == wanted; }, limit);
    if (!good) ADD_FAILURE() << testing::PrintToString(mirror.objects()) << " " << mirror.state().why;
    return good;
  }
  void restart_first() {
    servers_.start(ApiServers::kFirst);
    ASSERT_TRUE(eventually([&] { return servers_.ready(ApiServers::kFirst); }, 60s));
  }
  static size_t connections_of_ours() {
    const auto all = test::run({"ss", "-Htnp", "state", "established", "dport", "=", ":6443"});
    const std::string pid = fmt::format("pid={},", getpid());
    size_t count = 0;
    for (size_t at = all.out.find(pid); at != std::string::npos; at = all.out.find(pid, at + 1)) ++count;
    return count;
  }
  const Resource maps = resource("v1", "ConfigMap");
};

TEST_F(ReflectorTest, what_is_there_is_told_and_then_what_changes) {
  make_namespace("changes");
  const auto asker = client(ApiServers::kSecond);
  put(*asker, "changes", "a", "1");
  put(*asker, "changes", "b", "1");
  Mirror mirror;
  const auto reflectors =
      reflect({{{.resource = maps, .ns = "changes", .label_selector = "of=test"}, &mirror}}, {.chunk = 1});
  ASSERT_TRUE(becomes(mirror, {{"a", "1"}, {"b", "1"}}));
  ASSERT_TRUE(eventually([&] { return mirror.state().phase == ReflectorPhase::kWatching; }));
  EXPECT_EQ(mirror.synced(), 1);
  put(*asker, "changes", "a", "2");
  put(*asker, "changes", "c", "1");
  ASSERT_TRUE(asker->remove(maps, "changes", "b"));
  EXPECT_TRUE(becomes(mirror, {{"a", "2"}, {"c", "1"}}));
  // Out of the selector is as good as gone.
  ASSERT_TRUE(asker->merge_patch(maps, "changes", "c", json(R"({"metadata":{"labels":{"of":"other"}}})")));
  EXPECT_TRUE(becomes(mirror, {{"a", "2"}}));
  const auto status = reflectors->status();
  ASSERT_EQ(status.size(), 1u);
  EXPECT_TRUE(status[0].synced);
  EXPECT_EQ(status[0].counters->lists, 1u);
  EXPECT_GE(status[0].counters->chunks, 2u);
  EXPECT_EQ(status[0].counters->errors, 0u);
  EXPECT_LT(status[0].last_heard, 5s);
}

TEST_F(ReflectorTest, many_share_one_connection) {
  make_namespace("shared");
  std::vector<std::unique_ptr<Mirror>> mirrors;
  std::vector<std::pair<ReflectorSpec, Mirror*>> all;
  for (const char* kind : {"Pod", "Service", "Namespace", "Node", "ConfigMap", "Secret", "ServiceAccount"}) {
    mirrors.push_back(std::make_unique<Mirror>());
    all.push_back({{.resource = resource("v1", kind)}, mirrors.back().get()});
  }
  const auto reflectors = reflect(all);
  for (const auto& mirror : mirrors)
    EXPECT_TRUE(eventually([&] { return mirror->state().phase == ReflectorPhase::kWatching; }))
        << mirror->state().why;
  EXPECT_EQ(connections_of_ours(), 1u);
  servers_.kill(ApiServers::kFirst);
  restart_first();
  for (const auto& mirror : mirrors)
    EXPECT_TRUE(eventually([&] { return mirror->state().phase == ReflectorPhase::kWatching; }, 60s))
        << mirror->state().why;
  EXPECT_EQ(connections_of_ours(), 1u) << "also after it was away";
}

TEST_F(ReflectorTest, a_server_that_comes_back_without_the_past_is_listed_anew_and_what_vanished_is_told) {
  make_namespace("past");
  const auto second = client(ApiServers::kSecond);
  for (const char* name : {"a", "b", "c"}) put(*second, "past", name, "1");
  Mirror mirror;
  const auto reflectors = reflect({{{.resource = maps, .ns = "past", .label_selector = "of=test"}, &mirror}});
  ASSERT_TRUE(becomes(mirror, {{"a", "1"}, {"b", "1"}, {"c", "1"}}));
  ASSERT_TRUE(eventually([&] { return mirror.state().phase == ReflectorPhase::kWatching; }));
  servers_.kill(ApiServers::kFirst);
  ASSERT_TRUE(eventually([&] { return mirror.state().phase == ReflectorPhase::kStale; }));
  EXPECT_FALSE(mirror.state().why.empty());
  // The second server goes on: the first, when it comes back, knows the state but not how it came about.
  put(*second, "past", "a", "2");
  put(*second, "past", "d", "1");
  ASSERT_TRUE(second->remove(maps, "past", "b"));
  std::this_thread::sleep_for(5s);
  EXPECT_EQ(mirror.objects(), (Objects{{"a", "1"}, {"b", "1"}, {"c", "1"}})) << "what was told is kept";
  const uint64_t told = mirror.told();
  restart_first();
  ASSERT_TRUE(becomes(mirror, {{"a", "2"}, {"c", "1"}, {"d", "1"}}, 60s));
  EXPECT_TRUE(eventually([&] { return mirror.state().phase == ReflectorPhase::kWatching; }));
  const auto status = reflectors->status();
  EXPECT_EQ(status[0].counters->relists, 1u) << "410";
  EXPECT_EQ(status[0].counters->lists, 2u);
  EXPECT_EQ(mirror.told() - told, 3u) << "c had not changed";
  EXPECT_EQ(mirror.synced(), 2);
}

TEST_F(ReflectorTest, a_server_that_freezes_is_left_and_found_again) {
  make_namespace("frozen");
  const auto second = client(ApiServers::kSecond);
  put(*second, "frozen", "a", "1");
  Mirror mirror;
  const auto reflectors =
      reflect({{{.resource = maps, .ns = "frozen", .label_selector = "of=test"}, &mirror}},
              {.list_deadline = 3s, .idle = 3s, .backoff_first = 200ms, .backoff_most = 1s});
  ASSERT_TRUE(becomes(mirror, {{"a", "1"}}));
  servers_.freeze(ApiServers::kFirst, true);
  EXPECT_TRUE(
      eventually([&] { return mirror.state().why.find("has said nothing for 3 s") != std::string::npos; }));
  put(*second, "frozen", "a", "2");
  EXPECT_EQ(mirror.objects(), (Objects{{"a", "1"}}));
  servers_.freeze(ApiServers::kFirst, false);
  EXPECT_TRUE(becomes(mirror, {{"a", "2"}}));
  EXPECT_GE(reflectors->status()[0].counters->idle_cuts, 1u);
}

Node crd() {
  return json(
      R"({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
    "metadata":{"name":"things.test.example"},
    "spec":{"group":"test.example","scope":"Namespaced",
    "names":{"plural":"things","singular":"thing","kind":"Thing","listKind":"ThingList"},
    "versions":[{"name":"v1","served":true,"storage":true,
    "schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}})");
}

TEST_F(ReflectorTest, a_kind_that_nobody_serves_is_empty_until_its_crd_comes_and_after_it_went) {
  const Resource things{
      .group = "test.example", .version = "v1", .plural = "things", .kind = "Thing", .namespaced = true};
  const Resource crds = resource("apiextensions.k8s.io/v1", "CustomResourceDefinition");
  Mirror mirror;
  const auto reflectors = reflect({{{.resource = things}, &mirror}},
                                  {.backoff_first = 200ms, .backoff_most = 1s, .absent_after = 2s});
  ASSERT_TRUE(eventually([&] { return mirror.synced() == 1; })) << "nobody has to wait for it";
  EXPECT_TRUE(eventually([&] { return mirror.state().phase == ReflectorPhase::kAbsent; }));
  EXPECT_NE(mirror.state().why.find("are its CRDs installed?"), std::string::npos);
  const auto asker = client();
  ASSERT_TRUE(asker->create_object(crds, "", crd()));
  const Node thing = json(
      R"({"apiVersion":"test.example/v1","kind":"Thing",
      "metadata":{"name":"x","namespace":"default"},"data":{"k":"1"}})");
  EXPECT_TRUE(eventually([&] { return asker->create_object(things, "default", thing).has_value(); }));
  EXPECT_TRUE(becomes(mirror, {{"x", "1"}}));
  ASSERT_TRUE(asker->remove(crds, "", "things.test.example"));
  EXPECT_TRUE(becomes(mirror, {}, 30s));
  EXPECT_TRUE(eventually([&] { return mirror.state().phase == ReflectorPhase::kAbsent; }));
}

TEST_F(ReflectorTest, who_may_not_is_told_why) {
  Config config = servers_.config(ApiServers::kFirst);
  config.certificate = config.key = {};
  config.token = "nonsense";
  Mirror mirror;
  auto reflectors = Reflectors::create(config, clock);
  (*reflectors)->add({.resource = maps}, mirror);
  (*reflectors)->start();
  EXPECT_TRUE(eventually([&] { return mirror.state().phase == ReflectorPhase::kStale; }));
  EXPECT_NE(mirror.state().why.find("401"), std::string::npos) << mirror.state().why;
  EXPECT_EQ(mirror.synced(), 0);
}

size_t resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6));
  return 0;
}

// Not an assertion about speed but about order: 3,000 objects of 1 KiB are there within seconds and cost
// little beside what the consumer keeps.
TEST_F(ReflectorTest, thousands_of_objects_come_at_the_cost_of_a_chunk) {
  make_namespace("many");
  std::vector<std::thread> threads;
  std::atomic<int> made{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      const auto asker = client(ApiServers::kSecond);
      for (int i = t; i < 3000; i += 4)
        if (asker->create_object(maps, "many",
                                 config_map(fmt::format("m{}", i), std::string(1024, 'x'), "many")))
          ++made;
    });
  for (std::thread& thread : threads) thread.join();
  ASSERT_EQ(made, 3000);
  struct Counting final : ReflectorSink {
    void on_object(Node) override { ++objects; }
    void on_gone(const ObjectName&) override {}
    void on_synced() override { synced = true; }
    void on_state(const ReflectorState&) override {}
    std::atomic<int> objects{0};
    std::atomic<bool> synced{false};
  } sink;
  const size_t before = resident_kib();
  const base::Instant begun = clock.now();
  auto reflectors = Reflectors::create(servers_.config(ApiServers::kFirst), clock);
  (*reflectors)->add({.resource = maps, .ns = "many"}, sink);
  (*reflectors)->start();
  ASSERT_TRUE(eventually([&] { return sink.synced.load(); }, 60s));
  const auto took = (clock.now() - begun) / base::Millis(1);
  const size_t grown = resident_kib() - std::min(before, resident_kib());
  EXPECT_EQ(sink.objects, 3000);
  std::printf("3000 objects in %ld ms, %lu KiB of answers, %zu KiB grown\n", static_cast<long>(took),
              static_cast<unsigned long>((*reflectors)->status()[0].counters->bytes / 1024), grown);
  // Sanitizers keep what was freed.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__has_feature)
  EXPECT_LT(grown, 16u * 1024);
#endif
}

}  // namespace
}  // namespace weft::kube
