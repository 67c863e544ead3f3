#include "agent/objects/schema_shared.h"

namespace weft::objects::schema {
namespace {

constexpr Type kSeconds{.base = Base::kInt, .least = 0, .most = INT32_MAX};

constexpr Field kContainerPort[] = {
    {"name", kString},
    {"hostPort", {.base = Base::kInt, .least = 0, .most = 65535}},
    {"containerPort", kPort, kRequired},
    {"protocol", kProtocol},
    {"hostIP", kString, kIgnored},
};
constexpr Field kConfigMapEnvSource[] = {{"name", kString}, {"optional", kBool}};
constexpr Field kSecretEnvSource[] = {{"name", kString}, {"optional", kBool}};
constexpr Field kEnvFromSource[] = {
    {"prefix", kString}, {"configMapRef", one(kConfigMapEnvSource)}, {"secretRef", one(kSecretEnvSource)}};
constexpr Field kObjectFieldSelector[] = {{"apiVersion", kString}, {"fieldPath", kString}};
constexpr Field kResourceFieldSelector[] = {
    {"containerName", kString}, {"resource", kString}, {"divisor", kQuantity}};
constexpr Field kConfigMapKeySelector[] = {{"name", kString}, {"key", kString}, {"optional", kBool}};
constexpr Field kSecretKeySelector[] = {{"name", kString}, {"key", kString}, {"optional", kBool}};
constexpr Field kFileKeySelector[] = {
    {"volumeName", kString},
    {"path", kString},
    {"key", kString},
    {"optional", kBool},
};
constexpr Field kEnvVarSource[] = {
    {"fieldRef", one(kObjectFieldSelector)},         {"resourceFieldRef", one(kResourceFieldSelector)},
    {"configMapKeyRef", one(kConfigMapKeySelector)}, {"secretKeyRef", one(kSecretKeySelector)},
    {"fileKeyRef", one(kFileKeySelector)},
};
constexpr Field kEnvVar[] = {
    {"name", kString, kRequired}, {"value", kString}, {"valueFrom", one(kEnvVarSource)}};
constexpr Field kContainerResizePolicy[] = {{"resourceName", kString}, {"restartPolicy", kString}};
constexpr Field kContainerRestartRuleOnExitCodes[] = {{"operator", kString}, {"values", list(kInt32)}};
constexpr Field kContainerRestartRule[] = {{"action", kString},
                                           {"exitCodes", one(kContainerRestartRuleOnExitCodes)}};
constexpr Field kVolumeMount[] = {
    {"name", kString, kRequired},      {"readOnly", kBool},  {"recursiveReadOnly", kString},
    {"mountPath", kString, kRequired}, {"subPath", kString}, {"mountPropagation", kString},
    {"subPathExpr", kString},
};
constexpr Field kVolumeDevice[] = {{"name", kString}, {"devicePath", kString}};
constexpr Field kExecAction[] = {{"command", kStrings}};
constexpr Field kHTTPHeader[] = {{"name", kString, kRequired}, {"value", kString}};
constexpr Field kHTTPGetAction[] = {
    {"path", kString},
    {"port", kIntOrString, kRequired},
    {"host", kString},
    {"scheme", choice("HTTP|HTTPS")},
    {"httpHeaders", list(kHTTPHeader)},
};
constexpr Field kTCPSocketAction[] = {{"port", kIntOrString, kRequired}, {"host", kString}};
constexpr Field kGRPCAction[] = {{"port", kPort, kRequired}, {"service", kString}};
constexpr Field kProbe[] = {
    {"exec", one(kExecAction)},           {"httpGet", one(kHTTPGetAction)},
    {"tcpSocket", one(kTCPSocketAction)}, {"grpc", one(kGRPCAction)},
    {"initialDelaySeconds", kSeconds},    {"timeoutSeconds", kSeconds},
    {"periodSeconds", kSeconds},          {"successThreshold", kSeconds},
    {"failureThreshold", kSeconds},       {"terminationGracePeriodSeconds", kInt64, kIgnored},
};
constexpr Field kSleepAction[] = {{"seconds", kInt64}};
constexpr Field kLifecycleHandler[] = {
    {"exec", one(kExecAction)},
    {"httpGet", one(kHTTPGetAction)},
    {"tcpSocket", one(kTCPSocketAction)},
    {"sleep", one(kSleepAction)},
};
constexpr Field kLifecycle[] = {
    {"postStart", one(kLifecycleHandler)}, {"preStop", one(kLifecycleHandler)}, {"stopSignal", kString}};
constexpr Field kCapabilities[] = {{"add", kStrings}, {"drop", kStrings}};
constexpr Field kSecurityContext[] = {
    {"capabilities", one(kCapabilities)},
    {"privileged", kBool},
    {"seLinuxOptions", one(kSELinuxOptions)},
    {"windowsOptions", one(kWindowsOptions)},
    {"runAsUser", kInt64},
    {"runAsGroup", kInt64},
    {"runAsNonRoot", kBool},
    {"readOnlyRootFilesystem", kBool},
    {"allowPrivilegeEscalation", kBool},
    {"procMount", kString},
    {"seccompProfile", one(kSecurityProfile)},
    {"appArmorProfile", one(kSecurityProfile)},
};
constexpr Field kResourceClaim[] = {{"name", kString}, {"request", kString}};

// Status
constexpr Field kContainerStateWaiting[] = {{"reason", kString}, {"message", kString}};
constexpr Field kContainerStateRunning[] = {{"startedAt", kTime}};
constexpr Field kContainerStateTerminated[] = {
    {"exitCode", kInt32}, {"signal", kInt32},    {"reason", kString},      {"message", kString},
    {"startedAt", kTime}, {"finishedAt", kTime}, {"containerID", kString},
};
constexpr Field kContainerState[] = {{"waiting", one(kContainerStateWaiting)},
                                     {"running", one(kContainerStateRunning)},
                                     {"terminated", one(kContainerStateTerminated)}};
constexpr Field kImageVolumeStatus[] = {{"imageRef", kString}};
constexpr Field kVolumeStatus[] = {{"image", one(kImageVolumeStatus)}};
constexpr Field kVolumeMountStatus[] = {
    {"name", kString},
    {"mountPath", kString},
    {"readOnly", kBool},
    {"recursiveReadOnly", kString},
    {"volumeStatus", one(kVolumeStatus)},
};
constexpr Field kLinuxContainerUser[] = {
    {"uid", kInt64}, {"gid", kInt64}, {"supplementalGroups", list(kInt64)}};
constexpr Field kContainerUser[] = {{"linux", one(kLinuxContainerUser)}};
constexpr Field kResourceHealth[] = {{"resourceID", kString}, {"health", kString}, {"message", kString}};
constexpr Field kResourceStatus[] = {{"name", kString}, {"resources", list(kResourceHealth)}};

}  // namespace

constinit const Field kResourceRequirements[3] = {
    {"limits", map(kQuantity)}, {"requests", map(kQuantity)}, {"claims", list(kResourceClaim)}};

constinit const Field kSELinuxOptions[4] = {
    {"user", kString}, {"role", kString}, {"type", kString}, {"level", kString}};

constinit const Field kWindowsOptions[4] = {{"gmsaCredentialSpecName", kString},
                                            {"gmsaCredentialSpec", kString},
                                            {"runAsUserName", kString},
                                            {"hostProcess", kBool}};

constinit const Field kSecurityProfile[2] = {{"type", kString}, {"localhostProfile", kString}};

constinit const Field kContainer[25] = {
    {"name", kString, kRequired},
    {"image", kString},
    {"command", kStrings},
    {"args", kStrings},
    {"workingDir", kString},
    {"ports", list(kContainerPort)},
    {"envFrom", list(kEnvFromSource), kIgnored},
    {"env", list(kEnvVar)},
    {"resources", one(kResourceRequirements), kIgnored},
    {"resizePolicy", list(kContainerResizePolicy), kIgnored},
    {"restartPolicy", kString, kIgnored},
    {"restartPolicyRules", list(kContainerRestartRule), kIgnored},
    {"volumeMounts", list(kVolumeMount), kIgnored},
    {"volumeDevices", list(kVolumeDevice), kIgnored},
    {"livenessProbe", one(kProbe)},
    {"readinessProbe", one(kProbe)},
    {"startupProbe", one(kProbe)},
    {"lifecycle", one(kLifecycle), kIgnored},
    {"terminationMessagePath", kString, kIgnored},
    {"terminationMessagePolicy", kString, kIgnored},
    {"imagePullPolicy", kString, kIgnored},
    {"securityContext", one(kSecurityContext), kIgnored},
    {"stdin", kBool, kIgnored},
    {"stdinOnce", kBool, kIgnored},
    {"tty", kBool, kIgnored},
};

constinit const Field kEphemeralContainer[26] = {
    {"name", kString, kRequired},
    {"image", kString, kIgnored},
    {"command", kStrings, kIgnored},
    {"args", kStrings, kIgnored},
    {"workingDir", kString, kIgnored},
    {"ports", list(kContainerPort), kIgnored},
    {"envFrom", list(kEnvFromSource), kIgnored},
    {"env", list(kEnvVar), kIgnored},
    {"resources", one(kResourceRequirements), kIgnored},
    {"resizePolicy", list(kContainerResizePolicy), kIgnored},
    {"restartPolicy", kString, kIgnored},
    {"restartPolicyRules", list(kContainerRestartRule), kIgnored},
    {"volumeMounts", list(kVolumeMount), kIgnored},
    {"volumeDevices", list(kVolumeDevice), kIgnored},
    {"livenessProbe", one(kProbe), kIgnored},
    {"readinessProbe", one(kProbe), kIgnored},
    {"startupProbe", one(kProbe), kIgnored},
    {"lifecycle", one(kLifecycle), kIgnored},
    {"terminationMessagePath", kString, kIgnored},
    {"terminationMessagePolicy", kString, kIgnored},
    {"imagePullPolicy", kString, kIgnored},
    {"securityContext", one(kSecurityContext), kIgnored},
    {"stdin", kBool, kIgnored},
    {"stdinOnce", kBool, kIgnored},
    {"tty", kBool, kIgnored},
    {"targetContainerName", kString, kIgnored},
};

constinit const Field kContainerStatus[15] = {
    {"name", kString},
    {"state", one(kContainerState)},
    {"lastState", one(kContainerState), kIgnored},
    {"ready", kBool},
    {"restartCount", kInt32},
    {"image", kString},
    {"imageID", kString, kIgnored},
    {"containerID", kString},
    {"started", kBool},
    {"allocatedResources", map(kQuantity), kIgnored},
    {"resources", one(kResourceRequirements), kIgnored},
    {"volumeMounts", list(kVolumeMountStatus), kIgnored},
    {"user", one(kContainerUser), kIgnored},
    {"allocatedResourcesStatus", list(kResourceStatus), kIgnored},
    {"stopSignal", kString, kIgnored},
};

}  // namespace weft::objects::schema
