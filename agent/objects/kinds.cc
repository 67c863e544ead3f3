#include "agent/objects/kinds.h"

#include <algorithm>

#include "agent/objects/stand_in.h"
#include "userspace-proxy/base/result.h"

namespace weft::objects {
namespace {

constexpr std::string_view kNetworking = "networking.istio.io";
constexpr std::string_view kIstioVersions = "v1|v1beta1|v1alpha3";
constexpr std::string_view kSecurity = "security.istio.io";
constexpr std::string_view kSecurityVersions = "v1|v1beta1";

// In the order of enum Kind.
constexpr KindTraits kKinds[] = {
    {Kind::kNamespace, "Namespace", "namespaces", "ns", "", "v1", false, &schema::kNamespaceSchema,
     read_namespace},
    {Kind::kNode, "Node", "nodes", "no", "", "v1", false, &schema::kNodeSchema, read_node},
    {Kind::kPod, "Pod", "pods", "po", "", "v1", true, &schema::kPodSchema, read_pod},
    {Kind::kService, "Service", "services", "svc", "", "v1", true, &schema::kServiceSchema, read_service},
    {Kind::kEndpointSlice, "EndpointSlice", "endpointslices", "", "discovery.k8s.io", "v1", true,
     &schema::kEndpointSliceSchema, read_endpoint_slice},
    {Kind::kServiceAccount, "ServiceAccount", "serviceaccounts", "sa", "", "v1", true,
     &schema::kServiceAccountSchema, read_service_account},
    {Kind::kDeployment, "Deployment", "deployments", "deploy", "apps", "v1", true, &schema::kDeploymentSchema,
     read_deployment},
    {Kind::kGateway, "Gateway", "gateways", "gw", kNetworking, kIstioVersions, true, &schema::kGatewaySchema,
     read_gateway},
    {Kind::kVirtualService, "VirtualService", "virtualservices", "vs", kNetworking, kIstioVersions, true,
     &schema::kVirtualServiceSchema, read_virtual_service},
    {Kind::kDestinationRule, "DestinationRule", "destinationrules", "dr", kNetworking, kIstioVersions, true,
     &schema::kDestinationRuleSchema, read_destination_rule},
    {Kind::kPeerAuthentication, "PeerAuthentication", "peerauthentications", "pa", kSecurity, kSecurityVersions,
     true, &schema::kPeerAuthenticationSchema, read_peer_authentication, stand_in_peer_authentication},
    {Kind::kAuthorizationPolicy, "AuthorizationPolicy", "authorizationpolicies", "ap", kSecurity, kSecurityVersions,
     true, &schema::kAuthorizationPolicySchema, read_authorization_policy, stand_in_authorization_policy},
    {Kind::kCaptureExclusion, "CaptureExclusion", "captureexclusions", "cex", "weft.mesh", "v1alpha1", true,
     &schema::kCaptureExclusionSchema, read_capture_exclusion},
};
static_assert(std::size(kKinds) == kKindCount);

}  // namespace

std::span<const KindTraits> all_kinds() {
  return kKinds;
}

const KindTraits& traits_of(Kind kind) {
  CHECK(static_cast<size_t>(kind) < kKindCount);
  return kKinds[static_cast<size_t>(kind)];
}

bool is_of_kubernetes(const KindTraits& traits) {
  return traits.group.empty() || traits.group == "apps" || traits.group.ends_with(".k8s.io");
}

std::string api_version_of(const KindTraits& traits, std::string_view version) {
  std::string out(traits.group);
  if (!out.empty()) out += '/';
  return out.append(version);
}

}  // namespace weft::objects
