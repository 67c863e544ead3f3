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
  uint32_t source = model::kNone;
  if (info.kind == listen::Kind::kOutbound) source = config.index->workload_named(info.pod);
  if (info.kind == listen::Kind::kAttested) source = config.index->workload_at(info.peer.address);
  policy::Peer peer{.address = info.peer.address, .destination = target.address};
  if (source != model::kNone && config.index->local_pod(source) != nullptr)
    peer.proven = &config.index->snapshot().workloads[source];
  return config.policy->judge(*pod, peer, target.port);
}

}  // namespace weft::worker
