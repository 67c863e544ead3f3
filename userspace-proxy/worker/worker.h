#pragma once
#include <atomic>
#include <future>
#include <list>
#include <memory>
#include <thread>
#include <unordered_map>
#include <vector>

#include "userspace-proxy/connect/stock_dialer.h"
#include "userspace-proxy/http/server.h"
#include "userspace-proxy/listen/listeners.h"
#include "userspace-proxy/observe/access_log.h"
#include "userspace-proxy/worker/drain.h"
#include "userspace-proxy/worker/layer4.h"
#include "userspace-proxy/worker/mesh.h"

namespace weft::worker {

// Told by a worker, from the worker's thread.
class WorkerEvents {
 public:
  virtual ~WorkerEvents() = default;
  virtual void on_stock_changes(uint32_t worker, std::vector<connect::StockChange> changes) = 0;
  virtual void on_drained(uint32_t worker) = 0;
  // A connection waits for a certificate of this identity.
  virtual void on_identity_needed(const model::SpiffeId& identity) = 0;
};

struct WorkerOptions {
  uint32_t index = 0;
  size_t max_connections = 100'000;
  tls::TicketSecret tickets;  // the same for all workers of a process
};

// One thread, one loop, its connections and its copy of everything: workers share nothing but immutable
// Configs. Public calls come from other threads and are done in the worker's, in order. Owned by the Fleet.
//
// A connection goes through the rooms in this order, see on_accepted(): listen, identify, policy, then http,
// or connect and relay; observe is its only exit.
class Worker final : private listen::Receiver,
                     private connect::StockReports,
                     private http::ServerOwner,
                     private Layer4Owner,
                     private IdentityNeeds,
                     private TunnelServerOwner {
 public:
  // What one DATA frame carries: a block of bulk becomes one frame and one write.
  static constexpr size_t kScratch = hbone::OutBlock::kHigh - hbone::kFrameHead;

  static base::Result<std::unique_ptr<Worker>> create(const base::Clock& clock, observe::LogSink& log,
                                                      WorkerEvents& events, const WorkerOptions& options);
  ~Worker() override;

  void start();  // the thread
  void stop();   // ends the thread; connections that are left are reset

  void apply(ConfigPtr config);
  void set_listener(const model::ListenerKey& key, base::Fd socket);
  void remove_listener(const model::ListenerKey& key);
  void remove_pod(const model::PodKey& pod);
  void add_stock(const model::StockKey& key, std::vector<base::Fd> sockets);
  void trim_stock(const model::StockKey& key, size_t keep);
  std::future<void> enable_access_log(bool on);  // ready once it has been taken
  void set_credential(tls::CredentialPtr credential);
  void set_trust_bundle(tls::TrustBundlePtr bundle);
  void fail_identity(const model::SpiffeId& identity, const std::string& reason);
  void drop_identity(const model::SpiffeId& identity);
  void drain(const Drain& how);  // on_drained() follows
  [[nodiscard]] std::future<observe::Metrics::Copy> copy_metrics();

 private:
  Worker(std::unique_ptr<base::Loop> loop, observe::LogSink& log, WorkerEvents& events,
         const WorkerOptions& options);

  void on_accepted(const model::ListenerKey& key, base::Fd socket, const base::SocketAddress& peer) override;
  void on_stock_changes(std::vector<connect::StockChange> changes) override;
  void on_server_closed(http::ServerConnection& connection) override;
  void on_layer4_over(Layer4& connection) override;
  void on_identity_needed(const model::SpiffeId& identity) override;
  void on_tunnel_request(const TunnelArrival& arrival, const model::SpiffeId& peer,
                         std::unique_ptr<hbone::InboundRequest> request) override;
  void on_tunnel_refused(const TunnelArrival& arrival, const model::SpiffeId* peer, observe::Flag flag,
                         std::string_view why) override;
  void on_tunnel_closed() override { check_drained(); }

  void answer_self_test(base::Transport& transport);
  // The kernel half or a Gateway without a use for the port has turned this arrival away.
  void refuse(const identify::ConnInfo& info, base::Transport& transport, observe::Flag flag,
              std::string_view why);
  [[nodiscard]] std::string reason_of_kernel(const identify::ConnInfo& info) const;
  void serve_tunnel(const std::string& pod, const base::SocketAddress& original, const base::SocketAddress& peer,
                    std::unique_ptr<base::Transport> transport);
  void record_refusal(const identify::ConnInfo& info, observe::Flag flag, std::string_view why);
  void serve_http(identify::ConnInfo info, std::unique_ptr<base::Transport> transport);
  void serve_layer4(identify::ConnInfo info, std::unique_ptr<Gate> gate);
  [[nodiscard]] identify::ConnInfo name(const identify::Arrival& arrival) const;

  void apply_now(ConfigPtr config);
  void serve_listener(const model::ListenerKey& key, base::Fd socket);
  void reconfigure_http();
  void begin_drain(const Drain& how);
  void stop_accepting();
  void cut_all();
  void check_drained();
  [[nodiscard]] size_t connections() const { return layer4_.size() + http_.size() + mesh_->server->size(); }
  base::Status build();


  std::unique_ptr<base::Loop> loop_;
  WorkerEvents& events_;
  const WorkerOptions options_;
  std::vector<char> scratch_;
  relay::Pipes pipes_;
  std::minstd_rand random_;
  observe::Metrics metrics_;
  observe::AccessLog log_;
  observe::Recorder recorder_;
  connect::StockDialer dialer_;
  std::unique_ptr<Mesh> mesh_;
  std::unique_ptr<http::Engine> engine_;
  listen::Listeners listeners_;
  ConfigPtr config_;
  // Listeners that came before the first Snapshot: nothing can be named without one.
  std::vector<std::pair<model::ListenerKey, base::Fd>> early_listeners_;
  std::list<std::unique_ptr<Layer4>> layer4_;
  std::unordered_map<http::ServerConnection*, std::unique_ptr<http::ServerConnection>> http_;
  base::Timer accept_timer_, drain_timer_;  // the ends of the two parts of a drain
  bool draining_ = false, accepting_ = true, drained_ = false;
  std::thread thread_;
};

}  // namespace weft::worker
