#include "tests/netns/proxy_world.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "tests/support/command.h"

namespace weft::test {
namespace {

using base::SocketAddress;

[[noreturn]] void give_up(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

SocketAddress parse(const std::string& address) {
  return *SocketAddress::parse(address);
}

base::Fd tcp(const SocketAddress& like, int flags) {
  base::Fd fd(::socket(like.address.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (!fd) give_up("socket");
  const timeval limit{.tv_sec = 10, .tv_usec = 0};  // a test that waits for ever tells nothing
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  return fd;
}

void set(int fd, int level, int name, int value) {
  if (setsockopt(fd, level, name, &value, sizeof value) != 0) give_up("setsockopt");
}

void transparent(int fd, bool v4) {
  set(fd, v4 ? SOL_IP : SOL_IPV6, v4 ? IP_TRANSPARENT : IPV6_TRANSPARENT, 1);
}

void listen_at(int fd, const SocketAddress& address) {
  sockaddr_storage storage{};
  const socklen_t length = address.to_sockaddr(&storage);
  set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  set(fd, SOL_SOCKET, SO_REUSEPORT, 1);  // an application shares its port with a listener of the proxy
  if (::bind(fd, reinterpret_cast<sockaddr*>(&storage), length) != 0) give_up("bind " + address.to_string());
  if (::listen(fd, 4096) != 0) give_up("listen");
}

// What sk_lookup does on a node: what the proxy delivers (it carries the mark) goes to the application, all
// else to the listener. Both share the port; the listener came first.
void hand_marked_to_the_application(int listener) {
  sock_filter code[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_MARK)},
                        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, ProxyWorld::kMark},
                        {BPF_RET | BPF_K, 0, 0, 1},
                        {BPF_RET | BPF_K, 0, 0, 0}};
  const sock_fprog program{.len = 4, .filter = code};
  if (setsockopt(listener, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) != 0)
    give_up("SO_ATTACH_REUSEPORT_CBPF");
}

void connect_to(int fd, const SocketAddress& address) {
  sockaddr_storage storage{};
  const socklen_t length = address.to_sockaddr(&storage);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&storage), length) != 0)
    give_up("connect " + address.to_string());
}

uid_t nobody() {
  return getpwnam("nobody")->pw_uid;
}

model::Service service(const std::string& name, const std::vector<std::string>& addresses, uint32_t cluster) {
  model::Service service{.name = name, .ns = "dev", .hostname = name + ".dev.svc.cluster.local"};
  for (const auto& address : addresses) service.addresses.push_back(*base::Address::parse(address));
  service.ports.push_back({.port = 80, .name = "tcp", .protocol = model::Protocol::kTcp, .cluster = cluster});
  return service;
}

model::Cluster cluster(const std::string& name, uint32_t service, const std::vector<std::string>& endpoints) {
  model::Cluster cluster{
      .name = "outbound|80||" + name + ".dev.svc.cluster.local", .service = service, .service_port = 80};
  for (const auto& endpoint : endpoints)
    cluster.endpoints.push_back({.address = parse(endpoint), .workload = 1});
  return cluster;
}

}  // namespace

model::Snapshot ProxyWorld::snapshot(uint64_t version) {
  model::Snapshot snapshot{.version = version, .node = "node-1"};
  model::Workload app{.name = "app", .ns = "dev", .service_account = "app", .node = "node-1", .owner = "app"};
  app.canonical_name = "app";
  app.canonical_revision = "v1";
  app.addresses = {*base::Address::parse("10.9.0.2"), *base::Address::parse("fd09::2")};
  app.enrolled = app.local = true;
  model::Workload server{
      .name = "server", .ns = "dev", .service_account = "server", .node = "node-2", .owner = "server"};
  server.addresses = {*base::Address::parse("10.9.1.2"), *base::Address::parse("fd09:1::2")};
  server.enrolled = true;
  snapshot.workloads = {app, server};
  snapshot.services = {service("server", {"10.96.0.1"}, 0), service("empty", {"10.96.0.2"}, 1),
                       service("dead", {"10.96.0.3"}, 2), service("http", {"10.96.0.4"}, 3),
                       service("server6", {"fd96::1"}, 4)};
  snapshot.clusters = {cluster("server", 0, {"10.9.1.2:7000"}), cluster("empty", 1, {}),
                       cluster("dead", 2, {"10.9.1.2:7001"}), cluster("http", 3, {"10.9.1.2:7000"}),
                       cluster("server6", 4, {"[fd09:1::2]:7000"})};
  snapshot.services[3].ports[0].protocol = snapshot.clusters[3].protocol = model::Protocol::kHttp;
  snapshot.services[3].ports[0].route_table = 0;
  snapshot.route_tables = {{.name = "http.dev.svc.cluster.local:80", .fallback_cluster = 3}};
  snapshot.local_pods = {{.workload = 0}};
  return snapshot;
}

ProxyWorld::ProxyWorld(const std::vector<std::string>& extra_flags) {
  connect_veth(pod_, "eth0", {"10.9.0.2/24", "fd09::2/64"}, outside_, "eth0", {"10.9.0.1/24", "fd09::1/64"});
  pod_.ip("addr add 10.9.1.2/32 dev lo");
  pod_.ip("-6 addr add fd09:1::2/128 dev lo");
  for (const std::string family : {"-4", "-6"}) {
    pod_.ip(family + " rule add fwmark 0x77/0x77 table 77");
    pod_.ip(family + " route add local default dev lo src " + (family == "-4" ? "10.9.0.2" : "fd09::2") +
            " table 77");
    pod_.ip(family + " route add default dev eth0 via " + (family == "-4" ? "10.9.0.1" : "fd09::1"));
  }
  pod_.sysctl("net.ipv4.tcp_fwmark_accept", "1");
  ::chmod(directory_.path().c_str(), 0755);
  agent_ = std::make_unique<FakeAgent>(directory_ / "agent.sock", nobody());
  publish(snapshot(1));
  for (const char* address :
       {"10.96.0.1:80", "10.96.0.2:80", "10.96.0.3:80", "10.96.0.4:80", "[fd96::1]:80", "192.0.2.1:15021"})
    add_captured(address, model::ListenerKind::kOutbound);
  add_captured("10.9.0.2:9000", model::ListenerKind::kInbound);
  add_captured("10.9.0.2:9001", model::ListenerKind::kRefuse);
  for (const auto kind : {model::StockKind::kOutbound, model::StockKind::kInbound})
    for (const auto family : {model::Family::kV4, model::Family::kV6})
      agent_->keep_stocked({.pod = {"dev/app", pod_.cookie()}, .kind = kind, .family = family},
                           [this, kind, family] {
                             return value_inside({.netns = &pod_}, [&] {
                               const bool v4 = family == model::Family::kV4;
                               base::Fd fd = tcp(parse(v4 ? "1.1.1.1:1" : "[::1]:1"), SOCK_NONBLOCK);
                               if (kind == model::StockKind::kOutbound) return fd;
                               transparent(fd.get(), v4);
                               set(fd.get(), SOL_SOCKET, SO_MARK, kMark);
                               return fd;
                             });
                           });
  agent_->mark_synced();
  start_proxy(extra_flags);
}

ProxyWorld::~ProxyWorld() {
  if (proxy_ < 0) return;
  ::kill(proxy_, SIGKILL);
  ::waitpid(proxy_, nullptr, 0);
}

void ProxyWorld::publish(const model::Snapshot& snapshot) {
  agent_->publish(std::make_shared<const model::Snapshot>(snapshot));
}

// One listener per address; the gateway port tells the keys apart, which the channel demands to be 0
// otherwise, so the name of the pod's netns cookie does it here.
void ProxyWorld::add_captured(const std::string& address, model::ListenerKind kind) {
  const SocketAddress at = parse(address);
  base::Fd fd = value_inside({.netns = &pod_}, [&] {
    base::Fd listener = tcp(at, SOCK_NONBLOCK);
    transparent(listener.get(), at.address.is_v4());
    listen_at(listener.get(), at);
    if (kind == model::ListenerKind::kInbound) hand_marked_to_the_application(listener.get());
    return listener;
  });
  static uint64_t cookies = 1;
  agent_->add_listener({.pod = {"dev/app", ++cookies},
                        .kind = kind,
                        .family = at.address.is_v4() ? model::Family::kV4 : model::Family::kV6},
                       std::move(fd));
}

void ProxyWorld::start_proxy(const std::vector<std::string>& extra_flags) {
  const std::string log = directory_ / "access.log";
  std::vector<std::string> words = {WEFT_BINARY_DIR "/bin/weft-proxy",
                                    "--agent-socket",
                                    directory_ / "agent.sock",
                                    "--access-log",
                                    log,
                                    "--workers",
                                    "2",
                                    "--drain",
                                    "1"};
  words.insert(words.end(), extra_flags.begin(), extra_flags.end());
  proxy_ = ::fork();
  if (proxy_ == 0) {
    ::setns(proxy_netns_.fd(), CLONE_NEWNET);
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
  if (!eventually([&] { return ask("15021", "/healthz/ready").ends_with("ready\n"); }))
    throw std::runtime_error("the proxy does not become ready: " + ask("15021", "/healthz/ready"));
}

testing::AssertionResult ProxyWorld::says(const std::string& port, const std::string& path,
                                          const std::string& text) {
  std::string said;
  const auto found = [&] {
    said = ask(port, path);
    return said.find(text) != std::string::npos;
  };
  if (eventually(found)) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "no \"" << text << "\" in\n" << said;
}

base::Fd ProxyWorld::connect_captured(const std::string& address) {
  return value_inside({.netns = &pod_}, [&] {
    base::Fd fd = tcp(parse(address), 0);
    set(fd.get(), SOL_SOCKET, SO_MARK, kMark);
    connect_to(fd.get(), parse(address));
    return fd;
  });
}

base::Fd ProxyWorld::connect_from_outside(const std::string& address) {
  return value_inside({.netns = &outside_}, [&] {
    base::Fd fd = tcp(parse(address), 0);
    connect_to(fd.get(), parse(address));
    return fd;
  });
}

base::Fd ProxyWorld::listen_in_pod(const std::string& address) {
  return value_inside({.netns = &pod_}, [&] {
    base::Fd fd = tcp(parse(address), 0);
    listen_at(fd.get(), parse(address));
    return fd;
  });
}

std::string ProxyWorld::ask(const std::string& port, const std::string& path, const std::string& method) {
  try {
    base::Fd fd = value_inside({.netns = &proxy_netns_}, [&] {
      base::Fd socket = tcp(parse("127.0.0.1:1"), 0);
      connect_to(socket.get(), parse("127.0.0.1:" + port));
      return socket;
    });
    send_all(fd.get(), method + " " + path + " HTTP/1.1\r\nHost: proxy\r\n\r\n");
    return read_to_end(fd.get());
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

std::string ProxyWorld::access_log() {
  std::ifstream file(directory_ / "access.log");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

bool ProxyWorld::alive() const {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(proxy_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == 0;
}

int ProxyWorld::end_proxy() {
  ::kill(proxy_, SIGTERM);
  int status = 0;
  ::waitpid(std::exchange(proxy_, -1), &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) give_up("send");
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

std::string read_to_end(int fd) {
  std::string all;
  std::vector<char> block(256 * 1024);
  while (true) {
    const ssize_t n = ::recv(fd, block.data(), block.size(), 0);
    if (n < 0 && errno == ECONNRESET) throw std::runtime_error("reset");
    if (n < 0) give_up("recv");
    if (n == 0) return all;
    all.append(block.data(), static_cast<size_t>(n));
  }
}

base::Fd accept_one(int listener) {
  base::Fd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (!fd) give_up("accept");
  const timeval limit{.tv_sec = 10, .tv_usec = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  return fd;
}

}  // namespace weft::test
