// How an exchange ends: replies the proxy makes itself (http-semantics 1), and the record.
#include <charconv>

#include "userspace-proxy/http/exchange.h"
#include "userspace-proxy/http/pool.h"

namespace weft::http {
namespace {

// source/common/grpc/status.cc of Envoy, as http-semantics 1 gives it.
int grpc_status_of(uint16_t status) {
  switch (status) {
    case 400:
      return 13;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return 12;
    case 429:
    case 502:
    case 503:
    case 504:
      return 14;
    default:
      return 2;
  }
}

std::string_view text_of(const Failure& failure) {
  switch (failure.flag) {
    case observe::Flag::kConnectFailure:
      return "upstream connect error or disconnect/reset before headers. reset reason: connection failure";
    case observe::Flag::kDestinationClosed:
      return "upstream connect error or disconnect/reset before headers. reset reason: connection "
             "termination";
    case observe::Flag::kDestinationReset:
      return "upstream connect error or disconnect/reset before headers. reset reason: remote reset";
    case observe::Flag::kOverflow:
      return "upstream connect error or disconnect/reset before headers. reset reason: overflow";
    default:
      return "upstream connect error or disconnect/reset before headers. reset reason: protocol error";
  }
}

}  // namespace

void Exchange::refuse(SourceStream& source, std::shared_ptr<const Plan> plan, uint16_t status,
                      std::string_view details) {
  start(source, std::move(plan));
  local_reply(status, observe::Flag::kSourceProtocolError, details, reason_of(status));
}

void Exchange::on_request_malformed(std::string_view details) {
  if (!response_begun_) return local_reply(400, observe::Flag::kSourceProtocolError, details, reason_of(400));
  flag_ = observe::Flag::kSourceProtocolError;
  details_ = details;
  source_->abort();
  finish();
}

void Exchange::local_reply(uint16_t status, observe::Flag flag, std::string_view details,
                           std::string_view text) {
  ++core_.counters().http_local_replies;
  flag_ = flag;
  details_ = details;
  detach();
  send_local_reply(status, text);
  finish();
}

void Exchange::send_local_reply(uint16_t status, std::string_view text) {
  ResponseHead head;
  head.status = status_ = status;
  head.reason = reason_of(status);
  extras_.clear();
  if (head_.grpc) {
    grpc_status_ = grpc_status_of(status);
    head.status = status_ = 200;
    head.reason = "OK";
    extras_.add("content-type", "application/grpc");
    char* const number = arena_.allocate(4);
    extras_.add("grpc-status",
                {number, static_cast<size_t>(std::to_chars(number, number + 4, grpc_status_).ptr - number)});
    if (!text.empty()) extras_.add("grpc-message", text);
    text = {};
  } else if (!text.empty()) {
    extras_.add("content-type", "text/plain");
  }
  if (flag_ == observe::Flag::kOverflow) extras_.add("x-envoy-overloaded", "true");
  if (plan_->info->kind == listen::Kind::kGateway) extras_.add("server", kServerName);
  if (head_.method == "HEAD") text = {};
  head.body = text.empty() ? Body::kNone : Body::kLength;
  head.content_length = text.size();
  response_begun_ = true;
  source_->send_head(head, extras_.view());
  if (!text.empty()) {
    bytes_sent_ += text.size();
    source_->send_body(text);
  }
  source_->send_end(nullptr);
}

void Exchange::fail(const Failure& failure) {
  transport_failure_ = failure.transport;
  if (!response_begun_) return local_reply(failure.status, failure.flag, failure.details, text_of(failure));
  flag_ = failure.flag;
  details_ = failure.details;
  source_->abort();
  finish();
}

void Exchange::note_grpc_status(const Fields& fields) {
  const auto text = value_of(fields, Known::kGrpcStatus);
  int value = 0;
  if (!text.empty() && std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc())
    grpc_status_ = value;
}

observe::FlowKey Exchange::flow_key() const {
  const auto& info = *plan_->info;
  observe::FlowKey key;
  key.reporter =
      info.inbound() ? observe::Reporter::kDestination : observe::Reporter::kSource;
  key.protocol = head_.grpc ? observe::RequestProtocol::kGrpc : observe::RequestProtocol::kHttp;
  key.source = info.source;
  key.service = cluster_ == model::kNone ? info.service : info.snapshot->clusters[cluster_].service;
  key.destination = workload_;
  key.security = observe::outbound_security(*info.snapshot, info.source, workload_, destination_address_.port);
  // A stream of a tunnel has no address of its own: this connection was made without one after all.
  if (key.security == observe::Security::kMutualTls && destination_local_ != base::SocketAddress{})
    key.security = observe::Security::kNone;
  return key;
}

void Exchange::record() {
  const auto& info = *plan_->info;
  const auto key = flow_key();
  observe::RequestRecord record;
  record.flow = core_.recorder.metrics().flow(*info.snapshot, key);
  record.duration = core_.loop.turn_time() - started_;
  record.start = core_.loop.clock().wall_now() - record.duration;
  record.flag = flag_;
  record.transport_failure = transport_failure_;
  record.bytes_received = bytes_received_;
  record.bytes_sent = bytes_sent_;
  record.cluster = cluster_name_;
  record.destination = destination_address_;
  record.destination_local = destination_local_;
  record.local = info.original;
  record.peer = info.peer;
  record.route = route_name_;
  record.method = head_.method;
  record.path = target_;
  record.protocol = name_of(head_.version);
  record.code = status_;
  record.details = details_;
  record.service_time_ms = service_time_ms_;
  record.authority = head_.authority;
  record.grpc_status = grpc_status_;
  for (const auto& field : head_.fields) {
    if (field.known == Known::kUserAgent) record.user_agent = field.value;
    if (field.known == Known::kXForwardedFor) record.forwarded_for = field.value;
    if (field.known == Known::kXRequestId && !field.dropped) record.request_id = field.value;
    if (field.known == Known::kXEnvoyOriginalPath && !field.dropped) record.original_path = field.value;
  }
  if (!forwarded_for_.empty()) record.forwarded_for = forwarded_for_;
  if (!request_id_.empty()) record.request_id = request_id_;
  std::string source, destination;
  if (key.security == observe::Security::kMutualTls && core_.recorder.logs()) {
    if (info.source != model::kNone)
      source = model::identity_of(info.snapshot->workloads[info.source], info.snapshot->settings);
    destination = model::identity_of(info.snapshot->workloads[workload_], info.snapshot->settings);
    record.source_identity = source;
    record.destination_identity = destination;
  }
  core_.recorder.request_done(record);
}

void Exchange::finish() {
  enter(Step::kOver);
  detach();
  record();
  SourceStream* const source = source_;
  reset();
  if (source != nullptr) source->exchange_over();
}

void Exchange::reset() {
  enter(Step::kIdle);
  head_.clear();
  arena_.reset();
  plan_.reset();
  static_cast<PerRequest&>(*this) = {};
  extras_.clear();
}

}  // namespace weft::http
