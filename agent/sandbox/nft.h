#pragma once
// Plays kube-proxy: the nftables rules of one node, for callers outside the mesh and for node ports. Pure.
// Enrolled pods' connects never meet them: weft's hooks have chosen before the first packet.
#include <string>
#include <vector>

#include "agent/sandbox/json.h"

namespace weft::sandbox {

// A whole ruleset for `nft -f`: replaces what this function made before, touches nothing else.
[[nodiscard]] std::string nft_ruleset(const std::string& node, const std::vector<const Json*>& services,
                                      const std::vector<const Json*>& slices);

}  // namespace weft::sandbox
