#include "userspace-proxy/hbone/entry.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>

#include "userspace-proxy/hbone/pending.h"

namespace weft::hbone {
namespace {

// Between attempts to give a busy tunnel company: dials do not depend on it.
constexpr base::Nanos kCompanyPause = base::Millis(2'000);

// Keep-alive finds a dead peer under an idle socket, the user timeout one under bytes that nobody acknowledges.
void prepare_socket(int fd, base::Nanos user_timeout) {
  if (fd < 0) return;
  const auto set = [fd](int level, int name, int value) { setsockopt(fd, level, name, &value, sizeof value); };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 180);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 180);
  set(IPPROTO_TCP, TCP_KEEPCNT, 9);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(user_timeout / base::Millis(1)));
}

}  // namespace

// ---- one handshake

TunnelDialer::Opening::Opening(Entry& entry)
    : entry_(entry), timer_(entry.engine.loop.timers(), [this] { on_time_up(); }) {}

void TunnelDialer::Opening::begin() {
  dial_ = entry_.dialer.tcp_.dial({.pod = entry_.pod, .destination = entry_.destination, .client = {}}, *this);
}

void TunnelDialer::Opening::on_dialled(base::Result<std::unique_ptr<base::Transport>> outcome) {
  if (step_ != Step::kDialling) return;
  auto& engine = entry_.engine;
  if (!outcome) {
    auto error = std::move(outcome.error());
    // connect gives kLimit when there is no socket, kTimeout with ETIMEDOUT when nobody answers.
    if (error.kind == base::ErrorKind::kTimeout)
      error.what += " (no answer from the HBONE port: a NetworkPolicy may block it)";
    return fail(std::move(error));
  }
  prepare_socket((*outcome)->raw_fd(), engine.limits.user_timeout);
  step_ = Step::kSecuring;
  deadline_ = engine.loop.clock().now() + engine.limits.begin;
  timer_.arm(engine.limits.begin);
  securing_ = entry_.dialer.securer_.secure(std::move(*outcome), entry_.destination.to_string(), entry_.source,
                                              entry_.accepted, *this);
}

void TunnelDialer::Opening::on_secured(base::Result<Secured> outcome) {
  if (step_ != Step::kSecuring) return;
  auto& engine = entry_.engine;
  const auto name = entry_.destination.to_string();
  if (!outcome) {
    const bool untrusted = outcome.error().kind == base::ErrorKind::kUntrusted;
    return fail(error_of(untrusted ? observe::Flag::kIdentityError : observe::Flag::kTlsFailure,
                         "TLS with " + name + ": " + base::describe(outcome.error())));
  }
  step_ = Step::kSettings;
  timer_.cancel();
  proof_ = std::move(outcome->proof);
  const auto left = std::max(deadline_ - engine.loop.clock().now(), base::Nanos(1));
  session_ = std::make_unique<Session>(engine, Role::kClient, std::move(outcome->transport),
                                       Session::Times{.begin_within = left, .max_age = outcome->max_age},
                                       entry_.session_owner());
  session_->charge_to(entry_.destination.address);
  session_->start();
}

void TunnelDialer::Opening::on_time_up() {
  fail(error_of(observe::Flag::kTlsFailure, "TLS with " + entry_.destination.to_string() + " took too long"));
}

void TunnelDialer::Opening::fail(base::Error error) {
  entry_.opening_failed(error);
}

void TunnelDialer::Opening::stop() {
  step_ = Step::kDone;
  timer_.cancel();
  dial_.reset();
  securing_.reset();
  if (!session_) return;
  session_->abort();
  entry_.tunnels.push_back({std::move(session_), nullptr});  // it ends by itself
}

// ---- one key

TunnelDialer::Entry::Entry(TunnelDialer& its_dialer, std::string its_key, const TunnelTarget& target)
    : dialer(its_dialer),
      engine(its_dialer.engine_),
      key(std::move(its_key)),
      pod(target.pod),
      source(target.source),
      destination(target.destination),
      accepted(target.accepted.begin(), target.accepted.end()) {}

TunnelDialer::Entry::~Entry() {
  drop_opening();
  for (auto& tunnel : tunnels) {
    tunnel.session->leave();
    engine.loop.retire(std::move(tunnel.session));
  }
  engine.loop.forget(this);
}

void TunnelDialer::Entry::add(Pending& pending) {
  const bool full = waiting_.size() >= engine.limits.waiting_per_key;
  pending.list = full ? &turned_away_ : &waiting_;
  pending.place = pending.list->insert(pending.list->end(), &pending);
  if (full) return engine.loop.again(this);
  serve();
}

void TunnelDialer::Entry::pending_gone() {
  --pendings;
  forget_if_unused();
}

Session* TunnelDialer::Entry::best() const {
  Session* best = nullptr;
  for (const auto& tunnel : tunnels) {
    if (tunnel.session->room() == 0) continue;
    if (best == nullptr || tunnel.session->streams() < best->streams()) best = tunnel.session.get();
  }
  return best;
}

bool TunnelDialer::Entry::wants_more(const Session* best) const {
  if (opening_ || failure_) return false;
  if (best == nullptr) return !waiting_.empty();
  if (dialer.tunnels_ >= engine.limits.tunnels_total) return false;
  if (engine.loop.turn_time() < next_company_) return false;
  const auto usable = std::ranges::count_if(tunnels, [](const Tunnel& t) { return t.session->ready(); });
  const bool busy = best->streams() >= engine.limits.busy_streams || best->backlogged();
  return busy && static_cast<size_t>(usable) < engine.limits.tunnels_per_key;
}

void TunnelDialer::Entry::serve() {
  Session* session = best();
  while (!waiting_.empty() && session != nullptr) {
    Pending& first = *waiting_.front();
    waiting_.pop_front();
    first.list = nullptr;
    if (!first.ask(*session)) {
      first.list = &waiting_;
      first.place = waiting_.insert(waiting_.begin(), &first);
    }
    session = best();
  }
  if (wants_more(session)) open();
}

void TunnelDialer::Entry::open() {
  if (dialer.tunnels_ >= engine.limits.tunnels_total) {
    failure_ = error_of(observe::Flag::kOverflow, "too many tunnels in this worker");
    return engine.loop.again(this);
  }
  ++dialer.tunnels_;
  opening_ = std::make_unique<Opening>(*this);
  opening_->begin();
}

void TunnelDialer::Entry::on_io(uint32_t) {
  fail_all(turned_away_, error_of(observe::Flag::kOverflow, "too many dials wait for " + destination.to_string()));
  if (!failure_) return;
  const auto error = std::move(*failure_);
  failure_.reset();
  fail_all(waiting_, error);
}

void TunnelDialer::Entry::on_ready(Session& session) {
  if (!opening_ || !opening_->owns(session)) return;
  ++engine.counters.hbone_tunnels_opened;
  tunnels.push_back({opening_->take(), opening_->proof()});
  engine.loop.retire(std::move(opening_));
  serve();
}

void TunnelDialer::Entry::on_session_over(Session& session, SessionEnd end) {
  auto& loop = engine.loop;
  if (opening_ && opening_->owns(session)) {
    loop.retire(opening_->take());
    return opening_failed(unopened(end));
  }
  const auto found =
      std::ranges::find_if(tunnels, [&](const Tunnel& tunnel) { return tunnel.session.get() == &session; });
  CHECK(found != tunnels.end());
  loop.retire(std::move(found->session));
  tunnels.erase(found);
  --dialer.tunnels_;
  serve();
  forget_if_unused();
}

// Of a tunnel that ended before the peer's SETTINGS.
base::Error TunnelDialer::Entry::unopened(SessionEnd end) const {
  const auto name = destination.to_string();
  if (end == SessionEnd::kRefused)
    return error_of(observe::Flag::kTlsFailure,
                    "TLS with " + name + ": the peer refused with an alert, most likely our certificate");
  // A peer that closes without waiting for us may well have refused our certificate: its alert is lost then.
  const auto why = end == SessionEnd::kFinished || end == SessionEnd::kLost
                       ? "closed before its SETTINGS; it may not accept our certificate"
                       : name_of(end);
  return error_of(observe::Flag::kHandshakeFailure, "HTTP/2 with " + name + ": " + std::string(why));
}

void TunnelDialer::Entry::drop_opening() {
  if (!opening_) return;
  const size_t before = tunnels.size();
  opening_->stop();
  if (tunnels.size() == before) --dialer.tunnels_;  // else its session still counts
  engine.loop.retire(std::move(opening_));
}

void TunnelDialer::Entry::opening_failed(const base::Error& error) {
  drop_opening();
  // Others may still carry them: a second tunnel that cannot be had is nobody's failure.
  if (best() != nullptr) {
    next_company_ = engine.loop.turn_time() + kCompanyPause;
    return serve();
  }
  fail_all(waiting_, error);
}

// A handler may dial again or give other dials up.
void TunnelDialer::Entry::fail_all(std::list<Pending*>& list, const base::Error& error) {
  std::list<Pending*> failing;
  failing.swap(list);
  for (Pending* const pending : failing) pending->list = &failing;
  while (!failing.empty()) failing.front()->fail(error);
  forget_if_unused();
}

void TunnelDialer::Entry::let_go() {
  drop_opening();
  for (const auto& tunnel : tunnels) tunnel.session->drain();
  auto error = error_of(observe::Flag::kIdentityError, "there is no identity any more to connect with");
  error.side = base::Side::kSelf;
  fail_all(waiting_, error);
}

void TunnelDialer::Entry::restart_opening() {
  if (!opening_) return;
  drop_opening();
  open();
}

void TunnelDialer::Entry::forget_if_unused() {
  if (forgotten_ || pendings > 0 || opening_ || !tunnels.empty()) return;
  forgotten_ = true;
  dialer.forget(*this);
}

}  // namespace weft::hbone
