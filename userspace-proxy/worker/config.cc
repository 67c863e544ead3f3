#include "userspace-proxy/worker/config.h"

namespace weft::worker {

std::shared_ptr<const Config> Config::build(model::SnapshotPtr snapshot) {
  auto config = std::make_shared<Config>();
  config->tables = route::Tables::build(snapshot);
  config->policy = std::make_shared<const policy::Matcher>(snapshot);
  config->index = std::make_shared<const identify::Index>(std::move(snapshot));
  return config;
}

policy::Verdict judge(const Config& config, const identify::ConnInfo& info, uint32_t destination,
                      const base::SocketAddress& target) {
  const auto* pod = config.index->local_pod(destination);
  if (pod == nullptr) return {};
  const policy::Peer peer{.address = info.peer.address,
                          .destination = target.address,
                          .identity = info.proven ? &*info.proven : nullptr};
  return config.policy->judge(*pod, peer, target.port);
}

}  // namespace weft::worker
