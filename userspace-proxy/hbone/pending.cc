#include "userspace-proxy/hbone/pending.h"

#include <cerrno>

#include "userspace-proxy/hbone/entry.h"

namespace weft::hbone {

// ErrorKind has no word for some of these: a number of errno beside kInvalid and kTimeout tells them apart.
base::Error error_of(observe::Flag flag, std::string what) {
  using base::ErrorKind;
  const auto make = [&](ErrorKind kind, int sys_errno) {
    return base::Error{kind, flag == observe::Flag::kOverflow ? base::Side::kSelf : base::Side::kDestination,
                       sys_errno, std::move(what)};
  };
  switch (flag) {
    case observe::Flag::kIdentityError:
      return make(ErrorKind::kUntrusted, 0);
    case observe::Flag::kTlsFailure:
      return make(ErrorKind::kInvalid, EPROTO);
    case observe::Flag::kHandshakeFailure:
      return make(ErrorKind::kInvalid, EBADMSG);
    case observe::Flag::kNetworkPolicy:
      return make(ErrorKind::kTimeout, ETIMEDOUT);
    case observe::Flag::kDeny:
      return make(ErrorKind::kRefused, 0);
    case observe::Flag::kOverflow:
      return make(ErrorKind::kLimit, 0);
    default:
      return make(ErrorKind::kClosed, ECONNRESET);
  }
}

observe::Flag flag_of(const base::Error& error) {
  switch (error.kind) {
    case base::ErrorKind::kUntrusted:
      return observe::Flag::kIdentityError;
    case base::ErrorKind::kInvalid:
      return error.sys_errno == EBADMSG ? observe::Flag::kHandshakeFailure : observe::Flag::kTlsFailure;
    case base::ErrorKind::kTimeout:
      return error.sys_errno == ETIMEDOUT ? observe::Flag::kNetworkPolicy : observe::Flag::kConnect;
    case base::ErrorKind::kRefused:
      return observe::Flag::kDeny;
    case base::ErrorKind::kLimit:
      return observe::Flag::kOverflow;
    default:
      return observe::Flag::kConnect;
  }
}

TunnelDialer::Pending::Pending(Entry& entry, const TunnelTarget& target, connect::DialHandler& handler)
    : entry_(entry),
      handler_(handler),
      authority_(target.authority),
      baggage_(target.baggage),
      forwarded_(target.forwarded),
      traceparent_(target.traceparent),
      timer_(entry.engine.loop.timers(), [this] {
        fail({base::ErrorKind::kTimeout, base::Side::kDestination, 0,
              "no answer to CONNECT " + authority_ + " from " + entry_.destination.to_string()});
      }) {
  ++entry_.pendings;
}

TunnelDialer::Pending::~Pending() {
  if (list != nullptr) list->erase(place);
  stream_.reset();
  entry_.pending_gone();
}

bool TunnelDialer::Pending::ask(Session& session) {
  stream_ = session.open(
      {.authority = authority_, .baggage = baggage_, .forwarded = forwarded_, .traceparent = traceparent_}, *this);
  if (!stream_) return false;
  step_ = Step::kAsked;
  timer_.arm(entry_.engine.limits.answer);
  return true;
}

void TunnelDialer::Pending::on_head(Stream& stream) {
  const uint16_t status = stream.head().status;
  if (status != 200) return refused(status);
  ++entry_.engine.counters.hbone_streams_opened;
  stream.begin_data();
  finish(std::move(stream_));
}

void TunnelDialer::Pending::refused(uint16_t status) {
  ++entry_.engine.counters.hbone_refused_by_peer;
  fail(error_of(status == 401 ? observe::Flag::kDeny : observe::Flag::kConnect,
                entry_.destination.to_string() + " answered CONNECT " + authority_ + " with " +
                    std::to_string(status)));
}

// A request nobody has acted on is sent again: the tunnel was being closed by the other side, or had died unseen.
void TunnelDialer::Pending::on_gone(Stream&, uint32_t error_code) {
  const bool untouched = error_code == NGHTTP2_REFUSED_STREAM || error_code == kTunnelLost;
  if (!untouched || retries_-- == 0)
    return fail(error_of(observe::Flag::kConnect, "CONNECT " + authority_ + " was reset by " +
                                                      entry_.destination.to_string()));
  stream_.reset();
  step_ = Step::kWaiting;
  timer_.cancel();
  entry_.add(*this);
}

void TunnelDialer::Pending::fail(base::Error error) {
  finish(std::unexpected(std::move(error)));
}

void TunnelDialer::Pending::finish(base::Result<std::unique_ptr<base::Transport>> outcome) {
  if (step_ == Step::kDone) return;
  step_ = Step::kDone;
  timer_.cancel();
  if (list != nullptr) list->erase(place);
  list = nullptr;
  if (!outcome && stream_) stream_.reset();
  handler_.on_dialled(std::move(outcome));  // this may be gone now
}

}  // namespace weft::hbone
