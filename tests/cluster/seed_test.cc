// The seed application on a real cluster: its own commands, one after the other as its README has them
// (reference httpgo.md 2), then what follows from its four manifests (4.1-4.4).
#include <cmath>

#include "tests/cluster/mesh_lab.h"

namespace weft::test {
namespace {

using std::chrono::seconds;

class SeedTest : public MeshTest {
 protected:
  void SetUp() override { ASSERT_EQ(lab().trouble(), ""); }

  // A line that has to succeed; what it printed.
  static std::string typed(const std::string& text, seconds limit = seconds(60)) {
    const Answer answer = user().line(text, limit);
    EXPECT_EQ(answer.exit_code, 0) << text << "\n" << answer.out << answer.err;
    return answer.out;
  }
  static bool prints(const std::string& text, const std::string& words) {
    const std::string out = typed(text);
    EXPECT_NE(out.find(words), std::string::npos) << text << "\n" << out;
    return out.find(words) != std::string::npos;
  }
};

TEST_F(SeedTest, the_seeds_commands_run_as_they_stand) {
  typed("istioctl manifest apply", seconds(180));
  typed("istioctl manifest generate > profile.yaml");
  prints("cat profile.yaml", "kind: DaemonSet");
  typed("istioctl verify-install -f profile.yaml");
  prints("kubectl get svc -n istio-system", "istio-ingressgateway");
  prints("kubectl get pods -n istio-system", "Running");

  typed("kubectl create namespace dev");
  typed("kubectl label namespace dev istio-injection=enabled");
  prints("kubectl apply -f httpgo.yaml", "deployment.apps/httpgo-v1 created");
  prints("kubectl apply -f httpgo-gateway.yaml", "httpgo-gateway created");
  prints("kubectl -n dev get gateway", "httpgo-gateway");
  prints("kubectl apply -f httpgo-virtual-service.yaml", "httpgo created");
  prints("kubectl -n dev get virtualservice", "httpgo");
  prints("kubectl apply -f httpgo-destinations.yaml", "httpgo created");
  prints("kubectl get destinationrules --all-namespaces", "httpgo");
  prints("kubectl get svc istio-ingressgateway -n istio-system", "LoadBalancer");

  const std::string port = "kubectl -n istio-system get service istio-ingressgateway -o jsonpath=";
  typed("export INGRESS_PORT=$(" + port + R"('{.spec.ports[?(@.name=="http2")].nodePort}'))");
  typed("export SECURE_INGRESS_PORT=$(" + port + R"('{.spec.ports[?(@.name=="https")].nodePort}'))");
  typed(
      "export INGRESS_HOST=$(kubectl get po -l istio=ingressgateway -n istio-system -o "
      "jsonpath='{.items[0].status.hostIP}')");
  typed("export GATEWAY_URL=$INGRESS_HOST:$INGRESS_PORT");
  typed("[[ $SECURE_INGRESS_PORT -ge 30000 && $INGRESS_PORT -ge 30000 ]]");
  // The pods need a second to start; nothing else is waited for.
  EXPECT_TRUE(
      eventually([] { return user().line("curl -sf http://$GATEWAY_URL/httpgo").ok(); }, seconds(30)));
  prints("curl -si http://$GATEWAY_URL/httpgo", "Hello from Go");
  prints("curl -si http://$GATEWAY_URL/httpgo", "HTTP/1.1 200");
}

// What the four files say, whole again before each test.
class SeedRoutesTest : public MeshTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(lab().trouble(), "");
    ASSERT_NO_FATAL_FAILURE(ensure_seed());
  }
  static bool becomes(int status) {
    return eventually([&] { return get("/httpgo").status == status; });
  }
  // How many requests the pods of a version have logged.
  static int logged(const std::string& version) {
    const std::string text =
        lab().kubectl({"logs", "-n", "dev", "-l", "version=" + version, "--tail", "-1"}).out;
    int lines = 0;
    for (size_t at = text.find("/httpgo"); at != std::string::npos; at = text.find("/httpgo", at + 1))
      ++lines;
    return lines;
  }
};

TEST_F(SeedRoutesTest, the_exact_path_is_served_whatever_the_query_method_or_host_and_no_other_path_is) {
  EXPECT_EQ(get("/httpgo?x=1").status, 200);
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS"})
    EXPECT_EQ(get("/httpgo", {"-X", method}).status, 200) << method;
  for (const char* host : {"example.org", "10.1.2.3:8080", "UPPER.example"})
    EXPECT_EQ(get("/httpgo", {"-H", "Host: " + std::string(host)}).status, 200) << host;
  for (const char* path : {"/x/../httpgo", "/./httpgo"})
    EXPECT_EQ(get(path, {"--path-as-is"}).status, 200) << path;
  for (const char* path : {"/httpgo/", "/httpgo/payload", "/httpgo2", "/", "/healthz", "/HTTPGO", "//httpgo"})
    EXPECT_EQ(get(path, {"--path-as-is"}).status, 404) << path;
}

TEST_F(SeedRoutesTest, http_1_0_and_2_are_served_and_the_https_node_port_is_refused) {
  EXPECT_EQ(get("/httpgo", {"--http1.0"}).status, 200);
  EXPECT_EQ(get("/httpgo", {"-H", "Host:"}).status, 400);
  const WebReply second = get("/httpgo", {"--http2-prior-knowledge"});
  EXPECT_EQ(second.status, 200);
  EXPECT_NE(second.body.find("GET /httpgo HTTP/1.1"), std::string::npos) << second.body;
  const Answer https =
      lab().in("outside", {"curl", "-sm", "5", "http://" + gateway_url("https") + "/httpgo"});
  EXPECT_TRUE(https.exit_code == 7 || https.exit_code == 52 || https.exit_code == 56) << https.exit_code;
}

TEST_F(SeedRoutesTest, two_hundred_requests_are_split_evenly) {
  const int n = 200, v1 = logged("v1"), v2 = logged("v2");
  EXPECT_EQ(statuses(n), (Statuses{{"200", n}}));
  ASSERT_TRUE(eventually([&] { return logged("v1") - v1 + logged("v2") - v2 >= n; }));
  const int first = logged("v1") - v1, second = logged("v2") - v2;
  EXPECT_EQ(first + second, n);
  EXPECT_LE(std::abs(first / double(n) - 0.5), 2 / std::sqrt(n)) << first << " : " << second;
}

TEST_F(SeedRoutesTest, while_an_object_is_missing_the_reply_says_so_and_its_return_is_enough) {
  remove_file("httpgo-destinations");
  EXPECT_TRUE(becomes(503)) << "subsets are unknown";
  EXPECT_TRUE(eventually([] { return statuses(10) == Statuses{{"503", 10}}; }));
  EXPECT_TRUE(eventually([] {
    const std::string told = user().line("kubectl -n dev describe virtualservice httpgo").out;
    return told.find("ResolvedRefs") != std::string::npos && told.find("subset") != std::string::npos;
  })) << user().line("kubectl -n dev describe virtualservice httpgo").out;
  remove_file("httpgo-virtual-service");
  EXPECT_TRUE(becomes(404)) << "a gateway alone";
  remove_file("httpgo-gateway");
  EXPECT_TRUE(eventually([] {
    const int exit = get("/httpgo").curl_exit;
    return exit == 7 || exit == 52 || exit == 56;
  })) << "port 80 is not served";
  for (const char* file : {"httpgo-destinations", "httpgo-gateway", "httpgo-virtual-service"})
    apply_file(file);
  EXPECT_TRUE(becomes(200)) << "in another order";
  EXPECT_TRUE(eventually([] { return statuses(20) == Statuses{{"200", 20}}; }));
}

TEST_F(SeedRoutesTest, a_subset_without_a_ready_pod_fails_for_its_half_only) {
  ASSERT_TRUE(lab().kubectl({"scale", "deployment", "httpgo-v2", "-n", "dev", "--replicas", "0"}).ok());
  EXPECT_TRUE(eventually([] { return statuses(4).contains("503"); }));
  const Statuses count = statuses(100);
  EXPECT_EQ(count.size(), 2u);
  EXPECT_LE(std::abs(count.contains("503") ? count.at("503") - 50 : 50), 20);
  ASSERT_TRUE(lab().kubectl({"scale", "deployment", "httpgo-v2", "-n", "dev", "--replicas", "1"}).ok());
  EXPECT_TRUE(lab().has_ready_pods("dev", "version=v2", 1));
}

TEST_F(SeedRoutesTest, without_the_service_every_request_is_503) {
  ASSERT_TRUE(lab().kubectl({"delete", "service", "httpgo", "-n", "dev"}).ok());
  EXPECT_TRUE(becomes(503));
  EXPECT_TRUE(eventually([] { return statuses(10) == Statuses{{"503", 10}}; }));
}

TEST_F(SeedRoutesTest, callers_in_the_mesh_are_untouched_by_a_route_that_names_only_the_gateway) {
  ASSERT_NO_FATAL_FAILURE(ensure_world());
  const Answer answer =
      lab().exec("mesh", "client", {"curl", "-s", "-m", "5", "http://httpgo.dev:8888/anything"});
  EXPECT_NE(answer.out.find("GET /anything HTTP/1.1"), std::string::npos) << answer.out << answer.err;
}

}  // namespace
}  // namespace weft::test
