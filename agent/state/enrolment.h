#pragma once
// Who is in the mesh, by labels of namespaces and pods. Pure.
#include <string>
#include <vector>

#include "agent/objects/objects.h"

namespace weft::state {

// Why a pod or namespace is in or out; `reason` is one word, `message` says what to do about it.
struct Enrolment {
  bool enrolled = false;
  std::string reason, message;
  std::vector<objects::Finding> findings;  // label values nobody knows
};

// In: istio.io/dataplane-mode=ambient, istio-injection=enabled or weft.mesh/enabled=true. Out:
// weft.mesh/enabled=false, whatever the others say, and the system namespaces.
[[nodiscard]] Enrolment judge(const objects::Namespace& ns);

// True if the namespace says anything at all about the mesh: others need no status.
[[nodiscard]] bool speaks_of_the_mesh(const objects::Namespace& ns);

// `ns` may be null: a pod can be seen before its namespace. `judged` is the namespace's own verdict.
[[nodiscard]] Enrolment judge(const objects::Pod& pod, const objects::Namespace* ns, const Enrolment& judged);

// A pod that will never run again: its addresses may already be another's.
[[nodiscard]] bool is_finished(const objects::Pod& pod);

}  // namespace weft::state
