#pragma once
#include <memory>

#include "userspace-proxy/identify/identify.h"
#include "userspace-proxy/policy/matcher.h"
#include "userspace-proxy/route/route.h"

namespace weft::worker {

// One Snapshot with everything compiled from it. Built off the path by the feed's thread, then shared by all
// workers; each swaps its pointer between two loop turns.
struct Config {
  identify::IndexPtr index;
  std::shared_ptr<const route::Tables> tables;
  std::shared_ptr<const policy::Matcher> policy;

  static std::shared_ptr<const Config> build(model::SnapshotPtr snapshot);
};

using ConfigPtr = std::shared_ptr<const Config>;

// Whether policy lets this layer-4 connection live. `destination` is the workload dialled, `target` its address;
// rules exist for pods of this node only, anything else is allowed here and judged at its own node. The source is
// who it has proven to be (ConnInfo::proven), and nobody where it has proven nothing.
[[nodiscard]] policy::Verdict judge(const Config& config, const identify::ConnInfo& info,
                                    uint32_t destination, const base::SocketAddress& target);

}  // namespace weft::worker
