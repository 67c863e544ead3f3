#include "userspace-proxy/worker/worker.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <condition_variable>
#include <mutex>

#include "userspace-proxy/worker/config.h"

namespace weft::worker {
namespace {

using std::chrono::seconds;

base::Fd tcp_socket(int flags = 0) {
  return base::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
}

struct DroppedLog final : observe::LogSink {
  bool take(std::string) override { return true; }
};

// A worker that serves one port of a gateway without routes: every request is answered 404.
struct WorkerTest : testing::Test, WorkerEvents {
  WorkerTest() {
    sockaddr_in any{
        .sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    socklen_t length = sizeof address;
    EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
    EXPECT_EQ(::listen(listener.get(), 16), 0);
    EXPECT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
    auto snapshot = std::make_shared<model::Snapshot>();
    snapshot->version = 1;
    snapshot->route_tables.emplace_back();
    snapshot->gateway_listeners.push_back({.service_port = 80,
                                           .bind_port = ntohs(address.sin_port),
                                           .protocol = model::Protocol::kHttp,
                                           .route_table = 0});
    worker->start();
    worker->apply(Config::build(snapshot));
    worker->set_listener({.kind = model::ListenerKind::kGateway, .gateway_port = ntohs(address.sin_port)},
                         base::Fd(dup(listener.get())));
  }
  void on_stock_changes(uint32_t, std::vector<connect::StockChange>) override {}
  void on_identity_needed(const model::SpiffeId&) override {}
  void on_drained(uint32_t) override {
    const std::lock_guard lock(mutex);
    drained = true;
    changed.notify_all();
  }
  bool drained_within(std::chrono::milliseconds limit) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, limit, [this] { return drained; });
  }
  base::Fd call() {
    base::Fd socket = tcp_socket();
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return socket;
  }
  static std::string ask(const base::Fd& socket) {
    const std::string request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    EXPECT_EQ(send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(request.size()));
    std::string answer(4096, '\0');
    const ssize_t got = recv(socket.get(), answer.data(), answer.size(), 0);
    answer.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return answer;
  }
  static bool ends(const base::Fd& socket) {
    char byte = 0;
    return recv(socket.get(), &byte, 1, 0) == 0;
  }

  base::SystemClock clock;
  DroppedLog log;
  base::Fd listener = tcp_socket(SOCK_NONBLOCK);
  sockaddr_in address{};
  std::mutex mutex;
  std::condition_variable changed;
  bool drained = false;
  std::unique_ptr<Worker> worker = std::move(*Worker::create(clock, log, *this, {.max_connections = 10}));
};

TEST_F(WorkerTest, one_that_ends_without_a_successor_still_takes_connections_and_sends_them_elsewhere) {
  const auto kept = call();
  EXPECT_TRUE(ask(kept).starts_with("HTTP/1.1 404 "));
  worker->drain({.limit = seconds(20), .accept = seconds(2)});
  std::string last = "as before";
  while (!last.empty() && last.find("connection: close\r\n") == std::string::npos) last = ask(kept);
  EXPECT_NE(last.find("connection: close\r\n"), std::string::npos) << last;
  const auto late = call();
  const std::string answer = ask(late);
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 404 ")) << answer;
  EXPECT_NE(answer.find("connection: close\r\n"), std::string::npos) << answer;
  EXPECT_TRUE(ends(kept) && ends(late));
  EXPECT_TRUE(drained_within(seconds(10)));
}

TEST_F(WorkerTest, one_with_a_successor_leaves_the_queue_to_it_at_once) {
  EXPECT_TRUE(ask(call()).starts_with("HTTP/1.1 404 "));
  worker->drain({.limit = seconds(20)});
  EXPECT_TRUE(drained_within(seconds(10)));
  const auto waits = call();
  pollfd queue{.fd = listener.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&queue, 1, 0), 1);
}

TEST_F(WorkerTest, what_outlives_the_drain_is_cut) {
  const auto silent = call();
  EXPECT_TRUE(ask(silent).starts_with("HTTP/1.1 404 "));
  worker->drain({.limit = base::Millis(300), .accept = seconds(20)});
  EXPECT_TRUE(drained_within(seconds(10)));
  char byte = 0;
  EXPECT_LT(recv(silent.get(), &byte, 1, 0), 0);
  EXPECT_EQ(errno, ECONNRESET);
}

}  // namespace
}  // namespace weft::worker
