#pragma once
// Both ends of HBONE on a fake network, a fake clock and a TLS that believes everybody. Header only, since it needs
// the hbone room, which tests/support does not link.
#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "tests/support/fake_clock.h"
#include "tests/support/transport_pair.h"
#include "userspace-proxy/hbone/dialer.h"
#include "userspace-proxy/hbone/inbound.h"

namespace weft::test {

// Opens in-memory connections; the far ends wait here to be served.
class PairDialer final : public connect::Dialer {
 public:
  explicit PairDialer(base::Loop& loop) : loop_(loop) {}
  std::unique_ptr<connect::Dial> dial(const connect::DialTarget& target, connect::DialHandler& handler) override {
    dialled.emplace_back(target.pod, target.destination);
    return std::make_unique<Pending>(*this, handler);
  }
  std::vector<std::pair<std::string, base::SocketAddress>> dialled;
  std::optional<base::Error> refuse;
  bool hold = false;
  std::deque<std::unique_ptr<PairEnd>> arrived;
  std::vector<std::shared_ptr<Faults>> faults;  // of every connection, in order
  std::vector<PairEnd*> near_ends;              // owned by whoever dialled

 private:
  class Pending final : public connect::Dial, private base::IoHandler {
   public:
    Pending(PairDialer& dialer, connect::DialHandler& handler) : dialer_(dialer), handler_(handler) {
      dialer_.loop_.again(this);
    }
    ~Pending() override { dialer_.loop_.forget(this); }

   private:
    void on_io(uint32_t) override {
      if (dialer_.hold) return dialer_.loop_.again(this);
      if (dialer_.refuse) return handler_.on_dialled(std::unexpected(*dialer_.refuse));
      TransportPair pair;
      dialer_.faults.push_back(pair.faults);
      dialer_.near_ends.push_back(pair.near.get());
      dialer_.arrived.push_back(std::move(pair.far));
      handler_.on_dialled(std::move(pair.near));
    }
    PairDialer& dialer_;
    connect::DialHandler& handler_;
  };
  base::Loop& loop_;
};

// Hands the connection through, a turn later.
class FakeSecurer final : public hbone::Securer {
 public:
  explicit FakeSecurer(base::Loop& loop) : loop_(loop) {}
  std::unique_ptr<hbone::Securing> secure(std::unique_ptr<base::Transport> tcp, std::string_view,
                                          const model::SpiffeId&, std::span<const model::SpiffeId>,
                                          hbone::SecureHandler& handler) override {
    ++handshakes;
    return std::make_unique<Step>(*this, std::move(tcp), handler);
  }
  int handshakes = 0;
  bool hold = false;
  std::optional<base::Error> refuse;
  std::unique_ptr<base::Transport> instead;  // of the next connection
  base::Nanos max_age{0};

 private:
  class Step final : public hbone::Securing, private base::IoHandler {
   public:
    Step(FakeSecurer& securer, std::unique_ptr<base::Transport> tcp, hbone::SecureHandler& handler)
        : securer_(securer), tcp_(std::move(tcp)), handler_(handler) {
      securer_.loop_.again(this);
    }
    ~Step() override { securer_.loop_.forget(this); }

   private:
    void on_io(uint32_t) override {
      if (securer_.hold) return securer_.loop_.again(this);
      if (securer_.refuse) return handler_.on_secured(std::unexpected(*securer_.refuse));
      hbone::Secured out;
      out.transport = securer_.instead ? std::move(securer_.instead) : std::move(tcp_);
      out.max_age = securer_.max_age;
      handler_.on_secured(std::move(out));
    }
    FakeSecurer& securer_;
    std::unique_ptr<base::Transport> tcp_;
    hbone::SecureHandler& handler_;
  };
  base::Loop& loop_;
};

// Reads all it can get, unless told not to; remembers what it was told.
struct Reader final : base::TransportHandler {
  explicit Reader(std::unique_ptr<base::Transport> its_transport, base::Loop& loop)
      : transport(std::move(its_transport)) {
    CHECK(transport->attach(loop, this));
  }
  void on_readable() override {
    while (reading && !ended && failure == 0) {
      if (borrows && borrow()) continue;
      char block[16 * 1024];
      const auto io = transport->read({block, std::min(sizeof block, most)});
      if (io.kind == base::Io::Kind::kWouldBlock) return;
      if (io.kind == base::Io::Kind::kBytes) got.append(block, io.bytes);
      ended = io.kind == base::Io::Kind::kEnd;
      if (io.kind == base::Io::Kind::kError) failure = io.sys_errno;
    }
  }
  // From the front of what is lent, `most` bytes at most.
  bool borrow() {
    std::array<iovec, 3> pieces;
    const size_t count = transport->lend(pieces);
    if (count == 0) return false;
    size_t left = most;
    for (const auto& piece : std::span(pieces).first(count)) {
      const size_t size = std::min(left, piece.iov_len);
      got.append(static_cast<const char*>(piece.iov_base), size);
      left -= size;
      borrowed += size;
    }
    transport->consume(most - left);
    return true;
  }
  void on_writable() override {
    ++writable;
    push();
  }
  // Writes `bytes`, now or when there is room.
  void say(std::string_view bytes) {
    to_send += bytes;
    push();
  }
  void push() {
    while (!to_send.empty()) {
      const iovec piece{to_send.data(), to_send.size()};
      const auto io = transport->write({&piece, 1});
      if (io.kind == base::Io::Kind::kError) write_failure = io.sys_errno;
      if (io.kind != base::Io::Kind::kBytes) return;
      to_send.erase(0, io.bytes);
    }
  }
  std::unique_ptr<base::Transport> transport;
  std::string got, to_send;
  bool reading = true, ended = false, borrows = false;
  size_t borrowed = 0;
  int failure = 0, write_failure = 0, writable = 0;
  size_t most = SIZE_MAX;
};

struct Dialled final : connect::DialHandler {
  void on_dialled(base::Result<std::unique_ptr<base::Transport>> outcome) override {
    ++told;
    if (outcome)
      transport = std::move(*outcome);
    else
      error = outcome.error();
    dial.reset();
  }
  std::unique_ptr<connect::Dial> dial;
  std::unique_ptr<base::Transport> transport;
  std::optional<base::Error> error;
  int told = 0;
};

struct HboneRig : hbone::InboundOwner {
  ~HboneRig() override {
    requests.clear();
    tunnels.clear();
    dialer.reset();
    turn();
  }
  void turn(int times = 12) {
    for (int i = 0; i < times; ++i) loop->turn(0);
  }
  void pass(base::Nanos time) {
    clock.advance(time);
    turn();
  }
  // Times in which nobody stays silent: connections live on.
  void pass_in_steps(base::Nanos time) {
    for (base::Nanos done{0}; done < time; done += base::Millis(5'000)) pass(base::Millis(5'000));
  }
  hbone::TunnelDialer& source() {
    if (!dialer) dialer = std::make_unique<hbone::TunnelDialer>(engine(), tcp, securer);
    return *dialer;
  }
  hbone::Engine& engine() {
    if (!engine_) engine_ = std::make_unique<hbone::Engine>(*loop, counters, limits);
    return *engine_;
  }
  // Dials, without letting anything happen yet.
  std::unique_ptr<Dialled> dial(std::string_view pod = "dev/caller", std::string_view authority = "10.1.0.2:80") {
    auto out = std::make_unique<Dialled>();
    out->dial = source().dial({.pod = pod,
                               .source = caller,
                               .destination = destination,
                               .accepted = {&server, 1},
                               .authority = authority,
                               .baggage = baggage,
                               .forwarded = "for=\"10.0.0.9:40000\"",
                               .traceparent = {}},
                              *out);
    return out;
  }
  // Gives every TCP connection that has arrived to a tunnel of the destination.
  void serve() {
    for (int i = 0; i < 4; ++i) {
      turn();
      while (!tcp.arrived.empty()) {
        accept(std::move(tcp.arrived.front()));
        tcp.arrived.pop_front();
      }
    }
    turn();
  }
  hbone::InboundTunnel& accept(std::unique_ptr<base::Transport> transport) {
    hbone::InboundTunnel::Peer peer;
    peer.address = *base::SocketAddress::parse(peer_address);
    peer.pod = destination.address;
    tunnels.push_back(std::make_unique<hbone::InboundTunnel>(engine(), std::move(transport), std::move(peer),
                                                             hbone::InboundTunnel::Times{.max_age = server_age}, *this));
    tunnels.back()->start();
    return *tunnels.back();
  }
  // A stream, both ends of it.
  struct Ends {
    std::unique_ptr<Reader> near, far;
  };
  Ends connect(std::string_view pod = "dev/caller") {
    auto dialled = dial(pod);
    serve();
    CHECK(requests.size() == 1);
    auto far = requests.front()->accept();
    requests.clear();
    Ends ends;
    ends.far = std::make_unique<Reader>(std::move(far), *loop);
    turn();
    CHECK(dialled->transport != nullptr);
    ends.near = std::make_unique<Reader>(std::move(dialled->transport), *loop);
    turn();
    return ends;
  }

  void on_request(hbone::InboundTunnel&, std::unique_ptr<hbone::InboundRequest> request) override {
    ++asked;
    if (accept_all) {
      accepted.push_back(std::make_unique<Reader>(request->accept(), *loop));
      return;
    }
    requests.push_back(std::move(request));
  }
  void on_refused(hbone::InboundTunnel&, hbone::Refusal status, std::string_view authority,
                  std::string_view reason) override {
    refused.push_back(std::to_string(static_cast<int>(status)) + " " + std::string(authority) + ": " +
                      std::string(reason));
  }
  void on_tunnel_over(hbone::InboundTunnel& tunnel) override {
    const auto found = std::ranges::find_if(tunnels, [&](const auto& t) { return t.get() == &tunnel; });
    CHECK(found != tunnels.end());
    loop->retire(std::move(*found));
    tunnels.erase(found);
  }

  FakeClock clock;
  std::unique_ptr<base::Loop> loop = *base::Loop::create(clock);
  observe::Counters counters;
  hbone::Limits limits;
  PairDialer tcp{*loop};
  FakeSecurer securer{*loop};
  const model::SpiffeId caller{"cluster.local", "dev", "caller"}, server{"cluster.local", "shop", "web"};
  base::SocketAddress destination = *base::SocketAddress::parse("10.1.0.2:15008");
  std::string baggage = "k8s.namespace.name=dev";
  base::Nanos server_age{0};
  std::string peer_address = "10.0.0.9:50000";  // of the next that serve() takes
  std::unique_ptr<hbone::Engine> engine_;
  std::unique_ptr<hbone::TunnelDialer> dialer;
  std::vector<std::unique_ptr<hbone::InboundTunnel>> tunnels;
  std::vector<std::unique_ptr<hbone::InboundRequest>> requests;
  std::vector<std::unique_ptr<Reader>> accepted;
  std::vector<std::string> refused;
  bool accept_all = false;
  int asked = 0;
};

}  // namespace weft::test
