#include "userspace-proxy/worker/tunnel_server.h"

#include <fmt/format.h>

namespace weft::worker {
namespace {

using observe::Flag;

Flag flag_of(const base::Error& error) {
  return error.kind == base::ErrorKind::kUntrusted ? Flag::kIdentityError : Flag::kTlsFailure;
}

Flag flag_of(hbone::Refusal refusal) {
  return refusal == hbone::Refusal::kDenied ? Flag::kDeny : Flag::kConnect;
}

std::string_view why_of(tls::HandshakeLimits::Answer answer) {
  using Answer = tls::HandshakeLimits::Answer;
  if (answer == Answer::kBusy) return "too many handshakes under way";
  return answer == Answer::kTooMany ? "too many unfinished handshakes of this source" : "too many handshakes of this source";
}

}  // namespace

// One arrival, from accept to the end of its tunnel:
//
//   waiting for our certificate --> waiting for its turn --> handshake --> tunnel --> over
//        \______________________________\_____________________\___ refused ___________^
class TunnelServer::Guest final : public base::Retirable,
                                  private CredentialWaits::Waiter,
                                  private tls::HandshakeHandler,
                                  private hbone::InboundOwner {
 public:
  Guest(TunnelServer& server, TunnelArrival arrival, std::unique_ptr<base::Transport> transport)
      : server_(server),
        arrival_(std::move(arrival)),
        transport_(std::move(transport)),
        timer_(server.tools_.loop.timers(), [this] { on_credential("it did not come in time"); }) {}
  ~Guest() override { stop_waiting(); }

  void start() {
    auto& tools = server_.tools_;
    if (tools.waits.have(arrival_.identity)) return shake_hands();
    ++tools.counters.identity_waits;
    waiting_ = tools.waits.join(arrival_.identity, *this);
    if (!waiting_) return refuse(Flag::kIdentityError, "too many connections wait for certificates");
    timer_.arm(CredentialWaits::kPatience);
  }
  void drain() {
    if (tunnel_) tunnel_->drain();
  }
  void abort() {
    if (tunnel_) return tunnel_->abort();
    close();
  }
  void judge(const tls::TrustBundle& bundle) {
    if (!tunnel_ || tunnel_->peer().proof->still_holds(bundle)) return;
    ++server_.tools_.counters.hbone_bundle_cut;
    server_.owner_.on_tunnel_refused(arrival_, &tunnel_->peer().proof->id, Flag::kIdentityError,
                                     "the peer's certificate does not hold by the new trust bundle");
    tunnel_->abort();
  }
  // Its turn may have come.
  void ask_again() {
    const auto now = server_.tools_.loop.turn_time();
    const auto answer = server_.limits_.admit(arrival_.peer.address, now);
    if (answer != tls::HandshakeLimits::Answer::kGo && now - queued_at_ < kTurnPatience) return;
    leave_queue();
    settle(answer);
  }
  [[nodiscard]] const TunnelArrival& arrival() const { return arrival_; }

  std::list<std::unique_ptr<Guest>>::iterator place;

 private:
  void leave_queue() {
    if (!place_in_queue_) return;
    server_.queue_.erase(*place_in_queue_);
    place_in_queue_.reset();
    server_.limits_.wait_over(arrival_.peer.address);
  }
  void stop_waiting() {
    leave_queue();
    if (std::exchange(waiting_, false)) server_.tools_.waits.leave(arrival_.identity, *this);
    if (std::exchange(admitted_, false)) server_.limits_.done(arrival_.peer.address);
    timer_.cancel();
  }
  void on_credential(const std::string& why) override {
    stop_waiting();
    if (why.empty()) return shake_hands();
    ++server_.tools_.counters.tls_no_identity;
    refuse(Flag::kIdentityError, fmt::format("no certificate for {}: {}", arrival_.identity.to_string(), why));
  }
  void shake_hands() {
    const auto now = server_.tools_.loop.turn_time();
    const auto answer = server_.limits_.admit(arrival_.peer.address, now);
    if (answer == tls::HandshakeLimits::Answer::kGo || server_.queue_.size() >= kMostQueued ||
        !server_.limits_.wait(arrival_.peer.address))
      return settle(answer);
    ++server_.tools_.counters.tls_queued;
    queued_at_ = now;
    place_in_queue_ = server_.queue_.insert(server_.queue_.end(), this);
    if (!server_.turns_.armed()) server_.turns_.arm(kTurnEvery);
  }
  void settle(tls::HandshakeLimits::Answer answer) {
    if (answer != tls::HandshakeLimits::Answer::kGo) {
      ++server_.tools_.counters.tls_shed;
      return refuse(Flag::kOverload, why_of(answer));
    }
    admitted_ = true;
    auto& tools = server_.tools_;
    started_ = tools.loop.turn_time();
    auto handshake = tls::Handshake::start(tools.loop, tools.contexts, std::move(transport_),
                                           {.role = tls::Role::kServer, .identity = arrival_.identity}, *this);
    if (!handshake) return refuse(Flag::kIdentityError, base::describe(handshake.error()));
    handshake_ = std::move(*handshake);
  }
  void on_handshake(base::Result<tls::Established> outcome) override {
    auto& tools = server_.tools_;
    stop_waiting();
    if (!outcome) return refuse(flag_of(outcome.error()), base::describe(outcome.error()));
    const auto own = tools.contexts.credential(arrival_.identity);
    const base::Nanos spent = tools.loop.turn_time() - started_;
    hbone::InboundTunnel::Times times{
        .max_age = hbone::tunnel_age(own.get(), outcome->peer, tools.contexts.clock().wall_now()),
        .begin_within = std::max<base::Nanos>(tools.engine.limits.begin - spent, base::Millis(100))};
    hbone::InboundTunnel::Peer peer{.proof = std::make_shared<const tls::PeerProof>(std::move(outcome->peer)),
                                    .address = arrival_.peer,
                                    .pod = arrival_.original.address};
    tunnel_ = std::make_unique<hbone::InboundTunnel>(tools.engine, std::move(outcome->transport), std::move(peer),
                                                     times, static_cast<hbone::InboundOwner&>(*this));
    handshake_.reset();
    tunnel_->start();
  }
  void on_request(hbone::InboundTunnel& tunnel, std::unique_ptr<hbone::InboundRequest> request) override {
    server_.owner_.on_tunnel_request(arrival_, tunnel.peer().proof->id, std::move(request));
  }
  void on_refused(hbone::InboundTunnel& tunnel, hbone::Refusal status, std::string_view authority,
                  std::string_view reason) override {
    server_.owner_.on_tunnel_refused(
        arrival_, &tunnel.peer().proof->id, flag_of(status),
        fmt::format("{} for \"{}\": {}", static_cast<unsigned>(status), authority.substr(0, 300), reason));
  }
  void on_tunnel_over(hbone::InboundTunnel&) override { close(); }

  void refuse(Flag flag, std::string_view why) {
    server_.owner_.on_tunnel_refused(arrival_, nullptr, flag, why);
    close();
  }
  void close() {
    stop_waiting();
    if (transport_) transport_->reset();
    handshake_.reset();
    if (tunnel_) server_.tools_.loop.retire(std::move(tunnel_));
    server_.forget(*this);
  }

  TunnelServer& server_;
  const TunnelArrival arrival_;
  std::unique_ptr<base::Transport> transport_;  // until the handshake has it
  base::Timer timer_;
  base::Instant started_{}, queued_at_{};
  std::optional<std::list<Guest*>::iterator> place_in_queue_;
  bool waiting_ = false;   // for a certificate
  bool admitted_ = false;  // counted among the handshakes under way
  std::unique_ptr<tls::Handshake> handshake_;
  std::unique_ptr<hbone::InboundTunnel> tunnel_;
};

TunnelServer::TunnelServer(const Tools& tools, TunnelServerOwner& owner, uint64_t seed)
    : tools_(tools), owner_(owner), limits_({.seed = seed}), turns_(tools.loop.timers(), [this] { give_turns(); }) {}

TunnelServer::~TunnelServer() = default;

void TunnelServer::serve(TunnelArrival arrival, std::unique_ptr<base::Transport> transport) {
  guests_.push_front(std::make_unique<Guest>(*this, std::move(arrival), std::move(transport)));
  Guest& guest = *guests_.front();
  guest.place = guests_.begin();
  guest.start();
}

void TunnelServer::give_turns() {
  for (auto next = queue_.begin(); next != queue_.end();) (*next++)->ask_again();  // which takes itself out
  if (!queue_.empty()) turns_.arm(kTurnEvery);
}

void TunnelServer::forget(Guest& guest) {
  auto owned = std::move(*guest.place);
  guests_.erase(guest.place);
  tools_.loop.retire(std::move(owned));
  owner_.on_tunnel_closed();
}

void TunnelServer::on_bundle(const tls::TrustBundle& bundle) {
  for (auto next = guests_.begin(); next != guests_.end();) (*next++)->judge(bundle);
}

template <typename Chosen>
void TunnelServer::drain_if(Chosen&& chosen) {
  for (auto next = guests_.begin(); next != guests_.end();) {
    Guest& guest = **next++;
    if (chosen(guest.arrival())) guest.drain();
  }
}

void TunnelServer::drain_pod(std::string_view pod) {
  drain_if([&](const TunnelArrival& arrival) { return arrival.pod == pod; });
}

void TunnelServer::drain_identity(const model::SpiffeId& identity) {
  drain_if([&](const TunnelArrival& arrival) { return arrival.identity == identity; });
}

void TunnelServer::drain_all() {
  drain_if([](const TunnelArrival&) { return true; });
}

void TunnelServer::abort_all() {
  for (auto next = guests_.begin(); next != guests_.end();) (*next++)->abort();
}

}  // namespace weft::worker
