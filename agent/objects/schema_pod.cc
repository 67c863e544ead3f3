#include "agent/objects/schema_shared.h"

namespace weft::objects::schema {
namespace {

constexpr Field kSysctl[] = {{"name", kString}, {"value", kString}};
constexpr Field kPodSecurityContext[] = {
    {"seLinuxOptions", one(kSELinuxOptions)},
    {"windowsOptions", one(kWindowsOptions)},
    {"runAsUser", kInt64},
    {"runAsGroup", kInt64},
    {"runAsNonRoot", kBool},
    {"supplementalGroups", list(kInt64)},
    {"supplementalGroupsPolicy", kString},
    {"fsGroup", kInt64},
    {"sysctls", list(kSysctl)},
    {"fsGroupChangePolicy", kString},
    {"seccompProfile", one(kSecurityProfile)},
    {"appArmorProfile", one(kSecurityProfile)},
    {"seLinuxChangePolicy", kString},
};
constexpr Field kNodeSelectorRequirement[] = {{"key", kString}, {"operator", kString}, {"values", kStrings}};
constexpr Field kNodeSelectorTerm[] = {{"matchExpressions", list(kNodeSelectorRequirement)},
                                       {"matchFields", list(kNodeSelectorRequirement)}};
constexpr Field kNodeSelector[] = {{"nodeSelectorTerms", list(kNodeSelectorTerm)}};
constexpr Field kPreferredSchedulingTerm[] = {{"weight", kInt32}, {"preference", one(kNodeSelectorTerm)}};
constexpr Field kNodeAffinity[] = {
    {"requiredDuringSchedulingIgnoredDuringExecution", one(kNodeSelector)},
    {"preferredDuringSchedulingIgnoredDuringExecution", list(kPreferredSchedulingTerm)}};
constexpr Field kPodAffinityTerm[] = {
    {"labelSelector", one(kLabelSelector)},     {"namespaces", kStrings},     {"topologyKey", kString},
    {"namespaceSelector", one(kLabelSelector)}, {"matchLabelKeys", kStrings}, {"mismatchLabelKeys", kStrings},
};
constexpr Field kWeightedPodAffinityTerm[] = {{"weight", kInt32}, {"podAffinityTerm", one(kPodAffinityTerm)}};
constexpr Field kPodAffinity[] = {
    {"requiredDuringSchedulingIgnoredDuringExecution", list(kPodAffinityTerm)},
    {"preferredDuringSchedulingIgnoredDuringExecution", list(kWeightedPodAffinityTerm)}};
constexpr Field kPodAntiAffinity[] = {
    {"requiredDuringSchedulingIgnoredDuringExecution", list(kPodAffinityTerm)},
    {"preferredDuringSchedulingIgnoredDuringExecution", list(kWeightedPodAffinityTerm)}};
constexpr Field kAffinity[] = {{"nodeAffinity", one(kNodeAffinity)},
                               {"podAffinity", one(kPodAffinity)},
                               {"podAntiAffinity", one(kPodAntiAffinity)}};
constexpr Field kToleration[] = {
    {"key", kString},    {"operator", kString},         {"value", kString},
    {"effect", kString}, {"tolerationSeconds", kInt64},
};
constexpr Field kHostAlias[] = {{"ip", kString}, {"hostnames", kStrings}};
constexpr Field kPodDNSConfigOption[] = {{"name", kString}, {"value", kString}};
constexpr Field kPodDNSConfig[] = {
    {"nameservers", kStrings}, {"searches", kStrings}, {"options", list(kPodDNSConfigOption)}};
constexpr Field kPodReadinessGate[] = {{"conditionType", kString}};
constexpr Field kTopologySpreadConstraint[] = {
    {"maxSkew", kInt32},
    {"topologyKey", kString},
    {"whenUnsatisfiable", kString},
    {"labelSelector", one(kLabelSelector)},
    {"minDomains", kInt32},
    {"nodeAffinityPolicy", kString},
    {"nodeTaintsPolicy", kString},
    {"matchLabelKeys", kStrings},
};
constexpr Field kPodOS[] = {{"name", kString}};
constexpr Field kPodSchedulingGate[] = {{"name", kString}};
constexpr Field kPodResourceClaim[] = {
    {"name", kString}, {"resourceClaimName", kString}, {"resourceClaimTemplateName", kString}};
constexpr Field kPodSchedulingGroup[] = {{"podGroupName", kString}};

// Status
constexpr Field kPodCondition[] = {
    {"type", kString},        {"observedGeneration", kInt64}, {"status", kString},
    {"lastProbeTime", kTime}, {"lastTransitionTime", kTime},  {"reason", kString},
    {"message", kString},
};
constexpr Field kHostIP[] = {{"ip", kString}};
constexpr Field kPodIP[] = {{"ip", kString}};
constexpr Field kPodResourceClaimStatus[] = {{"name", kString}, {"resourceClaimName", kString}};
constexpr Field kContainerExtendedResourceRequest[] = {
    {"containerName", kString}, {"resourceName", kString}, {"requestName", kString}};
constexpr Field kPodExtendedResourceClaimStatus[] = {
    {"requestMappings", list(kContainerExtendedResourceRequest)}, {"resourceClaimName", kString}};
constexpr Field kNodeAllocatableResourceClaimStatus[] = {
    {"resourceClaimName", kString}, {"containers", kStrings}, {"resources", map(kQuantity)}};
constexpr Field kPodStatus[] = {
    {"observedGeneration", kInt64, kIgnored},
    {"phase", kString},
    {"conditions", list(kPodCondition)},
    {"message", kString},
    {"reason", kString},
    {"nominatedNodeName", kString, kIgnored},
    {"hostIP", kString},
    {"hostIPs", list(kHostIP), kIgnored},
    {"podIP", kString},
    {"podIPs", list(kPodIP)},
    {"startTime", kTime},
    {"initContainerStatuses", list(kContainerStatus), kIgnored},
    {"containerStatuses", list(kContainerStatus)},
    {"qosClass", kString, kIgnored},
    {"ephemeralContainerStatuses", list(kContainerStatus), kIgnored},
    {"resize", kString, kIgnored},
    {"resourceClaimStatuses", list(kPodResourceClaimStatus), kIgnored},
    {"extendedResourceClaimStatus", one(kPodExtendedResourceClaimStatus), kIgnored},
    {"allocatedResources", map(kQuantity), kIgnored},
    {"resources", one(kResourceRequirements), kIgnored},
    {"nodeAllocatableResourceClaimStatuses", list(kNodeAllocatableResourceClaimStatus), kIgnored},
};

constexpr Field kPod[] = {
    {"apiVersion", kString, kRequired},
    {"kind", kString, kRequired},
    {"metadata", one(kObjectMeta), kRequired},
    {"spec", one(kPodSpec), kRequired},
    {"status", one(kPodStatus)},
};

// Deployment
constexpr Field kPodTemplate[] = {{"metadata", one(kObjectMeta)}, {"spec", one(kPodSpec), kRequired}};
constexpr Field kRollingUpdate[] = {{"maxUnavailable", kIntOrString}, {"maxSurge", kIntOrString}};
constexpr Field kDeploymentStrategy[] = {{"type", choice("Recreate|RollingUpdate")},
                                         {"rollingUpdate", one(kRollingUpdate)}};
constexpr Field kDeploymentSpec[] = {
    {"replicas", {.base = Base::kInt, .least = 0, .most = INT32_MAX}},
    {"selector", one(kLabelSelector), kRequired},
    {"template", one(kPodTemplate), kRequired},
    {"strategy", one(kDeploymentStrategy)},
    {"minReadySeconds", kInt32, kIgnored},
    {"revisionHistoryLimit", kInt32, kIgnored},
    {"paused", kBool, kIgnored},
    {"progressDeadlineSeconds", kInt32, kIgnored},
};
constexpr Field kDeploymentCondition[] = {
    {"type", kString},   {"status", kString},  {"lastUpdateTime", kTime}, {"lastTransitionTime", kTime},
    {"reason", kString}, {"message", kString},
};
constexpr Field kDeploymentStatus[] = {
    {"observedGeneration", kInt64},  {"replicas", kInt32},
    {"updatedReplicas", kInt32},     {"readyReplicas", kInt32},
    {"availableReplicas", kInt32},   {"unavailableReplicas", kInt32},
    {"terminatingReplicas", kInt32}, {"conditions", list(kDeploymentCondition)},
    {"collisionCount", kInt32},
};
constexpr Field kDeployment[] = {
    {"apiVersion", kString, kRequired},           {"kind", kString, kRequired},
    {"metadata", one(kObjectMeta), kRequired},    {"spec", one(kDeploymentSpec), kRequired},
    {"status", one(kDeploymentStatus), kIgnored},
};

}  // namespace

constinit const Field kPodSpec[42] = {
    {"volumes", list(kVolume), kIgnored},
    {"initContainers", list(kContainer)},
    {"containers", list(kContainer), kRequired},
    {"ephemeralContainers", list(kEphemeralContainer), kIgnored},
    {"restartPolicy", choice("Always|OnFailure|Never")},
    {"terminationGracePeriodSeconds", {.base = Base::kInt, .least = 0, .most = INT32_MAX}},
    {"activeDeadlineSeconds", kInt64, kIgnored},
    {"dnsPolicy", choice("ClusterFirst|ClusterFirstWithHostNet|Default|None")},
    {"nodeSelector", kStringMap},
    {"serviceAccountName", kString},
    {"serviceAccount", kString},
    {"automountServiceAccountToken", kBool, kIgnored},
    {"nodeName", kString},
    {"hostNetwork", kBool},
    {"hostPID", kBool, kIgnored},
    {"hostIPC", kBool, kIgnored},
    {"shareProcessNamespace", kBool, kIgnored},
    {"securityContext", one(kPodSecurityContext), kIgnored},
    {"imagePullSecrets", list(kLocalObjectReference), kIgnored},
    {"hostname", kString},
    {"subdomain", kString},
    {"affinity", one(kAffinity), kIgnored},
    {"schedulerName", kString},
    {"tolerations", list(kToleration), kIgnored},
    {"hostAliases", list(kHostAlias), kIgnored},
    {"priorityClassName", kString, kIgnored},
    {"priority", kInt32, kIgnored},
    {"dnsConfig", one(kPodDNSConfig), kIgnored},
    {"readinessGates", list(kPodReadinessGate), kIgnored},
    {"runtimeClassName", kString, kIgnored},
    {"enableServiceLinks", kBool, kIgnored},
    {"preemptionPolicy", kString, kIgnored},
    {"overhead", map(kQuantity), kIgnored},
    {"topologySpreadConstraints", list(kTopologySpreadConstraint), kIgnored},
    {"setHostnameAsFQDN", kBool, kIgnored},
    {"os", one(kPodOS), kIgnored},
    {"hostUsers", kBool, kIgnored},
    {"schedulingGates", list(kPodSchedulingGate), kIgnored},
    {"resourceClaims", list(kPodResourceClaim), kIgnored},
    {"resources", one(kResourceRequirements), kIgnored},
    {"hostnameOverride", kString, kIgnored},
    {"schedulingGroup", one(kPodSchedulingGroup), kIgnored},
};

const Type kPodSchema = one(kPod);
const Type kDeploymentSchema = one(kDeployment);

}  // namespace weft::objects::schema
