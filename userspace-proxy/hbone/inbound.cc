#include "userspace-proxy/hbone/inbound.h"

namespace weft::hbone {
namespace {

void count(observe::Counters& counters, Refusal status) {
  switch (status) {
    case Refusal::kBadRequest:
      ++counters.hbone_refused_bad_request;
      return;
    case Refusal::kDenied:
      ++counters.hbone_refused_denied;
      return;
    case Refusal::kUnavailable:
      ++counters.hbone_refused_unavailable;
      return;
  }
}

struct Problem {
  Refusal status = Refusal::kBadRequest;
  std::string reason;  // empty: none
};

// The order of hbone.md 8, as far as this room can tell.
Problem check(const Head& head, const base::Address& pod, Authority& authority) {
  if (head.too_large) return {Refusal::kBadRequest, "the head is too large"};
  if (head.method != "CONNECT") return {Refusal::kBadRequest, "the method is not CONNECT"};
  auto parsed = parse_authority(head.authority);
  if (!parsed) return {Refusal::kBadRequest, parsed.error().what};
  authority = std::move(*parsed);
  if (authority.is_name()) return {};
  if (authority.address != pod) return {Refusal::kBadRequest, "the authority is not this pod's address"};
  if (is_proxy_port(authority.port)) return {Refusal::kUnavailable, "the port belongs to the proxy"};
  return {};
}

}  // namespace

InboundRequest::InboundRequest(Engine& engine, std::unique_ptr<Stream> stream, Authority authority)
    : engine_(engine), stream_(std::move(stream)), authority_(std::move(authority)) {
  stream_->set_owner(this);
}

InboundRequest::~InboundRequest() {
  if (!gone()) refuse(Refusal::kUnavailable);
}

std::string_view InboundRequest::baggage() const {
  return stream_->head().baggage;
}

std::string_view InboundRequest::forwarded() const {
  return stream_->head().forwarded;
}

std::string_view InboundRequest::traceparent() const {
  return stream_->head().traceparent;
}

std::unique_ptr<base::Transport> InboundRequest::accept(std::string_view baggage) {
  CHECK(stream_ != nullptr);
  ++engine_.counters.hbone_streams_accepted;
  stream_->accept(baggage);
  return std::move(stream_);
}

void InboundRequest::refuse(Refusal status) {
  if (stream_ == nullptr) return;
  if (!stream_->broken()) count(engine_.counters, status);
  stream_->refuse(static_cast<uint16_t>(status));
  stream_.reset();
}

void InboundRequest::on_gone(Stream&, uint32_t) {
  if (watcher_ != nullptr) watcher_->on_request_gone();
}

InboundTunnel::InboundTunnel(Engine& engine, std::unique_ptr<base::Transport> transport, Peer peer, Times times,
                             InboundOwner& owner)
    : engine_(engine), peer_(std::move(peer)), owner_(owner) {
  const auto begin = times.begin_within > base::Nanos(0) ? times.begin_within : engine.limits.begin;
  session_ = std::make_unique<Session>(engine, Role::kServer, std::move(transport),
                                       Session::Times{.begin_within = begin, .max_age = times.max_age},
                                       static_cast<SessionOwner&>(*this));
  session_->charge_to(peer_.address.address);
  ++engine.counters.hbone_tunnels_accepted;
}

InboundTunnel::~InboundTunnel() {
  session_->leave();
  engine_.loop.retire(std::move(session_));
}

void InboundTunnel::on_request(Session&, std::unique_ptr<Stream> stream) {
  Authority authority;
  const auto problem = check(stream->head(), peer_.pod, authority);
  if (problem.reason.empty()) {
    owner_.on_request(
        *this, std::unique_ptr<InboundRequest>(new InboundRequest(engine_, std::move(stream), std::move(authority))));
    return;
  }
  count(engine_.counters, problem.status);
  stream->refuse(static_cast<uint16_t>(problem.status));
  owner_.on_refused(*this, problem.status, stream->head().authority, problem.reason);
}

void InboundTunnel::on_session_over(Session&, SessionEnd) {
  owner_.on_tunnel_over(*this);
}

}  // namespace weft::hbone
