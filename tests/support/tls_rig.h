#pragma once
// Two weft workers that speak TLS over an in-memory pair, on a fake clock. Header only, since it needs the tls
// room, which tests/support does not link.
#include <openssl/pem.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/fake_clock.h"
#include "tests/support/test_ca.h"
#include "tests/support/transport_pair.h"
#include "userspace-proxy/tls/certificate.h"
#include "userspace-proxy/tls/handshake.h"

namespace weft::test {

inline model::SpiffeId spiffe(std::string_view text) {
  return *model::SpiffeId::parse(text);
}

inline tls::KeyPtr key_of(const std::string& pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  tls::KeyPtr key(PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr));
  BIO_free(bio);
  CHECK(key != nullptr);
  return key;
}

// A credential of any certificate, right or wrong, that is used for `id`. (KeyRing would refuse the wrong ones.)
inline tls::CredentialPtr credential_of(const Issued& issued, const model::SpiffeId& id) {
  auto chain = *tls::parse_certificates(issued.chain_pem, 8);
  auto made = std::make_shared<tls::Credential>();
  made->id = id;
  made->key = key_of(issued.key_pem);
  made->leaf = std::move(chain.front());
  chain.erase(chain.begin());
  made->intermediates = std::move(chain);
  made->not_before = tls::not_before_of(made->leaf.get());
  made->not_after = tls::not_after_of(made->leaf.get());
  made->serial = tls::serial_of(made->leaf.get());
  return made;
}

inline tls::TrustBundlePtr bundle_of(const std::string& pem, uint64_t generation) {
  return *tls::TrustBundle::parse(pem, generation);
}

// One worker's TLS.
struct TlsNode {
  explicit TlsNode(const base::Clock& clock, const tls::TicketSecret& secret = *tls::TicketSecret::random())
      : contexts(*tls::Contexts::create(clock, counters, secret)) {}
  observe::Counters counters;
  std::unique_ptr<tls::Contexts> contexts;
};

// Waits for one handshake.
struct Shaken final : tls::HandshakeHandler {
  void on_handshake(base::Result<tls::Established> result) override {
    CHECK(!outcome);
    outcome.emplace(std::move(result));
    handshake.reset();
  }
  [[nodiscard]] bool done() const { return outcome.has_value(); }
  [[nodiscard]] bool good() const { return outcome && outcome->has_value(); }
  [[nodiscard]] tls::Established& value() { return **outcome; }
  [[nodiscard]] const base::Error& error() const { return outcome->error(); }
  // "good", "not done", or "untrusted: the reason"
  [[nodiscard]] std::string text() const {
    if (!outcome) return "not done";
    if (*outcome) return "good";
    return std::string(base::name_of(outcome->error().kind)) + ": " + outcome->error().what;
  }
  std::optional<base::Result<tls::Established>> outcome;
  std::unique_ptr<tls::Handshake> handshake;
};

// Collects what a transport gives; reads to the bottom on every edge, unless it is told to stop.
struct Sink final : base::TransportHandler {
  Sink(base::Loop& loop, base::Transport& t) : transport(t) { CHECK(transport.attach(loop, this).has_value()); }
  void on_readable() override {
    std::vector<char> block(block_size);
    while (!stopped && !ended && error == 0) {
      const auto io = transport.read(block);
      if (io.kind == base::Io::Kind::kWouldBlock) return;
      if (io.kind == base::Io::Kind::kBytes) got.append(block.data(), io.bytes);
      if (io.kind == base::Io::Kind::kEnd) ended = true;
      if (io.kind == base::Io::Kind::kError) error = io.sys_errno;
    }
  }
  void on_writable() override {
    ++writable;
    while (!to_send.empty()) {
      const iovec piece{to_send.data(), to_send.size()};
      const auto io = transport.write({&piece, 1});
      if (io.kind != base::Io::Kind::kBytes) return;
      to_send.erase(0, io.bytes);
    }
  }
  void send(std::string_view bytes) {
    to_send += bytes;
    on_writable();
  }
  base::Transport& transport;
  std::string got, to_send;
  size_t block_size = 64 * 1024;
  bool ended = false, stopped = false;
  int error = 0, writable = 0;
};

struct TlsRig {
  TlsRig() : loop(*base::Loop::create(clock)), client(clock), server(clock) {
    client.contexts->set_bundle(bundle_of(ca.certificate_pem(), 1)).value();
    server.contexts->set_bundle(bundle_of(ca.certificate_pem(), 1)).value();
    give(client, a);
    give(server, b);
  }
  ~TlsRig() { turn(); }

  [[nodiscard]] int64_t wall() const { return clock.wall_now().time_since_epoch().count() / 1'000'000'000; }
  // A specification with one URI that is valid from five minutes ago for an hour, by the rig's clock.
  [[nodiscard]] LeafSpec spec(const model::SpiffeId& id) const {
    return {.uris = {id.to_string()}, .not_before = wall() - 300, .not_after = wall() + 3600};
  }
  void give(TlsNode& node, const model::SpiffeId& id) {
    node.contexts->set(credential_of(ca.issue(spec(id)), id)).value();
  }
  void turn(int times = 12) {
    for (int i = 0; i < times; ++i) loop->turn(0);
  }
  void start(TlsNode& node, Shaken& shaken, std::unique_ptr<base::Transport> inner, tls::HandshakeRequest request) {
    auto made = tls::Handshake::start(*loop, *node.contexts, std::move(inner), std::move(request), shaken);
    if (made)
      shaken.handshake = std::move(*made);
    else
      shaken.outcome.emplace(std::unexpected(made.error()));
  }
  [[nodiscard]] tls::HandshakeRequest as_client(std::string resume_key = "") const {
    return {.role = tls::Role::kClient, .identity = a, .expected = {b}, .resume_key = std::move(resume_key)};
  }
  [[nodiscard]] tls::HandshakeRequest as_server() const { return {.role = tls::Role::kServer, .identity = b}; }

  // A handshake between the two; afterwards both outcomes are there.
  struct Both {
    Shaken client, server;
    std::shared_ptr<Faults> faults;
    PairEnd* client_end = nullptr;  // owned by the transports while those live
    PairEnd* server_end = nullptr;
    [[nodiscard]] bool good() const { return client.good() && server.good(); }
  };
  std::unique_ptr<Both> shake() { return shake(as_client(), as_server()); }
  std::unique_ptr<Both> shake(tls::HandshakeRequest c, tls::HandshakeRequest s) {
    auto both = std::make_unique<Both>();
    TransportPair pair;
    both->faults = pair.faults;
    both->client_end = pair.near.get();
    both->server_end = pair.far.get();
    start(client, both->client, std::move(pair.near), std::move(c));
    start(server, both->server, std::move(pair.far), std::move(s));
    turn();
    return both;
  }

  FakeClock clock;
  std::unique_ptr<base::Loop> loop;
  TestCa ca;
  TlsNode client, server;
  model::SpiffeId a = spiffe("spiffe://cluster.local/ns/shop/sa/a");
  model::SpiffeId b = spiffe("spiffe://cluster.local/ns/shop/sa/b");
};

}  // namespace weft::test
