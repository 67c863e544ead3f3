#include "agent/objects/schema_shared.h"

namespace weft::objects::schema {
namespace {

// Namespace
constexpr Field kNamespaceSpec[] = {{"finalizers", kStrings}};
constexpr Field kNamespaceCondition[] = {
    {"type", kString},   {"status", kString},  {"lastTransitionTime", kTime},
    {"reason", kString}, {"message", kString},
};
constexpr Field kNamespaceStatus[] = {{"phase", kString}, {"conditions", list(kNamespaceCondition)}};
constexpr Field kNamespace[] = {
    {"apiVersion", kString, kRequired},        {"kind", kString, kRequired},
    {"metadata", one(kObjectMeta), kRequired}, {"spec", one(kNamespaceSpec), kIgnored},
    {"status", one(kNamespaceStatus)},
};

// Node
constexpr Field kTaint[] = {
    {"key", kString},
    {"value", kString},
    {"effect", kString},
    {"timeAdded", kTime},
};
constexpr Field kConfigMapNodeConfigSource[] = {
    {"namespace", kString},        {"name", kString}, {"uid", kString}, {"resourceVersion", kString},
    {"kubeletConfigKey", kString},
};
constexpr Field kNodeConfigSource[] = {{"configMap", one(kConfigMapNodeConfigSource)}};
constexpr Field kNodeSpec[] = {
    {"podCIDR", kString},
    {"podCIDRs", kStrings},
    {"providerID", kString, kIgnored},
    {"unschedulable", kBool},
    {"taints", list(kTaint), kIgnored},
    {"configSource", one(kNodeConfigSource), kIgnored},
    {"externalID", kString, kIgnored},
};
constexpr Field kNodeCondition[] = {
    {"type", kString},   {"status", kString},  {"lastHeartbeatTime", kTime}, {"lastTransitionTime", kTime},
    {"reason", kString}, {"message", kString},
};
constexpr Field kNodeAddress[] = {{"type", kString, kRequired}, {"address", kString, kRequired}};
constexpr Field kDaemonEndpoint[] = {{"Port", kInt32}};
constexpr Field kNodeDaemonEndpoints[] = {{"kubeletEndpoint", one(kDaemonEndpoint)}};
constexpr Field kNodeSwapStatus[] = {{"capacity", kInt64}};
constexpr Field kNodeSystemInfo[] = {
    {"machineID", kString},      {"systemUUID", kString},        {"bootID", kString},
    {"kernelVersion", kString},  {"osImage", kString},           {"containerRuntimeVersion", kString},
    {"kubeletVersion", kString}, {"kubeProxyVersion", kString},  {"operatingSystem", kString},
    {"architecture", kString},   {"swap", one(kNodeSwapStatus)},
};
constexpr Field kContainerImage[] = {{"names", kStrings}, {"sizeBytes", kInt64}};
constexpr Field kAttachedVolume[] = {{"name", kString}, {"devicePath", kString}};
constexpr Field kNodeConfigStatus[] = {
    {"assigned", one(kNodeConfigSource)},
    {"active", one(kNodeConfigSource)},
    {"lastKnownGood", one(kNodeConfigSource)},
    {"error", kString},
};
constexpr Field kHandlerFeatures[] = {{"recursiveReadOnlyMounts", kBool}, {"userNamespaces", kBool}};
constexpr Field kRuntimeHandler[] = {{"name", kString}, {"features", one(kHandlerFeatures)}};
constexpr Field kNodeFeatures[] = {{"supplementalGroupsPolicy", kBool}};
constexpr Field kNodeStatus[] = {
    {"capacity", map(kQuantity), kIgnored},
    {"allocatable", map(kQuantity), kIgnored},
    {"phase", kString, kIgnored},
    {"conditions", list(kNodeCondition)},
    {"addresses", list(kNodeAddress)},
    {"daemonEndpoints", one(kNodeDaemonEndpoints), kIgnored},
    {"nodeInfo", one(kNodeSystemInfo), kIgnored},
    {"images", list(kContainerImage), kIgnored},
    {"volumesInUse", kStrings, kIgnored},
    {"volumesAttached", list(kAttachedVolume), kIgnored},
    {"config", one(kNodeConfigStatus), kIgnored},
    {"runtimeHandlers", list(kRuntimeHandler), kIgnored},
    {"features", one(kNodeFeatures), kIgnored},
    {"declaredFeatures", kStrings, kIgnored},
};
constexpr Field kNode[] = {
    {"apiVersion", kString, kRequired},
    {"kind", kString, kRequired},
    {"metadata", one(kObjectMeta), kRequired},
    {"spec", one(kNodeSpec)},
    {"status", one(kNodeStatus)},
};

// ServiceAccount
constexpr Field kServiceAccount[] = {
    {"apiVersion", kString, kRequired},
    {"kind", kString, kRequired},
    {"metadata", one(kObjectMeta), kRequired},
    {"secrets", list(kObjectReference), kIgnored},
    {"imagePullSecrets", list(kLocalObjectReference), kIgnored},
    {"automountServiceAccountToken", kBool, kIgnored},
};

}  // namespace

const Type kNamespaceSchema = one(kNamespace);
const Type kNodeSchema = one(kNode);
const Type kServiceAccountSchema = one(kServiceAccount);

}  // namespace weft::objects::schema
