#include "agent/objects/schema_shared.h"

namespace weft::objects::schema {
namespace {

constexpr Field kStringMatch[] = {{"exact", kString}, {"prefix", kString}, {"regex", kString}};
constexpr Field kPortSelector[] = {{"number", kPort, kRequired}};
constexpr Field kPercent[] = {{"value", kNumber}};
constexpr Field kDestination[] = {
    {"host", kString, kRequired},
    {"subset", kString},
    {"port", one(kPortSelector)},
};
constexpr Field kHeaderOperations[] = {{"set", kStringMap}, {"add", kStringMap}, {"remove", kStrings}};
constexpr Field kHeaders[] = {{"request", one(kHeaderOperations)}, {"response", one(kHeaderOperations)}};

constexpr Field kHttpMatch[] = {
    {"name", kString},
    {"uri", one(kStringMatch)},
    {"scheme", one(kStringMatch)},
    {"method", one(kStringMatch)},
    {"authority", one(kStringMatch)},
    {"headers", map(kStringMatch)},
    {"port", kPort},
    {"sourceLabels", kStringMap},
    {"gateways", kStrings},
    {"queryParams", map(kStringMatch)},
    {"ignoreUriCase", kBool},
    {"withoutHeaders", map(kStringMatch)},
    {"sourceNamespace", kString},
    {"statPrefix", kString, kUnsupported},
};
constexpr Field kHttpRouteDestination[] = {
    {"destination", one(kDestination), kRequired},
    {"weight", kInt32},
    {"headers", one(kHeaders), kUnsupported},
};
constexpr Field kRedirect[] = {
    {"uri", kString},
    {"authority", kString},
    {"port", kPort},
    {"derivePort", choice("FROM_PROTOCOL_DEFAULT|FROM_REQUEST_PORT")},
    {"scheme", kString},
    {"redirectCode", kUint32},
    {"prefixRewrite", kString},
};
constexpr Field kHttpBody[] = {{"string", kString}, {"bytes", kString}};
constexpr Field kDirectResponse[] = {{"status", kUint32, kRequired}, {"body", one(kHttpBody)}};
constexpr Field kDelegate[] = {{"name", kString}, {"namespace", kString}};
constexpr Field kRegexRewrite[] = {{"match", kString}, {"rewrite", kString}};
constexpr Field kRewrite[] = {
    {"uri", kString},
    {"authority", kString},
    {"uriRegexRewrite", one(kRegexRewrite)},
};
constexpr Field kRetry[] = {
    {"attempts", kInt32},
    {"perTryTimeout", kDuration},
    {"retryOn", kString},
    {"retryRemoteLocalities", kBool},
    {"retryIgnorePreviousHosts", kBool},
    {"backoff", kDuration},
};
constexpr Field kDelay[] = {
    {"percent", kInt32},
    {"fixedDelay", kDuration},
    {"exponentialDelay", kDuration},
    {"percentage", one(kPercent)},
};
constexpr Field kAbort[] = {
    {"httpStatus", kInt32},
    {"grpcStatus", kString},
    {"http2Error", kString},
    {"percentage", one(kPercent)},
};
constexpr Field kFault[] = {{"delay", one(kDelay)}, {"abort", one(kAbort)}};
constexpr Field kMirrorPolicy[] = {{"destination", one(kDestination), kRequired},
                                   {"percentage", one(kPercent)}};
constexpr Field kCors[] = {
    {"allowOrigin", kStrings},   {"allowOrigins", list(kStringMatch)},
    {"allowMethods", kStrings},  {"allowHeaders", kStrings},
    {"exposeHeaders", kStrings}, {"maxAge", kDuration},
    {"allowCredentials", kBool}, {"unmatchedPreflights", choice("UNSPECIFIED|FORWARD|IGNORE")},
};

constexpr Field kHttpRoute[] = {
    {"name", kString},
    {"match", list(kHttpMatch)},
    {"route", list(kHttpRouteDestination)},
    {"redirect", one(kRedirect), kUnsupported},
    {"directResponse", one(kDirectResponse), kUnsupported},
    {"delegate", one(kDelegate), kUnsupported},
    {"rewrite", one(kRewrite), kUnsupported},
    {"timeout", kDuration, kUnsupported},
    {"retries", one(kRetry), kUnsupported},
    {"fault", one(kFault), kUnsupported},
    {"mirror", one(kDestination), kUnsupported},
    {"mirrors", list(kMirrorPolicy), kUnsupported},
    {"mirrorPercent", kUint32, kUnsupported},
    {"mirror_percent", kUint32, kUnsupported},  // the CRD has both spellings
    {"mirrorPercentage", one(kPercent), kUnsupported},
    {"corsPolicy", one(kCors), kUnsupported},
    {"headers", one(kHeaders), kUnsupported},
};

constexpr Field kTlsMatch[] = {
    {"sniHosts", kStrings, kRequired}, {"destinationSubnets", kStrings}, {"port", kPort},
    {"sourceLabels", kStringMap},      {"gateways", kStrings},           {"sourceNamespace", kString},
};
constexpr Field kTcpMatch[] = {
    {"destinationSubnets", kStrings}, {"port", kPort},        {"sourceSubnet", kString},
    {"sourceLabels", kStringMap},     {"gateways", kStrings}, {"sourceNamespace", kString},
};
constexpr Field kRouteDestination[] = {{"destination", one(kDestination), kRequired}, {"weight", kInt32}};
constexpr Field kTlsRoute[] = {{"match", list(kTlsMatch), kRequired}, {"route", list(kRouteDestination)}};
constexpr Field kTcpRoute[] = {{"match", list(kTcpMatch)}, {"route", list(kRouteDestination)}};

constexpr Field kVirtualServiceSpec[] = {
    {"hosts", kStrings},
    {"gateways", kStrings},
    {"http", list(kHttpRoute)},
    {"tls", list(kTlsRoute), kUnsupported},
    {"tcp", list(kTcpRoute), kUnsupported},
    {"exportTo", kStrings},
};
constexpr Field kVirtualService[] = {
    {"apiVersion", kString, kRequired},
    {"kind", kString, kRequired},
    {"metadata", one(kObjectMeta), kRequired},
    {"spec", one(kVirtualServiceSpec), kRequired},
    {"status", kAny, kIgnored},
};

}  // namespace

const Type kVirtualServiceSchema = one(kVirtualService);

}  // namespace weft::objects::schema
