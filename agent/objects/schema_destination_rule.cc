#include "agent/objects/schema_shared.h"

namespace weft::objects::schema {
namespace {

constexpr Field kPortSelector[] = {{"number", kPort, kRequired}};

// Load balancing
constexpr Field kCookieAttribute[] = {{"name", kString, kRequired}, {"value", kString}};
constexpr Field kHttpCookie[] = {
    {"name", kString, kRequired},
    {"path", kString},
    {"ttl", kDuration},
    {"attributes", list(kCookieAttribute)},
};
constexpr Field kRingHash[] = {{"minimumRingSize", kInt64}};
constexpr Field kMaglev[] = {{"tableSize", kInt64}};
constexpr Field kConsistentHash[] = {
    {"httpHeaderName", kString},         {"httpCookie", one(kHttpCookie)}, {"useSourceIp", kBool},
    {"httpQueryParameterName", kString}, {"ringHash", one(kRingHash)},     {"maglev", one(kMaglev)},
    {"minimumRingSize", kInt64},
};
constexpr Field kDistribute[] = {{"from", kString}, {"to", map(kUint32)}};
constexpr Field kFailover[] = {{"from", kString}, {"to", kString}};
constexpr Field kLocalityLb[] = {
    {"distribute", list(kDistribute)},
    {"failover", list(kFailover)},
    {"failoverPriority", kStrings},
    {"enabled", kBool},
};
constexpr Field kZoneAwareLb[] = {
    {"enabled", kBool},
    {"failover", list(kFailover)},
    {"failoverPriority", kStrings},
    {"minClusterSize", kUint32},
};
constexpr Field kWarmup[] = {
    {"duration", kDuration, kRequired},
    {"minimumPercent", kNumber},
    {"aggression", kNumber},
};
constexpr Field kLoadBalancer[] = {
    {"simple", choice("UNSPECIFIED|LEAST_CONN|RANDOM|PASSTHROUGH|ROUND_ROBIN|LEAST_REQUEST")},
    {"consistentHash", one(kConsistentHash)},
    {"localityLbSetting", one(kLocalityLb)},
    {"zoneAwareLbSetting", one(kZoneAwareLb)},
    {"warmupDurationSecs", kDuration},
    {"warmup", one(kWarmup)},
};

// Connections
constexpr Field kTcpKeepalive[] = {{"probes", kUint32}, {"time", kDuration}, {"interval", kDuration}};
constexpr Field kTcpPool[] = {
    {"maxConnections", kInt32},           {"connectTimeout", kDuration}, {"tcpKeepalive", one(kTcpKeepalive)},
    {"maxConnectionDuration", kDuration}, {"idleTimeout", kDuration},
};
constexpr Field kConnectionKeepalive[] = {{"interval", kDuration}, {"timeout", kDuration}};
constexpr Field kHttpPool[] = {
    {"http1MaxPendingRequests", kInt32},
    {"http2MaxRequests", kInt32},
    {"maxRequestsPerConnection", kInt32},
    {"maxRetries", kInt32},
    {"idleTimeout", kDuration},
    {"h2UpgradePolicy", choice("DEFAULT|DO_NOT_UPGRADE|UPGRADE")},
    {"useClientProtocol", kBool},
    {"maxConcurrentStreams", kInt32},
    {"http2KeepAlive", one(kConnectionKeepalive)},
};
constexpr Field kConnectionPool[] = {{"tcp", one(kTcpPool)}, {"http", one(kHttpPool)}};
constexpr Field kOutlierDetection[] = {
    {"consecutiveErrors", kInt32},
    {"splitExternalLocalOriginErrors", kBool},
    {"consecutiveLocalOriginFailures", kUint32},
    {"consecutiveGatewayErrors", kUint32},
    {"consecutive5xxErrors", kUint32},
    {"interval", kDuration},
    {"baseEjectionTime", kDuration},
    {"maxEjectionPercent", kInt32},
    {"minHealthPercent", kInt32},
    {"outlierDetectionHttpErrorCodes", list(kUint32)},
};
constexpr Field kClientTls[] = {
    {"mode", choice("DISABLE|SIMPLE|MUTUAL|ISTIO_MUTUAL")},
    {"clientCertificate", kString},
    {"privateKey", kString},
    {"caCertificates", kString},
    {"credentialName", kString},
    {"subjectAltNames", kStrings},
    {"sni", kString},
    {"insecureSkipVerify", kBool},
    {"caCrl", kString},
};
constexpr Field kPortPolicy[] = {
    {"port", one(kPortSelector)},
    {"loadBalancer", one(kLoadBalancer)},
    {"connectionPool", one(kConnectionPool)},
    {"outlierDetection", one(kOutlierDetection)},
    {"tls", one(kClientTls)},
};
constexpr Field kTunnel[] = {
    {"protocol", kString},
    {"targetHost", kString, kRequired},
    {"targetPort", kPort, kRequired},
};
constexpr Field kProxyProtocol[] = {{"version", choice("V1|V2")}};
constexpr Field kRetryBudget[] = {
    {"percent", kNumber},
    {"minRetryConcurrency", kUint32},
    {"budgetInterval", kDuration},
};
constexpr Field kTrafficPolicy[] = {
    {"loadBalancer", one(kLoadBalancer), kUnsupported},
    {"connectionPool", one(kConnectionPool), kUnsupported},
    {"outlierDetection", one(kOutlierDetection), kUnsupported},
    {"tls", one(kClientTls), kUnsupported},
    {"portLevelSettings", list(kPortPolicy), kUnsupported},
    {"tunnel", one(kTunnel), kUnsupported},
    {"proxyProtocol", one(kProxyProtocol), kUnsupported},
    {"retryBudget", one(kRetryBudget), kUnsupported},
};

constexpr Field kSubset[] = {
    {"name", kString, kRequired},
    {"labels", kStringMap},
    {"trafficPolicy", one(kTrafficPolicy)},
};
constexpr Field kWorkloadSelector[] = {{"matchLabels", kStringMap}};
constexpr Field kDestinationRuleSpec[] = {
    {"host", kString, kRequired}, {"trafficPolicy", one(kTrafficPolicy)},       {"subsets", list(kSubset)},
    {"exportTo", kStrings},       {"workloadSelector", one(kWorkloadSelector)},  // its reader says what comes
                                                                                 // of it
};
constexpr Field kDestinationRule[] = {
    {"apiVersion", kString, kRequired},
    {"kind", kString, kRequired},
    {"metadata", one(kObjectMeta), kRequired},
    {"spec", one(kDestinationRuleSpec), kRequired},
    {"status", kAny, kIgnored},
};

}  // namespace

const Type kDestinationRuleSchema = one(kDestinationRule);

}  // namespace weft::objects::schema
