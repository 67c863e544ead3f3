#pragma once
// The door of this room: typed objects, and how a document becomes one.
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/objects/exclusion.h"
#include "agent/objects/finding.h"
#include "agent/objects/istio.h"
#include "agent/objects/kubernetes.h"
#include "agent/objects/node.h"
#include "agent/objects/object.h"
#include "agent/objects/pod.h"
#include "agent/objects/security.h"

namespace weft::objects {

struct DecodeOptions {
  std::string default_namespace = "default";  // for namespaced objects that name none
  // The creation time of an object whose manifest names none. Without it that time is 1970.
  std::function<Time(const ObjectKey&)> first_seen = {};
};

// `object` is null if a finding is an error; `key` is known if kind and name could be read. Then `stand_in` may be
// there: what has to take the place of the refused form while no good one is known (policies, which fail closed).
struct Decoded {
  ObjectPtr object;
  std::optional<ObjectKey> key;
  std::vector<Finding> findings;
  ObjectPtr stand_in = nullptr;
};

// Takes one document; a List yields one result per item. Never fails otherwise than by findings.
[[nodiscard]] std::vector<Decoded> decode(const Document& document, const DecodeOptions& options = {});

// An object as an API server hands it out, read from the list or watch of `kind` at `version` ("v1beta1"). Items of
// lists do not say what they are, so the caller does; where they say it and it is something else, that is a finding.
// Kubernetes' own kinds: what these tables do not know belongs to a newer release and is passed over, and a value that
// cannot be used is a warning. Other kinds are held to their tables as manifests are, but for their metadata. The
// object is reduced to what the mesh uses: see served.h.
[[nodiscard]] Decoded decode_served(const Node& root, Kind kind, std::string_view version);

}  // namespace weft::objects
