#include "userspace-proxy/http/pool.h"

#include <algorithm>

#include "userspace-proxy/http/h1_client.h"
#include "userspace-proxy/http/h2_client.h"

namespace weft::http {
namespace {

constexpr base::Nanos kSweepEvery = base::Millis(5'000);

Failure failure_of(const base::Error& error) {
  Failure failure{.flag = observe::Flag::kConnectFailure,
                  .details = "upstream_reset_before_response_started"};
  failure.untouched = true;
  if (error.kind == base::ErrorKind::kLimit) {
    failure.flag = observe::Flag::kOverflow;
    failure.transport = "no socket in stock";
  } else if (error.kind == base::ErrorKind::kTimeout) {
    failure.transport = "connection timeout";
  } else if (error.kind == base::ErrorKind::kUntrusted) {
    failure.transport = "TLS error: the destination's identity was not proven";
  } else if (error.kind == base::ErrorKind::kRefused) {
    failure.transport = "refused by the destination's policy";
  } else {
    failure.transport = strerrordesc_np(error.sys_errno) != nullptr && error.sys_errno != 0
                            ? strerrordesc_np(error.sys_errno)
                            : "connection failed";
  }
  return failure;
}

}  // namespace

void Ticket::on_dialled(base::Result<std::unique_ptr<base::Transport>> outcome) {
  Turn turn(core_);
  if (outcome)
    core_.pool->dialled(*this, std::move(*outcome));
  else
    core_.pool->dial_failed(*this, outcome.error());
}

size_t Pool::Hash::operator()(const Target& target) const noexcept {
  size_t hash = std::hash<base::SocketAddress>{}(target.destination);
  hash = hash * 1'000'003 + std::hash<std::string_view>{}(target.pod);
  if (target.client) hash = hash * 1'000'003 + std::hash<base::SocketAddress>{}(*target.client);
  if (target.identity) hash = hash * 1'000'003 + std::hash<std::string_view>{}(target.identity->service_account);
  return hash * 2 + target.http2;
}

bool ClientSession::not_for_others() const {
  return transport_->ends_soon() || (entry_.target.identity && transport_->raw_fd() >= 0);
}

Pool::Pool(Core& core) : core_(core), sweeper_(core.loop.timers(), [this] { sweep(); }) {}

Pool::~Pool() = default;

PoolEntry& Pool::entry_of(const Target& target) {
  if (const auto found = entries_.find(target); found != entries_.end()) return *found->second;
  auto entry = std::make_unique<PoolEntry>();
  entry->pod = target.pod;
  entry->target = target;
  entry->target.pod = entry->pod;
  if (target.identity) {
    entry->ns = target.identity->ns;
    entry->service_account = target.identity->service_account;
    entry->target.identity = connect::PeerIdentity{entry->ns, entry->service_account};
  }
  PoolEntry& out = *entry;
  entries_.emplace(out.target, std::move(entry));
  return out;
}

void Pool::forget_if_unused(PoolEntry& entry) {
  if (!entry.sessions.empty() || !entry.tickets.empty() || entry.active > 0) return;
  const Target key = entry.target;
  entries_.erase(key);
}

uint32_t Pool::active(const Target& target) const {
  const auto found = entries_.find(target);
  return found == entries_.end() ? 0 : found->second->active;
}

Ticket* Pool::acquire(const Target& target, Exchange& exchange, bool fresh) {
  PoolEntry& entry = entry_of(target);
  ++entry.active;
  set_aside(entry);
  if (!fresh && !entry.idle.empty()) {
    H1ClientSession* const session = entry.idle.back();
    entry.idle.pop_back();
    session->assign(exchange);
    return nullptr;
  }
  if (!entry.shared.empty() && !fresh) {
    entry.shared.back()->open(exchange);
    return nullptr;
  }
  if (target.http2 && !entry.tickets.empty() &&
      entry.tickets.back()->waiters_.size() < core_.limits.h2_streams) {
    entry.tickets.back()->waiters_.push_back(&exchange);
    return entry.tickets.back().get();
  }
  if (entry.sessions.size() + entry.tickets.size() >= core_.limits.connections_per_destination) {
    ++core_.counters().http_pool_overflow;
    --entry.active;
    exchange.on_connect_failed({.flag = observe::Flag::kOverflow, .details = "overflow", .untouched = true});
    return nullptr;
  }
  Ticket& ticket = *entry.tickets.emplace_back(std::make_unique<Ticket>(core_, entry));
  ticket.waiters_.push_back(&exchange);
  const auto& key = entry.target;
  ticket.dial_ = core_.dialer.dial(
      {.pod = key.pod, .destination = key.destination, .client = key.client, .identity = key.identity, .origin = {}}, ticket);
  return &ticket;
}

// What ends soon is closed where it idles, and takes no further stream.
void Pool::set_aside(PoolEntry& entry) {
  while (!entry.idle.empty() && entry.idle.back()->not_for_others()) entry.idle.back()->close();
  std::erase_if(entry.shared, [](const H2ClientSession* session) { return session->not_for_others(); });
}

void Pool::cancel(Ticket& ticket, Exchange& exchange) {
  std::erase(ticket.waiters_, &exchange);
  PoolEntry& entry = ticket.entry_;
  --entry.active;
  if (!ticket.waiters_.empty()) return;
  ticket.dial_.reset();
  core_.loop.retire(take(ticket));
  forget_if_unused(entry);
}

std::unique_ptr<Ticket> Pool::take(Ticket& ticket) {
  auto& tickets = ticket.entry_.tickets;
  const auto found = std::ranges::find_if(tickets, [&](const auto& owned) { return owned.get() == &ticket; });
  auto out = std::move(*found);
  tickets.erase(found);
  return out;
}

void Pool::dial_failed(Ticket& ticket, const base::Error& error) {
  PoolEntry& entry = ticket.entry_;
  const auto failure = failure_of(error);
  const auto waiters = std::move(ticket.waiters_);
  core_.loop.retire(take(ticket));
  entry.active -= static_cast<uint32_t>(waiters.size());
  forget_if_unused(entry);
  for (Exchange* waiter : waiters) waiter->on_connect_failed(failure);
}

void Pool::dialled(Ticket& ticket, std::unique_ptr<base::Transport> transport) {
  PoolEntry& entry = ticket.entry_;
  std::unique_ptr<ClientSession> session;
  if (entry.target.http2)
    session = std::make_unique<H2ClientSession>(core_, entry, std::move(transport));
  else
    session = std::make_unique<H1ClientSession>(core_, entry, std::move(transport));
  if (const auto status = session->start(); !status) return dial_failed(ticket, status.error());

  session->place = entry.sessions.size();
  ClientSession* const raw = entry.sessions.emplace_back(std::move(session)).get();
  const auto waiters = std::move(ticket.waiters_);
  core_.loop.retire(take(ticket));
  if (!sweeper_.armed()) sweeper_.arm(kSweepEvery);
  if (!entry.target.http2) return static_cast<H1ClientSession*>(raw)->assign(*waiters.front());
  auto* const shared = static_cast<H2ClientSession*>(raw);
  if (!shared->not_for_others()) entry.shared.push_back(shared);
  for (Exchange* waiter : waiters) shared->open(*waiter);
}

void Pool::released(H1ClientSession& session) {
  PoolEntry& entry = session.entry();
  if (draining_ || session.not_for_others() || entry.idle.size() >= core_.limits.idle_per_destination)
    return session.close();
  entry.idle.push_back(&session);
}

void Pool::full(H2ClientSession& session) {
  std::erase(session.entry().shared, &session);
}

void Pool::available(H2ClientSession& session) {
  auto& shared = session.entry().shared;
  if (draining_ || session.not_for_others()) return;
  if (std::ranges::find(shared, &session) == shared.end()) shared.push_back(&session);
}

void Pool::stream_over(PoolEntry& entry) {
  --entry.active;
}

void Pool::closed(ClientSession& session) {
  PoolEntry& entry = session.entry();
  std::erase_if(entry.idle, [&](H1ClientSession* idle) { return idle == &session; });
  std::erase_if(entry.shared, [&](H2ClientSession* shared) { return shared == &session; });
  auto& sessions = entry.sessions;
  auto owned = std::move(sessions[session.place]);
  if (session.place + 1 != sessions.size()) {
    sessions[session.place] = std::move(sessions.back());
    sessions[session.place]->place = session.place;
  }
  sessions.pop_back();
  core_.loop.retire(std::move(owned));
  forget_if_unused(entry);
}

void Pool::sweep() {
  Turn turn(core_);
  const auto deadline = core_.loop.turn_time() - core_.limits.idle_destination;
  std::vector<ClientSession*> old;
  bool any = false;
  for (const auto& [target, entry] : entries_) {
    any |= !entry->sessions.empty();
    for (const auto& session : entry->sessions)
      if (session->unused() && (draining_ || session->idle_since() <= deadline)) old.push_back(session.get());
  }
  for (ClientSession* session : old) session->close();
  if (any) sweeper_.arm(kSweepEvery);
}

void Pool::drain() {
  draining_ = true;
  sweep();
}

}  // namespace weft::http
