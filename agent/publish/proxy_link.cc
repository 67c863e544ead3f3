#include "agent/publish/proxy_link.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "userspace-proxy/base/log.h"

namespace weft::publish {
namespace {

constexpr size_t kMaxOutbox = 65536;  // packets; listeners and stock of thousands of pods
constexpr int kPacketsPerTurn = 64;
constexpr base::Millis kInFlightRetry{20};

std::unexpected<base::Error> closed(std::string what) {
  return base::fail(base::ErrorKind::kClosed, std::move(what));
}

}  // namespace

ProxyLink::ProxyLink(Publisher& owner, base::Loop& loop, base::Fd socket, ProxyStatus status)
    : owner_(owner),
      loop_(loop),
      socket_(std::move(socket)),
      status_(std::move(status)),
      retry_(loop.timers(), [this] {
        if (!write_some()) shutdown(socket_.get(), SHUT_RDWR);
      }) {}

ProxyLink::~ProxyLink() {
  if (socket_) loop_.remove(socket_.get(), this);
}

base::Status ProxyLink::start() {
  return loop_.add(socket_.get(), EPOLLIN | EPOLLRDHUP, this);
}

void ProxyLink::on_io(uint32_t events) {
  base::Status status;
  if ((events & EPOLLOUT) != 0) status = write_some();
  if (status) status = read_some();
  if (status) return;
  spdlog::warn("publish: lost proxy {} (pid {}): {}", status_.id, status_.pid,
               base::describe(status.error()));
  owner_.forget(*this);
}

base::Status ProxyLink::read_some() {
  base::Packet packet;
  for (int i = 0; i < kPacketsPerTurn; ++i) {
    const base::Io io = base::receive_packet(socket_.get(), model::kMaxPacketBytes, 0, &packet);
    if (io.kind == base::Io::Kind::kWouldBlock) return {};
    if (io.kind == base::Io::Kind::kEnd) return closed("it closed the channel");
    if (io.kind == base::Io::Kind::kError) return base::fail_errno(io.sys_errno, "receive");
    auto message = model::decode_to_agent(packet.bytes, packet.fds.size());
    const base::Status taken = message ? std::visit([this](const auto& one) { return take(one); }, *message)
                                       : base::Status(std::unexpected(message.error()));
    if (!taken) {
      ++owner_.counts_.invalid_packets;
      return taken;
    }
  }
  return {};
}

void ProxyLink::send(const model::ToProxy& message, std::vector<SharedFd> fds) {
  outbox_.push_back({model::encode(message), std::move(fds)});
  const bool overflow = outbox_.size() > kMaxOutbox;
  // Callers walk the list of links: end this one through its next event, not here.
  if (overflow || (!want_write_ && !retry_.armed() && !write_some())) shutdown(socket_.get(), SHUT_RDWR);
}

void ProxyLink::offer(uint64_t version, uint64_t bytes, const SharedFd& memory) {
  if (judging_) return;
  judging_ = version;
  ++owner_.counts_.snapshots_sent;
  send(model::SnapshotOffer{version, bytes}, {memory});
}

base::Status ProxyLink::write_some() {
  bool sent = true;
  while (!outbox_.empty()) {
    TRY(write_one(outbox_.front(), &sent));
    if (!sent) break;
    outbox_.pop_front();
  }
  const bool waiting = !sent && !retry_.armed();
  if (waiting == want_write_) return {};
  want_write_ = waiting;
  return loop_.modify(socket_.get(), EPOLLIN | EPOLLRDHUP | (waiting ? uint32_t{EPOLLOUT} : 0u), this);
}

base::Status ProxyLink::write_one(const Parcel& parcel, bool* sent) {
  std::array<int, model::kMaxPacketFds> fds{};
  for (size_t i = 0; i < parcel.fds.size(); ++i) fds[i] = parcel.fds[i]->get();
  const base::Io io = base::send_packet(socket_.get(), parcel.bytes, std::span(fds).first(parcel.fds.size()));
  if (io.kind == base::Io::Kind::kError) return base::fail_errno(io.sys_errno, "send");
  *sent = io.kind == base::Io::Kind::kBytes;
  if (!*sent && io.sys_errno == ETOOMANYREFS) retry_.arm(kInFlightRetry);
  return {};
}

base::Status ProxyLink::take(const model::Hello& hello) {
  if (ready_) return closed("it said hello twice");
  if (hello.protocol != model::kChannelProtocol) return closed("it speaks another protocol version");
  ready_ = true;
  status_.version = hello.version;
  status_.workers = hello.workers;
  owner_.greet(*this);
  return {};
}

base::Status ProxyLink::take(const model::Verdict& verdict) {
  if (judging_ != verdict.version) return closed("a verdict on a snapshot it was not given");
  judging_.reset();
  if (verdict.refusal.empty()) {
    status_.acked_version = verdict.version;
    ++owner_.counts_.snapshots_taken;
  }
  if (!verdict.refusal.empty()) {
    status_.refused_version = verdict.version;
    status_.refusal = verdict.refusal;
    ++owner_.counts_.snapshots_refused;
    spdlog::error("publish: proxy {} refused snapshot {}: {}", status_.id, verdict.version, verdict.refusal);
  }
  owner_.update_status();
  owner_.events_.on_verdict(status_.id, verdict);
  if (owner_.version_ != verdict.version)
    offer(owner_.version_, owner_.snapshot_bytes_, owner_.snapshot_memory_);
  return {};
}

base::Status ProxyLink::take(const model::StockLevel& report) {
  if (!ready_) return closed("a stock level before its hello");
  owner_.events_.on_stock_level(status_.id, report);
  return {};
}

base::Status ProxyLink::take(const model::CertificateRequest& request) {
  if (!ready_) return closed("a certificate request before its hello");
  if (owner_.certificates_ != nullptr) owner_.certificates_->on_certificate_request(status_.id, request);
  return {};
}

base::Status ProxyLink::take(const model::IdentityNeeded& needed) {
  if (!ready_) return closed("an identity needed before its hello");
  if (owner_.certificates_ != nullptr) owner_.certificates_->on_identity_needed(status_.id, needed.identity);
  return {};
}

}  // namespace weft::publish
