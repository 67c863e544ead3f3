#pragma once
// Names of annotations on pods that more than one room knows: some write them, others read them.
namespace weft::objects {

// Written by the agent of the pod's node, after proof.
inline constexpr const char* kRedirectionAnnotation = "ambient.istio.io/redirection";
inline constexpr const char* kCapturedAnnotation = "weft.mesh/captured";
inline constexpr const char* kExcludedAnnotation = "weft.mesh/excluded";
// On the agent's own pod, read by weft-control: the boot in which it has attached its programs and judged the node's pods.
inline constexpr const char* kArmedAnnotation = "weft.mesh/armed-in-boot";
// There too: where its programs are attached, and why there.
inline constexpr const char* kAttachedAnnotation = "weft.mesh/attached-at";
// Written by the sandbox's kubelet.
inline constexpr const char* kNetnsAnnotation = "weft.mesh/netns";
// The user's word, on a pod or its Namespace (pre_mesh_policy.h).
inline constexpr const char* kPreMeshAnnotation = "weft.mesh/pre-mesh-connections";

}  // namespace weft::objects
