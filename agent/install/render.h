#pragma once
// The objects of an installation. One renderer: what is printed, applied, compared and removed is made here.
// Templates: manifests/kubernetes, which travel inside the program.
#include <string>
#include <string_view>
#include <vector>

#include "agent/install/settings.h"
#include "agent/objects/node.h"

namespace weft::install {

// On every object of ours: what makes a CustomResourceDefinition or a Namespace in the cluster ours to change and remove.
inline constexpr std::string_view kOwnerLabel = "app.kubernetes.io/managed-by", kOwner = "weftctl";
inline constexpr std::string_view kPartLabel = "app.kubernetes.io/part-of", kPart = "weft";
// On Namespace weft-system: settings_text() of what was installed.
inline constexpr std::string_view kSettingsAnnotation = "weft.mesh/settings";

// Every object in the order in which it is applied: definitions, namespaces, accounts and rights, then control, the
// node's parts and the gateway. The same settings make the same objects, byte for byte.
[[nodiscard]] std::vector<objects::Node> render(const Settings& settings);

// Documents parted by "---", as `kubectl apply -f` takes them.
[[nodiscard]] std::string rendered_yaml(const Settings& settings);

// The pod that takes weft's hooks off one node when it is removed. Not part of render().
[[nodiscard]] objects::Node removal_pod(const Settings& settings, const std::string& node);

}  // namespace weft::install
