// The seed application behind the ingress gateway: every row of the behaviour that follows from its four manifests.
//
//   outside --- node port --- [gateway pod: agent + proxy] --- httpgo-v1 (one node) / httpgo-v2 (the other)
#include <gtest/gtest.h>

#include <cctype>
#include <cmath>
#include <map>
#include <memory>

#include "tests/support/cluster.h"

namespace weft::test {
namespace {

using std::chrono::seconds;

const std::string kManifests = std::string(WEFT_SOURCE_DIR) + "/manifests/httpgo";

// One cluster for all tests of this file; each test leaves it as it found it: everything applied.
class HttpgoTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    cluster_ = std::make_unique<Cluster>("e2e-httpgo");
    ASSERT_EQ(cluster_->trouble(), "");
    ASSERT_TRUE(cluster_->ctl({"create", "namespace", "dev"}).ok());
    ASSERT_TRUE(cluster_->ctl({"label", "namespace", "dev", "istio-injection=enabled"}).ok());
    url_ = cluster_->ctl({"url"}).out;
    while (!url_.empty() && url_.back() == '\n') url_.pop_back();
    ASSERT_NE(url_, "");
  }
  static void TearDownTestSuite() { cluster_.reset(); }

  void SetUp() override {
    ASSERT_NE(cluster_, nullptr);
    for (const char* file : {"httpgo", "httpgo-gateway", "httpgo-virtual-service", "httpgo-destinations"}) apply(file);
    ASSERT_TRUE(eventually([] { return pods("v1").size() == 1 && pods("v2").size() == 1; }, seconds(30)));
    ASSERT_TRUE(eventually([] { return get("/httpgo").status == 200; }, seconds(30))) << cluster_->ctl({"status"}).out;
    settle();
  }

  static void apply(const std::string& file) {
    const Answer answer = cluster_->apply_file(kManifests + "/" + file + ".yaml");
    ASSERT_TRUE(answer.ok()) << answer.out << answer.err;
  }
  static void remove(const std::string& file) {
    const Answer answer = cluster_->remove_file(kManifests + "/" + file + ".yaml");
    ASSERT_TRUE(answer.ok()) << answer.out << answer.err;
  }
  static std::vector<std::string> pods(const std::string& version) {
    return cluster_->ready_pods("dev", "version", version);
  }
  static Reply get(const std::string& path, std::vector<std::string> options = {}) {
    return curl(*cluster_, "outside", std::move(options), "http://" + url_ + path);
  }
  // Both halves answer: twenty replies in a row without an error.
  static void settle() {
    ASSERT_TRUE(eventually([] { return statuses(20) == std::map<int, int>{{200, 20}}; }, seconds(30)));
  }
  // n requests to /httpgo on one connection; how often each status came.
  static std::map<int, int> statuses(int n) {
    const Answer answer = cluster_->exec("outside", {"bash", "-c",
        "curl -s -m 60 -o /dev/null -w '%{http_code}\\n' 'http://" + url_ + "/httpgo?n=[1-" + std::to_string(n) + "]'"});
    std::map<int, int> count;
    for (size_t at = 0; at < answer.out.size(); at = answer.out.find('\n', at) + 1) {
      ++count[std::atoi(answer.out.c_str() + at)];
      if (answer.out.find('\n', at) == std::string::npos) break;
    }
    return count;
  }
  static bool becomes(int status, const std::string& path = "/httpgo") {
    return eventually([&] { return get(path).status == status; });
  }
  // How many requests the pods of a version have logged.
  static int logged(const std::string& version) {
    const std::string text = cluster_->ctl({"logs", "-n", "dev", "-l", "version=" + version}).out;
    int lines = 0;
    for (size_t at = text.find("/httpgo"); at != std::string::npos; at = text.find("/httpgo", at + 1)) ++lines;
    return lines;
  }

  static std::unique_ptr<Cluster> cluster_;
  static std::string url_;
};
std::unique_ptr<Cluster> HttpgoTest::cluster_;
std::string HttpgoTest::url_;

// --- 4.1: through the gateway ---------------------------------------------------------------------------------------

TEST_F(HttpgoTest, the_exact_path_is_served_with_and_without_a_query) {
  const Reply plain = get("/httpgo");
  EXPECT_EQ(plain.status, 200);
  EXPECT_NE(plain.body.find("Hello from Go"), std::string::npos) << plain.body;
  EXPECT_EQ(get("/httpgo?x=1").status, 200);
}

TEST_F(HttpgoTest, every_method_is_forwarded) {
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
    EXPECT_EQ(get("/httpgo", {"-X", method}).status, 200) << method;
  EXPECT_EQ(get("/httpgo", {"--head"}).status, 200);
  const Reply posted = get("/httpgo", {"-d", "some body"});
  EXPECT_EQ(posted.status, 200);
  EXPECT_NE(posted.body.find("some body"), std::string::npos);
}

TEST_F(HttpgoTest, every_other_path_is_404_although_the_server_would_answer) {
  for (const char* path : {"/httpgo/", "/httpgo/payload", "/httpgo2", "/", "/healthz", "/HTTPGO", "//httpgo"})
    EXPECT_EQ(get(path, {"--path-as-is"}).status, 404) << path;
}

TEST_F(HttpgoTest, dot_segments_are_removed_before_matching_and_the_normal_path_is_forwarded) {
  for (const char* path : {"/x/../httpgo", "/./httpgo"}) {
    const Reply reply = get(path, {"--path-as-is"});
    EXPECT_EQ(reply.status, 200) << path;
    EXPECT_NE(reply.body.find("GET /httpgo HTTP/1.1"), std::string::npos) << reply.body;
  }
}

TEST_F(HttpgoTest, any_host_gives_the_same_result) {
  for (const char* host : {"example.org", "10.1.2.3:8080", "httpgo.dev", "[fd00::1]:1", "UPPER.example"})
    EXPECT_EQ(get("/httpgo", {"-H", "Host: " + std::string(host)}).status, 200) << host;
}

TEST_F(HttpgoTest, a_request_without_host_is_400) {
  EXPECT_EQ(get("/httpgo", {"-H", "Host:"}).status, 400);
}

TEST_F(HttpgoTest, http_1_0_is_served) {
  const Reply reply = get("/httpgo", {"--http1.0"});
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.headers.find("Transfer-Encoding"), std::string::npos) << reply.headers;
}

TEST_F(HttpgoTest, http_2_with_prior_knowledge_is_served_and_the_hop_to_the_pod_is_http_1_1) {
  const Reply reply = get("/httpgo", {"--http2-prior-knowledge"});
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.headers.find("HTTP/2 200"), 0u) << reply.headers;
  EXPECT_NE(reply.body.find("GET /httpgo HTTP/1.1"), std::string::npos) << reply.body;
}

TEST_F(HttpgoTest, the_https_node_port_is_refused) {
  std::string url = cluster_->ctl({"url", "--port", "https"}).out;
  while (!url.empty() && url.back() == '\n') url.pop_back();
  ASSERT_NE(url, "");
  ASSERT_NE(url, url_);
  const Reply reply = curl(*cluster_, "outside", {}, "http://" + url + "/httpgo");
  EXPECT_TRUE(reply.curl_exit == 7 || reply.curl_exit == 56 || reply.curl_exit == 52) << reply.curl_exit;
}

TEST_F(HttpgoTest, toward_strict_pods_the_gateway_proves_itself) {
  const auto secured = [] {
    uint64_t sum = 0;
    for (const char* node : {"node1", "node2"})
      sum += cluster_->metric(node, "istio_tcp_connections_opened_total",
                              {"reporter=\"destination\"", "connection_security_policy=\"mutual_tls\""});
    return sum;
  };
  const std::string strict = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n"
                             "metadata: {name: default, namespace: dev}\nspec: {mtls: {mode: STRICT}}\n";
  ASSERT_TRUE(cluster_->apply(strict).ok());
  const auto refused = [] {
    for (const char* version : {"v1", "v2"}) {
      const std::string address = cluster_->pod_field("dev", pods(version).front(), ".status.podIP");
      if (curl(*cluster_, "outside", {}, "http://" + address + ":8888/httpgo").status != 0) return false;
    }
    return true;
  };
  EXPECT_TRUE(eventually(refused, seconds(10))) << "without a certificate";
  EXPECT_EQ(statuses(40), (std::map<int, int>{{200, 40}}));
  EXPECT_GT(secured(), 0u);
  ASSERT_TRUE(cluster_->ctl({"delete", "peerauthentication", "default", "-n", "dev"}).ok());
  EXPECT_TRUE(eventually([&] { return !refused(); }, seconds(10)));
}

TEST_F(HttpgoTest, the_gateway_sets_its_headers_and_replaces_the_callers) {
  const Reply reply = get("/httpgo", {"-H", "x-request-id: forged", "-H", "x-envoy-external-address: 1.2.3.4"});
  EXPECT_EQ(reply.status, 200);
  auto has = [&](const std::string& text) {
    std::string lower = reply.body;
    for (char& c : lower) c = static_cast<char>(std::tolower(c));
    return lower.find(text) != std::string::npos;
  };
  EXPECT_TRUE(has("x-forwarded-for")) << reply.body;
  EXPECT_TRUE(has("x-forwarded-proto")) << reply.body;
  EXPECT_TRUE(has("x-request-id")) << reply.body;
  EXPECT_TRUE(has("x-envoy-external-address")) << reply.body;
  EXPECT_FALSE(has("forged")) << reply.body;
  EXPECT_FALSE(has("1.2.3.4")) << reply.body;
}

// --- 4.2: the split -------------------------------------------------------------------------------------------------

TEST_F(HttpgoTest, requests_of_one_connection_are_split_evenly) {
  const int n = 200;
  const int v1 = logged("v1"), v2 = logged("v2");
  EXPECT_EQ(statuses(n), (std::map<int, int>{{200, n}}));
  ASSERT_TRUE(eventually([&] { return logged("v1") - v1 + logged("v2") - v2 >= n; }));
  const int first = logged("v1") - v1, second = logged("v2") - v2;
  EXPECT_EQ(first + second, n);
  EXPECT_LE(std::abs(first / double(n) - 0.5), 2 / std::sqrt(n)) << first << " : " << second;
}

// --- 4.3: while things are missing ----------------------------------------------------------------------------------

TEST_F(HttpgoTest, without_the_gateway_object_the_port_is_not_served) {
  remove("httpgo-gateway");
  EXPECT_TRUE(eventually([] {
    const Reply reply = get("/httpgo");
    return reply.curl_exit == 7 || reply.curl_exit == 52 || reply.curl_exit == 56;
  }));
}

TEST_F(HttpgoTest, a_gateway_alone_answers_404) {
  remove("httpgo-virtual-service");
  remove("httpgo-destinations");
  EXPECT_TRUE(becomes(404));
}

TEST_F(HttpgoTest, without_the_destination_rule_the_subsets_are_unknown_503) {
  remove("httpgo-destinations");
  EXPECT_TRUE(becomes(503));
  EXPECT_TRUE(eventually([] { return statuses(10) == std::map<int, int>{{503, 10}}; }));
  const std::string yaml = cluster_->ctl({"get", "virtualservice", "httpgo", "-n", "dev", "-o", "yaml"}).out;
  EXPECT_NE(yaml.find("ResolvedRefs"), std::string::npos) << yaml;
}

TEST_F(HttpgoTest, a_subset_without_a_ready_pod_fails_for_its_half_only) {
  ASSERT_TRUE(cluster_->ctl({"scale", "deployment", "httpgo-v2", "-n", "dev", "--replicas", "0"}).ok());
  ASSERT_TRUE(eventually([] { return pods("v2").empty(); }, seconds(30)));
  EXPECT_TRUE(eventually([] { return statuses(4).contains(503); }));
  const auto count = statuses(100);
  EXPECT_EQ(count.size(), 2u);
  EXPECT_TRUE(count.contains(200) && count.contains(503));
  EXPECT_LE(std::abs(count.at(503) - 50), 20);
}

TEST_F(HttpgoTest, a_subset_removed_from_the_rule_fails_for_its_half) {
  ASSERT_TRUE(cluster_->apply(R"(
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: httpgo, namespace: dev}
spec:
  host: httpgo
  subsets: [{name: v1, labels: {version: v1}}]
)").ok());
  EXPECT_TRUE(eventually([] { return statuses(4).contains(503); }));
  const auto count = statuses(100);
  EXPECT_TRUE(count.contains(200) && count.contains(503)) << count.size();
}

TEST_F(HttpgoTest, without_the_service_every_request_is_503) {
  ASSERT_TRUE(cluster_->ctl({"delete", "service", "httpgo", "-n", "dev"}).ok());
  EXPECT_TRUE(becomes(503));
  EXPECT_TRUE(eventually([] { return statuses(10) == std::map<int, int>{{503, 10}}; }));
}

TEST_F(HttpgoTest, objects_applied_in_the_reverse_order_end_in_the_same_state_without_a_restart) {
  const std::string before = pods("v1").at(0);
  for (const char* file : {"httpgo-gateway", "httpgo-virtual-service", "httpgo-destinations"}) remove(file);
  EXPECT_TRUE(eventually([] { return get("/httpgo").curl_exit != 0; }));
  for (const char* file : {"httpgo-destinations", "httpgo-virtual-service", "httpgo-gateway"}) apply(file);
  EXPECT_TRUE(becomes(200));
  settle();
  EXPECT_EQ(pods("v1").at(0), before);
}

// --- 4.4: resolution and scope --------------------------------------------------------------------------------------

TEST_F(HttpgoTest, in_mesh_callers_are_untouched_by_a_route_that_names_only_the_gateway) {
  const std::string caller = pods("v1").at(0);
  const Reply reply = curl(*cluster_, caller, {}, "http://httpgo.dev:8888/anything");
  EXPECT_EQ(reply.status, 200);
  EXPECT_NE(reply.body.find("GET /anything HTTP/1.1"), std::string::npos) << reply.body;
  EXPECT_EQ(curl(*cluster_, caller, {}, "http://httpgo:8888/payload?format=json&size=1KB").status, 200);
}

TEST_F(HttpgoTest, a_second_gateway_on_port_80_merges_and_virtual_services_of_both_add_up) {
  const std::string more = R"(
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: second, namespace: dev}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: second, namespace: dev}
spec:
  hosts: ["*"]
  gateways: [second]
  http: [{match: [{uri: {exact: /second}}], route: [{destination: {host: httpgo, port: {number: 8888}}}]}]
)";
  ASSERT_TRUE(cluster_->apply(more).ok());
  EXPECT_TRUE(becomes(200, "/second"));
  EXPECT_EQ(get("/httpgo").status, 200);
  ASSERT_TRUE(cluster_->ctl({"delete", "virtualservice", "second", "-n", "dev"}).ok());
  ASSERT_TRUE(cluster_->ctl({"delete", "gateway", "second", "-n", "dev"}).ok());
  EXPECT_TRUE(becomes(404, "/second"));
  EXPECT_EQ(get("/httpgo").status, 200);
}

}  // namespace
}  // namespace weft::test
