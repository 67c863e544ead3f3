// Requests, reviews, election and Events of agent/kube against real API servers.
#include <sys/mount.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "agent/kube/discovery.h"
#include "agent/kube/events.h"
#include "agent/kube/lease.h"
#include "agent/kube/reviews.h"
#include "tests/cluster/kube_fixture.h"

namespace weft::kube {

using namespace std::chrono_literals;
using objects::Node;
using test::ApiServers;
using test::eventually;

test::ApiServers& servers() {
  static test::ApiServers made;
  return made;
}

namespace {

TEST_F(KubeTest, the_server_is_known_by_the_authority_of_the_kubeconfig_alone) {
  const auto version = Discovery(*client()).server_version();
  ASSERT_TRUE(version) << version.error().what;
  EXPECT_EQ(version->git_version, "v1.36.4");
  EXPECT_EQ(version->minor, 36);
  Config config = servers_.config(ApiServers::kFirst);
  config.authority = {};  // the system's roots do not know it
  const auto stranger = Client::create(config, clock);
  EXPECT_EQ((*stranger)->exchange({.path = "/version"}).error().kind, base::ErrorKind::kUntrusted);
}

TEST_F(KubeTest, roots_of_the_system_do_not_count_where_an_authority_is_named) {
  // For this process alone (its mounts are its own) the CA of the server becomes one of the system's.
  const test::ScratchDir roots, other;
  for (const char* name : {"/ca-certificates.crt", "/one.crt"})
    std::filesystem::copy_file(servers_.ca_file(), roots.path() + name);
  ASSERT_TRUE(test::run({"openssl", "rehash", roots.path()}).ok());
  ASSERT_TRUE(test::run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                         "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=other",
                         "-keyout", other / "key", "-out", other / "crt"})
                  .ok());
  ASSERT_EQ(mount(roots.path().c_str(), "/etc/ssl/certs", nullptr, MS_BIND, nullptr), 0);
  const auto ask = [&](const Pem& authority) -> std::string {
    Config config = servers_.config(ApiServers::kFirst);
    config.authority = authority;
    const auto made = Client::create(config, clock);
    const auto answer = (*made)->exchange({.path = "/version"});
    return answer ? "good" : std::string(base::name_of(answer.error().kind));
  };
  EXPECT_EQ(ask({}), "good") << "nobody named: the system's count";
  EXPECT_EQ(ask({.data = {}, .file = other / "crt"}), base::name_of(base::ErrorKind::kUntrusted));
  std::ifstream pem(other / "crt");
  EXPECT_EQ(ask({.data = std::string(std::istreambuf_iterator<char>(pem), {}), .file = {}}),
            base::name_of(base::ErrorKind::kUntrusted));
  EXPECT_EQ(umount("/etc/ssl/certs"), 0);
}

TEST_F(KubeTest, a_server_name_of_the_kubeconfig_is_what_the_certificate_has_to_bear) {
  const auto ask = [&](const std::string& more) -> std::string {
    auto config = parse_kubeconfig(servers_.kubeconfig(ApiServers::kFirst, ApiServers::kUnnamedAddress, more),
                                   servers_.ca_file());
    const auto made = Client::create(*config, clock);
    const auto answer = (*made)->exchange({.path = "/version"});
    return answer ? "good" : std::string(base::name_of(answer.error().kind));
  };
  EXPECT_EQ(ask(""), base::name_of(base::ErrorKind::kUntrusted));
  EXPECT_EQ(ask(", tls-server-name: kubernetes"), "good");
  EXPECT_EQ(ask(", tls-server-name: other"), base::name_of(base::ErrorKind::kUntrusted));
}

TEST_F(KubeTest, nobody_is_home_is_an_error_at_once) {
  Config config = servers_.config(ApiServers::kFirst);
  config.server = "https://127.0.0.1:1";
  const auto made = Client::create(config, clock);
  const base::Instant begun = clock.now();
  const auto answer = (*made)->exchange({.path = "/version"});
  EXPECT_EQ(answer.error().kind, base::ErrorKind::kSystem);
  EXPECT_EQ(answer.error().sys_errno, ECONNREFUSED) << answer.error().what;
  EXPECT_LT(clock.now() - begun, 2s);
}

TEST_F(KubeTest, a_frozen_server_is_waited_for_until_the_deadline_and_stop_ends_the_wait) {
  servers_.freeze(ApiServers::kFirst, true);
  const auto asker = client();
  base::Instant begun = clock.now();
  EXPECT_EQ(asker->exchange({.path = "/version", .limits = {.deadline = 1s}}).error().kind,
            base::ErrorKind::kTimeout);
  EXPECT_LT(clock.now() - begun, 3s);
  begun = clock.now();
  std::thread stopper([&] {
    std::this_thread::sleep_for(300ms);
    asker->stop();
  });
  EXPECT_EQ(asker->exchange({.path = "/version"}).error().kind, base::ErrorKind::kClosed);
  EXPECT_LT(clock.now() - begun, 3s);
  stopper.join();
  servers_.freeze(ApiServers::kFirst, false);
}

TEST_F(KubeTest, objects_are_made_read_changed_and_deleted) {
  make_namespace("crud");
  const auto asker = client();
  const Resource maps = resource("v1", "ConfigMap");
  const auto made = asker->create_object(maps, "crud", config_map("a", "1", "crud"));
  ASSERT_TRUE(made) << made.error().what;
  EXPECT_TRUE(asker->create_object(maps, "crud", config_map("a", "1", "crud")).error().already_exists());
  const auto patched = asker->merge_patch(maps, "crud", "a", json(R"({"data":{"k":"2","n":null}})"));
  ASSERT_TRUE(patched) << patched.error().what;
  EXPECT_EQ(asker->get(maps, "crud", "a")->at({"data", "k"}).as_string(), "2");
  EXPECT_TRUE(asker->replace(maps, *made).error().conflict()) << "somebody was faster";
  EXPECT_TRUE(asker->replace(maps, *patched));
  EXPECT_EQ(asker->remove(maps, "crud", "a", {.uid = "another"}).error().code, 409);
  EXPECT_TRUE(asker->remove(maps, "crud", "a", {.uid = made->at({"metadata", "uid"}).as_string()}));
  EXPECT_TRUE(asker->get(maps, "crud", "a").error().not_found());
  EXPECT_EQ(asker->get(maps, "crud", "../secrets/x").error().kind, base::ErrorKind::kInvalid);
}

TEST_F(KubeTest, apply_owns_its_fields_says_conflict_and_twice_is_no_change) {
  make_namespace("apply");
  const auto asker = client();
  const Resource maps = resource("v1", "ConfigMap");
  const auto first = asker->apply(maps, config_map("a", "1", "apply"), {.manager = "weftctl"});
  ASSERT_TRUE(first) << first.error().what;
  const auto again = asker->apply(maps, config_map("a", "1", "apply"), {.manager = "weftctl"});
  EXPECT_EQ(again->at({"metadata", "resourceVersion"}).as_string(),
            first->at({"metadata", "resourceVersion"}).as_string());
  const auto other = asker->apply(maps, config_map("a", "2", "apply"), {.manager = "other"});
  ASSERT_FALSE(other);
  EXPECT_TRUE(other.error().conflict());
  EXPECT_NE(other.error().what.find("weftctl"), std::string::npos) << other.error().what;
  const auto dry =
      asker->apply(maps, config_map("a", "3", "apply"), {.manager = "other", .force = true, .dry_run = true});
  EXPECT_EQ(dry->at({"data", "k"}).as_string(), "3");
  EXPECT_EQ(asker->get(maps, "apply", "a")->at({"data", "k"}).as_string(), "1");
  EXPECT_TRUE(asker->apply(maps, config_map("a", "4", "apply"), {.manager = "other", .force = true}));
  EXPECT_EQ(asker->get(maps, "apply", "a")->at({"data", "k"}).as_string(), "4");
  Node strange = config_map("b", "1", "apply");
  strange.set("spce", Node::string("x"));
  EXPECT_FALSE(asker->apply(maps, strange, {.manager = "weftctl", .validation = "Strict"}));
}

TEST_F(KubeTest, a_status_is_applied_through_its_door_and_leaves_the_rest_alone) {
  make_namespace("status");
  const auto asker = client();
  const Resource pods = resource("v1", "Pod");
  const auto made =
      asker->create_object(pods, "status", json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},
      "spec":{"containers":[{"name":"c","image":"i"}]}})"));
  ASSERT_TRUE(made) << made.error().what;
  const auto status = asker->apply(
      pods, json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"status",
      "annotations":{"ambient.istio.io/redirection":"enabled"}},"status":{"message":"hello"}})"),
      {.manager = "weft-agent", .subresource = "status"});
  ASSERT_TRUE(status) << status.error().what;
  EXPECT_EQ(status->at({"status", "message"}).as_string(), "hello");
  EXPECT_EQ(status->at({"spec", "containers"}).items().size(), 1u);
}

TEST_F(KubeTest, a_list_comes_in_chunks_and_whole) {
  make_namespace("chunks");
  const auto asker = client();
  const Resource maps = resource("v1", "ConfigMap");
  for (int i = 0; i < 57; ++i)
    ASSERT_TRUE(asker->create_object(maps, "chunks", config_map(fmt::format("m{}", i), "1", "chunks")));
  std::set<std::string> names;
  const uint64_t before = asker->counters().requests;
  const auto version = asker->list(maps, {.ns = "chunks", .label_selector = "of=test", .chunk = 10},
                                   [&](Node object) -> base::Status {
                                     EXPECT_EQ(object.at({"kind"}).as_string(), "ConfigMap");
                                     names.insert(name_of(object).name);
                                     return {};
                                   });
  ASSERT_TRUE(version) << version.error().what;
  EXPECT_EQ(names.size(), 57u);
  EXPECT_EQ(asker->counters().requests - before, 6u);
  // A chunk that is too long is asked for in smaller ones.
  names.clear();
  const auto small =
      asker->list(maps, {.ns = "chunks", .chunk = 500, .max_chunk = 8192}, [&](Node object) -> base::Status {
        names.insert(name_of(object).name);
        return {};
      });
  ASSERT_TRUE(small) << small.error().what;
  EXPECT_EQ(names.size(), 57u);
}

TEST_F(KubeTest, connections_are_used_again_and_threads_do_not_meet) {
  const auto asker = client();
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n < 25; ++n)
        if (asker->exchange({.path = "/version"})) ++good;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 100);
  const auto open = test::run({"ss", "-Htn", "state", "established", "dport", "=", ":6443"});
  EXPECT_LE(std::ranges::count(open.out, '\n'), 6) << open.out;
}

TEST_F(KubeTest, discovery_finds_what_the_table_does_not_know) {
  const auto asker = client();
  Discovery discovery(*asker);
  const auto found = discovery.resource("storage.k8s.io/v1", "StorageClass");
  ASSERT_TRUE(found) << found.error().what;
  EXPECT_EQ(found->plural, "storageclasses");
  EXPECT_FALSE(found->namespaced);
  EXPECT_TRUE(discovery.resource("apps/v1", "Nothing").error().not_found());
  EXPECT_TRUE(discovery.resource("nothing.example/v1", "Nothing").error().not_found());
  EXPECT_EQ(discovery.versions("apps")->front(), "v1");
}

// A token of a service account, bound to a pod, as kubelet projects one.
std::string bound_token(Client& asker, const std::string& audience) {
  const auto pod = asker.get(resource("v1", "Pod"), "tokens", "web");
  const auto answer = asker.exchange_json(
      {.method = "POST",
       .path = resource("v1", "ServiceAccount").path("tokens", "web", "token"),
       .content_type = "application/json",
       .body = fmt::format(
           R"({{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","spec":{{"audiences":["{}"],
           "expirationSeconds":600,"boundObjectRef":{{"kind":"Pod","apiVersion":"v1","name":"web","uid":"{}"}}}}}})",
           audience, pod->at({"metadata", "uid"}).as_string())});
  EXPECT_TRUE(answer) << answer.error().what;
  return answer ? answer->at({"status", "token"}).as_string() : "";
}

TEST_F(KubeTest, a_token_is_reviewed_for_its_audience_and_says_its_pod_and_node) {
  make_namespace("tokens");
  const auto asker = client();
  ASSERT_TRUE(
      asker->create_object(resource("v1", "ServiceAccount"), "tokens",
                           json(R"({"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"web"}})")));
  ASSERT_TRUE(asker->create_object(resource("v1", "Node"), "",
                                   json(R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"n1"}})")));
  ASSERT_TRUE(asker->create_object(resource("v1", "Pod"), "tokens",
                                   json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},
      "spec":{"nodeName":"n1","serviceAccountName":"web","containers":[{"name":"c","image":"i"}]}})")));
  const std::string token = bound_token(*asker, "istio-ca");
  Reviews reviews(*asker, clock);
  const std::vector<std::string> ours{"istio-ca"}, others{"other"};
  const auto verdict = reviews.review(token, ours);
  ASSERT_TRUE(verdict) << verdict.error().what;
  ASSERT_TRUE(verdict->authenticated) << verdict->error;
  EXPECT_EQ(verdict->username, "system:serviceaccount:tokens:web");
  EXPECT_EQ(verdict->pod_name(), "web");
  EXPECT_EQ(verdict->node_name(), "n1");
  EXPECT_FALSE(verdict->pod_uid().empty());
  EXPECT_TRUE(reviews.review(token, ours)->authenticated);
  EXPECT_EQ(reviews.counters().cached, 1u);
  EXPECT_FALSE(reviews.review(token, others)->authenticated);
  EXPECT_FALSE(reviews.review(token + "x", ours)->authenticated);
  EXPECT_FALSE(reviews.review("", ours)->authenticated);
  // A dead pod's token is worth nothing, once what the server remembers of it is over (10 s); a new Reviews
  // has nothing remembered itself.
  ASSERT_TRUE(asker->exchange(
      {.method = "DELETE", .path = resource("v1", "Pod").path("tokens", "web") + "?gracePeriodSeconds=0"}));
  const base::Instant deleted = clock.now();
  EXPECT_TRUE(eventually([&] { return !Reviews(*asker, clock).review(token, ours)->authenticated; }, 30s));
  std::printf("the server believed a deleted pod's token for %ld ms\n",
              static_cast<long>((clock.now() - deleted) / base::Millis(1)));
}

TEST_F(KubeTest, what_somebody_may_do_is_asked) {
  const auto asker = client();
  Reviews reviews(*asker, clock);
  const auto admin =
      reviews.access({.user = "admin", .groups = {"system:masters"}, .verb = "delete", .resource = "nodes"});
  ASSERT_TRUE(admin) << admin.error().what;
  EXPECT_TRUE(admin->allowed);
  EXPECT_FALSE(
      reviews.access({.user = "nobody", .verb = "get", .resource = "secrets", .ns = "default"})->allowed);
}

TEST_F(KubeTest, one_of_two_leads_and_the_other_follows_when_it_leaves_or_dies) {
  make_namespace("lease");
  const auto first = client(ApiServers::kFirst), second = client(ApiServers::kSecond);
  LeaseOptions options{.ns = "lease",
                       .name = "weft-control",
                       .identity = "one",
                       .duration = 3s,
                       .renew_deadline = 2s,
                       .retry = 300ms};
  std::atomic<int> elected{0}, lost{0};
  auto one = std::make_unique<LeaderElection>(*first, clock, options,
                                              LeaderElection::Callbacks{[&] { ++elected; }, [&] { ++lost; }});
  options.identity = "two";
  LeaderElection two(*second, clock, options, {});
  one->start();
  ASSERT_TRUE(eventually([&] { return one->leads(); })) << one->problem();
  two.start();
  ASSERT_TRUE(eventually([&] { return two.holder() == "one"; }));
  std::this_thread::sleep_for(4s);
  EXPECT_TRUE(one->leads());
  EXPECT_FALSE(two.leads());
  one->stop();
  EXPECT_FALSE(one->leads());
  EXPECT_EQ(elected, 1);
  EXPECT_EQ(lost, 1);
  ASSERT_TRUE(eventually([&] { return two.leads(); }, 1500ms))
      << "given back: nobody has to wait for its end";
  one.reset();
  // Its server dies: it leads no more before another may.
  options.identity = "three";
  LeaderElection three(*first, clock, options, {});
  three.start();
  ASSERT_TRUE(eventually([&] { return three.holder() == "two"; }));
  servers_.kill(ApiServers::kSecond);
  bool both = false;
  EXPECT_TRUE(eventually([&] {
    both |= two.leads() && three.leads();
    return three.leads();
  }));
  EXPECT_FALSE(both);
  EXPECT_FALSE(two.leads());
  servers_.start(ApiServers::kSecond);
  ASSERT_TRUE(eventually([&] { return servers_.ready(ApiServers::kSecond); }, 60s));
  const auto lease = first->get(resource("coordination.k8s.io/v1", "Lease"), "lease", "weft-control");
  EXPECT_EQ(read_lease(*lease).transitions, 2);
}

TEST_F(KubeTest, the_same_event_again_is_a_series) {
  make_namespace("events");
  const auto asker = client();
  EventRecorder recorder(*asker, clock,
                         {.controller = "weft.mesh/agent", .instance = "n1", .series_write = 1s});
  const Happening one{
      .regarding = {.api_version = "v1", .kind = "Pod", .ns = "events", .name = "web", .uid = "u"},
      .warning = true,
      .reason = "MeshCaptureFailed",
      .action = "Capturing",
      .note = "no netns"};
  for (int i = 0; i < 5; ++i) recorder.record(one);
  const auto count = [&]() -> int64_t {
    int64_t series = 0, events = 0;
    const auto listed =
        asker->list(resource("events.k8s.io/v1", "Event"), {.ns = "events"}, [&](Node event) -> base::Status {
          ++events;
          EXPECT_EQ(event.at({"type"}).as_string(), "Warning");
          EXPECT_EQ(event.at({"note"}).as_string(), "no netns");
          series = event.at({"series", "count"}).as_int();
          return {};
        });
    EXPECT_TRUE(listed);
    EXPECT_LE(events, 1);
    return events == 1 ? series : -1;
  };
  EXPECT_TRUE(eventually([&] { return count() == 5; }, 15s)) << recorder.counters().failed;
  EXPECT_EQ(recorder.counters().failed, 0u);
}

}  // namespace
}  // namespace weft::kube

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
