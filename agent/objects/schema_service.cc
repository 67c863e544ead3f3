#include "agent/objects/schema_shared.h"

namespace weft::objects::schema {
namespace {

// Service
constexpr Field kServicePort[] = {
    {"name", kString},
    {"protocol", kProtocol},
    {"appProtocol", kString},
    {"port", kPort, kRequired},
    {"targetPort", kIntOrString},
    {"nodePort", {.base = Base::kInt, .least = 0, .most = 65535}},
};
constexpr Field kClientIpConfig[] = {{"timeoutSeconds", {.base = Base::kInt, .least = 1, .most = 86400}}};
constexpr Field kSessionAffinityConfig[] = {{"clientIP", one(kClientIpConfig)}};
constexpr Field kServiceSpec[] = {
    {"ports", list(kServicePort)},
    {"selector", kStringMap},
    {"clusterIP", kString},
    {"clusterIPs", kStrings},
    {"type", choice("ClusterIP|NodePort|LoadBalancer|ExternalName")},
    {"externalIPs", kStrings, kUnsupported},
    {"sessionAffinity", choice("None|ClientIP")},
    {"loadBalancerIP", kString, kIgnored},
    {"loadBalancerSourceRanges", kStrings, kIgnored},
    {"externalName", kString},
    {"externalTrafficPolicy", choice("Cluster|Local")},
    {"healthCheckNodePort", kInt32, kIgnored},
    {"publishNotReadyAddresses", kBool},
    {"sessionAffinityConfig", one(kSessionAffinityConfig)},
    {"ipFamilies", list(choice("IPv4|IPv6"))},
    {"ipFamilyPolicy", choice("SingleStack|PreferDualStack|RequireDualStack")},
    {"allocateLoadBalancerNodePorts", kBool, kIgnored},
    {"loadBalancerClass", kString, kIgnored},
    {"internalTrafficPolicy", choice("Cluster|Local")},
    {"trafficDistribution", kString, kUnsupported},
};
constexpr Field kPortStatus[] = {{"port", kInt32}, {"protocol", kString}, {"error", kString}};
constexpr Field kLoadBalancerIngress[] = {
    {"ip", kString},
    {"hostname", kString},
    {"ipMode", kString},
    {"ports", list(kPortStatus)},
};
constexpr Field kLoadBalancerStatus[] = {{"ingress", list(kLoadBalancerIngress)}};
constexpr Field kServiceStatus[] = {{"loadBalancer", one(kLoadBalancerStatus)},
                                    {"conditions", list(kCondition)}};
constexpr Field kService[] = {
    {"apiVersion", kString, kRequired},        {"kind", kString, kRequired},
    {"metadata", one(kObjectMeta), kRequired}, {"spec", one(kServiceSpec), kRequired},
    {"status", one(kServiceStatus)},
};

// EndpointSlice
constexpr Field kEndpointConditions[] = {{"ready", kBool}, {"serving", kBool}, {"terminating", kBool}};
constexpr Field kForZone[] = {{"name", kString, kRequired}};
constexpr Field kForNode[] = {{"name", kString, kRequired}};
constexpr Field kEndpointHints[] = {{"forZones", list(kForZone)}, {"forNodes", list(kForNode)}};
constexpr Field kEndpoint[] = {
    {"addresses", kStrings, kRequired},
    {"conditions", one(kEndpointConditions)},
    {"hostname", kString},
    {"targetRef", one(kObjectReference)},
    {"deprecatedTopology", kStringMap, kIgnored},
    {"nodeName", kString},
    {"zone", kString},
    {"hints", one(kEndpointHints)},
};
constexpr Field kEndpointPort[] = {
    {"name", kString},
    {"protocol", kProtocol},
    {"port", kPort},
    {"appProtocol", kString},
};
constexpr Field kEndpointSlice[] = {
    {"apiVersion", kString, kRequired},
    {"kind", kString, kRequired},
    {"metadata", one(kObjectMeta), kRequired},
    {"addressType", choice("IPv4|IPv6|FQDN"), kRequired},
    {"endpoints", list(kEndpoint)},
    {"ports", list(kEndpointPort)},
};

}  // namespace

const Type kServiceSchema = one(kService);
const Type kEndpointSliceSchema = one(kEndpointSlice);

}  // namespace weft::objects::schema
