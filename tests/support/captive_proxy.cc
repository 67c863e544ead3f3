#include "tests/support/captive_proxy.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>

#include "userspace-proxy/base/address.h"

namespace weft::test {
namespace {

constexpr uint16_t kSelfTestPort = 15021;

std::string_view word_of(model::ListenerKind kind) {
  switch (kind) {
    case model::ListenerKind::kOutbound:
      return "outbound";
    case model::ListenerKind::kInbound:
      return "inbound";
    case model::ListenerKind::kAttested:
      return "attested";
    case model::ListenerKind::kRefuse:
      return "refuse";
    default:
      return "gateway";
  }
}

}  // namespace

// One accepted connection.
class CaptiveProxy::Guest final : public base::Retirable, private base::IoHandler {
 public:
  Guest(CaptiveProxy& owner, base::Fd socket)
      : owner_(owner), loop_(owner.loop_), socket_(std::move(socket)) {
    (void)loop_.add(socket_.get(), EPOLLIN, this);
  }
  ~Guest() override { loop_.remove(socket_.get(), this); }
  void say(const std::string& text) { (void)!::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL); }

 private:
  void on_io(uint32_t) override {
    std::array<char, 4096> buffer;
    const ssize_t n = read(socket_.get(), buffer.data(), buffer.size());
    if (n > 0) return say(std::string(buffer.data(), static_cast<size_t>(n)));
    if (n < 0 && errno == EAGAIN) return;
    auto node = owner_.guests_.extract(this);
    loop_.retire(std::move(node.mapped()));
  }

  CaptiveProxy& owner_;
  base::Loop& loop_;
  base::Fd socket_;
};

// One listener.
class CaptiveProxy::Door final : public base::Retirable, private base::IoHandler {
 public:
  Door(CaptiveProxy& owner, model::ListenerKind kind, int socket)
      : owner_(owner), loop_(owner.loop_), kind_(kind), socket_(fcntl(socket, F_DUPFD_CLOEXEC, 0)) {
    (void)loop_.add(socket_.get(), EPOLLIN, this);
  }
  ~Door() override { loop_.remove(socket_.get(), this); }
  // Whoever is in the queue comes in.
  void drain() {
    while (accept_one()) continue;
  }

 private:
  void on_io(uint32_t) override { drain(); }

  bool accept_one() {
    base::Fd socket(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return false;
    ++owner_.accepted_;
    const auto local = base::local_address(socket.get());
    const auto peer = base::peer_address(socket.get());
    if (kind_ == model::ListenerKind::kRefuse || !local || !peer) return reset(socket.get());
    if (local->port == kSelfTestPort) {
      (void)!::send(socket.get(), "weft\n", 5, MSG_NOSIGNAL);
      return true;
    }
    auto guest = std::make_unique<Guest>(owner_, std::move(socket));
    guest->say(std::string(word_of(kind_)) + " " + local->to_string() + " from " + peer->address.to_string() +
               "\n");
    owner_.guests_.emplace(guest.get(), std::move(guest));
    return true;
  }

  static bool reset(int socket) {
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    return true;
  }

  CaptiveProxy& owner_;
  base::Loop& loop_;
  const model::ListenerKind kind_;
  base::Fd socket_;
};

CaptiveProxy::CaptiveProxy(base::Loop& loop) : loop_(loop) {}
CaptiveProxy::~CaptiveProxy() = default;

void CaptiveProxy::add_listener(const model::ListenerKey& key, publish::SharedFd socket) {
  remove_listener(key);
  doors_.emplace(key, std::make_unique<Door>(*this, key.kind, socket->get()));
}

void CaptiveProxy::remove_listener(const model::ListenerKey& key) {
  auto node = doors_.extract(key);
  if (node.empty()) return;
  node.mapped()->drain();
  loop_.retire(std::move(node.mapped()));
}

void CaptiveProxy::remove_pod(const model::PodKey& pod) {
  std::vector<model::ListenerKey> keys;
  for (const auto& [key, door] : doors_)
    if (key.pod == pod) keys.push_back(key);
  for (const auto& key : keys) remove_listener(key);
  std::erase_if(stock_, [&](const auto& entry) { return entry.first.pod == pod; });
}

void CaptiveProxy::add_stock(const model::StockKey& key, std::vector<base::Fd> sockets) {
  for (auto& socket : sockets) stock_[key].push_back(std::move(socket));
}

void CaptiveProxy::die() {
  doors_.clear();
  guests_.clear();
  stock_.clear();
}

base::Fd CaptiveProxy::take_stock(model::StockKind kind, model::Family family) {
  for (auto& [key, sockets] : stock_) {
    if (key.kind != kind || key.family != family || sockets.empty()) continue;
    base::Fd socket = std::move(sockets.back());
    sockets.pop_back();
    return socket;
  }
  return {};
}

}  // namespace weft::test
