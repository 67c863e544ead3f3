#include "userspace-proxy/model/channel.h"

#include <fmt/format.h>

#include "userspace-proxy/model/channel.pb.h"
#include "userspace-proxy/model/codec.h"

namespace weft::model {
namespace {

using base::Result;
using base::Status;

std::unexpected<base::Error> broken(std::string what) {
  return base::fail(base::ErrorKind::kInvalid, "channel: " + std::move(what));
}

void put(const PodKey& pod, wire::PodKey* out) {
  out->set_name(pod.name);
  out->set_netns_cookie(pod.netns_cookie);
}

void put(const ListenerKey& key, wire::SocketKey* out) {
  put(key.pod, out->mutable_pod());
  out->set_kind(static_cast<uint32_t>(key.kind));
  out->set_family(static_cast<uint32_t>(key.family));
  out->set_port(key.gateway_port);
}

void put(const StockKey& key, wire::SocketKey* out) {
  put(key.pod, out->mutable_pod());
  out->set_kind(static_cast<uint32_t>(key.kind));
  out->set_family(static_cast<uint32_t>(key.family));
}

// One overload a message: value -> the oneof's field.
struct ToAgentWriter {
  wire::ToAgent* out;
  void operator()(const Hello& hello) const {
    out->mutable_hello()->set_protocol(hello.protocol);
    out->mutable_hello()->set_version(hello.version);
    out->mutable_hello()->set_workers(hello.workers);
  }
  void operator()(const Verdict& verdict) const {
    out->mutable_verdict()->set_version(verdict.version);
    out->mutable_verdict()->set_refusal(verdict.refusal.substr(0, kMaxRefusal));
  }
  void operator()(const StockLevel& report) const {
    put(report.key, out->mutable_stock_level()->mutable_key());
    out->mutable_stock_level()->set_level(report.level);
    out->mutable_stock_level()->set_received(report.received);
    out->mutable_stock_level()->set_taken(report.taken);
  }
  void operator()(const CertificateRequest& request) const {
    out->mutable_certificate_request()->set_identity(request.identity.to_string());
    out->mutable_certificate_request()->set_key_id(request.key_id);
    out->mutable_certificate_request()->set_request(request.request);
  }
  void operator()(const IdentityNeeded& needed) const {
    out->mutable_identity_needed()->set_identity(needed.identity.to_string());
  }
};

struct ToProxyWriter {
  wire::ToProxy* out;
  void operator()(const SnapshotOffer& offer) const {
    out->mutable_snapshot()->set_version(offer.version);
    out->mutable_snapshot()->set_bytes(offer.bytes);
  }
  void operator()(const ListenerOffer& offer) const {
    put(offer.key, out->mutable_listener()->mutable_key());
  }
  void operator()(const ListenerGone& gone) const {
    put(gone.key, out->mutable_listener_gone()->mutable_key());
  }
  void operator()(const PodGone& gone) const { put(gone.pod, out->mutable_pod_gone()->mutable_pod()); }
  void operator()(const StockOffer& offer) const { put(offer.key, out->mutable_stock()->mutable_key()); }
  void operator()(const StockTarget& target) const {
    put(target.key, out->mutable_stock_target()->mutable_key());
    out->mutable_stock_target()->set_keep(target.keep);
  }
  void operator()(const LiveSettings& settings) const {
    out->mutable_settings()->set_access_log(settings.access_log);
  }
  void operator()(const Synced&) const { out->mutable_synced(); }
  void operator()(const KeyWanted& wanted) const {
    out->mutable_key_wanted()->set_identity(wanted.identity.to_string());
    out->mutable_key_wanted()->set_key_id(wanted.key_id);
  }
  void operator()(const CertificateOffer& offer) const {
    out->mutable_certificate()->set_identity(offer.identity.to_string());
    out->mutable_certificate()->set_key_id(offer.key_id);
    out->mutable_certificate()->set_bytes(offer.bytes);
  }
  void operator()(const CertificateFailed& failed) const {
    out->mutable_certificate_failed()->set_identity(failed.identity.to_string());
    out->mutable_certificate_failed()->set_reason(failed.reason.substr(0, kMaxRefusal));
  }
  void operator()(const IdentityGone& gone) const {
    out->mutable_identity_gone()->set_identity(gone.identity.to_string());
  }
  void operator()(const TrustBundleOffer& offer) const {
    out->mutable_trust_bundle()->set_generation(offer.generation);
    out->mutable_trust_bundle()->set_bytes(offer.bytes);
  }
};

Status get(const wire::PodKey& in, PodKey* out) {
  if (in.name().empty() || in.name().size() > kMaxPodName) return broken("a pod's name is empty or too long");
  out->name = in.name();
  out->netns_cookie = in.netns_cookie();
  return {};
}

Status get(uint32_t in, Family* out) {
  if (in != 4 && in != 6) return broken(fmt::format("address family {}", in));
  *out = static_cast<Family>(in);
  return {};
}

Status get(const wire::SocketKey& in, ListenerKey* out) {
  TRY(get(in.pod(), &out->pod));
  TRY(get(in.family(), &out->family));
  if (in.kind() < 1 || in.kind() > static_cast<uint32_t>(ListenerKind::kAttested))
    return broken(fmt::format("listener kind {}", in.kind()));
  out->kind = static_cast<ListenerKind>(in.kind());
  const bool gateway = out->kind == ListenerKind::kGateway;
  if (gateway != (in.port() != 0) || in.port() > UINT16_MAX)
    return broken(fmt::format("listener port {}", in.port()));
  out->gateway_port = static_cast<uint16_t>(in.port());
  return {};
}

Status get(const wire::SocketKey& in, StockKey* out) {
  TRY(get(in.pod(), &out->pod));
  TRY(get(in.family(), &out->family));
  if (in.kind() < 1 || in.kind() > static_cast<uint32_t>(StockKind::kInbound))
    return broken(fmt::format("stock kind {}", in.kind()));
  out->kind = static_cast<StockKind>(in.kind());
  return {};
}

Status expect_fds(size_t fds, size_t least, size_t most) {
  if (fds >= least && fds <= most) return {};
  return broken(fmt::format("{} descriptors, expected {}..{}", fds, least, most));
}

Result<ToAgent> read_stock_level(const wire::StockLevel& in) {
  StockLevel report{.level = in.level(), .received = in.received(), .taken = in.taken()};
  TRY(get(in.key(), &report.key));
  return report;
}

// A message whose only content is a key.
template <typename Message, typename Key>
Result<ToProxy> read_keyed(const wire::SocketKey& in) {
  Key key;
  TRY(get(in, &key));
  return Message{std::move(key)};
}

Result<ToProxy> read_snapshot(const wire::SnapshotOffer& in) {
  if (in.bytes() == 0 || in.bytes() > kMaxSnapshotBytes)
    return broken(fmt::format("a snapshot of {} bytes", in.bytes()));
  return SnapshotOffer{in.version(), in.bytes()};
}

Result<ToProxy> read_stock_target(const wire::StockTarget& in) {
  StockTarget target{.keep = in.keep()};
  TRY(get(in.key(), &target.key));
  return target;
}

Result<ToProxy> read_pod_gone(const wire::PodGone& in) {
  PodGone gone;
  TRY(get(in.pod(), &gone.pod));
  return gone;
}

Result<ToAgent> read_request(const wire::CertificateRequest& in) {
  TRY_ASSIGN(auto identity, SpiffeId::parse(in.identity()));
  if (in.request().empty() || in.request().size() > kMaxRequestBytes)
    return broken(fmt::format("a certificate request of {} bytes", in.request().size()));
  return CertificateRequest{std::move(identity), in.key_id(), in.request()};
}

Result<ToAgent> read_needed(const wire::IdentityNeeded& in) {
  TRY_ASSIGN(auto identity, SpiffeId::parse(in.identity()));
  return IdentityNeeded{std::move(identity)};
}

Result<ToProxy> read_wanted(const wire::KeyWanted& in) {
  TRY_ASSIGN(auto identity, SpiffeId::parse(in.identity()));
  return KeyWanted{std::move(identity), in.key_id()};
}

Status check_pem_size(uint64_t bytes) {
  if (bytes > 0 && bytes <= kMaxChainBytes) return {};
  return broken(fmt::format("certificates of {} bytes", bytes));
}

Result<ToProxy> read_certificate(const wire::CertificateOffer& in) {
  TRY_ASSIGN(auto identity, SpiffeId::parse(in.identity()));
  TRY(check_pem_size(in.bytes()));
  return CertificateOffer{std::move(identity), in.key_id(), in.bytes()};
}

Result<ToProxy> read_failed(const wire::CertificateFailed& in) {
  TRY_ASSIGN(auto identity, SpiffeId::parse(in.identity()));
  return CertificateFailed{std::move(identity), in.reason()};
}

Result<ToProxy> read_identity_gone(const wire::IdentityGone& in) {
  TRY_ASSIGN(auto identity, SpiffeId::parse(in.identity()));
  return IdentityGone{std::move(identity)};
}

Result<ToProxy> read_bundle(const wire::TrustBundleOffer& in) {
  TRY(check_pem_size(in.bytes()));
  return TrustBundleOffer{in.generation(), in.bytes()};
}

Status check_fds(const wire::ToProxy& in, size_t fds) {
  switch (in.kind_case()) {
    case wire::ToProxy::kSnapshot:
    case wire::ToProxy::kListener:
    case wire::ToProxy::kCertificate:
    case wire::ToProxy::kTrustBundle:
      return expect_fds(fds, 1, 1);
    case wire::ToProxy::kStock:
      return expect_fds(fds, 1, kMaxPacketFds);
    default:
      return expect_fds(fds, 0, 0);
  }
}

}  // namespace

std::string encode(const ToAgent& message) {
  wire::ToAgent out;
  std::visit(ToAgentWriter{&out}, message);
  return out.SerializeAsString();
}

std::string encode(const ToProxy& message) {
  wire::ToProxy out;
  std::visit(ToProxyWriter{&out}, message);
  return out.SerializeAsString();
}

Result<ToAgent> decode_to_agent(std::string_view packet, size_t fds) {
  wire::ToAgent in;
  if (packet.size() > kMaxPacketBytes || !in.ParseFromArray(packet.data(), static_cast<int>(packet.size())))
    return broken("a packet that does not parse");
  TRY(expect_fds(fds, 0, 0));
  switch (in.kind_case()) {
    case wire::ToAgent::kHello:
      if (in.hello().version().size() > kMaxPodName) return broken("a version that is too long");
      return Hello{in.hello().protocol(), in.hello().version(), in.hello().workers()};
    case wire::ToAgent::kVerdict:
      return Verdict{in.verdict().version(), in.verdict().refusal()};
    case wire::ToAgent::kStockLevel:
      return read_stock_level(in.stock_level());
    case wire::ToAgent::kCertificateRequest:
      return read_request(in.certificate_request());
    case wire::ToAgent::kIdentityNeeded:
      return read_needed(in.identity_needed());
    case wire::ToAgent::KIND_NOT_SET:
      break;
  }
  return broken("a message of unknown kind");
}

Result<ToProxy> decode_to_proxy(std::string_view packet, size_t fds) {
  wire::ToProxy in;
  if (packet.size() > kMaxPacketBytes || !in.ParseFromArray(packet.data(), static_cast<int>(packet.size())))
    return broken("a packet that does not parse");
  TRY(check_fds(in, fds));
  switch (in.kind_case()) {
    case wire::ToProxy::kSnapshot:
      return read_snapshot(in.snapshot());
    case wire::ToProxy::kListener:
      return read_keyed<ListenerOffer, ListenerKey>(in.listener().key());
    case wire::ToProxy::kListenerGone:
      return read_keyed<ListenerGone, ListenerKey>(in.listener_gone().key());
    case wire::ToProxy::kPodGone:
      return read_pod_gone(in.pod_gone());
    case wire::ToProxy::kStock:
      return read_keyed<StockOffer, StockKey>(in.stock().key());
    case wire::ToProxy::kStockTarget:
      return read_stock_target(in.stock_target());
    case wire::ToProxy::kSettings:
      return LiveSettings{in.settings().access_log()};
    case wire::ToProxy::kSynced:
      return Synced{};
    case wire::ToProxy::kKeyWanted:
      return read_wanted(in.key_wanted());
    case wire::ToProxy::kCertificate:
      return read_certificate(in.certificate());
    case wire::ToProxy::kCertificateFailed:
      return read_failed(in.certificate_failed());
    case wire::ToProxy::kIdentityGone:
      return read_identity_gone(in.identity_gone());
    case wire::ToProxy::kTrustBundle:
      return read_bundle(in.trust_bundle());
    case wire::ToProxy::KIND_NOT_SET:
      break;
  }
  return broken("a message of unknown kind");
}

}  // namespace weft::model
