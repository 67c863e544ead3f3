#include "userspace-proxy/listen/listeners.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cerrno>

namespace weft::listen {
namespace {

constexpr base::Nanos kPause = base::Millis(100);
constexpr int kKeepAliveSeconds = 180;

// Accepted sockets inherit these.
void set_options(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &kKeepAliveSeconds, sizeof kKeepAliveSeconds);
}

uint64_t cookie_of(int fd) {
  uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length);
  return cookie;
}

void reset_and_close(int fd) {
  const linger hard{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  ::close(fd);
}

}  // namespace

// One listening socket in one worker's epoll set.
class Listeners::Listener final : public base::Retirable, private base::IoHandler {
 public:
  Listener(Listeners& owner, model::ListenerKey key, base::Fd socket)
      : owner_(owner),
        key_(std::move(key)),
        socket_(std::move(socket)),
        timer_(owner.loop_.timers(), [this] { on_time(); }) {}
  ~Listener() override { unregister(); }

  base::Status register_now() {
    TRY(owner_.loop_.add(socket_.get(), EPOLLIN | EPOLLEXCLUSIVE, this));
    registered_ = true;
    return {};
  }
  [[nodiscard]] uint64_t cookie() const { return cookie_of(socket_.get()); }

  void begin_drain() {
    draining_ = true;
    timer_.arm(kDrain);
  }

 private:
  enum class Taken : uint8_t { kOne, kNone, kTrouble };

  void on_io(uint32_t) override { accept_some(kBatch); }

  void accept_some(int limit) {
    for (int i = 0; i < limit; ++i) {
      const Taken taken = accept_one();
      if (taken == Taken::kTrouble) pause();
      if (taken != Taken::kOne) return;
    }
  }

  Taken accept_one() {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    base::Fd accepted(::accept4(socket_.get(), reinterpret_cast<sockaddr*>(&address), &length,
                                SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!accepted) return failed(errno);
    ++owner_.counters_.connections_accepted;
    owner_.receiver_.on_accepted(key_, std::move(accepted), base::SocketAddress::from_sockaddr(address));
    return Taken::kOne;
  }

  Taken failed(int error) {
    if (error == EAGAIN) return Taken::kNone;
    if (error == ECONNABORTED || error == EINTR) return Taken::kOne;
    if (error == EMFILE || error == ENFILE) return owner_.shed(socket_.get()) ? Taken::kOne : Taken::kTrouble;
    ++owner_.counters_.accept_failed;
    return Taken::kTrouble;
  }

  // A listener that cannot accept stays readable: without a pause the worker would spin on it.
  void pause() {
    if (draining_) return;
    unregister();
    timer_.arm(kPause);
  }

  void on_time() {
    if (!draining_) {
      if (!register_now()) timer_.arm(kPause);
      return;
    }
    accept_some(INT32_MAX);
    auto self = owner_.draining_.extract(this);
    owner_.retire(std::move(self.mapped()));
  }

  void unregister() {
    if (registered_) owner_.loop_.remove(socket_.get(), this);
    registered_ = false;
  }

  Listeners& owner_;
  const model::ListenerKey key_;
  base::Fd socket_;
  base::Timer timer_;  // ends a pause or the drain
  bool registered_ = false;
  bool draining_ = false;
};

Listeners::Listeners(base::Loop& loop, observe::Counters& counters, Receiver& receiver)
    : loop_(loop), counters_(counters), receiver_(receiver), reserve_(eventfd(0, EFD_CLOEXEC)) {}

Listeners::~Listeners() = default;

base::Status Listeners::set(const model::ListenerKey& key, base::Fd socket) {
  const auto known = serving_.find(key);
  if (known != serving_.end() && known->second->cookie() == cookie_of(socket.get())) return {};
  set_options(socket.get());
  auto fresh = std::make_unique<Listener>(*this, key, std::move(socket));
  TRY(fresh->register_now());
  if (known == serving_.end()) {
    serving_.emplace(key, std::move(fresh));
    return {};
  }
  drain(std::exchange(known->second, std::move(fresh)));
  return {};
}

void Listeners::drain(std::unique_ptr<Listener> old) {
  old->begin_drain();
  Listener* const key = old.get();
  draining_.emplace(key, std::move(old));
}

void Listeners::remove(const model::ListenerKey& key) {
  const auto known = serving_.find(key);
  if (known == serving_.end()) return;
  drain(std::move(known->second));
  serving_.erase(known);
}

void Listeners::remove_pod(const model::PodKey& pod) {
  for (auto next = serving_.begin(); next != serving_.end();) {
    const auto current = next++;
    if (current->first.pod != pod) continue;
    retire(std::move(current->second));
    serving_.erase(current);
  }
}

void Listeners::close_all() {
  for (auto& [key, listener] : serving_) retire(std::move(listener));
  for (auto& [key, listener] : draining_) retire(std::move(listener));
  serving_.clear();
  draining_.clear();
}

void Listeners::retire(std::unique_ptr<Listener> listener) {
  loop_.retire(std::move(listener));
}

// Out of descriptors: a connection that is closed at once is better than one that hangs in the queue.
bool Listeners::shed(int listener_fd) {
  reserve_.reset();
  const int extra = ::accept4(listener_fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (extra >= 0) {
    ++counters_.accept_shed;
    reset_and_close(extra);
  }
  reserve_.reset(eventfd(0, EFD_CLOEXEC));
  return extra >= 0;
}

}  // namespace weft::listen
