#include "userspace-proxy/http/exchange.h"

#include "userspace-proxy/http/pool.h"
#include "userspace-proxy/route/balance.h"
#include "userspace-proxy/route/path.h"

namespace weft::http {
namespace {

// The life of a request:
//
//   kIdle ──> kRouting ──> kWaiting ──> kSending ──> kReplying ──> kOver ──> kIdle
//                │             │  ^       │ │  │                     ^
//                │             │  └───────┘ │  └──> kTunnel ─────────┤
//                │             │    retry   │         (101)          │
//                └─────────────┴────────────┴────────────────────────┘
//                             a local reply, or the source is gone
//
// kWaiting: for a stream to an endpoint (again when the first could not be reached). kSending: the request
// goes out, no final response head has come. kReplying: the response head was handed on; request body may
// still flow. kTunnel: raw bytes both ways.
using Step = Exchange::Step;
constexpr uint8_t bit(Step step) {
  return static_cast<uint8_t>(1u << static_cast<unsigned>(step));
}
constexpr uint8_t kNext[] = {
    /* kIdle     */ bit(Step::kRouting),
    /* kRouting  */ static_cast<uint8_t>(bit(Step::kWaiting) | bit(Step::kOver)),
    /* kWaiting  */ static_cast<uint8_t>(bit(Step::kWaiting) | bit(Step::kSending) | bit(Step::kOver)),
    /* kSending  */
    static_cast<uint8_t>(bit(Step::kWaiting) | bit(Step::kReplying) | bit(Step::kTunnel) | bit(Step::kOver)),
    /* kReplying */ bit(Step::kOver),
    /* kTunnel   */ bit(Step::kOver),
    /* kOver     */ bit(Step::kIdle),
};

constexpr bool speaks_http2(model::Protocol protocol) {
  return protocol == model::Protocol::kHttp2 || protocol == model::Protocol::kGrpc;
}

constexpr uint8_t kMaxInformational = 16;
constexpr uint8_t kMaxAttempts = 2;

}  // namespace

Exchange::Exchange(Core& core) : core_(core), arena_(core.head_blocks) {}

Exchange::~Exchange() {
  detach();
}

void Exchange::enter(Step next) {
  CHECK((kNext[static_cast<size_t>(step_)] & bit(next)) != 0);
  step_ = next;
}

void Exchange::start(SourceStream& source, std::shared_ptr<const Plan> plan) {
  enter(Step::kRouting);
  source_ = &source;
  plan_ = std::move(plan);
  started_ = core_.loop.turn_time();
  target_ = head_.target;
}

void Exchange::begin(SourceStream& source, std::shared_ptr<const Plan> plan) {
  start(source, std::move(plan));
  if (head_.method == "CONNECT")
    return local_reply(403, observe::Flag::kNone, "connect_refused", "CONNECT is not served");
  route();
}

void Exchange::route() {
  const auto check = route::check_target(head_.target);
  if (check == route::PathCheck::kRefuse && head_.target != "*")
    return local_reply(400, observe::Flag::kSourceProtocolError, "path_invalid", "Bad Request");
  auto parts = route::split_target(target_);
  if (check == route::PathCheck::kRewrite) {
    char* const room = arena_.allocate(parts.path.size() * 3 + parts.query.size() + 1);
    const auto path = route::normalise(parts.path, room);
    char* end = room + path.size();
    if (parts.has_query) {
      *end++ = '?';
      std::memcpy(end, parts.query.data(), parts.query.size());
      end += parts.query.size();
    }
    target_ = {room, static_cast<size_t>(end - room)};
    parts.path = path;
  }
  const auto& info = *plan_->info;
  prepare_request(head_, *plan_, core_.random, arena_, extras_);
  for (const auto& extra : extras_.view()) {
    if (extra.name == "x-request-id") request_id_ = extra.value;
    if (extra.name == "x-forwarded-for") forwarded_for_ = extra.value;
  }
  if (info.route_table == model::kNone) {
    cluster_ = info.cluster;
    if (cluster_ != model::kNone) cluster_name_ = info.snapshot->clusters[cluster_].name;
    return connect();
  }

  core_.header_views.clear();
  for (const auto& field : head_.fields)
    if (!field.dropped) core_.header_views.push_back({field.name, field.value});
  route::Caller caller;
  if (info.source != model::kNone) {
    const auto& workload = info.snapshot->workloads[info.source];
    caller = {&workload.labels, workload.ns};
  }
  const route::RequestView view{.method = head_.method,
                                .path = parts.path,
                                .query = parts.query,
                                .authority = head_.authority,
                                .scheme = head_.scheme,
                                .headers = core_.header_views};
  const auto decision =
      route::decide(plan_->tables->table(info.route_table), view, caller, core_.spread.next());
  route_name_ = decision.route;
  cluster_name_ = decision.cluster_name;
  cluster_ = decision.cluster;
  switch (decision.outcome) {
    case route::Outcome::kNoRoute:
      return local_reply(404, observe::Flag::kNoRoute, "route_not_found", "");
    case route::Outcome::kNoCluster:
      return local_reply(503, observe::Flag::kNoCluster, "cluster_not_found", "");
    case route::Outcome::kCluster:
      return connect();
  }
}

bool Exchange::choose_endpoint(base::SocketAddress* address, std::optional<base::SocketAddress>* client) {
  const auto& info = *plan_->info;
  if (cluster_ == model::kNone) {  // carried to where the source meant to go
    *address = info.original;
    if (info.inbound()) *client = base::SocketAddress{info.peer.address, 0};
    workload_ = info.destination;
    return true;
  }
  const auto& cluster = info.snapshot->clusters[cluster_];
  const bool http2 = speaks_http2(cluster.protocol) && !head_.websocket;
  endpoint_ =
      route::pick_endpoint(cluster.endpoints, core_.random.next(), endpoint_, [&](const model::Endpoint& e) {
        return core_.pool->active({info.pod, e.address, std::nullopt, http2, identity_wanted(e.workload, e.address.port)});
      });
  if (endpoint_ == SIZE_MAX) return false;
  *address = cluster.endpoints[endpoint_].address;
  workload_ = cluster.endpoints[endpoint_].workload;
  return true;
}

std::optional<connect::PeerIdentity> Exchange::identity_wanted(uint32_t workload, uint16_t port) const {
  return connect::identity_wanted(*plan_->info->snapshot, plan_->info->source, workload, port);
}

void Exchange::connect() {
  std::optional<base::SocketAddress> client;
  if (!choose_endpoint(&destination_address_, &client))
    return local_reply(503, observe::Flag::kNoHealthyEndpoint, "no_healthy_upstream", "no healthy upstream");
  const auto& info = *plan_->info;
  const auto protocol = cluster_ == model::kNone ? info.protocol : info.snapshot->clusters[cluster_].protocol;
  ++attempts_;
  enter(Step::kWaiting);
  const Target target{info.pod, destination_address_, client, speaks_http2(protocol) && !head_.websocket,
                      identity_wanted(workload_, destination_address_.port)};
  ticket_ = core_.pool->acquire(target, *this, fresh_);
}

void Exchange::on_stream(DestinationStream& stream) {
  ticket_ = nullptr;
  destination_ = &stream;
  destination_local_ = stream.local();
  send_request();
}

void Exchange::send_request() {
  enter(Step::kSending);
  sent_ = core_.loop.turn_time();
  destination_->send_head(head_, target_, extras_.view());
  if (head_.websocket) return;  // nothing more until the 101
  if (head_.body != Body::kNone) return source_->resume();
  request_ended_ = true;
  destination_->send_end(nullptr);
}

bool Exchange::wants_request_body() const {
  if (destination_ == nullptr || request_ended_ || destination_->congested()) return false;
  return step_ == Step::kTunnel || step_ == Step::kReplying || (step_ == Step::kSending && !head_.websocket);
}

void Exchange::on_request_body(std::string_view bytes) {
  bytes_received_ += bytes.size();
  destination_->send_body(bytes);
}

void Exchange::on_request_end(const Fields* trailers) {
  request_ended_ = true;
  destination_->send_end(trailers);
  if (step_ == Step::kTunnel && response_ended_) finish();
}

void Exchange::on_source_writable() {
  if (destination_ != nullptr) destination_->resume();
}

void Exchange::on_source_gone(observe::Flag flag, std::string_view details) {
  if (step_ == Step::kIdle) return;
  flag_ = flag;
  details_ = details;
  source_ = nullptr;
  finish();
}

bool Exchange::wants_response() const {
  return source_ != nullptr && !source_->congested();
}

void Exchange::on_informational(const ResponseHead& head) {
  if (++informationals_ > kMaxInformational) return;
  source_->send_informational(head);
}

void Exchange::on_response_head(ResponseHead& head) {
  status_ = head.status;
  response_begun_ = true;
  service_time_ms_ = (core_.loop.turn_time() - sent_) / base::Millis(1);
  details_ = "via_upstream";
  if (head.body == Body::kTunnel) {
    enter(Step::kTunnel);
  } else {
    enter(Step::kReplying);
    if (head_.websocket) request_ended_ = true;  // it stays an ordinary request without a body
  }
  if (head_.grpc) note_grpc_status(head.fields);
  extras_.clear();
  prepare_response(head, *plan_->info, service_time_ms_, arena_, extras_);
  source_->send_head(head, extras_.view());
  if (step_ == Step::kTunnel) source_->resume();
}

void Exchange::on_response_body(std::string_view bytes) {
  bytes_sent_ += bytes.size();
  source_->send_body(bytes);
}

void Exchange::on_response_end(const Fields* trailers) {
  if (step_ != Step::kTunnel) destination_ = nullptr;  // its session has let go of us
  if (trailers != nullptr && head_.grpc) note_grpc_status(*trailers);
  source_->send_end(trailers);
  if (step_ == Step::kTunnel) {
    response_ended_ = true;
    if (request_ended_) finish();
    return;
  }
  finish();
}

void Exchange::on_destination_writable() {
  if (source_ != nullptr && !request_ended_) source_->resume();
}

bool Exchange::may_repeat(const Failure& failure) const {
  if (response_begun_ || attempts_ >= kMaxAttempts + (failure.reused ? 1 : 0)) return false;
  if (bytes_received_ > 0 || (request_ended_ && head_.body != Body::kNone)) return false;  // body is not kept
  if (failure.untouched) return true;
  // The destination closed an idle connection just as we used it: harmless to ask again (http-semantics 2.5).
  return failure.reused && head_.body == Body::kNone && is_idempotent(head_.method);
}

void Exchange::on_destination_failed(const Failure& failure) {
  destination_ = nullptr;
  if (!may_repeat(failure)) return fail(failure);
  ++core_.counters().http_retries;
  request_ended_ = false;
  if (failure.reused) {
    fresh_ = true;
    endpoint_ = SIZE_MAX;
  }
  connect();
}

void Exchange::on_connect_failed(const Failure& failure) {
  ticket_ = nullptr;
  const bool other =
      cluster_ != model::kNone && plan_->info->snapshot->clusters[cluster_].endpoints.size() > 1;
  if (!other || attempts_ >= kMaxAttempts || failure.flag != observe::Flag::kConnectFailure)
    return fail(failure);
  ++core_.counters().http_retries;
  connect();
}

void Exchange::detach() {
  if (ticket_ != nullptr) core_.pool->cancel(*ticket_, *this);
  ticket_ = nullptr;
  if (destination_ != nullptr) destination_->cancel();
  destination_ = nullptr;
}

}  // namespace weft::http
