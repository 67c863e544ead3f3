#include "userspace-proxy/worker/tunnel_attempt.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace weft::worker {
namespace {

// Between two questions at the HBONE port: each twice the one before, up to the longest.
constexpr base::Nanos kFirstPause = base::Millis(20), kLongestPause = base::Millis(320);

// How a dial fails where one of the two ends joins or leaves the mesh at this moment.
enum class Sign : uint8_t {
  kNone,         // it says nothing of the kind
  kNobodyThere,  // the HBONE port refused: capture has not begun there, or has ended
  kBroken,       // what had begun broke: the end of a listener or of our identity may look like that, and so does a fault
};

Sign sign_of(const base::Error& error) {
  if (error.kind == base::ErrorKind::kSystem)
    return error.sys_errno == ECONNREFUSED || error.sys_errno == ECONNRESET ? Sign::kNobodyThere : Sign::kNone;
  if (error.kind == base::ErrorKind::kInvalid) return Sign::kBroken;
  // A peer that has proven to be somebody else is nobody to ask again.
  return error.kind == base::ErrorKind::kUntrusted && error.side == base::Side::kSelf ? Sign::kBroken : Sign::kNone;
}

}  // namespace

Tunnels::Attempt::Attempt(Tunnels& owner, Plan plan, connect::DialHandler& handler)
    : owner_(owner),
      plan_(std::move(plan)),
      handler_(handler),
      timer_(owner.loop_.timers(), [this] { on_time_up(); }) {}

Tunnels::Attempt::~Attempt() {
  if (waiting_) owner_.waits_.leave(plan_.own, *this);
  owner_.loop_.forget(this);
}

void Tunnels::Attempt::begin() {
  step_ = Step::kCredential;
  if (owner_.waits_.have(plan_.own)) return open_tunnel();
  ++owner_.counters_.identity_waits;
  waiting_ = owner_.waits_.join(plan_.own, *this);
  if (!waiting_) return fail_soon("too many connections wait for certificates");
  timer_.arm(CredentialWaits::kPatience);
}

void Tunnels::Attempt::fail_soon(std::string why) {
  ++owner_.counters_.tls_no_identity;
  failure_ = std::move(why);
  owner_.loop_.again(this);
}

void Tunnels::Attempt::open_tunnel() {
  step_ = Step::kTunnel;
  const std::array accepted = {plan_.accepted};
  const std::string authority = plan_.destination.to_string();
  dial_ = owner_.tunnels_.dial({.pod = plan_.pod,
                                .source = plan_.own,
                                .destination = {plan_.destination.address, hbone::kPort},
                                .accepted = accepted,
                                .authority = authority,
                                .baggage = plan_.baggage,
                                .forwarded = plan_.forwarded,
                                .traceparent = plan_.traceparent},
                               *this);
}

void Tunnels::Attempt::go_plain() {
  step_ = Step::kPlain;
  ++owner_.counters_.tunnels_left;
  dial_ = owner_.plain_.dial({.pod = plan_.pod, .destination = plan_.destination}, *this);
}

void Tunnels::Attempt::on_dialled(base::Result<std::unique_ptr<base::Transport>> outcome) {
  dial_.reset();
  if (!outcome && goes_on(outcome.error())) return;
  handler_.on_dialled(std::move(outcome));  // this may be gone now
}

bool Tunnels::Attempt::goes_on(const base::Error& error) {
  const Sign sign = sign_of(error);
  if (step_ != Step::kTunnel || sign == Sign::kNone) return false;
  const Way now = way();
  if (now == Way::kPlain) return go_plain(), true;
  const auto& loop = owner_.loop_;
  if (pause_ == base::Nanos{}) give_up_ = loop.clock().now() + kMoveTime;
  // What broke may be a fault: a second time is enough to tell.
  const bool once_more = sign == Sign::kNobodyThere || !std::exchange(broken_, true);
  if (now == Way::kNone || !once_more || loop.clock().now() >= give_up_) return false;
  if (pause_ == base::Nanos{}) ++owner_.counters_.tunnel_waits;
  pause_ = std::clamp(pause_ * 2, kFirstPause, kLongestPause);
  step_ = Step::kPausing;
  timer_.arm(pause_);
  return true;
}

void Tunnels::Attempt::on_time_up() {
  if (step_ == Step::kCredential) return on_credential("it did not come in time");
  if (step_ != Step::kPausing) return;
  const Way now = way();
  if (now == Way::kPlain) return go_plain();
  if (now == Way::kTunnel) return begin();  // a certificate that was withdrawn meanwhile may be on its way again
  handler_.on_dialled(base::fail(base::ErrorKind::kClosed, "connect " + plan_.destination.to_string() +
                                                              ": it or its caller is not there any more",
                                 base::Side::kDestination));
}

void Tunnels::Attempt::on_credential(const std::string& why) {
  if (std::exchange(waiting_, false)) owner_.waits_.leave(plan_.own, *this);
  timer_.cancel();
  if (why.empty()) return open_tunnel();
  if (way() == Way::kPlain) return go_plain();
  ++owner_.counters_.tls_no_identity;
  handler_.on_dialled(std::unexpected(no_identity(why)));
}

void Tunnels::Attempt::on_io(uint32_t) { handler_.on_dialled(std::unexpected(no_identity(failure_))); }

base::Error Tunnels::Attempt::no_identity(std::string_view why) const {
  return {.kind = base::ErrorKind::kUntrusted,
          .side = base::Side::kSelf,
          .what = fmt::format("no certificate for {}: {}", plan_.own.to_string(), why)};
}

}  // namespace weft::worker
