#include "userspace-proxy/http/h1_client.h"

#include "userspace-proxy/http/h1_turn.h"
#include "userspace-proxy/http/pool.h"

namespace weft::http {
namespace {

//   kIdle ──assign──> kHead ──> kBody ──┐ response and request complete, reusable
//     ^                 │ └──101──> kTunnel ──> kClosing (flush what is left)
//     └─────────────────┴─────────<─────┘          │
//   every step ──────────────────> kClosed <───────┘
using Step = H1ClientSession::Step;
constexpr uint8_t bit(Step step) {
  return static_cast<uint8_t>(1u << static_cast<unsigned>(step));
}
constexpr uint8_t kNext[] = {
    /* kIdle    */ static_cast<uint8_t>(bit(Step::kHead) | bit(Step::kClosed)),
    /* kHead    */
    static_cast<uint8_t>(bit(Step::kIdle) | bit(Step::kBody) | bit(Step::kTunnel) | bit(Step::kClosed)),
    /* kBody    */ static_cast<uint8_t>(bit(Step::kIdle) | bit(Step::kClosed)),
    /* kTunnel  */ static_cast<uint8_t>(bit(Step::kClosing) | bit(Step::kClosed)),
    /* kClosing */ bit(Step::kClosed),
    /* kClosed  */ 0,
};

}  // namespace

H1ClientSession::H1ClientSession(Core& core, PoolEntry& entry, std::unique_ptr<base::Transport> transport)
    : ClientSession(core, entry, std::move(transport)),
      parser_(H1Parser::Type::kResponse, core.limits, core.lines),
      intake_(core.queue_blocks, core.read_block),
      outlet_(core.queue_blocks),
      local_(local_address()) {}

void H1ClientSession::enter(Step next) {
  CHECK((kNext[static_cast<size_t>(step_)] & bit(next)) != 0);
  step_ = next;
}

void H1ClientSession::assign(Exchange& exchange) {
  enter(Step::kHead);
  exchange_ = &exchange;
  written_before_ = outlet_.written();
  ++requests_;
  chunked_ = request_sent_ = upgrade_asked_ = false;
  exchange.on_stream(*this);
}

void H1ClientSession::send_head(const RequestHead& head, std::string_view target,
                                std::span<const Extra> extras) {
  H1Outgoing how{.body = head.body, .content_length = head.content_length};
  chunked_ = head.body == Body::kChunked;
  // HTTP/2 needs no length for an empty body, HTTP/1 servers ask for one where a body would have a meaning.
  how.add_length = head.version == Version::kHttp2 && head.body == Body::kNone &&
                   find(head.fields, Known::kContentLength) == nullptr &&
                   (head.method == "POST" || head.method == "PUT" || head.method == "PATCH");
  if (head.websocket) {
    upgrade_asked_ = true;
    request_sent_ = true;  // unless it is agreed to
    how.connection = "Upgrade";
    how.upgrade = "websocket";
  }
  write_request_head(outlet_.queue(), head, target, extras, how);
  core_.flush_later(*this);
}

void H1ClientSession::send_body(std::string_view bytes) {
  if (bytes.empty()) return;
  if (chunked_) {
    char block[20];
    outlet_.send(*transport_, chunk_line(bytes.size(), block), bytes, kCrlf);
  } else {
    outlet_.send(*transport_, {}, bytes, {});
  }
  core_.flush_later(*this);
}

void H1ClientSession::send_end(const Fields* trailers) {
  request_sent_ = true;
  if (chunked_) write_last_chunk(outlet_.queue(), trailers);
  core_.flush_later(*this);
}

void H1ClientSession::flush() {
  if (step_ == Step::kClosed) return;
  const bool done = outlet_.flush(*transport_);
  // The destination stopped reading: it may have answered before, so the read side tells what became of it.
  if (outlet_.dead()) return core_.work_later(*this);
  if (!done) return;
  if (step_ == Step::kClosing) return close();
  if (step_ == Step::kTunnel && request_sent_) transport_->shutdown_write();
}

void H1ClientSession::on_writable() {
  if (!outlet_.blocked() || step_ == Step::kClosed) return;
  Turn turn(core_);
  outlet_.unblock();
  flush();
  if (exchange_ != nullptr && !outlet_.blocked()) exchange_->on_destination_writable();
}

void H1ClientSession::on_readable() {
  Turn turn(core_);
  work();
}

bool H1ClientSession::wants_read() const {
  switch (step_) {
    case Step::kIdle:
    case Step::kHead:
      return true;
    case Step::kBody:
    case Step::kTunnel:
      return exchange_->wants_response();
    case Step::kClosing:
    case Step::kClosed:
      return false;
  }
  return false;
}

void H1ClientSession::work() {
  take_turn(*this, core_, *transport_);
}

bool H1ClientSession::parse() {
  switch (step_) {
    case Step::kHead:
      return parse_head();
    case Step::kBody:
    case Step::kTunnel:
      return parse_body();
    case Step::kIdle:
      if (!intake_.view().empty()) {  // an answer that nobody asked for
        ++core_.counters().http_destination_protocol_errors;
        close();
      }
      return false;
    case Step::kClosing:
    case Step::kClosed:
      return false;
  }
  return false;
}

bool H1ClientSession::parse_head() {
  const auto scan = parser_.scan(intake_.view());
  if (scan.kind == HeadScan::Kind::kNeedMore) return false;
  if (scan.kind == HeadScan::Kind::kError) {
    fail(observe::Flag::kDestinationProtocolError, scan.error.details, 502);
    return false;
  }
  ResponseHead& head = core_.response_head;
  head.clear();
  const auto bytes = intake_.view().substr(0, scan.length);
  if (const auto error = parser_.read_response(bytes, exchange_->request().method, upgrade_asked_, head)) {
    fail(observe::Flag::kDestinationProtocolError, error.details, 502);
    return false;
  }
  if (head.status < 200 && head.status != 101) {
    exchange_->on_informational(head);
    intake_.consume(scan.length);
    return true;
  }
  reusable_ = head.keep_alive;
  enter(head.body == Body::kTunnel ? Step::kTunnel : Step::kBody);
  if (step_ == Step::kTunnel) request_sent_ = false;
  exchange_->on_response_head(head);
  const bool over = head.body == Body::kNone;
  if (over) end_response(nullptr);
  intake_.consume(scan.length);
  if (step_ == Step::kTunnel) core_.flush_later(*this);
  return true;
}

bool H1ClientSession::parse_body() {
  if (intake_.view().empty() || !exchange_->wants_response()) return false;
  core_.trailers.clear();
  const auto step = parser_.next_body(intake_.view(), core_.trailers);
  switch (step.kind) {
    case H1Parser::BodyStep::Kind::kNeedMore:
      intake_.consume(step.consumed);
      return false;
    case H1Parser::BodyStep::Kind::kBytes:
      exchange_->on_response_body(step.bytes);
      if (step_ == Step::kClosed) return false;
      intake_.consume(step.consumed);
      // A body with a length is over with its last byte, which nothing may follow for a long time.
      if (parser_.complete()) end_response(nullptr);
      return true;
    case H1Parser::BodyStep::Kind::kEnd:
      end_response(core_.trailers.empty() ? nullptr : &core_.trailers);
      intake_.consume(step.consumed);
      return true;
    case H1Parser::BodyStep::Kind::kError:
      fail(observe::Flag::kDestinationProtocolError, step.error.details, 502);
      return false;
  }
  return false;
}

Exchange* H1ClientSession::let_go() {
  core_.pool->stream_over(entry_);
  return std::exchange(exchange_, nullptr);
}

void H1ClientSession::end_response(const Fields* trailers) {
  Exchange* const exchange = let_go();
  // An answer before the request was through leaves bytes of it on the way: the connection cannot be used
  // again.
  const bool keep = reusable_ && request_sent_ && !outlet_.dead() && step_ != Step::kTunnel;
  if (keep) enter(Step::kIdle);
  exchange->on_response_end(trailers);
  if (!keep) return close();
  idle_since_ = core_.loop.turn_time();
  core_.pool->released(*this);
}

void H1ClientSession::input_ended(const base::Io& io) {
  if (step_ == Step::kIdle) return close();
  if (step_ == Step::kTunnel && io.kind == base::Io::Kind::kEnd && !outlet_.dead()) {
    // Half-close: the other direction goes on until the source ends it.
    if (std::exchange(reusable_, false)) exchange_->on_response_end(nullptr);
    return;
  }
  if (step_ == Step::kBody && io.kind == base::Io::Kind::kEnd && parser_.finish())
    return end_response(nullptr);
  fail(observe::Flag::kDestinationClosed,
       step_ == Step::kHead ? "upstream_reset_before_response_started"
                            : "upstream_reset_after_response_started",
       503);
}

void H1ClientSession::fail(observe::Flag flag, std::string_view details, uint16_t status) {
  if (flag == observe::Flag::kDestinationProtocolError) ++core_.counters().http_destination_protocol_errors;
  const Failure failure{.flag = flag,
                        .details = details,
                        .transport = {},
                        .status = status,
                        .untouched = outlet_.written() == written_before_,
                        .reused = requests_ > 1};
  Exchange* const exchange = let_go();
  close();
  exchange->on_destination_failed(failure);
}

void H1ClientSession::cancel() {
  const bool tunnel = step_ == Step::kTunnel;
  static_cast<void>(let_go());
  if (!tunnel || !request_sent_ || outlet_.empty() || outlet_.dead()) return close();
  enter(Step::kClosing);
  core_.flush_later(*this);
}

void H1ClientSession::close() {
  if (step_ == Step::kClosed) return;
  enter(Step::kClosed);
  core_.forget(*this);
  core_.pool->closed(*this);
}

}  // namespace weft::http
