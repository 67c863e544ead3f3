#include "userspace-proxy/connect/attempt.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>

#include <cerrno>

namespace weft::connect {
namespace {

using Row = std::array<bool, 5>;
constexpr std::array<Row, 5> kLegal = {{
    // kStart, kWaiting, kConnecting, kFailing, kDone
    {{false, true, true, true, true}},      // kStart
    {{false, false, true, true, true}},     // kWaiting
    {{false, false, false, false, true}},   // kConnecting
    {{false, false, false, false, true}},   // kFailing
    {{false, false, false, false, false}},  // kDone
}};

base::Fd own_socket(bool v4) {
  return base::Fd(::socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

}  // namespace

StockDialer::Handle::~Handle() {
  if (attempt_ != nullptr) attempt_->cancel();
}

StockDialer::Attempt::Attempt(StockDialer& dialer, const DialTarget& target, DialHandler& handler)
    : dialer_(dialer),
      handler_(handler),
      pod_(target.pod),
      destination_(target.destination),
      client_(target.client),
      timer_(dialer.loop_.timers(), [this] { on_time_up(); }) {}

StockDialer::Attempt::~Attempt() {
  if (handle_ != nullptr) handle_->let_go();
  if (registered_) dialer_.loop_.remove(socket_.get(), this);
  dialer_.loop_.forget(this);
}

std::unique_ptr<Dial> StockDialer::Attempt::begin() {
  auto handle = std::make_unique<Handle>(*this);
  handle_ = handle.get();
  ++dialer_.counters_.dials;
  if (!try_again()) wait_for_socket();
  return handle;
}

bool StockDialer::Attempt::take_socket() {
  const bool v4 = destination_.address.is_v4();
  if (pod_.empty()) {
    socket_ = own_socket(v4);
    return true;
  }
  auto taken = dialer_.take(pod_, client_.has_value(), v4);
  if (!taken) return false;
  socket_ = std::move(*taken);
  return true;
}

void StockDialer::Attempt::wait_for_socket() {
  if (dialer_.waiting_.size() >= kMaxWaiting) {
    ++dialer_.counters_.stock_exhausted;
    return fail(EMFILE);
  }
  enter(Step::kWaiting);
  ++dialer_.counters_.stock_waits;
  dialer_.waiting_.push_back(this);
  timer_.arm(kStockWait);
}

bool StockDialer::Attempt::try_again() {
  int error = 0;
  do {
    if (!take_socket()) return false;
    error = socket_ ? connect_now() : EMFILE;
    // The port chosen for the client is in use. A socket cannot be bound twice, so this takes a fresh one.
  } while (error == EADDRNOTAVAIL && client_ && --tries_left_ > 0);
  settle(error);
  return true;
}

void StockDialer::Attempt::settle(int error) {
  if (error != 0) return fail(error);
  if (!dialer_.loop_.add(socket_.get(), EPOLLOUT, this)) return fail(ENOMEM);
  registered_ = true;
  enter(Step::kConnecting);
  timer_.arm(kConnectTimeout);
}

int StockDialer::Attempt::connect_now() {
  const int on = 1;
  setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (client_) {
    if (const int error = bind_client(); error != 0) return error;
  }
  sockaddr_storage address{};
  const socklen_t length = destination_.to_sockaddr(&address);
  if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0) return 0;
  return errno == EINPROGRESS ? 0 : errno;
}

// The client's own port would make the very tuple that its connection to us already has; a port from outside
// the range that systems draw client ports from keeps clear of all its other connections too.
int StockDialer::Attempt::bind_client() {
  const int on = 1;
  setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  int error = EADDRINUSE;
  for (int tries = 0; tries < 8 && error == EADDRINUSE; ++tries) {
    sockaddr_storage address{};
    const socklen_t length =
        base::SocketAddress{client_->address, dialer_.ports_.next()}.to_sockaddr(&address);
    error = ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0 ? 0 : errno;
  }
  return error;
}

void StockDialer::Attempt::on_io(uint32_t) {
  if (step_ == Step::kFailing) {
    auto error =
        base::fail_errno(sys_errno_, "connect " + destination_.to_string(), base::Side::kDestination);
    if (sys_errno_ == EMFILE)
      error = base::fail(base::ErrorKind::kLimit,
                         "no socket to connect to " + destination_.to_string() + " with");
    return finish(std::move(error));
  }
  if (step_ != Step::kConnecting) return;
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  dialer_.loop_.remove(socket_.get(), this);
  registered_ = false;
  if (error == 0) return finish(std::make_unique<base::TcpTransport>(std::move(socket_)));
  count_failure(error);
  finish(base::fail_errno(error, "connect " + destination_.to_string(), base::Side::kDestination));
}

void StockDialer::Attempt::on_time_up() {
  if (step_ == Step::kWaiting) {
    dialer_.waiting_.remove(this);
    ++dialer_.counters_.stock_exhausted;
    return finish(base::fail(base::ErrorKind::kLimit, "no socket in stock for pod " + pod_ +
                                                          " to connect to " + destination_.to_string()));
  }
  ++dialer_.counters_.dial_timeout;
  auto error =
      base::fail(base::ErrorKind::kTimeout, "connect " + destination_.to_string(), base::Side::kDestination);
  error.error().sys_errno = ETIMEDOUT;
  finish(std::move(error));
}

// connect() failed at once; the handler must not be called from inside dial().
void StockDialer::Attempt::fail(int sys_errno) {
  if (sys_errno != EMFILE) count_failure(sys_errno);
  sys_errno_ = sys_errno;
  enter(Step::kFailing);
  timer_.cancel();
  dialer_.loop_.again(this);
}

void StockDialer::Attempt::count_failure(int sys_errno) {
  if (sys_errno == ECONNREFUSED) ++dialer_.counters_.dial_refused;
  if (sys_errno == ETIMEDOUT) ++dialer_.counters_.dial_timeout;
  if (sys_errno != ECONNREFUSED && sys_errno != ETIMEDOUT) ++dialer_.counters_.dial_failed;
}

void StockDialer::Attempt::cancel() {
  handle_ = nullptr;
  if (step_ == Step::kWaiting) dialer_.waiting_.remove(this);
  if (step_ == Step::kDone) return;
  enter(Step::kDone);
  dialer_.forget(*this);
}

void StockDialer::Attempt::finish(base::Result<std::unique_ptr<base::Transport>> outcome) {
  enter(Step::kDone);
  if (handle_ != nullptr) handle_->let_go();
  handle_ = nullptr;
  DialHandler& handler = handler_;
  dialer_.forget(*this);  // retired: alive until the end of this turn
  handler.on_dialled(std::move(outcome));
}

void StockDialer::Attempt::enter(Step step) {
  CHECK(kLegal[static_cast<size_t>(step_)][static_cast<size_t>(step)]);
  step_ = step;
  if (step == Step::kDone) timer_.cancel();
}

}  // namespace weft::connect
