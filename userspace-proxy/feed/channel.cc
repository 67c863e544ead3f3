#include "userspace-proxy/feed/channel.h"

#include <sys/socket.h>

#include <algorithm>
#include <iterator>

#include "userspace-proxy/base/log.h"
#include "userspace-proxy/model/codec.h"

namespace weft::feed {
namespace {

constexpr size_t kMaxOutbox = 4096;  // an agent that reads nothing is as good as gone
constexpr int kPacketsPerTurn = 64;  // then the loop's other work has its turn

base::Error closed(std::string what) {
  return {.kind = base::ErrorKind::kClosed, .what = std::move(what)};
}

}  // namespace

Feed::Channel::Channel(base::Loop& loop, FeedEvents& events, FeedOptions options)
    : loop_(loop),
      events_(events),
      options_(std::move(options)),
      next_retry_(options_.first_retry),
      retry_(loop.timers(), [this] { connect(); }) {}

Feed::Channel::~Channel() {
  if (socket_) loop_.remove(socket_.get(), this);
}

void Feed::Channel::connect() {
  auto socket = base::connect_seqpacket(options_.socket_path);
  if (!socket || !loop_.add(socket->get(), EPOLLIN | EPOLLRDHUP, this)) {
    ++counters_.connection_failures;
    retry_later();
    return;
  }
  socket_ = std::move(*socket);
  want_write_ = false;
  next_retry_ = options_.first_retry;
  ++counters_.connections;
  spdlog::info("feed: connected to the agent at {}", options_.socket_path);
  send(model::Hello{.version = options_.version, .workers = options_.workers});
  events_.on_connected();
}

void Feed::Channel::retry_later() {
  retry_.arm(next_retry_);
  next_retry_ = std::min(next_retry_ * 2, options_.last_retry);
}

void Feed::Channel::disconnect(const base::Error& why) {
  ++counters_.disconnections;
  spdlog::warn("feed: lost the agent: {}", base::describe(why));
  loop_.remove(socket_.get(), this);
  socket_.reset();
  outbox_.clear();
  levels_.clear();
  named_listeners_.clear();
  named_pods_.clear();
  received_.clear();
  events_.on_disconnected(why);
  retry_later();
}

void Feed::Channel::on_io(uint32_t events) {
  base::Status status;
  if ((events & EPOLLOUT) != 0) status = write_some();
  if (status) status = read_some();
  if (!status) disconnect(status.error());
}

base::Status Feed::Channel::read_some() {
  base::Packet packet;
  for (int i = 0; i < kPacketsPerTurn; ++i) {
    const base::Io io =
        base::receive_packet(socket_.get(), model::kMaxPacketBytes, model::kMaxPacketFds, &packet);
    switch (io.kind) {
      case base::Io::Kind::kWouldBlock:
        return {};
      case base::Io::Kind::kEnd:
        return std::unexpected(closed("the agent closed the channel"));
      case base::Io::Kind::kError:
        if (io.sys_errno == EMSGSIZE) ++counters_.invalid_packets;
        return base::fail_errno(io.sys_errno, "receive from the agent");
      case base::Io::Kind::kBytes:
        break;
    }
    if (auto taken = take(std::move(packet)); !taken) {
      ++counters_.invalid_packets;
      return taken;
    }
  }
  return {};
}

void Feed::Channel::send(const model::ToAgent& message) {
  // Without a connection there is nobody to tell; the next connection begins with fresh counts.
  if (!socket_) return;
  outbox_.push_back(model::encode(message));
  flush();
}

void Feed::Channel::flush() {
  if (!socket_) return;
  const bool overflow = outbox_.size() > kMaxOutbox;
  // Callers stand in the middle of other work: end the connection through its next event, not here.
  if (overflow || (!want_write_ && !write_some())) shutdown(socket_.get(), SHUT_RDWR);
}

base::Status Feed::Channel::write_some() {
  while (!outbox_.empty() || !levels_.empty()) {
    if (outbox_.empty()) {
      outbox_.push_back(model::encode(levels_.begin()->second));
      levels_.erase(levels_.begin());
    }
    const base::Io io = base::send_packet(socket_.get(), outbox_.front());
    if (io.kind == base::Io::Kind::kError) return base::fail_errno(io.sys_errno, "send to the agent");
    if (io.kind == base::Io::Kind::kWouldBlock) break;
    outbox_.pop_front();
  }
  const bool waiting = !outbox_.empty() || !levels_.empty();
  if (waiting == want_write_) return {};
  want_write_ = waiting;
  return loop_.modify(socket_.get(), EPOLLIN | EPOLLRDHUP | (waiting ? uint32_t{EPOLLOUT} : 0u), this);
}

base::Status Feed::Channel::take(base::Packet packet) {
  TRY_ASSIGN(const model::ToProxy message, model::decode_to_proxy(packet.bytes, packet.fds.size()));
  return std::visit([&](const auto& one) { return take(one, packet.fds); }, message);
}

base::Status Feed::Channel::take(const model::SnapshotOffer& offer, std::vector<base::Fd>& fds) {
  TRY_ASSIGN(const base::SealedView view, base::SealedView::map(fds[0].get(), offer.bytes));
  auto snapshot = model::decode(view.bytes());
  if (!snapshot) {
    ++counters_.snapshots_refused;
    spdlog::error("feed: snapshot {} refused, the one before stays: {}", offer.version,
                  snapshot.error().what);
    send(model::Verdict{offer.version, snapshot.error().what});
    return {};
  }
  ++counters_.snapshots_taken;
  events_.on_snapshot(std::move(*snapshot));
  send(model::Verdict{offer.version, ""});
  return {};
}

base::Status Feed::Channel::take(const model::ListenerOffer& offer, std::vector<base::Fd>& fds) {
  ++counters_.listeners;
  pods_.insert(offer.key.pod);
  named_pods_.insert(offer.key.pod);
  listeners_.insert(offer.key);
  named_listeners_.insert(offer.key);
  events_.on_listener(offer.key, std::move(fds[0]));
  return {};
}

base::Status Feed::Channel::take(const model::ListenerGone& gone, std::vector<base::Fd>&) {
  named_listeners_.erase(gone.key);
  if (listeners_.erase(gone.key) > 0) events_.on_listener_gone(gone.key);
  return {};
}

base::Status Feed::Channel::take(const model::PodGone& gone, std::vector<base::Fd>&) {
  forget_pod(gone.pod);
  return {};
}

void Feed::Channel::forget_pod(const model::PodKey& pod) {
  const auto of_pod = [&](const model::ListenerKey& key) { return key.pod == pod; };
  std::erase_if(listeners_, of_pod);
  std::erase_if(named_listeners_, of_pod);
  std::erase_if(received_, [&](const auto& entry) { return entry.first.pod == pod; });
  named_pods_.erase(pod);
  if (pods_.erase(pod) > 0) events_.on_pod_gone(pod);
}

base::Status Feed::Channel::take(const model::StockOffer& offer, std::vector<base::Fd>& fds) {
  counters_.stock_sockets += fds.size();
  pods_.insert(offer.key.pod);
  named_pods_.insert(offer.key.pod);
  received_[offer.key] += static_cast<uint32_t>(fds.size());
  events_.on_stock(offer.key, std::move(fds));
  return {};
}

base::Status Feed::Channel::take(const model::StockTarget& target, std::vector<base::Fd>&) {
  events_.on_stock_target(target.key, target.keep);
  return {};
}

base::Status Feed::Channel::take(const model::LiveSettings& settings, std::vector<base::Fd>&) {
  events_.on_settings(settings);
  return {};
}

base::Status Feed::Channel::take(const model::Synced&, std::vector<base::Fd>&) {
  std::vector<model::PodKey> gone_pods;
  std::ranges::set_difference(pods_, named_pods_, std::back_inserter(gone_pods));
  for (const auto& pod : gone_pods) forget_pod(pod);
  std::vector<model::ListenerKey> gone_listeners;
  std::ranges::set_difference(listeners_, named_listeners_, std::back_inserter(gone_listeners));
  for (const auto& key : gone_listeners) {
    listeners_.erase(key);
    events_.on_listener_gone(key);
  }
  events_.on_synced();
  return {};
}

base::Status Feed::Channel::take(const model::KeyWanted& wanted, std::vector<base::Fd>&) {
  events_.on_key_wanted(wanted);
  return {};
}

base::Status Feed::Channel::take(const model::CertificateOffer& offer, std::vector<base::Fd>& fds) {
  TRY_ASSIGN(const base::SealedView view, base::SealedView::map(fds[0].get(), offer.bytes));
  events_.on_certificate(offer, view.bytes());
  return {};
}

base::Status Feed::Channel::take(const model::CertificateFailed& failed, std::vector<base::Fd>&) {
  events_.on_certificate_failed(failed);
  return {};
}

base::Status Feed::Channel::take(const model::IdentityGone& gone, std::vector<base::Fd>&) {
  events_.on_identity_gone(gone.identity);
  return {};
}

base::Status Feed::Channel::take(const model::TrustBundleOffer& offer, std::vector<base::Fd>& fds) {
  TRY_ASSIGN(const base::SealedView view, base::SealedView::map(fds[0].get(), offer.bytes));
  events_.on_trust_bundle(offer.generation, view.bytes());
  return {};
}

void Feed::Channel::report_stock(const model::StockKey& key, uint32_t level, uint64_t taken) {
  if (!socket_) return;  // the next connection begins with fresh counts
  const auto it = received_.find(key);
  // One waiting report a key: a newer level replaces it, what was taken adds up.
  model::StockLevel& report = levels_[key];
  report.key = key;
  report.level = level;
  report.received = it == received_.end() ? 0 : it->second;
  report.taken += taken;
  flush();
}

}  // namespace weft::feed
