// The installer against a real API server, as its commands are typed. Run beside the server (see CMakeLists.txt).
// What is installed does not have to run for most of this: the objects, and what the server makes of them, are in question.
#include "tests/cluster/install_tools.h"

#include "agent/install/crd.h"
#include "agent/install/render.h"

namespace weft::install {
namespace {

using objects::Node;
Settings settings() {
  Settings out = default_settings("0.1.0");
  out.image = image();
  out.pull_policy = "IfNotPresent";
  return out;
}

size_t count(const std::string& text, const std::string& word) {
  size_t found = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++found;
  return found;
}

// A cluster that weft was never in.
class Untouched : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_FALSE(env("WEFT_KUBECONFIG").empty()) << "WEFT_KUBECONFIG: an admin's kubeconfig";
    remove_all();
  }
  void TearDown() override { remove_all(); }
  Tools tools_;
};

// One installation for all of these, whole again before each. The last of them removes it.
class Installation : public testing::Test {
 protected:
  static void SetUpTestSuite() { remove_all(); }
  static void TearDownTestSuite() { remove_all(); }
  void SetUp() override {
    const Answer answer = tools_.weftctl({"install", "--no-wait", "--set", "image=" + image()});
    ASSERT_TRUE(answer.ok()) << answer.err << answer.out;
  }
  Tools tools_;
};

TEST_F(Untouched, a_cluster_without_weft_passes_the_check_before_and_not_the_one_after) {
  const Answer before = tools_.weftctl({"check", "--pre"});
  EXPECT_EQ(before.exit_code, 0) << before.out;
  for (const char* id : {"api-version", "api-rights", "cluster-kernels", "cluster-other-mesh"})
    EXPECT_NE(before.out.find(id), std::string::npos) << before.out;
  const Answer after = tools_.weftctl({"check", "-o", "json"});
  EXPECT_EQ(after.exit_code, 1);
  EXPECT_NE(after.out.find("\"success\": false"), std::string::npos) << after.out;
}

TEST_F(Installation, applied_twice_nothing_changes_and_the_definitions_are_established) {
  const Answer again = tools_.weftctl({"install", "--no-wait", "--set", "image=" + image()});
  ASSERT_TRUE(again.ok()) << again.err;
  EXPECT_EQ(count(again.out, " unchanged\n"), render(settings()).size()) << again.out;
  for (const CrdKind& kind : crd_kinds())
    kubectl({"wait", "--for=condition=Established", "--timeout=30s", "crd", crd_name(kind)});
  const Answer plan = tools_.weftctl({"upgrade", "--plan"});
  EXPECT_NE(plan.out.find("0 to create, 0 to change"), std::string::npos) << plan.out << plan.err;
}

TEST_F(Installation, the_seed_s_four_files_apply_and_are_listed_under_every_name_of_their_kinds) {
  kubectl({"create", "namespace", "dev"});
  const std::string dir = std::string(WEFT_SOURCE_DIR) + "/manifests/httpgo/";
  for (const char* file :
       {"httpgo-destinations.yaml", "httpgo-virtual-service.yaml", "httpgo-gateway.yaml", "httpgo.yaml"})
    kubectl({"apply", "-f", dir + file});
  for (const char* kind : {"gateway", "gw", "gateways.networking.istio.io"})
    EXPECT_NE(kubectl({"-n", "dev", "get", kind}).find("httpgo-gateway"), std::string::npos) << kind;
  for (const char* kind : {"virtualservice", "vs"})
    EXPECT_NE(kubectl({"-n", "dev", "get", kind}).find("[\"httpgo-gateway\"]"), std::string::npos) << kind;
  const std::string rules = kubectl({"get", "destinationrules", "--all-namespaces"});
  EXPECT_NE(rules.find("httpgo"), std::string::npos);
  EXPECT_NE(rules.find("ACCEPTED"), std::string::npos) << rules;
  EXPECT_NE(kubectl({"-n", "dev", "get", "istio-io"}).find("virtualservice"), std::string::npos);
  for (const char* version : {"v1alpha3", "v1beta1", "v1"})
    kubectl({"get", "--raw",
             std::string("/apis/networking.istio.io/") + version + "/namespaces/dev/virtualservices/httpgo"});
  kubectl({"delete", "namespace", "dev"});
}

TEST_F(Installation, what_the_tables_refuse_the_server_refuses_too_and_what_has_no_effect_is_warned_about) {
  const auto refused = [&](const std::string& spec) {
    const std::string head = "apiVersion: networking.istio.io/v1alpha3\nkind: Gateway\nmetadata: {name: a}\nspec:\n  ";
    return try_kubectl({"apply", "--dry-run=server", "-f", tools_.file("gateway.yaml", head + spec)}).err;
  };
  const std::string port = "servers: [{port: {number: 80, protocol: HTTP, name: http}, hosts: ['*']";
  EXPECT_EQ(refused(port + "}]\n"), "");
  EXPECT_NE(refused(port + ", hots: [a]}]\n").find("hots"), std::string::npos);
  EXPECT_NE(refused(port + ", tls: {mode: SIMPEL}}]\n").find("supported values"), std::string::npos);
  EXPECT_NE(refused("servers: [{port: {number: 0, protocol: HTTP, name: http}, hosts: ['*']}]\n").find("number"),
            std::string::npos);
  EXPECT_NE(refused("servers: [{hosts: ['*']}]\n").find("port"), std::string::npos);
  const Answer unread = try_kubectl({"apply", "--dry-run=server", "-f",
                                     tools_.file("ra.yaml", "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\n"
                                                            "metadata: {name: a}\nspec: {jwtRules: [{issuer: x}]}\n")});
  EXPECT_TRUE(unread.ok()) << unread.err;
  EXPECT_NE(unread.err.find("weft does not act on objects of kind RequestAuthentication"), std::string::npos) << unread.err;
}

TEST_F(Installation, under_istio_s_name_the_seed_s_lines_run_and_what_is_missing_or_different_is_named) {
  const Answer profile = tools_.istioctl({"manifest", "generate", "--set", "image=" + image()});
  ASSERT_TRUE(profile.ok());
  const std::string file = tools_.file("profile.yaml", profile.out);
  EXPECT_EQ(count(tools_.istioctl({"verify-install", "-f", file}).out, ": missing\n"), 0u);
  kubectl({"-n", "weft-system", "delete", "pdb", "weft-control"});
  kubectl({"-n", "istio-system", "scale", "deployment", "istio-ingressgateway", "--replicas=2"});
  const Answer verified = tools_.istioctl({"verify-install", "-f", file});
  EXPECT_EQ(verified.exit_code, 1);
  EXPECT_NE(verified.out.find("poddisruptionbudget.policy/weft-control in weft-system: missing"), std::string::npos)
      << verified.out;
  EXPECT_NE(verified.out.find("deployment.apps/istio-ingressgateway in istio-system: different"), std::string::npos)
      << verified.out;
  EXPECT_NE(verified.out.find("spec.replicas: 2 -> 1"), std::string::npos) << verified.out;
  ASSERT_TRUE(tools_.istioctl({"manifest", "apply", "--no-wait", "--set", "image=" + image()}).ok());
  const Answer mended = tools_.istioctl({"verify-install", "-f", file});
  EXPECT_EQ(count(mended.out, ": missing\n") + count(mended.out, ": different\n"), 0u) << mended.out;
}

TEST_F(Untouched, what_kubectl_applied_is_not_different_for_the_installer) {
  const std::string file = tools_.file("profile.yaml", rendered_yaml(settings()));
  kubectl({"apply", "--server-side", "--force-conflicts", "-f", file});
  const Answer verified = tools_.weftctl({"verify-install", "-f", file});
  EXPECT_EQ(count(verified.out, ": missing\n") + count(verified.out, ": different\n"), 0u) << verified.out << verified.err;
}

TEST_F(Installation, a_plan_names_the_fields_that_an_upgrade_would_change_and_changes_none) {
  const Answer plan = tools_.weftctl({"upgrade", "--plan", "--set", "proxy.image=weft.local/weft:next"});
  ASSERT_TRUE(plan.ok()) << plan.err;
  EXPECT_NE(plan.out.find("daemonset.apps/weft-proxy in weft-system: would change"), std::string::npos) << plan.out;
  EXPECT_NE(plan.out.find("image: " + image() + " -> weft.local/weft:next"), std::string::npos) << plan.out;
  EXPECT_EQ(plan.out.find("daemonset.apps/weft-agent"), std::string::npos) << "the agent is another DaemonSet";
  EXPECT_EQ(kubectl({"-n", "weft-system", "get", "ds", "weft-proxy", "-o",
                     "jsonpath={.spec.template.spec.containers[0].image}"}),
            image());
}

TEST_F(Untouched, a_deployment_of_another_mesh_is_a_conflict_and_then_nothing_is_applied) {
  kubectl({"create", "namespace", "istio-system"});
  kubectl({"-n", "istio-system", "create", "deployment", "istio-ingressgateway", "--image=x", "--replicas=0"});
  const Answer answer = tools_.weftctl({"install", "--no-wait"});
  EXPECT_EQ(answer.exit_code, 1);
  EXPECT_NE(answer.err.find("deployment.apps/istio-ingressgateway in istio-system"), std::string::npos) << answer.err;
  EXPECT_EQ(kubectl({"get", "clusterrole", "-l", "app.kubernetes.io/part-of=weft", "-o", "name"}), "");
  EXPECT_EQ(tools_.weftctl({"check", "--pre"}).exit_code, 1);
}

TEST_F(Untouched, a_definition_and_a_namespace_of_another_are_accepted_and_stay_as_they_are) {
  kubectl({"create", "namespace", "istio-system"});
  Node crd;
  for (const CrdKind& kind : crd_kinds())
    if (kind.kind == "EnvoyFilter") crd = crd_of(kind);
  const std::string name = crd.at({"metadata", "name"}).as_string();
  kubectl({"apply", "--server-side", "--force-conflicts", "-f", tools_.file("crd.yaml", objects::to_yaml(crd))});
  kubectl({"label", "crd", name, "app.kubernetes.io/part-of-", "app.kubernetes.io/managed-by-"});
  const Answer answer = tools_.weftctl({"install", "--no-wait", "--set", "image=" + image()});
  ASSERT_TRUE(answer.ok()) << answer.err;
  EXPECT_EQ(count(answer.out, "kept as it is: another's"), 2u) << answer.out;
  const std::string label = "jsonpath={.metadata.labels.app\\.kubernetes\\.io/part-of}";
  EXPECT_EQ(kubectl({"get", "namespace", "istio-system", "-o", label}), "");
  EXPECT_EQ(kubectl({"get", "crd", name, "-o", label}), "");
  kubectl({"label", "crd", name, "app.kubernetes.io/part-of=weft", "app.kubernetes.io/managed-by=weftctl"});
}

// The pods of a workload as the server would admit them into a namespace of that level.
Answer admit(const Tools& tools, const std::string& kind, const std::string& name) {
  for (const Node& object : render(settings())) {
    if (object.at({"kind"}).as_string() != kind || object.at({"metadata", "name"}).as_string() != name) continue;
    Node pod = Node::mapping();
    pod.set("apiVersion", Node::string("v1"));
    pod.set("kind", Node::string("Pod"));
    pod["metadata"].set("name", Node::string("pod"));
    pod["metadata"].set("namespace", Node::string("dev"));
    pod.set("spec", object.at({"spec", "template", "spec"}));
    pod["spec"].erase("serviceAccountName");
    return try_kubectl({"apply", "--dry-run=server", "-f", tools.file("pod.yaml", objects::to_yaml(pod))});
  }
  return {};
}

TEST_F(Untouched, pod_security_restricted_admits_gateway_and_control_and_not_the_agent) {
  kubectl({"create", "namespace", "dev"});
  for (const char* mode : {"enforce", "warn"})
    kubectl({"label", "namespace", "dev", std::string("pod-security.kubernetes.io/") + mode + "=restricted"});
  for (const char* name : {"weft-control", "istio-ingressgateway"}) {
    const Answer answer = admit(tools_, "Deployment", name);
    EXPECT_TRUE(answer.ok()) << answer.err;
    EXPECT_EQ(answer.err.find("Warning"), std::string::npos) << answer.err;
  }
  EXPECT_FALSE(admit(tools_, "DaemonSet", "weft-agent").ok());
}

TEST_F(Installation, accounts_may_what_they_need_and_no_more) {
  const auto may = [&](const std::string& ns, const std::string& account, std::vector<std::string> words) {
    words.insert(words.begin(), {"auth", "can-i", "--as=system:serviceaccount:" + ns + ":" + account});
    return try_kubectl(std::move(words)).ok();
  };
  EXPECT_TRUE(may("weft-system", "weft-agent", {"watch", "pods"}));
  EXPECT_TRUE(may("weft-system", "weft-agent", {"patch", "pods", "--subresource=status"}));
  EXPECT_FALSE(may("weft-system", "weft-agent", {"patch", "pods"}));
  EXPECT_FALSE(may("weft-system", "weft-agent", {"get", "secrets"}));
  EXPECT_FALSE(may("weft-system", "weft-agent", {"list", "secrets", "-n", "weft-system"}));
  EXPECT_TRUE(may("weft-system", "weft-control", {"get", "secrets/weft-ca", "-n", "weft-system"}));
  EXPECT_FALSE(may("weft-system", "weft-control", {"get", "secrets/other", "-n", "weft-system"}));
  EXPECT_TRUE(may("weft-system", "weft-control", {"create", "tokenreviews.authentication.k8s.io"}));
  EXPECT_TRUE(may("weft-system", "weft-control", {"patch", "gateways.networking.istio.io", "--subresource=status"}));
  EXPECT_FALSE(may("weft-system", "weft-control", {"patch", "gateways.networking.istio.io"}));
  EXPECT_TRUE(may("istio-system", "istio-ingressgateway", {"watch", "endpointslices.discovery.k8s.io"}));
  EXPECT_FALSE(may("istio-system", "istio-ingressgateway", {"create", "events"}));
  EXPECT_FALSE(may("weft-system", "weft-proxy", {"get", "pods"}));
}

// Server-side apply names the object in the path, so even "create" is bound to that name.
TEST_F(Installation, control_may_make_its_own_secret_and_no_other) {
  const auto apply_as_control = [&](const std::string& kind, const std::string& name) {
    const std::string object = "apiVersion: v1\nkind: " + kind + "\nmetadata: {name: " + name +
                               ", namespace: weft-system}\n";
    return try_kubectl({"--as=system:serviceaccount:weft-system:weft-control", "apply", "--server-side", "--field-manager",
                        "weft-control", "--force-conflicts", "-f", tools_.file("object.yaml", object)});
  };
  for (int i = 0; i < 2; ++i) {
    const Answer own = apply_as_control("Secret", "weft-ca");
    EXPECT_TRUE(own.ok()) << own.err;
  }
  EXPECT_TRUE(apply_as_control("ConfigMap", "weft-ca-root").ok());
  EXPECT_FALSE(apply_as_control("Secret", "other").ok());
  EXPECT_FALSE(apply_as_control("ConfigMap", "other").ok());
}

TEST_F(Installation, version_names_every_part_and_tells_when_there_is_none) {
  EXPECT_EQ(tools_.weftctl({"version", "--client"}).out.find("weft-control"), std::string::npos);
  const Answer there = tools_.weftctl({"version"});
  EXPECT_TRUE(there.ok());
  for (const char* part : {"weftctl ", "weft-control ", "weft-agent ", "weft-proxy ", "istio-ingressgateway "})
    EXPECT_NE(there.out.find(part), std::string::npos) << there.out;
  const Answer nowhere = test::run({"env", "KUBECONFIG=/nonexistent", std::string(WEFT_BIN_DIR) + "/weftctl", "version"});
  EXPECT_TRUE(nowhere.ok());
  EXPECT_NE(nowhere.out.find("no cluster"), std::string::npos) << nowhere.out;
}

TEST_F(Installation, uninstall_takes_hooks_and_objects_away_and_keeps_what_users_have_put_in) {
  kubectl({"create", "namespace", "dev"});
  kubectl({"-n", "dev", "apply", "-f",
           std::string(WEFT_SOURCE_DIR) + "/manifests/httpgo/httpgo-gateway.yaml"});
  const Answer answer = tools_.weftctl({"uninstall"}, std::chrono::seconds(400));
  ASSERT_TRUE(answer.ok()) << answer.err << answer.out;
  EXPECT_GE(count(answer.out, ": hooks removed"), 1u) << answer.out;
  EXPECT_EQ(kubectl({"get", "namespace", "weft-system", "--ignore-not-found"}), "");
  EXPECT_EQ(kubectl({"get", "clusterrole", "-l", "app.kubernetes.io/part-of=weft", "-o", "name"}), "");
  EXPECT_NE(kubectl({"-n", "dev", "get", "gateway"}).find("httpgo-gateway"), std::string::npos);
  const Answer purged = tools_.weftctl({"uninstall", "--purge"}, std::chrono::seconds(400));
  ASSERT_TRUE(purged.ok()) << purged.err;
  const auto gone = [] { return kubectl({"get", "crd", "-l", "app.kubernetes.io/part-of=weft", "-o", "name"}).empty(); };
  EXPECT_TRUE(test::eventually(gone, std::chrono::seconds(60)));
  EXPECT_EQ(kubectl({"get", "namespace", "istio-system", "--ignore-not-found"}), "");
}

}  // namespace
}  // namespace weft::install
