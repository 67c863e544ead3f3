#include <array>

#include "agent/install/crd.h"

namespace weft::install {
namespace {

namespace schema = objects::schema;

constexpr std::string_view kNetworking = "networking.istio.io", kNetworkingVersions = "v1alpha3|v1beta1|v1";
constexpr std::string_view kSecurity = "security.istio.io", kSecurityVersions = "v1beta1|v1";
constexpr std::string_view kExtensions = "extensions.istio.io";

// The columns of Istio's own definitions, and what statuses say (agent/state).
constexpr PrinterColumn kAccepted{"Accepted", "string", R"(.status.conditions[?(@.type=="Accepted")].status)"};
constexpr PrinterColumn kProgrammed{"Programmed", "string", R"(.status.conditions[?(@.type=="Programmed")].status)"};
constexpr PrinterColumn kEnforced{"Enforced", "string", R"(.status.conditions[?(@.type=="Enforced")].status)"};
constexpr PrinterColumn kResolved{"Resolved", "string", R"(.status.conditions[?(@.type=="ResolvedRefs")].status)"};
constexpr PrinterColumn kRefusal{"Message", "string", R"(.status.conditions[?(@.status=="False")].message)", true};
constexpr PrinterColumn kAge{"Age", "date", ".metadata.creationTimestamp"};

constexpr std::array kOnlyAge = {kAge};
constexpr std::array kGateway = {kAccepted, kProgrammed, kRefusal, kAge};
constexpr std::array kVirtualService = {PrinterColumn{"Gateways", "string", ".spec.gateways"},
                                        PrinterColumn{"Hosts", "string", ".spec.hosts"},
                                        kAccepted,
                                        kResolved,
                                        kRefusal,
                                        kAge};
constexpr std::array kDestinationRule = {PrinterColumn{"Host", "string", ".spec.host"}, kAccepted, kResolved, kRefusal,
                                         kAge};
constexpr std::array kServiceEntry = {PrinterColumn{"Hosts", "string", ".spec.hosts"},
                                      PrinterColumn{"Location", "string", ".spec.location"},
                                      PrinterColumn{"Resolution", "string", ".spec.resolution"}, kAge};
constexpr std::array kWorkloadEntry = {kAge, PrinterColumn{"Address", "string", ".spec.address"}};
constexpr std::array kPeerAuthentication = {PrinterColumn{"Mode", "string", ".spec.mtls.mode"}, kAccepted, kEnforced,
                                            kRefusal, kAge};
constexpr std::array kAuthorizationPolicy = {PrinterColumn{"Action", "string", ".spec.action"}, kAccepted, kEnforced,
                                             kRefusal, kAge};

constexpr std::array kCaptureExclusion = {PrinterColumn{"Outbound", "string", ".spec.outbound"},
                                          PrinterColumn{"Inbound", "string", ".spec.inbound"},
                                          kAccepted,
                                          kEnforced,
                                          kRefusal,
                                          kAge};

// Names, versions and storage as upstream.
const std::array kKinds = {
    CrdKind{"Gateway", "gateways", "gateway", "gw", kNetworking, kNetworkingVersions, "v1", kGateway,
            &schema::kGatewaySchema},
    CrdKind{"VirtualService", "virtualservices", "virtualservice", "vs", kNetworking, kNetworkingVersions, "v1",
            kVirtualService, &schema::kVirtualServiceSchema},
    CrdKind{"DestinationRule", "destinationrules", "destinationrule", "dr", kNetworking, kNetworkingVersions, "v1",
            kDestinationRule, &schema::kDestinationRuleSchema},
    CrdKind{"PeerAuthentication", "peerauthentications", "peerauthentication", "pa", kSecurity, kSecurityVersions, "v1",
            kPeerAuthentication, &schema::kPeerAuthenticationSchema},
    CrdKind{"AuthorizationPolicy", "authorizationpolicies", "authorizationpolicy", "ap", kSecurity, kSecurityVersions,
            "v1", kAuthorizationPolicy, &schema::kAuthorizationPolicySchema},
    CrdKind{"CaptureExclusion", "captureexclusions", "captureexclusion", "cex", "weft.mesh", "v1alpha1", "v1alpha1",
            kCaptureExclusion, &schema::kCaptureExclusionSchema},
    CrdKind{"ServiceEntry", "serviceentries", "serviceentry", "se", kNetworking, kNetworkingVersions, "v1",
            kServiceEntry},
    CrdKind{"Sidecar", "sidecars", "sidecar", "", kNetworking, kNetworkingVersions, "v1", kOnlyAge},
    CrdKind{"WorkloadEntry", "workloadentries", "workloadentry", "we", kNetworking, kNetworkingVersions, "v1",
            kWorkloadEntry},
    CrdKind{"WorkloadGroup", "workloadgroups", "workloadgroup", "wg", kNetworking, kNetworkingVersions, "v1", kOnlyAge},
    CrdKind{"ProxyConfig", "proxyconfigs", "proxyconfig", "", kNetworking, "v1beta1", "v1beta1", kOnlyAge},
    CrdKind{"EnvoyFilter", "envoyfilters", "envoyfilter", "", kNetworking, "v1alpha3", "v1alpha3", kOnlyAge},
    CrdKind{"RequestAuthentication", "requestauthentications", "requestauthentication", "ra", kSecurity,
            kSecurityVersions, "v1", kOnlyAge},
    CrdKind{"Telemetry", "telemetries", "telemetry", "telemetry", "telemetry.istio.io", "v1alpha1|v1", "v1alpha1",
            kOnlyAge},
    CrdKind{"WasmPlugin", "wasmplugins", "wasmplugin", "", kExtensions, "v1alpha1", "v1alpha1", kOnlyAge},
    CrdKind{"TrafficExtension", "trafficextensions", "trafficextension", "", kExtensions, "v1alpha1", "v1alpha1",
            kOnlyAge},
};

}  // namespace

std::span<const CrdKind> crd_kinds() {
  return kKinds;
}

}  // namespace weft::install
