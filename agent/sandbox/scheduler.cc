#include "agent/sandbox/scheduler.h"

#include <algorithm>
#include <tuple>

namespace weft::sandbox {

std::string owner_of(const Json& pod) {
  const std::string ns = text_at(pod, "metadata.namespace");
  const std::string kind = text_at(pod, "metadata.ownerReferences.0.kind");
  if (kind.empty()) return "Pod " + ns + "/" + text_at(pod, "metadata.name");
  return kind + " " + ns + "/" + text_at(pod, "metadata.ownerReferences.0.name");
}

std::string choose_node(const Json& pod, const std::vector<std::string>& nodes,
                        const std::vector<const Json*>& pods) {
  const std::string owner = owner_of(pod);
  const Json& selector = at(pod, "spec.nodeSelector");
  using Rank = std::tuple<size_t, size_t, std::string>;
  std::vector<Rank> ranks;
  for (const std::string& node : nodes) {
    const Json labels{{"kubernetes.io/hostname", node}, {"kubernetes.io/os", "linux"}};
    if (selector.is_object() && !selector.empty() && !selects(selector, labels)) continue;
    size_t of_owner = 0, all = 0;
    for (const Json* other : pods) {
      if (text_at(*other, "spec.nodeName") != node || has(*other, "metadata.deletionTimestamp")) continue;
      ++all;
      if (owner_of(*other) == owner) ++of_owner;
    }
    ranks.emplace_back(of_owner, all, node);
  }
  if (ranks.empty()) return "";
  return std::get<2>(*std::ranges::min_element(ranks));
}

}  // namespace weft::sandbox
