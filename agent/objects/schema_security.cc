#include "agent/objects/schema_shared.h"

namespace weft::objects::schema {
namespace {

constexpr Field kSelector[] = {{"matchLabels", kStringMap}};

constexpr Field kMtls[] = {{"mode", choice("UNSET|DISABLE|PERMISSIVE|STRICT")}};
constexpr Field kPeerAuthenticationSpec[] = {
    {"selector", one(kSelector)},
    {"mtls", one(kMtls)},
    {"portLevelMtls", map(kMtls)},
};
constexpr Field kPeerAuthentication[] = {
    {"apiVersion", kString, kRequired},
    {"kind", kString, kRequired},
    {"metadata", one(kObjectMeta), kRequired},
    {"spec", one(kPeerAuthenticationSpec)},
    {"status", kAny, kIgnored},
};

// What layer 4 cannot tell is served too: it makes a rule stricter, which its reader says.
constexpr Field kSource[] = {
    {"principals", kStrings},        {"notPrincipals", kStrings},
    {"requestPrincipals", kStrings}, {"notRequestPrincipals", kStrings},
    {"namespaces", kStrings},        {"notNamespaces", kStrings},
    {"serviceAccounts", kStrings},   {"notServiceAccounts", kStrings},
    {"ipBlocks", kStrings},          {"notIpBlocks", kStrings},
    {"remoteIpBlocks", kStrings},    {"notRemoteIpBlocks", kStrings},
    {"trustDomains", kStrings},      {"notTrustDomains", kStrings},
};
constexpr Field kOperation[] = {
    {"hosts", kStrings},   {"notHosts", kStrings},   {"ports", kStrings}, {"notPorts", kStrings},
    {"methods", kStrings}, {"notMethods", kStrings}, {"paths", kStrings}, {"notPaths", kStrings},
};
constexpr Field kFrom[] = {{"source", one(kSource), kRequired}};
constexpr Field kTo[] = {{"operation", one(kOperation), kRequired}};
constexpr Field kWhen[] = {{"key", kString, kRequired}, {"values", kStrings}, {"notValues", kStrings}};
constexpr Field kRule[] = {{"from", list(kFrom)}, {"to", list(kTo)}, {"when", list(kWhen)}};
constexpr Field kTarget[] = {
    {"group", kString}, {"kind", kString, kRequired}, {"name", kString, kRequired}, {"namespace", kString}};
constexpr Field kProvider[] = {{"name", kString}};
constexpr Field kAuthorizationPolicySpec[] = {
    {"selector", one(kSelector)},
    {"targetRef", one(kTarget)},
    {"targetRefs", list(kTarget)},
    {"action", choice("ALLOW|DENY|AUDIT|CUSTOM")},
    {"provider", one(kProvider)},
    {"rules", list(kRule)},
};
constexpr Field kAuthorizationPolicy[] = {
    {"apiVersion", kString, kRequired},
    {"kind", kString, kRequired},
    {"metadata", one(kObjectMeta), kRequired},
    {"spec", one(kAuthorizationPolicySpec)},
    {"status", kAny, kIgnored},
};

// weft.mesh/v1alpha1
constexpr Field kExcludedCalls[] = {{"ports", list(kPort)}, {"cidrs", kStrings}};
constexpr Field kExcludedArrivals[] = {{"ports", list(kPort)}};
constexpr Field kCaptureExclusionSpec[] = {
    {"selector", one(kSelector)}, {"outbound", one(kExcludedCalls)}, {"inbound", one(kExcludedArrivals)}};
constexpr Field kCaptureExclusion[] = {
    {"apiVersion", kString, kRequired},
    {"kind", kString, kRequired},
    {"metadata", one(kObjectMeta), kRequired},
    {"spec", one(kCaptureExclusionSpec), kRequired},
    {"status", kAny, kIgnored},
};

}  // namespace

const Type kPeerAuthenticationSchema = one(kPeerAuthentication);
const Type kAuthorizationPolicySchema = one(kAuthorizationPolicy);
const Type kCaptureExclusionSchema = one(kCaptureExclusion);

}  // namespace weft::objects::schema
