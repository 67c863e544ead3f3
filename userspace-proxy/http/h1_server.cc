#include "userspace-proxy/http/h1_server.h"

#include <algorithm>

#include "userspace-proxy/http/h1_turn.h"

namespace weft::http {
namespace {

//   kHead ──> kBody ──> kReply ──> kHead (next request)
//     │         │         ├─101──> kTunnel ──> kClosing ──> kClosed
//     │         │         └─close──────────────^
//     │         └─ early answer ─┬─ little is left ──> kDiscard ──> kHead
//     │                          └──> kLinger ──> kClosed
//     └─ no body ──> kReply       every step ──> kClosed
using Step = H1ServerSession::Step;
constexpr uint8_t bit(Step step) {
  return static_cast<uint8_t>(1u << static_cast<unsigned>(step));
}
constexpr uint8_t bits(std::initializer_list<Step> steps) {
  uint8_t out = bit(Step::kClosed);
  for (const Step step : steps) out |= bit(step);
  return out;
}
constexpr uint8_t kNext[] = {
    /* kHead    */ bits({Step::kBody, Step::kReply, Step::kClosing}),
    /* kBody    */ bits({Step::kReply, Step::kDiscard, Step::kLinger}),
    /* kReply   */ bits({Step::kHead, Step::kTunnel, Step::kClosing, Step::kLinger}),
    /* kTunnel  */ bits({Step::kClosing}),
    /* kDiscard */ bits({Step::kHead, Step::kClosing}),
    /* kClosing */ bits({Step::kLinger}),
    /* kLinger  */ bits({}),
    /* kClosed  */ 0,
};

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr size_t kReadAhead = 16 * 1024;  // of a client that does not wait for its answer
constexpr size_t kMaxDiscard = 64 * 1024;
constexpr base::Nanos kCheckTimeEvery = base::Millis(15'000);

}  // namespace

H1ServerSession::H1ServerSession(Core& core, ServerHost& host)
    : core_(core),
      host_(host),
      exchange_(core),
      parser_(H1Parser::Type::kRequest, core.limits, core.lines),
      intake_(core.queue_blocks, core.read_block),
      outlet_(core.queue_blocks),
      timer_(core.loop.timers(), [this] { check_time(); }),
      since_(core.loop.turn_time()) {
  timer_.arm(kCheckTimeEvery);
}

void H1ServerSession::enter(Step next) {
  CHECK((kNext[static_cast<size_t>(step_)] & bit(next)) != 0);
  step_ = next;
}

bool H1ServerSession::wants_read() const {
  switch (step_) {
    case Step::kHead:
    case Step::kDiscard:
    case Step::kLinger:
      return true;
    case Step::kBody:
      return exchange_.wants_request_body();
    case Step::kTunnel:
      return exchange_.wants_request_body();
    // Only to learn that the client went away; what it sends ahead waits.
    case Step::kReply:
      return intake_.view().size() < kReadAhead;
    case Step::kClosing:
    case Step::kClosed:
      return false;
  }
  return false;
}

void H1ServerSession::work() {
  take_turn(*this, core_, host_.transport());
}

bool H1ServerSession::parse() {
  switch (step_) {
    case Step::kHead:
      return parse_head();
    case Step::kBody:
    case Step::kTunnel:
      return parse_body();
    case Step::kDiscard:
      return discard();
    case Step::kLinger:
      intake_.clear();
      return false;
    case Step::kReply:
    case Step::kClosing:
    case Step::kClosed:
      return false;
  }
  return false;
}

bool H1ServerSession::is_preface() {
  const auto view = intake_.view();
  if (!kPreface.starts_with(view.substr(0, kPreface.size()))) return false;
  if (view.size() >= kPreface.size()) {
    step_ = Step::kClosed;  // of this session; the connection lives on
    timer_.cancel();
    core_.forget(*this);
    host_.switch_to_http2(view);
  }
  return true;
}

bool H1ServerSession::parse_head() {
  // Empty lines before a request are what some old clients send behind a body (RFC 9112 2.2).
  while (intake_.view().starts_with("\r\n")) intake_.consume(2);
  if (intake_.view().empty()) return false;
  if (first_ && is_preface()) return false;
  const auto scan = parser_.scan(intake_.view());
  if (scan.kind == HeadScan::Kind::kError) {
    refuse(scan.error);
    return true;
  }
  if (scan.kind == HeadScan::Kind::kNeedMore) {
    if (!std::exchange(head_begun_, true)) since_ = core_.loop.turn_time();
    return false;
  }
  head_begun_ = false;
  const auto bytes = exchange_.arena().copy(intake_.view().substr(0, scan.length));
  intake_.consume(scan.length);
  begin(bytes);
  return true;
}

void H1ServerSession::begin(std::string_view bytes) {
  first_ = false;
  RequestHead& head = exchange_.request();
  if (const auto error = parser_.read_request(bytes, head)) return refuse(error);
  version_ = head.version;
  keep_alive_ = head.keep_alive;
  head_request_ = head.method == "HEAD";
  expects_continue_ = head.expect_continue;
  body_left_ = head.body == Body::kChunked ? UINT64_MAX : head.content_length;
  enter(head.body == Body::kNone ? Step::kReply : Step::kBody);
  exchange_.begin(*this, host_.plan());
}

void H1ServerSession::refuse(const H1Error& error) {
  ++core_.counters().http_bad_requests;
  // Where this message ends is not known, so neither is where another would begin.
  keep_alive_ = false;
  first_ = false;
  expects_continue_ = head_request_ = false;
  version_ = Version::kHttp11;
  enter(Step::kReply);
  exchange_.refuse(*this, host_.plan(), error.status, error.details);
}

bool H1ServerSession::parse_body() {
  if (!exchange_.wants_request_body()) return false;
  const auto view = intake_.view();
  if (view.empty()) return false;
  if (step_ == Step::kTunnel) {
    exchange_.on_request_body(view);
    intake_.consume(view.size());
    return true;
  }
  core_.trailers.clear();
  const auto step = parser_.next_body(view, core_.trailers);
  switch (step.kind) {
    case H1Parser::BodyStep::Kind::kNeedMore:
      intake_.consume(step.consumed);
      return false;
    case H1Parser::BodyStep::Kind::kBytes:
      expects_continue_ = false;
      exchange_.on_request_body(step.bytes);
      intake_.consume(step.consumed);
      if (body_left_ != UINT64_MAX) body_left_ -= step.bytes.size();
      if (!parser_.complete()) return true;
      enter(Step::kReply);
      exchange_.on_request_end(nullptr);
      return true;
    case H1Parser::BodyStep::Kind::kEnd:
      enter(Step::kReply);
      exchange_.on_request_end(core_.trailers.empty() ? nullptr : &core_.trailers);
      intake_.consume(step.consumed);
      return true;
    case H1Parser::BodyStep::Kind::kError:
      ++core_.counters().http_bad_requests;
      keep_alive_ = false;
      body_left_ = UINT64_MAX;
      exchange_.on_request_malformed(step.error.details);
      return true;
  }
  return false;
}

bool H1ServerSession::discardable() const {
  return body_left_ <= kMaxDiscard && !expects_continue_;
}

bool H1ServerSession::discard() {
  const size_t size = std::min<uint64_t>(body_left_, intake_.view().size());
  body_left_ -= size;
  intake_.consume(size);
  if (body_left_ == 0) next_request();
  return size > 0;
}

void H1ServerSession::send_informational(const ResponseHead& head) {
  if (version_ == Version::kHttp10) return;  // it knows no such thing
  if (head.status == 100) expects_continue_ = false;
  write_response_head(outlet_.queue(), head, {}, {});
  core_.flush_later(*this);
}

void H1ServerSession::send_head(const ResponseHead& head, std::span<const Extra> extras) {
  H1Outgoing how{.http10 = version_ == Version::kHttp10};
  const bool has_length = find(head.fields, Known::kContentLength) != nullptr;
  chunked_ = false;
  if (head.body == Body::kTunnel) {
    enter(Step::kTunnel);
    how.body = Body::kTunnel;
    how.connection = "Upgrade";
    how.upgrade = "websocket";
  } else {
    const bool bodiless = head_request_ || head.status == 204 || head.status == 304;
    if (!bodiless && head.body != Body::kNone && head.body != Body::kLength) {
      chunked_ = !how.http10;
      how.body = chunked_ ? Body::kChunked : Body::kUntilClose;
      if (!chunked_) keep_alive_ = false;
    } else if (!bodiless && !has_length) {
      how.add_length = true;
      how.content_length = head.body == Body::kNone ? 0 : head.content_length;
    }
    if (draining_ || (step_ == Step::kBody && !discardable())) keep_alive_ = false;
    if (!keep_alive_)
      how.connection = "close";
    else if (how.http10)
      how.connection = "keep-alive";
  }
  write_response_head(outlet_.queue(), head, extras, how);
  core_.flush_later(*this);
}

void H1ServerSession::send_body(std::string_view bytes) {
  if (bytes.empty()) return;
  if (chunked_) {
    char block[20];
    outlet_.send(host_.transport(), chunk_line(bytes.size(), block), bytes, kCrlf);
  } else {
    outlet_.send(host_.transport(), {}, bytes, {});
  }
  core_.flush_later(*this);
}

void H1ServerSession::send_end(const Fields* trailers) {
  if (chunked_) write_last_chunk(outlet_.queue(), trailers);
  if (step_ == Step::kTunnel) response_ended_ = true;
  core_.flush_later(*this);
}

void H1ServerSession::exchange_over() {
  if (aborted_) {
    host_.transport().reset();
    return close();
  }
  if (step_ == Step::kReply && keep_alive_ && !draining_) return next_request();
  if (step_ == Step::kBody && keep_alive_ && !draining_) {
    enter(Step::kDiscard);
    since_ = core_.loop.turn_time();
    return core_.work_later(*this);
  }
  // With more of the request on its way, closing at once would reset the answer away.
  const bool linger = step_ == Step::kBody || (step_ == Step::kReply && !intake_.view().empty());
  enter(linger ? Step::kLinger : Step::kClosing);
  if (linger) timer_.arm(core_.limits.linger);
  core_.flush_later(*this);
}

void H1ServerSession::next_request() {
  enter(Step::kHead);
  since_ = core_.loop.turn_time();
  core_.work_later(*this);
}

void H1ServerSession::flush() {
  if (step_ == Step::kClosed) return;
  const bool done = outlet_.flush(host_.transport());
  // The client stopped reading; what it did to the connection shows on the read side.
  if (outlet_.dead()) return wants_read() ? core_.work_later(*this) : input_ended({base::Io::Kind::kError});
  if (!done) return;
  if (step_ == Step::kClosing) return close();
  if (step_ == Step::kLinger || (step_ == Step::kTunnel && response_ended_))
    host_.transport().shutdown_write();
}

void H1ServerSession::on_writable() {
  if (!outlet_.blocked() || step_ == Step::kClosed) return;
  outlet_.unblock();
  flush();
  if (step_ != Step::kClosed && !outlet_.blocked()) exchange_.on_source_writable();
}

void H1ServerSession::input_ended(const base::Io& io) {
  const bool clean = io.kind == base::Io::Kind::kEnd;
  if (step_ == Step::kTunnel && clean && !outlet_.dead()) {
    if (!exchange_.request_ended()) exchange_.on_request_end(nullptr);
    return;
  }
  if (step_ == Step::kClosing && clean) return;  // the answer is still on its way out
  exchange_.on_source_gone(observe::Flag::kSourceClosed, "downstream_remote_disconnect");
  close();
}

void H1ServerSession::drain(base::Nanos patience) {
  if (step_ == Step::kClosed) return;
  draining_ = true;
  if (step_ != Step::kHead || !intake_.view().empty()) return;
  if (patience <= base::Nanos(0)) return close();
  timer_.arm(patience);
}

void H1ServerSession::abort(observe::Flag flag) {
  if (step_ == Step::kClosed) return;
  exchange_.on_source_gone(flag, "local_reset");
  close();
}

void H1ServerSession::check_time() {
  Turn turn(core_);
  const auto waited = core_.loop.turn_time() - since_;
  const auto& limits = core_.limits;
  const auto over = [waited](base::Nanos limit) { return limit > base::Nanos(0) && waited >= limit; };
  if (step_ == Step::kLinger) return close();
  if (step_ == Step::kDiscard && over(limits.request_head)) return close();
  if (step_ == Step::kHead) {
    if (intake_.view().empty() && (draining_ || over(limits.idle_source))) return close();
    if (head_begun_ && over(limits.request_head)) return refuse({408, "request_header_timeout"});
  }
  timer_.arm(kCheckTimeEvery);
}

void H1ServerSession::close() {
  if (step_ == Step::kClosed) return;
  enter(Step::kClosed);
  timer_.cancel();
  core_.forget(*this);
  host_.session_over();
}

}  // namespace weft::http
