// weft-proxy itself, as a process, on real sockets: see proxy_world.h for the topology.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include "tests/netns/proxy_world.h"
#include "tests/support/command.h"
#include "tests/support/policy_builders.h"

namespace weft::test {
namespace {

std::string random_bytes(size_t count) {
  std::string bytes(count, '\0');
  std::minstd_rand random(42);
  for (auto& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

std::string file_text(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string status_field(pid_t pid, const std::string& name) {
  std::istringstream lines(file_text("/proc/" + std::to_string(pid) + "/status"));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(name + ":")) continue;
    const size_t begin = line.find_first_not_of(" \t", name.size() + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "no such field";
}

// One echo after the other, in a thread: reads all, then sends it back.
class Echo {
 public:
  explicit Echo(base::Fd listener) : listener_(std::move(listener)), thread_([this] { run(); }) {}
  ~Echo() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }

 private:
  void run() {
    while (true) {
      base::Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!fd) return;
      try {
        send_all(fd.get(), read_to_end(fd.get()));
      } catch (const std::runtime_error&) {
      }
    }
  }
  base::Fd listener_;
  std::thread thread_;
};

// Answers one HTTP/1.1 request a connection with the request's head as the body.
class HttpMirror {
 public:
  explicit HttpMirror(base::Fd listener) : listener_(std::move(listener)), thread_([this] { run(); }) {}
  ~HttpMirror() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }

 private:
  void run() {
    while (true) {
      base::Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!fd) return;
      std::string head;
      char block[4096];
      while (head.find("\r\n\r\n") == std::string::npos) {
        const ssize_t n = ::recv(fd.get(), block, sizeof block, 0);
        if (n <= 0) break;
        head.append(block, static_cast<size_t>(n));
      }
      if (head.empty()) continue;
      send_all(fd.get(), "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: " +
                             std::to_string(head.size()) + "\r\n\r\n" + head);
    }
  }
  base::Fd listener_;
  std::thread thread_;
};

struct ProxyTest : testing::Test {
  void TearDown() override { EXPECT_TRUE(world.ended() || world.alive()) << "the proxy has died"; }
  ProxyWorld world;
};

std::string exchange(int fd, const std::string& bytes) {
  std::thread writer([&] {
    send_all(fd, bytes);
    ::shutdown(fd, SHUT_WR);
  });
  std::string answer = read_to_end(fd);
  writer.join();
  return answer;
}

TEST_F(ProxyTest, relays_bytes_intact_from_none_to_50_mebibytes_in_both_families) {
  Echo echo4(world.listen_in_pod("10.9.1.2:7000"));
  Echo echo6(world.listen_in_pod("[fd09:1::2]:7000"));
  for (const char* service : {"10.96.0.1:80", "[fd96::1]:80"}) {
    for (const size_t size : {size_t{0}, size_t{1}, size_t{64} << 10, size_t{50} << 20}) {
      const std::string bytes = random_bytes(size);
      const base::Fd fd = world.connect_captured(service);
      EXPECT_TRUE(exchange(fd.get(), bytes) == bytes) << size << " bytes through " << service;
    }
  }
}

TEST_F(ProxyTest, runs_without_any_capability_under_seccomp_as_an_unprivileged_user) {
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
    EXPECT_EQ(status_field(world.proxy(), set), "0000000000000000") << set;
  EXPECT_EQ(status_field(world.proxy(), "Seccomp"), "2");
  EXPECT_EQ(status_field(world.proxy(), "NoNewPrivs"), "1");
  EXPECT_EQ(status_field(world.proxy(), "Uid"), "65534\t65534\t65534\t65534");
  EXPECT_EQ(status_field(world.proxy(), "Groups"), "");
}

TEST_F(ProxyTest, answers_the_capture_self_test) {
  const base::Fd fd = world.connect_captured("192.0.2.1:15021");
  EXPECT_EQ(read_to_end(fd.get()), "weft\n");
  EXPECT_TRUE(world.counts("self_test_answered 1"));
}

TEST_F(ProxyTest, the_destination_sees_the_pods_address_and_a_server_may_speak_first) {
  const base::Fd listener = world.listen_in_pod("10.9.1.2:7000");
  const base::Fd client = world.connect_captured("10.96.0.1:80");
  const base::Fd server = accept_one(listener.get());
  EXPECT_EQ(base::peer_address(server.get())->address.to_string(), "10.9.1.2");  // local delivery picks it
  send_all(server.get(), "220 ready\r\n");
  char block[32] = {};
  EXPECT_EQ(::recv(client.get(), block, sizeof block, 0), 11);
  EXPECT_STREQ(block, "220 ready\r\n");
}

TEST_F(ProxyTest, half_closes_travel_both_ways) {
  const base::Fd listener = world.listen_in_pod("10.9.1.2:7000");
  {
    const base::Fd client = world.connect_captured("10.96.0.1:80");
    const base::Fd server = accept_one(listener.get());
    send_all(client.get(), "ask");
    ::shutdown(client.get(), SHUT_WR);
    EXPECT_EQ(read_to_end(server.get()), "ask");
    send_all(server.get(), "answer after the end");
    ::shutdown(server.get(), SHUT_WR);
    EXPECT_EQ(read_to_end(client.get()), "answer after the end");
  }
  const base::Fd client = world.connect_captured("10.96.0.1:80");
  const base::Fd server = accept_one(listener.get());
  ::shutdown(server.get(), SHUT_WR);
  EXPECT_EQ(read_to_end(client.get()), "");
  send_all(client.get(), "still here");
  ::shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(read_to_end(server.get()), "still here");
}

void close_with_reset(base::Fd fd) {
  const linger hard{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

// The proxy carries the connection: a reset that comes before is a dial that failed.
void pass_a_byte(const base::Fd& from, const base::Fd& to) {
  send_all(from.get(), "x");
  char byte = 0;
  ASSERT_EQ(::recv(to.get(), &byte, 1, 0), 1);
}

TEST_F(ProxyTest, resets_travel_both_ways) {
  const base::Fd listener = world.listen_in_pod("10.9.1.2:7000");
  {
    base::Fd client = world.connect_captured("10.96.0.1:80");
    const base::Fd server = accept_one(listener.get());
    pass_a_byte(client, server);
    close_with_reset(std::move(client));
    EXPECT_THROW((void)read_to_end(server.get()), std::runtime_error);
  }
  const base::Fd client = world.connect_captured("10.96.0.1:80");
  base::Fd server = accept_one(listener.get());
  pass_a_byte(client, server);
  close_with_reset(std::move(server));
  EXPECT_THROW((void)read_to_end(client.get()), std::runtime_error);
  EXPECT_TRUE(world.counts("relay_source_reset 1"));
  EXPECT_TRUE(world.counts("relay_destination_reset 1"));
}

TEST_F(ProxyTest, a_burst_far_beyond_the_stock_is_served_as_the_agent_refills_it) {
  constexpr int kConnections = 1000;
  const base::Fd listener = world.listen_in_pod("10.9.1.2:7000");
  std::vector<base::Fd> clients;
  for (int i = 0; i < kConnections; ++i) clients.push_back(world.connect_captured("10.96.0.1:80"));
  for (int i = 0; i < kConnections; ++i) send_all(accept_one(listener.get()).get(), "served");
  for (const auto& client : clients) EXPECT_EQ(read_to_end(client.get()).substr(0, 6), "served");
  EXPECT_TRUE(world.counts("stock_exhausted 0"));
}

TEST_F(ProxyTest, a_dead_port_and_a_service_without_endpoints_reset_the_application_at_once) {
  for (const char* service : {"10.96.0.3:80", "10.96.0.2:80"}) {
    const auto begun = std::chrono::steady_clock::now();
    const base::Fd client = world.connect_captured(service);
    EXPECT_THROW((void)read_to_end(client.get()), std::runtime_error) << service;
    EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(1)) << service;
  }
  EXPECT_TRUE(world.counts("dial_refused 1"));
  EXPECT_TRUE(world.counts("relay_no_endpoint 1"));
}

TEST_F(ProxyTest, a_reader_that_never_reads_stops_the_sender) {
  const base::Fd listener = world.listen_in_pod("10.9.1.2:7000");
  const base::Fd client = world.connect_captured("10.96.0.1:80");
  const base::Fd server = accept_one(listener.get());
  const std::string block(1 << 20, 'x');
  size_t taken = 0;
  const timeval limit{.tv_sec = 0, .tv_usec = 500'000};
  setsockopt(client.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  for (ssize_t n = 0; taken < (size_t{256} << 20) &&
                      (n = ::send(client.get(), block.data(), block.size(), MSG_NOSIGNAL)) > 0;)
    taken += static_cast<size_t>(n);
  EXPECT_LT(taken, size_t{64} << 20);
  ::shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(read_to_end(server.get()).size(), taken);
}

TEST_F(ProxyTest, an_arrival_is_delivered_with_the_clients_own_address) {
  const base::Fd listener = world.listen_in_pod("10.9.0.2:9000");
  const base::Fd client = world.connect_from_outside("10.9.0.2:9000");
  send_all(client.get(), "who am I");
  ::shutdown(client.get(), SHUT_WR);
  const base::Fd server = accept_one(listener.get());
  EXPECT_EQ(base::peer_address(server.get())->address.to_string(), "10.9.0.1");
  EXPECT_EQ(base::local_address(server.get())->to_string(), "10.9.0.2:9000");
  EXPECT_EQ(read_to_end(server.get()), "who am I");
  send_all(server.get(), "the client");
  ::shutdown(server.get(), SHUT_WR);
  EXPECT_EQ(read_to_end(client.get()), "the client");
}

TEST_F(ProxyTest, a_refused_arrival_is_reset_at_once_and_recorded_once) {
  EXPECT_NE(world.ask("15000", "/logging?access=on", "POST").find("access log on"), std::string::npos);
  const base::Fd client = world.connect_from_outside("10.9.0.2:9001");
  EXPECT_THROW((void)read_to_end(client.get()), std::runtime_error);
  EXPECT_TRUE(eventually([&] { return world.access_log().find(" DENY ") != std::string::npos; }))
      << world.access_log();
  EXPECT_NE(world.access_log().find("10.9.0.2:9001 10.9.0.1:"), std::string::npos) << world.access_log();
}

TEST_F(ProxyTest, a_new_policy_cuts_live_connections_and_names_the_rule) {
  EXPECT_NE(world.ask("15000", "/logging?access=on", "POST").find("access log on"), std::string::npos);
  const base::Fd listener = world.listen_in_pod("10.9.0.2:9000");
  const base::Fd client = world.connect_from_outside("10.9.0.2:9000");
  const base::Fd server = accept_one(listener.get());
  auto snapshot = ProxyWorld::snapshot(2);
  test::give_rules(snapshot, 0, {test::rule(17, true, {.source_ranges = test::ranges({"10.9.0.0/24"})})});
  world.publish(snapshot);
  EXPECT_THROW((void)read_to_end(client.get()), std::runtime_error);
  EXPECT_THROW((void)read_to_end(server.get()), std::runtime_error);
  EXPECT_TRUE(eventually([&] { return world.access_log().find("17") != std::string::npos; }))
      << world.access_log();
  EXPECT_TRUE(world.counts("policy_cut 1"));

  const base::Fd again = world.connect_from_outside("10.9.0.2:9000");
  EXPECT_THROW((void)read_to_end(again.get()), std::runtime_error);
}

TEST_F(ProxyTest, metrics_tell_of_open_connections_and_of_bytes_under_way) {
  const base::Fd listener = world.listen_in_pod("10.9.1.2:7000");
  const base::Fd client = world.connect_captured("10.96.0.1:80");
  const base::Fd server = accept_one(listener.get());
  send_all(client.get(), "12345");
  char block[5];
  ASSERT_EQ(::recv(server.get(), block, sizeof block, MSG_WAITALL), 5);
  const std::string service = "destination_service=\"server.dev.svc.cluster.local\"";
  ASSERT_TRUE(world.says("15020", "/stats/prometheus", service));
  const std::string metrics = world.ask("15020", "/stats/prometheus");
  const auto value_of = [&](const std::string& name) {
    std::istringstream lines(metrics);
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with(name + "{") && line.find(service) != std::string::npos)
        return line.substr(line.rfind(' ') + 1);
    return std::string();
  };
  EXPECT_EQ(value_of("istio_tcp_connections_opened_total"), "1") << metrics;
  EXPECT_EQ(value_of("istio_tcp_received_bytes_total"), "5");
  EXPECT_EQ(value_of("istio_tcp_connections_closed_total"), "");
}

TEST_F(ProxyTest, a_service_with_a_route_table_is_served_as_http) {
  HttpMirror mirror(world.listen_in_pod("10.9.1.2:7000"));
  EXPECT_NE(world.ask("15000", "/logging?access=on", "POST").find("access log on"), std::string::npos);
  const base::Fd client = world.connect_captured("10.96.0.4:80");
  send_all(client.get(), "GET /hello?x=1 HTTP/1.1\r\nHost: http.dev\r\nConnection: close\r\n\r\n");
  const std::string answer = read_to_end(client.get());
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 ")) << answer;
  EXPECT_NE(answer.find("GET /hello?x=1 HTTP/1.1"), std::string::npos) << answer;
  EXPECT_TRUE(eventually([&] {
    return world.access_log().find("\"GET /hello?x=1 HTTP/1.1\" 200 - via_upstream") != std::string::npos;
  })) << world.access_log();
  EXPECT_TRUE(
      world.says("15020", "/metrics", "istio_requests_total{reporter=\"source\",source_workload=\"app\""));
}

TEST_F(ProxyTest, sigterm_lets_a_running_connection_end_and_then_exits) {
  const base::Fd listener = world.listen_in_pod("10.9.1.2:7000");
  const base::Fd client = world.connect_captured("10.96.0.1:80");
  const base::Fd server = accept_one(listener.get());
  std::thread finisher([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    send_all(client.get(), "done");
    ::shutdown(client.get(), SHUT_WR);
    ::shutdown(server.get(), SHUT_WR);
  });
  EXPECT_EQ(world.end_proxy(), 0);
  EXPECT_EQ(read_to_end(server.get()), "done");
  finisher.join();
}

TEST_F(ProxyTest, an_idle_relayed_connection_costs_little_memory) {
  constexpr size_t kConnections = 1000;
  const base::Fd listener = world.listen_in_pod("10.9.1.2:7000");
  const auto resident = [&] { return std::stoul(status_field(world.proxy(), "VmRSS")) * 1024; };
  std::vector<base::Fd> kept;
  const auto open_some = [&](size_t count) {
    for (size_t i = 0; i < count; ++i) {
      kept.push_back(world.connect_captured("10.96.0.1:80"));
      kept.push_back(accept_one(listener.get()));
      char block[4096];
      const std::string bytes(4096, 'm');
      send_all((kept.end() - 2)->get(), bytes);
      for (size_t got = 0; got < bytes.size();)
        got += static_cast<size_t>(::recv(kept.back().get(), block, sizeof block, 0));
    }
  };
  open_some(100);  // what the first ones bring about once
  const size_t before = resident();
  open_some(kConnections);
  const size_t each = (resident() - before) / kConnections;
  RecordProperty("bytes_per_connection", static_cast<int>(each));
  std::printf("an idle relayed connection: %zu bytes; the proxy with %zu of them: %zu kB\n", each,
              kConnections + 100, resident() / 1024);
  EXPECT_LE(each, 8192u);
}

}  // namespace
}  // namespace weft::test
