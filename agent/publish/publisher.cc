#include "agent/publish/publisher.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <ranges>
#include <utility>

#include "agent/publish/proxy_link.h"
#include "userspace-proxy/base/log.h"
#include "userspace-proxy/base/seqpacket.h"
#include "userspace-proxy/model/codec.h"

namespace weft::publish {
namespace {

constexpr size_t kMaxProxies = 8;  // one serves, one drains; more only while something crashes in a circle

}  // namespace

Publisher::Publisher(base::Loop& loop, PublisherEvents& events, PublisherOptions options)
    : loop_(loop), events_(events), options_(std::move(options)) {}

Publisher::~Publisher() {
  if (socket_) loop_.remove(socket_.get(), this);
}

base::Status Publisher::listen() {
  TRY_ASSIGN(base::Fd socket, base::listen_seqpacket(options_.socket_path, options_.socket_mode));
  if (chown(options_.socket_path.c_str(), static_cast<uid_t>(-1), options_.socket_group) != 0)
    return base::fail_errno("chown " + options_.socket_path);
  TRY(loop_.add(socket.get(), EPOLLIN, this));
  socket_ = std::move(socket);
  return {};
}

bool Publisher::is_allowed(int socket, pid_t* pid) const {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
  *pid = peer.pid;
  return peer.uid == geteuid() ||
         std::ranges::find(options_.allowed_users, peer.uid) != options_.allowed_users.end();
}

void Publisher::on_io(uint32_t) {
  base::Fd socket(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) return;
  pid_t pid = 0;
  if (!is_allowed(socket.get(), &pid) || links_.size() >= kMaxProxies) {
    ++counts_.proxies_refused;
    update_status();
    spdlog::warn("publish: refused a connection from pid {}: wrong user, or too many proxies", pid);
    return;
  }
  ++counts_.proxies_accepted;
  const ProxyId id = ++last_id_;
  auto link = std::make_unique<ProxyLink>(*this, loop_, std::move(socket), ProxyStatus{.id = id, .pid = pid});
  if (!link->start()) return;
  links_.emplace(id, std::move(link));
}

void Publisher::greet(ProxyLink& link) {
  const ProxyStatus& status = link.status();
  spdlog::info("publish: proxy {} (pid {}, version {}, {} workers) connected", status.id, status.pid,
               status.version, status.workers);
  if (snapshot_memory_) link.offer(version_, snapshot_bytes_, snapshot_memory_);
  link.send(settings_);
  if (bundle_memory_) link.send(bundle_, {bundle_memory_});
  for (const auto& [key, socket] : listeners_) link.send(model::ListenerOffer{key}, {socket});
  if (synced_) link.send(model::Synced{});
  update_status();
  events_.on_proxy_ready(status.id);
  if (certificates_ != nullptr) certificates_->on_keyless_proxy(status.id);
}

void Publisher::forget(ProxyLink& link) {
  const ProxyId id = link.status().id;
  const bool was_ready = link.ready();
  auto node = links_.extract(id);
  loop_.retire(std::move(node.mapped()));
  ++counts_.proxies_lost;
  update_status();
  if (!was_ready) return;
  events_.on_proxy_gone(id);
  if (certificates_ != nullptr) certificates_->on_lost_proxy(id);
}

ProxyLink* Publisher::newest() const {
  for (const auto& [id, link] : links_ | std::views::reverse)
    if (link->ready()) return link.get();
  return nullptr;
}

void Publisher::post(std::function<void()> task) {
  loop_.post([this, task = std::move(task)] {
    task();
    base::MutexLock lock(mutex_);
    counters_ = counts_;
  });
}

void Publisher::publish(model::SnapshotPtr snapshot) {
  {
    base::MutexLock lock(mutex_);
    waiting_ = std::move(snapshot);
  }
  post([this] { offer_newest(); });
}

void Publisher::offer_newest() {
  model::SnapshotPtr snapshot;
  {
    base::MutexLock lock(mutex_);
    snapshot = std::exchange(waiting_, nullptr);
  }
  if (!snapshot) return;  // an earlier turn took it along
  const std::string bytes = model::encode(*snapshot);
  auto memory = base::seal_memory("weft-snapshot", bytes);
  if (!memory) {
    ++counts_.snapshots_unsendable;
    update_status();
    spdlog::error("publish: snapshot {}: {}", snapshot->version, base::describe(memory.error()));
    return;
  }
  version_ = snapshot->version;
  snapshot_bytes_ = bytes.size();
  snapshot_memory_ = std::make_shared<const base::Fd>(std::move(*memory));
  for (auto& [id, link] : links_)
    if (link->ready()) link->offer(version_, snapshot_bytes_, snapshot_memory_);
  update_status();
}

void Publisher::set_settings(const model::LiveSettings& settings) {
  post([this, settings] {
    settings_ = settings;
    for (auto& [id, link] : links_)
      if (link->ready()) link->send(settings);
  });
}

void Publisher::add_listener(const model::ListenerKey& key, SharedFd socket) {
  post([this, key, socket = std::move(socket)] {
    listeners_[key] = socket;
    for (auto& [id, link] : links_)
      if (link->ready()) link->send(model::ListenerOffer{key}, {socket});
  });
}

void Publisher::remove_listener(const model::ListenerKey& key) {
  post([this, key] {
    listeners_.erase(key);
    for (auto& [id, link] : links_)
      if (link->ready()) link->send(model::ListenerGone{key});
  });
}

void Publisher::remove_pod(const model::PodKey& pod) {
  post([this, pod] {
    std::erase_if(listeners_, [&](const auto& entry) { return entry.first.pod == pod; });
    for (auto& [id, link] : links_)
      if (link->ready()) link->send(model::PodGone{pod});
  });
}

void Publisher::add_stock(const model::StockKey& key, std::vector<base::Fd> sockets) {
  std::vector<SharedFd> shared;
  for (auto& socket : sockets) shared.push_back(std::make_shared<const base::Fd>(std::move(socket)));
  post([this, key, shared = std::move(shared)] {
    ProxyLink* link = newest();
    if (link == nullptr) {
      counts_.stock_sockets_unwanted += shared.size();
      return;
    }
    counts_.stock_sockets_sent += shared.size();
    for (size_t start = 0; start < shared.size(); start += model::kMaxPacketFds) {
      const size_t count = std::min(model::kMaxPacketFds, shared.size() - start);
      const auto first = shared.begin() + static_cast<ptrdiff_t>(start);
      link->send(model::StockOffer{key}, {first, first + static_cast<ptrdiff_t>(count)});
    }
  });
}

void Publisher::set_stock_target(const model::StockKey& key, uint32_t keep) {
  post([this, key, keep] {
    if (ProxyLink* link = newest()) link->send(model::StockTarget{key, keep});
  });
}

void Publisher::mark_synced() {
  post([this] {
    if (std::exchange(synced_, true)) return;
    for (auto& [id, link] : links_)
      if (link->ready()) link->send(model::Synced{});
  });
}

void Publisher::update_status() {
  std::vector<ProxyStatus> status;
  for (const auto& [id, link] : links_)
    if (link->ready()) status.push_back(link->status());
  base::MutexLock lock(mutex_);
  status_ = std::move(status);
  counters_ = counts_;
}

std::vector<ProxyStatus> Publisher::proxies() const {
  base::MutexLock lock(mutex_);
  return status_;
}

PublisherCounters Publisher::counters() const {
  base::MutexLock lock(mutex_);
  return counters_;
}

}  // namespace weft::publish
