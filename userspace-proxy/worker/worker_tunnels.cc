// The part of a worker that deals with identities and with arrivals over HBONE.
#include "userspace-proxy/base/log.h"
#include "userspace-proxy/worker/worker.h"

namespace weft::worker {

using listen::Kind;

// ---- identities, from the feed's thread

void Worker::set_credential(tls::CredentialPtr credential) {
  loop_->post([this, credential = std::move(credential)] {
    if (const auto set = mesh_->contexts->set(credential); !set) {
      ++metrics_.counters.certificates_refused;
      spdlog::error("certificate of {}: {}", credential->id.to_string(), base::describe(set.error()));
      return;
    }
    mesh_->waits.arrived();
  });
}

void Worker::set_trust_bundle(tls::TrustBundlePtr bundle) {
  loop_->post([this, bundle = std::move(bundle)] {
    const auto before = mesh_->contexts->bundle();
    if (const auto set = mesh_->contexts->set_bundle(bundle); !set) {
      ++metrics_.counters.certificates_refused;
      spdlog::error("trust bundle {}: {}", bundle->generation(), base::describe(set.error()));
      return;
    }
    mesh_->waits.arrived();
    if (before == nullptr || bundle->covers(*before)) return;
    mesh_->dialer->on_bundle([&](const tls::PeerProof& proof) { return proof.still_holds(*bundle); });
    mesh_->server->on_bundle(*bundle);
  });
}

void Worker::fail_identity(const model::SpiffeId& identity, const std::string& reason) {
  loop_->post([this, identity, reason] { mesh_->waits.failed(identity, reason); });
}

void Worker::drop_identity(const model::SpiffeId& identity) {
  loop_->post([this, identity] {
    mesh_->contexts->forget(identity);
    mesh_->waits.failed(identity, "no pod of this node has the identity any more");
    mesh_->dialer->forget_identity(identity);
    mesh_->server->drain_identity(identity);
  });
}

void Worker::on_identity_needed(const model::SpiffeId& identity) {
  events_.on_identity_needed(identity);
}

// ---- arrivals over HBONE

void Worker::serve_tunnel(const std::string& pod, const base::SocketAddress& original,
                          const base::SocketAddress& peer, std::unique_ptr<base::Transport> transport) {
  const auto& snapshot = config_->index->snapshot();
  const uint32_t workload = config_->index->workload_named(pod);
  TunnelArrival arrival{.pod = pod, .identity = {}, .original = original, .peer = peer};
  if (workload == model::kNone || !snapshot.settings.mutual_tls) {
    ++metrics_.counters.tls_no_identity;
    transport->reset();
    return on_tunnel_refused(arrival, nullptr, observe::Flag::kIdentityError,
                             workload == model::kNone ? "the pod is not known" : "this mesh has no CA");
  }
  arrival.identity = model::spiffe_id_of(snapshot.workloads[workload], snapshot.settings);
  mesh_->server->serve(std::move(arrival), std::move(transport));
}

void Worker::on_tunnel_request(const TunnelArrival& arrival, const model::SpiffeId& peer,
                               std::unique_ptr<hbone::InboundRequest> request) {
  const auto& authority = request->authority();
  base::SocketAddress target{arrival.original.address, authority.port};
  if (authority.is_name()) target.port = config_->index->port_behind({authority.host, authority.port}, target.address);
  const auto refuse = [&](std::string_view why) {
    on_tunnel_refused(arrival, &peer, observe::Flag::kConnect, why);
    ++metrics_.counters.hbone_refused_unavailable;
    request->refuse(hbone::Refusal::kUnavailable);
  };
  if (authority.is_name() && (target.port == 0 || hbone::is_proxy_port(target.port)))
    return refuse("the pod is no endpoint of the service \"" + authority.host + "\" on that port");
  if (connections() + 1 >= options_.max_connections) {
    ++metrics_.counters.connections_shed;
    return refuse("the worker is full");
  }
  auto info = name({.kind = Kind::kInbound,
                    .pod = arrival.pod,
                    .original = target,
                    .peer = arrival.peer,
                    .proven = &peer,
                    .claimed_service = authority.is_name() ? std::string_view(authority.host)
                                                           : hbone::forwarded_host(request->forwarded())});
  const auto& workloads = info.snapshot->workloads;
  std::string baggage = info.destination == model::kNone ? std::string() : baggage_of(workloads[info.destination]);
  serve_layer4(std::move(info), std::make_unique<RequestGate>(std::move(request), std::move(baggage)));
}

void Worker::on_tunnel_refused(const TunnelArrival& arrival, const model::SpiffeId* peer, observe::Flag flag,
                               std::string_view why) {
  record_refusal(name({.kind = Kind::kInbound,
                       .pod = arrival.pod,
                       .original = arrival.original,
                       .peer = arrival.peer,
                       .proven = peer}),
                 flag, why);
}

}  // namespace weft::worker
