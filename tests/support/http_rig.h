#pragma once
// A worker's HTTP half on a fake network and a fake clock: whoever holds it plays clients and destinations by
// hand. Header only, since it needs the http room, which tests/support does not link.
#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "tests/support/fake_clock.h"
#include "tests/support/transport_pair.h"
#include "userspace-proxy/http/server.h"
#include "userspace-proxy/observe/access_log.h"

namespace weft::test {

// Opens in-memory connections; the far ends queue up per port for the test to serve.
class FakeDialer final : public connect::Dialer {
 public:
  explicit FakeDialer(base::Loop& loop) : loop_(loop) {}
  std::unique_ptr<connect::Dial> dial(const connect::DialTarget& target,
                                      connect::DialHandler& handler) override {
    dialled.push_back({std::string(target.pod), target.destination, target.client});
    if (target.identity)
      dialled.back().identity = std::string(target.identity->ns) + "/" + std::string(target.identity->service_account);
    return std::make_unique<Pending>(*this, target.destination.port, handler);
  }

  struct Asked {
    std::string pod;
    base::SocketAddress destination;
    std::optional<base::SocketAddress> client;
    std::string identity;  // "ns/sa" that has to be proven; empty: plain
  };
  std::vector<Asked> dialled;
  std::map<uint16_t, base::Error> refuse;                            // by port
  std::map<uint16_t, std::deque<std::unique_ptr<PairEnd>>> arrived;  // far ends not yet taken
  bool hold = false;                                                 // dials stay under way
  Faults next_faults;
  std::shared_ptr<Faults> last_faults;
  std::vector<PairEnd*> near_ends;  // owned by the proxy

 private:
  class Pending final : public connect::Dial, private base::IoHandler {
   public:
    Pending(FakeDialer& dialer, uint16_t port, connect::DialHandler& handler)
        : dialer_(dialer), port_(port), handler_(handler) {
      dialer_.loop_.again(this);
    }
    ~Pending() override { dialer_.loop_.forget(this); }

   private:
    void on_io(uint32_t) override {
      if (dialer_.hold) return dialer_.loop_.again(this);
      if (const auto refused = dialer_.refuse.find(port_); refused != dialer_.refuse.end())
        return handler_.on_dialled(std::unexpected(refused->second));
      TransportPair pair;
      *pair.faults = dialer_.next_faults;
      dialer_.last_faults = pair.faults;
      dialer_.near_ends.push_back(pair.near.get());
      dialer_.arrived[port_].push_back(std::move(pair.far));
      handler_.on_dialled(std::move(pair.near));
    }
    FakeDialer& dialer_;
    uint16_t port_;
    connect::DialHandler& handler_;
  };
  base::Loop& loop_;
};

struct HttpRig : http::ServerOwner, observe::LogSink {
  HttpRig() {
    log.enable(true);
    snapshot.workloads.push_back({.name = "caller", .ns = "dev"});
    info.pod = "dev/caller";
    info.source = 0;
    info.peer = *base::SocketAddress::parse("10.0.0.9:40000");
    info.original = *base::SocketAddress::parse("10.96.0.1:8888");
    info.protocol = model::Protocol::kHttp;
    add_cluster("v1", {1001});
    model::RouteTable table{.name = "t"};
    table.hosts.push_back(
        {.name = "h", .domains = {"*"}, .routes = {{.name = "all", .clusters = {{0, 1, "v1"}}}}});
    snapshot.route_tables.push_back(table);
    info.route_table = 0;
  }
  ~HttpRig() override {
    connections.clear();
    turn();
  }

  uint32_t add_cluster(std::string name, std::vector<uint16_t> ports,
                       model::Protocol protocol = model::Protocol::kHttp) {
    model::Cluster cluster{.name = std::move(name), .protocol = protocol};
    for (const uint16_t port : ports)
      cluster.endpoints.push_back({.address = {*base::Address::parse("10.1.0.1"), port}});
    snapshot.clusters.push_back(cluster);
    return static_cast<uint32_t>(snapshot.clusters.size() - 1);
  }

  // A new client. Configuration is as it stands now.
  PairEnd& connect_client() {
    if (!engine) engine = std::make_unique<http::Engine>(*loop, dialer, recorder, limits);
    configure();
    TransportPair pair;
    client_faults = pair.faults;
    near_client = pair.near.get();
    clients.push_back(std::move(pair.far));
    connections.push_back(
        http::ServerConnection::create(*engine, std::move(pair.near), current_info, tables, *this));
    connections.back()->start();
    turn();
    return *clients.back();
  }
  void configure() {
    info.snapshot = std::make_shared<const model::Snapshot>(snapshot);
    tables = route::Tables::build(info.snapshot);
    current_info = std::make_shared<const identify::ConnInfo>(info);
  }
  void turn() {
    for (int i = 0; i < 12; ++i) loop->turn(0);
  }
  // Sends and lets the proxy work.
  void say(PairEnd& end, std::string_view bytes) {
    end.send(bytes);
    turn();
  }
  // The next connection that arrived at an endpoint.
  PairEnd& accept(uint16_t port) {
    auto& queue = dialer.arrived[port];
    CHECK(!queue.empty());
    accepted.push_back(std::move(queue.front()));
    queue.pop_front();
    return *accepted.back();
  }
  [[nodiscard]] size_t waiting(uint16_t port) { return dialer.arrived[port].size(); }

  void on_server_closed(http::ServerConnection& connection) override {
    const auto found =
        std::ranges::find_if(connections, [&](const auto& c) { return c.get() == &connection; });
    CHECK(found != connections.end());
    loop->retire(std::move(*found));
    connections.erase(found);
  }
  bool take(std::string chunk) override {
    lines += chunk;
    return true;
  }
  // Access-log lines since the last call.
  std::string logged() {
    log.flush();
    return std::exchange(lines, {});
  }

  FakeClock clock;
  std::unique_ptr<base::Loop> loop = *base::Loop::create(clock);
  FakeDialer dialer{*loop};
  observe::Metrics metrics;
  std::string lines;
  observe::AccessLog log{loop->timers(), *this, metrics.counters};
  observe::Recorder recorder{metrics, log};
  http::Limits limits;
  model::Snapshot snapshot;
  identify::ConnInfo info;
  std::shared_ptr<const identify::ConnInfo> current_info;
  std::shared_ptr<const route::Tables> tables;
  std::shared_ptr<Faults> client_faults;
  PairEnd* near_client = nullptr;  // owned by the proxy
  std::unique_ptr<http::Engine> engine;
  std::vector<std::unique_ptr<PairEnd>> clients, accepted;
  std::vector<std::unique_ptr<http::ServerConnection>> connections;
};

}  // namespace weft::test
