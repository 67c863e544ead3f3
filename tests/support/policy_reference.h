#pragma once
// What policy means, in the plainest words: the measure of the kernel half and of the proxy's matcher. Written from
// reference identity.md 6 and 7, shares no code with either, and is not fast.
#include "userspace-proxy/model/identity.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::test {

struct PolicyQuestion {
  base::Address source, destination;
  uint16_t port = 0;
  const model::SpiffeId* identity = nullptr;  // null: anonymous
};

struct PolicyAnswer {
  bool allowed = false;
  bool would_deny = false;  // allowed, but not if the dry runs were real
  auto operator<=>(const PolicyAnswer&) const = default;
};

[[nodiscard]] PolicyAnswer reference_answer(const model::Snapshot& snapshot, const model::LocalPod& pod,
                                            const PolicyQuestion& question);

}  // namespace weft::test
