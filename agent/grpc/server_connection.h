#pragma once
// One connection of the server, in its own thread: HTTP/2 on nghttp2, requests to handlers, answers back.
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/grpc/frame.h"
#include "agent/grpc/h2.h"
#include "agent/grpc/server.h"

namespace weft::grpc {

using Handlers = std::map<std::string, Handler, std::less<>>;

// Owner: the server, which ends it from outside by shutting its socket down. Thread: run() in its own,
// idle_since() from any. What it refers to outlives it.
class ServerConnection {
 public:
  ServerConnection(const ServerOptions& options, const Handlers& handlers, ServerCounters& counters,
                   std::string peer);

  // Until the peer leaves, breaks a rule or a bound, or the socket is shut down.
  void run(int fd, TlsContextPtr context);
  // Since when no stream has been open, in nanoseconds of the monotonic clock; kBusy while one is.
  [[nodiscard]] int64_t idle_since() const { return idle_since_.load(std::memory_order_relaxed); }
  static constexpr int64_t kBusy = INT64_MAX;

 private:
  struct Callbacks;
  struct Stream {
    explicit Stream(size_t max_message) : reader(max_message) {}
    int32_t id = 0;
    Request request;
    std::string method;
    size_t header_bytes = 0;
    FrameReader reader;
    std::string answer;  // framed; leaves from `sent` on
    size_t sent = 0;
    std::string status, message;  // trailers
    base::Instant deadline{};
    bool answered = false;
    bool input_ended = false;
  };

  base::Status serve(TlsSocket& socket);
  base::Status feed(std::string_view bytes);
  void count(const base::Error& error);
  void answer_ready();
  [[nodiscard]] Answer ask(Stream& stream);
  void answer(Stream& stream, Answer answer);
  // A trailers-only answer.
  void refuse(Stream& stream, const Failure& failure);
  void refuse_http(Stream& stream, std::string_view http_status);
  // False: what this peer sends carries nothing, and too much of it.
  [[nodiscard]] bool charge_control_frame();
  [[nodiscard]] base::Instant deadline() const;
  void mark_idle();

  const ServerOptions& options_;
  const Handlers& handlers_;
  ServerCounters& counters_;
  const std::string peer_;
  SessionPtr session_;
  std::map<int32_t, std::unique_ptr<Stream>> streams_;
  std::vector<int32_t> ready_;  // whole requests, to be answered after the bytes that brought them
  base::Instant idle_from_{};
  std::atomic<int64_t> idle_since_{kBusy};
  double control_budget_;
  base::Instant budget_at_{};
  bool flooded_ = false;
};

}  // namespace weft::grpc
