#pragma once
#include <memory>

#include "userspace-proxy/worker/tunnel_server.h"

namespace weft::worker {

// All of a worker that speaks mTLS, in the order in which the parts need each other. Owned by the worker, lives in
// its thread, outlives its connections.
struct Mesh {
  struct Needs {
    base::Loop& loop;
    observe::Counters& counters;
    connect::Dialer& plain;
    IdentityNeeds& identities;
    TunnelServerOwner& arrivals;
    const tls::TicketSecret& tickets;
    uint64_t seed = 0;  // of the handshake limits
  };
  [[nodiscard]] static base::Result<std::unique_ptr<Mesh>> create(const Needs& needs) {
    TRY_ASSIGN(auto contexts, tls::Contexts::create(needs.loop.clock(), needs.counters, needs.tickets));
    return std::make_unique<Mesh>(needs, std::move(contexts));
  }
  Mesh(const Needs& needs, std::unique_ptr<tls::Contexts> made)
      : loop(needs.loop),
        contexts(std::move(made)),
        engine(needs.loop, needs.counters),
        waits(*contexts, needs.identities),
        securer(needs.loop, *contexts),
        dialer(std::make_unique<hbone::TunnelDialer>(engine, needs.plain, securer)),
        tunnels(needs.loop, needs.plain, *dialer, waits, needs.counters),
        server(std::make_unique<TunnelServer>(
            TunnelServer::Tools{needs.loop, *contexts, engine, waits, needs.counters}, needs.arrivals, needs.seed)) {}
  // After the loop's last turn, and after every connection. What the two retire still uses the engine.
  ~Mesh() {
    server.reset();
    dialer.reset();
    loop.turn(0);
  }
  Mesh(const Mesh&) = delete;
  Mesh& operator=(const Mesh&) = delete;

  base::Loop& loop;
  std::unique_ptr<tls::Contexts> contexts;
  hbone::Engine engine;
  CredentialWaits waits;
  hbone::TlsSecurer securer;
  std::unique_ptr<hbone::TunnelDialer> dialer;
  Tunnels tunnels;  // what connections dial with
  std::unique_ptr<TunnelServer> server;
};

}  // namespace weft::worker
