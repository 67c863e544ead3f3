// The rendered YAML against what each part may have.
#include <algorithm>
#include <set>

#include "tests/support/part_rights.h"
#include "tests/unit/agent/install/rendered.h"

namespace weft::install {
namespace {

using Words = std::set<std::string>;

Words words(const Node& list) {
  Words out;
  for (const Node& item : list.items()) out.insert(item.as_string());
  return out;
}

// The container's own word, else the pod's.
const Node& setting(const Node& pod, const Node& container, std::string_view name) {
  const Node& own = container.at({"securityContext", name});
  return own.is_null() ? pod.at({"securityContext", name}) : own;
}

Words host_paths(const Node& pod, const Node& container) {
  Words out;
  for (const Node& mount : container.at({"volumeMounts"}).items())
    for (const Node& volume : pod.at({"volumes"}).items())
      if (volume.at({"name"}) == mount.at({"name"}) && volume.find("hostPath"))
        out.insert(volume.at({"hostPath", "path"}).as_string());
  return out;
}

// Mounted by the account, or as a volume of its own.
bool has_api_token(const Node& pod, const Node& container, const std::vector<Node>& objects) {
  const Node& account = find(objects, "ServiceAccount", pod.at({"serviceAccountName"}).as_string());
  const Node& says = pod.at({"automountServiceAccountToken"});
  const Node& account_says = account.at({"automountServiceAccountToken"});
  if (says.is_null() ? account_says.is_null() || account_says.as_bool() : says.as_bool()) return true;
  return std::ranges::any_of(container.at({"volumeMounts"}).items(), [](const Node& mount) {
    return mount.at({"mountPath"}).as_string() == "/var/run/secrets/kubernetes.io/serviceaccount";
  });
}

void expect_rights(const test::PartRights& wanted, const Node& pod, const Node& container,
                   const std::vector<Node>& objects) {
  SCOPED_TRACE(wanted.workload + " " + wanted.container);
  const Node& capabilities = container.at({"securityContext", "capabilities"});
  EXPECT_EQ(words(capabilities.at({"drop"})), (Words{"ALL"}));
  EXPECT_EQ(words(capabilities.at({"add"})), wanted.capabilities);
  EXPECT_EQ(setting(pod, container, "runAsUser").as_int(), wanted.user);
  EXPECT_EQ(setting(pod, container, "runAsNonRoot").as_bool(), wanted.user != 0);
  EXPECT_TRUE(container.at({"securityContext", "readOnlyRootFilesystem"}).as_bool());
  EXPECT_EQ(container.at({"securityContext", "privileged"}).as_bool(), false);
  const Node& escalation = container.at({"securityContext", "allowPrivilegeEscalation"});
  EXPECT_TRUE(!escalation.is_null() && !escalation.as_bool());
  EXPECT_EQ(setting(pod, container, "seccompProfile").at({"type"}).as_string(), "RuntimeDefault");
  EXPECT_EQ(pod.at({"hostNetwork"}).as_bool(), wanted.host_network);
  EXPECT_EQ(pod.at({"hostPID"}).as_bool(), wanted.host_pid);
  EXPECT_FALSE(pod.at({"hostIPC"}).as_bool());
  EXPECT_EQ(host_paths(pod, container), wanted.host_paths);
  EXPECT_EQ(has_api_token(pod, container, objects), wanted.api_token);
  EXPECT_FALSE(container.at({"resources", "requests", "cpu"}).is_null());
  EXPECT_FALSE(container.at({"resources", "requests", "memory"}).is_null());
}

TEST(Rights, every_container_has_exactly_what_the_table_says) {
  const auto objects = read_again(rendered_yaml(plain_settings()));
  size_t seen = 0;
  for (const Node& object : objects) {
    const Node& pod = object.at({"spec", "template", "spec"});
    if (pod.is_null()) continue;
    const std::string workload = object.at({"kind"}).as_string() + "/" + name_of(object);
    EXPECT_TRUE(pod.at({"initContainers"}).is_null()) << workload;
    for (const Node& container : pod.at({"containers"}).items()) {
      const auto row = std::ranges::find_if(test::part_rights(), [&](const test::PartRights& rights) {
        return rights.kind + "/" + rights.workload == workload &&
               rights.container == container.at({"name"}).as_string();
      });
      ASSERT_NE(row, test::part_rights().end()) << workload << " has a container that the table does not know";
      expect_rights(*row, pod, container, objects);
      ++seen;
    }
  }
  EXPECT_EQ(seen, test::part_rights().size());
}

TEST(Rights, only_the_namespace_of_weft_itself_lets_pods_be_privileged) {
  for (const Node& object : read_again(rendered_yaml(plain_settings()))) {
    if (object.at({"kind"}).as_string() != "Namespace") continue;
    const std::string& level = object.at({"metadata", "labels", "pod-security.kubernetes.io/enforce"}).as_string();
    EXPECT_EQ(level == "privileged", name_of(object) == "weft-system") << name_of(object);
    EXPECT_FALSE(level.empty());
  }
}

// "namespace of the role (empty: the cluster's) | group | resource | names" -> verbs.
using Grants = std::map<std::string, Words>;

void add_rules(const Node& role, Grants& grants) {
  for (const Node& rule : role.at({"rules"}).items()) {
    std::string names;
    for (const Node& name : rule.at({"resourceNames"}).items()) names += name.as_string();
    for (const Node& group : rule.at({"apiGroups"}).items())
      for (const Node& resource : rule.at({"resources"}).items())
        grants[role.at({"metadata", "namespace"}).as_string() + "|" + group.as_string() + "|" + resource.as_string() +
               "|" + names].merge(words(rule.at({"verbs"})));
  }
}

Grants grants_of(const std::vector<Node>& objects, const std::string& account) {
  Grants grants;
  for (const Node& binding : objects) {
    if (!binding.at({"kind"}).as_string().ends_with("RoleBinding")) continue;
    const auto& subjects = binding.at({"subjects"}).items();
    const bool bound = std::ranges::any_of(
        subjects, [&](const Node& subject) { return subject.at({"name"}).as_string() == account; });
    if (!bound) continue;
    for (const Node& role : objects) {
      if (role.at({"kind"}) == binding.at({"roleRef", "kind"}) && name_of(role) == binding.at({"roleRef", "name"}).as_string() &&
          role.at({"metadata", "namespace"}) == binding.at({"metadata", "namespace"}))
        add_rules(role, grants);
    }
  }
  return grants;
}

Grants reading() {
  const Words look{"get", "list", "watch"};
  return {{"||namespaces|", look},
          {"||pods|", look},
          {"||services|", look},
          {"|discovery.k8s.io|endpointslices|", look},
          {"|networking.istio.io|destinationrules|", look},
          {"|networking.istio.io|gateways|", look},
          {"|networking.istio.io|virtualservices|", look},
          {"|security.istio.io|authorizationpolicies|", look},
          {"|security.istio.io|peerauthentications|", look},
          {"|weft.mesh|captureexclusions|", look}};
}

Grants with(Grants grants, const Grants& more) {
  grants.insert(more.begin(), more.end());
  return grants;
}

const Grants kEvents = {{"|events.k8s.io|events|", {"create", "patch"}}};

TEST(Rights, the_agent_reads_and_says_what_became_of_its_pods) {
  const auto objects = read_again(rendered_yaml(plain_settings()));
  EXPECT_EQ(grants_of(objects, "weft-agent"), with(with(reading(), kEvents), {{"||pods/status|", {"patch"}},
                                            {"weft-system||configmaps|weft-ca-root", {"get", "list", "watch"}}}));
}

TEST(Rights, control_writes_statuses_and_the_objects_that_have_a_name) {
  const auto objects = read_again(rendered_yaml(plain_settings()));
  const Words own{"create", "get", "patch"};
  const Grants wanted = {{"|authentication.k8s.io|tokenreviews|", {"create"}},
                         {"||nodes|", {"get", "list", "patch", "watch"}},
                         {"||nodes/status|", {"patch"}},
                         {"|networking.istio.io|destinationrules/status|", {"patch"}},
                         {"|networking.istio.io|gateways/status|", {"patch"}},
                         {"|networking.istio.io|virtualservices/status|", {"patch"}},
                         {"|security.istio.io|authorizationpolicies/status|", {"patch"}},
                         {"|security.istio.io|peerauthentications/status|", {"patch"}},
                         {"|weft.mesh|captureexclusions/status|", {"patch"}},
                         {"weft-system||secrets|weft-ca", own},
                         {"weft-system||secrets|cacerts", {"get"}},
                         {"weft-system||configmaps|weft-ca-root", own},
                         {"weft-system|coordination.k8s.io|leases|weft-control", {"get", "update"}},
                         {"weft-system|coordination.k8s.io|leases|", {"create"}},
                         {"istio-system||configmaps|weft-ca-root", own}};
  EXPECT_EQ(grants_of(objects, "weft-control"), with(with(reading(), kEvents), wanted));
}

TEST(Rights, control_changes_no_node_where_taints_are_left_alone) {
  Settings settings = plain_settings();
  ASSERT_TRUE(apply_setting(settings, "nodeTaint=off"));
  const Grants grants = grants_of(read_again(rendered_yaml(settings)), "weft-control");
  EXPECT_EQ(grants.at("||nodes|"), (Words{"get", "list", "watch"}));
  EXPECT_EQ(grants.at("||nodes/status|"), (Words{"patch"}));
}

TEST(Rights, the_gateway_only_reads_and_the_proxy_has_none) {
  const auto objects = read_again(rendered_yaml(plain_settings()));
  EXPECT_EQ(grants_of(objects, "istio-ingressgateway"),
            with(reading(), {{"istio-system||configmaps|weft-ca-root", {"get", "list", "watch"}}}));
  EXPECT_EQ(grants_of(objects, "weft-proxy"), Grants{});
}

TEST(Rights, nobody_has_a_star) {
  for (const Node& object : read_again(rendered_yaml(plain_settings())))
    for (const Node& rule : object.at({"rules"}).items())
      for (const char* list : {"apiGroups", "resources", "verbs"})
        EXPECT_FALSE(words(rule.at({list})).contains("*")) << name_of(object);
}

}  // namespace
}  // namespace weft::install
