#pragma once
// One request and its response: read head, normalise, route, choose an endpoint, get a stream to it, carry
// bodies both ways, record. Knows no protocol; sessions on both sides translate.
#include <memory>

#include "userspace-proxy/http/core.h"
#include "userspace-proxy/http/forwarding.h"
#include "userspace-proxy/http/stream.h"
#include "userspace-proxy/observe/record.h"

namespace weft::http {

class Ticket;

// Why a destination gave up a request.
struct Failure {
  observe::Flag flag = observe::Flag::kNone;
  std::string_view details;    // for the log
  std::string_view transport;  // reason of a failed connect, for the log
  uint16_t status = 503;
  bool untouched = false;  // no byte of the request was written
  bool reused = false;     // the connection had carried an earlier request
};

// What one request leaves behind and the next must not find.
struct PerRequest {
  SourceStream* source_ = nullptr;
  DestinationStream* destination_ = nullptr;
  Ticket* ticket_ = nullptr;  // while waiting for a connection

  bool request_ended_ = false;   // the whole request was handed on
  bool response_begun_ = false;  // a final response head went to the source
  bool response_ended_ = false;  // tunnels: the destination said all it had to say
  bool fresh_ = false;           // a reused connection failed us: dial
  uint8_t attempts_ = 0;
  uint8_t informationals_ = 0;

  std::string_view target_;  // as forwarded: normalised path and query
  uint32_t cluster_ = model::kNone;
  uint32_t workload_ = model::kNone;  // of the endpoint
  size_t endpoint_ = SIZE_MAX;        // into the cluster's endpoints; the one to avoid on a second attempt

  // For the record.
  base::Instant started_, sent_;
  base::SocketAddress destination_address_, destination_local_;
  std::string_view route_name_, cluster_name_, details_, transport_failure_, forwarded_for_, request_id_;
  uint64_t bytes_received_ = 0, bytes_sent_ = 0;
  int64_t service_time_ms_ = -1;
  uint16_t status_ = 0;
  int grpc_status_ = -1;
  observe::Flag flag_ = observe::Flag::kNone;
};

// Owned by value by its source stream and used for one request after the other (HTTP/1) or pooled (HTTP/2).
// Thread: the worker's.
class Exchange : private PerRequest {
 public:
  explicit Exchange(Core& core);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  enum class Step : uint8_t { kIdle, kRouting, kWaiting, kSending, kReplying, kTunnel, kOver };
  [[nodiscard]] Step step() const { return step_; }
  [[nodiscard]] bool idle() const { return step_ == Step::kIdle; }

  // The source parses the next head into these, then calls begin().
  [[nodiscard]] RequestHead& request() { return head_; }
  [[nodiscard]] Arena& arena() { return arena_; }

  // From the source. After begin() exchange_over() may already have been called.
  void begin(SourceStream& source, std::shared_ptr<const Plan> plan);
  [[nodiscard]] bool wants_request_body() const;
  void on_request_body(std::string_view bytes);  // REQUIRES: wants_request_body()
  void on_request_end(const Fields* trailers);   // REQUIRES: wants_request_body()
  [[nodiscard]] bool request_ended() const { return request_ended_; }
  void on_source_writable();
  // The body breaks the rules of its framing.
  void on_request_malformed(std::string_view details);
  // The source's connection or stream died. exchange_over() is not called.
  void on_source_gone(observe::Flag flag, std::string_view details);
  // A head that could not be read: answer and record it. The head holds what was understood.
  void refuse(SourceStream& source, std::shared_ptr<const Plan> plan, uint16_t status,
              std::string_view details);

  // From the destination.
  void on_stream(DestinationStream& stream);  // what a Ticket waited for
  void on_connect_failed(const Failure& failure);
  [[nodiscard]] bool wants_response() const;
  void on_informational(const ResponseHead& head);
  void on_response_head(ResponseHead& head);
  void on_response_body(std::string_view bytes);  // REQUIRES: wants_response()
  void on_response_end(const Fields* trailers);
  void on_destination_writable();
  void on_destination_failed(const Failure& failure);

 private:
  void enter(Step next);
  void route();
  void connect();
  [[nodiscard]] bool choose_endpoint(base::SocketAddress* address,
                                     std::optional<base::SocketAddress>* client);
  [[nodiscard]] std::optional<connect::PeerIdentity> identity_wanted(uint32_t workload, uint16_t port) const;
  void send_request();
  [[nodiscard]] bool may_repeat(const Failure& failure) const;
  void local_reply(uint16_t status, observe::Flag flag, std::string_view details, std::string_view text);
  void send_local_reply(uint16_t status, std::string_view text);
  void fail(const Failure& failure);
  void note_grpc_status(const Fields& fields);
  void finish();
  void record();
  [[nodiscard]] observe::FlowKey flow_key() const;
  void detach();
  void reset();
  void start(SourceStream& source, std::shared_ptr<const Plan> plan);

  Core& core_;
  Arena arena_;
  RequestHead head_;
  std::shared_ptr<const Plan> plan_;  // pins configuration while the request runs
  Extras extras_;
  Step step_ = Step::kIdle;
};

}  // namespace weft::http
