#include "userspace-proxy/worker/worker.h"

#include <pthread.h>
#include <sys/socket.h>

#include "userspace-proxy/base/log.h"

namespace weft::worker {

using listen::Kind;

namespace {
// How long a client's idle connection is kept for the one request that may be on its way.
constexpr base::Nanos kDrainPatience = std::chrono::seconds(5);
}  // namespace

base::Result<std::unique_ptr<Worker>> Worker::create(const base::Clock& clock, observe::LogSink& log,
                                                     WorkerEvents& events, const WorkerOptions& options) {
  TRY_ASSIGN(auto loop, base::Loop::create(clock));
  std::unique_ptr<Worker> worker(new Worker(std::move(loop), log, events, options));
  TRY(worker->build());
  return worker;
}

base::Status Worker::build() {
  TRY_ASSIGN(mesh_, Mesh::create({.loop = *loop_,
                                  .counters = metrics_.counters,
                                  .plain = dialer_,
                                  .identities = *this,
                                  .arrivals = *this,
                                  .tickets = options_.tickets,
                                  .seed = (uint64_t{std::random_device{}()} << 32) | std::random_device{}()}));
  engine_ = std::make_unique<http::Engine>(*loop_, mesh_->tunnels, recorder_);
  return {};
}

Worker::Worker(std::unique_ptr<base::Loop> loop, observe::LogSink& log, WorkerEvents& events,
               const WorkerOptions& options)
    : loop_(std::move(loop)),
      events_(events),
      options_(options),
      scratch_(kScratch),
      random_(std::random_device{}()),
      log_(loop_->timers(), log, metrics_.counters),
      recorder_(metrics_, log_),
      dialer_(*loop_, metrics_.counters, *this),
      listeners_(*loop_, metrics_.counters, *this),
      accept_timer_(loop_->timers(), [this] { stop_accepting(); }),
      drain_timer_(loop_->timers(), [this] { cut_all(); }) {}

// What was retired in the last turn uses the parts below: it goes before they do.
Worker::~Worker() {
  stop();
  layer4_.clear();
  http_.clear();
  loop_->turn(0);
}

void Worker::start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), ("worker-" + std::to_string(options_.index)).c_str());
    loop_->run();
  });
}

void Worker::stop() {
  if (!thread_.joinable()) return;
  loop_->post([this] {
    listeners_.close_all();
    cut_all();
    log_.flush();
    loop_->stop();
  });
  thread_.join();
}

// ---- a connection

void Worker::on_accepted(const model::ListenerKey& key, base::Fd socket, const base::SocketAddress& peer) {
  const auto original = base::local_address(socket.get());
  auto transport = std::make_unique<base::TcpTransport>(std::move(socket));
  if (!original) {
    ++metrics_.counters.identify_failed;
    return transport->reset();
  }
  if (key.kind == Kind::kOutbound && identify::is_self_test(*original)) return answer_self_test(*transport);
  if (connections() >= options_.max_connections) {
    ++metrics_.counters.connections_shed;
    return transport->reset();
  }
  if (key.kind == Kind::kInbound && original->port == hbone::kPort)
    return serve_tunnel(key.pod.name, *original, peer, std::move(transport));
  auto info = name({.kind = key.kind, .pod = key.pod.name, .original = *original, .peer = peer});
  if (key.kind == Kind::kRefuse)
    return refuse(info, *transport, observe::Flag::kDeny, reason_of_kernel(info));
  if (identify::would_loop(info)) {
    ++metrics_.counters.loops_refused;
    return transport->reset();
  }
  if (info.layer7()) return serve_http(std::move(info), std::move(transport));
  if (key.kind == Kind::kGateway)
    return refuse(info, *transport, observe::Flag::kNoRoute, "no route for this port");
  serve_layer4(std::move(info), std::make_unique<SocketGate>(std::move(transport)));
}

identify::ConnInfo Worker::name(const identify::Arrival& arrival) const {
  auto info = identify::identify(*config_->index, arrival);
  info.started = loop_->turn_time();
  info.started_wall = loop_->clock().wall_now();
  return info;
}

void Worker::answer_self_test(base::Transport& transport) {
  const auto answer = identify::kSelfTestAnswer;
  const iovec piece{const_cast<char*>(answer.data()), answer.size()};
  if (transport.write({&piece, 1}).kind == base::Io::Kind::kBytes) ++metrics_.counters.self_test_answered;
  transport.shutdown_write();
}

std::string Worker::reason_of_kernel(const identify::ConnInfo& info) const {
  const auto verdict = judge(*config_, info, info.destination, info.original);
  return verdict.allows() ? "policy: refused by the kernel half" : "policy: " + policy::describe(verdict);
}

void Worker::refuse(const identify::ConnInfo& info, base::Transport& transport, observe::Flag flag,
                    std::string_view why) {
  transport.reset();
  if (flag == observe::Flag::kDeny) ++metrics_.counters.policy_refused;
  record_refusal(info, flag, why);
}

void Worker::record_refusal(const identify::ConnInfo& info, observe::Flag flag, std::string_view why) {
  const auto flow = metrics_.flow(*info.snapshot, {.reporter = observe::Reporter::kDestination,
                                                   .source = info.source,
                                                   .service = info.service,
                                                   .destination = info.destination});
  recorder_.connection_opened(flow);
  observe::ConnRecord record;
  record.flow = flow;
  record.start = info.started_wall;
  record.flag = flag;
  record.termination_details = why;
  record.local = info.original;
  record.peer = info.peer;
  recorder_.connection_done(record);
}

void Worker::serve_http(identify::ConnInfo info, std::unique_ptr<base::Transport> transport) {
  auto shared = std::make_shared<const identify::ConnInfo>(std::move(info));
  auto connection = http::ServerConnection::create(*engine_, std::move(transport), std::move(shared),
                                                   config_->tables, *this);
  auto& started = *connection;
  http_.emplace(&started, std::move(connection));
  if (draining_) started.drain(kDrainPatience);
  started.start();
}

void Worker::serve_layer4(identify::ConnInfo info, std::unique_ptr<Gate> gate) {
  const Tools tools{*loop_, {scratch_, pipes_}, mesh_->tunnels, recorder_, random_};
  Layer4Owner& owner = *this;
  layer4_.push_front(std::make_unique<Layer4>(tools, std::move(info), std::move(gate), owner));
  Layer4& started = *layer4_.front();
  started.place = layer4_.begin();
  started.start(*config_);
}

void Worker::on_server_closed(http::ServerConnection& connection) {
  auto entry = http_.extract(&connection);
  if (entry.empty()) return;
  loop_->retire(std::move(entry.mapped()));
  check_drained();
}

void Worker::on_layer4_over(Layer4& connection) {
  auto over = std::move(*connection.place);
  layer4_.erase(connection.place);
  loop_->retire(std::move(over));
  check_drained();
}

void Worker::on_stock_changes(std::vector<connect::StockChange> changes) {
  events_.on_stock_changes(options_.index, std::move(changes));
}

// ---- from other threads

void Worker::apply(ConfigPtr config) {
  loop_->post([this, config = std::move(config)]() mutable { apply_now(std::move(config)); });
}

void Worker::apply_now(ConfigPtr config) {
  config_ = std::move(config);
  mesh_->tunnels.set_config(config_);
  for (auto& [key, socket] : std::exchange(early_listeners_, {})) serve_listener(key, std::move(socket));
  for (auto next = layer4_.begin(); next != layer4_.end();) (*next++)->judge_again(*config_);
  reconfigure_http();
}

// Requests that begin from now on go by the new Snapshot, also on connections that are open.
void Worker::reconfigure_http() {
  std::vector<http::ServerConnection*> all;
  all.reserve(http_.size());
  for (const auto& [connection, owned] : http_) all.push_back(connection);
  for (auto* connection : all) {
    if (!http_.contains(connection)) continue;
    const auto& old = connection->info();
    auto info = name({.kind = old.kind, .pod = old.pod, .original = old.original, .peer = old.peer});
    info.started = old.started;
    info.started_wall = old.started_wall;
    if (!info.layer7()) {
      connection->drain({});  // what it would still take is routed no more
      continue;
    }
    connection->reconfigure(std::make_shared<const identify::ConnInfo>(std::move(info)), config_->tables);
  }
}

namespace {
// std::function wants copyable captures; descriptors are not.
template <typename Value>
std::shared_ptr<Value> boxed(Value value) {
  return std::make_shared<Value>(std::move(value));
}
}  // namespace

void Worker::set_listener(const model::ListenerKey& key, base::Fd socket) {
  loop_->post([this, key, box = boxed(std::move(socket))] {
    if (draining_) return;
    if (config_ == nullptr) return early_listeners_.emplace_back(key, std::move(*box)), void();
    serve_listener(key, std::move(*box));
  });
}

void Worker::serve_listener(const model::ListenerKey& key, base::Fd socket) {
  const auto served = listeners_.set(key, std::move(socket));
  if (!served) spdlog::error("listener of {}: {}", key.pod.name, base::describe(served.error()));
}

void Worker::remove_listener(const model::ListenerKey& key) {
  loop_->post([this, key] {
    std::erase_if(early_listeners_, [&](const auto& early) { return early.first == key; });
    listeners_.remove(key);
  });
}

void Worker::remove_pod(const model::PodKey& pod) {
  loop_->post([this, pod] {
    std::erase_if(early_listeners_, [&](const auto& early) { return early.first.pod == pod; });
    listeners_.remove_pod(pod);
    dialer_.drop_pod(pod);
    mesh_->dialer->forget_pod(pod.name);
    mesh_->server->drain_pod(pod.name);
  });
}

void Worker::add_stock(const model::StockKey& key, std::vector<base::Fd> sockets) {
  loop_->post([this, key, box = boxed(std::move(sockets))] { dialer_.add_stock(key, std::move(*box)); });
}

void Worker::trim_stock(const model::StockKey& key, size_t keep) {
  loop_->post([this, key, keep] { dialer_.trim_stock(key, keep); });
}

std::future<void> Worker::enable_access_log(bool on) {
  auto promise = std::make_shared<std::promise<void>>();
  auto future = promise->get_future();
  loop_->post([this, on, promise] {
    log_.enable(on);
    promise->set_value();
  });
  return future;
}

std::future<observe::Metrics::Copy> Worker::copy_metrics() {
  auto promise = std::make_shared<std::promise<observe::Metrics::Copy>>();
  auto future = promise->get_future();
  loop_->post([this, promise] {
    for (auto& connection : layer4_) connection->count_bytes();
    promise->set_value(metrics_.copy());
  });
  return future;
}

// ---- the end

void Worker::drain(const Drain& how) {
  loop_->post([this, how] { begin_drain(how); });
}

void Worker::begin_drain(const Drain& how) {
  draining_ = true;
  early_listeners_.clear();
  std::vector<http::ServerConnection*> all;
  for (const auto& [connection, owned] : http_) all.push_back(connection);
  for (auto* connection : all)
    if (http_.contains(connection)) connection->drain(kDrainPatience);
  drain_timer_.arm(how.limit);
  if (how.accept <= base::Nanos(0)) return stop_accepting();
  accept_timer_.arm(how.accept);
}

void Worker::stop_accepting() {
  accepting_ = false;
  listeners_.close_all();
  engine_->drain();
  mesh_->dialer->drain();
  mesh_->server->drain_all();
  check_drained();
}

void Worker::cut_all() {
  if (draining_ && accepting_) stop_accepting();
  for (auto next = layer4_.begin(); next != layer4_.end();) (*next++)->cut();
  while (!http_.empty()) {
    auto* connection = http_.begin()->first;
    ++metrics_.counters.drain_cut;
    connection->abort();
    // abort() ends in on_server_closed(); a connection that forgot to say so must not hold up the end.
    if (http_.contains(connection)) loop_->retire(std::move(http_.extract(connection).mapped()));
  }
  mesh_->server->abort_all();
}

void Worker::check_drained() {
  if (!draining_ || accepting_ || drained_ || connections() > 0) return;
  drained_ = true;
  log_.flush();
  events_.on_drained(options_.index);
}

}  // namespace weft::worker
