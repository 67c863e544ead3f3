#pragma once
// A node with one pod to enrol, real hooks, and a proxy of the simplest kind:
//
//      pod (10.77.0.2, fd77::2) --- node (bridge 10.77.0.1, fd77::1; on lo also 10.99.0.5, fd99::5)
//
// 10.99.0.5 and fd99::5 count as an enrolled pod of another node: whoever calls them from the pod goes to the
// proxy. A server in the node's namespace has these addresses too, and shows who got past the proxy.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include <functional>
#include <thread>

#include "agent/compile/compile.h"
#include "agent/enrol/enroller.h"
#include "agent/enrol/kernel_door.h"
#include "agent/enrol/pre_mesh_files.h"
#include "agent/enrol/system_netns.h"
#include "tests/netns/kernel_fixture.h"
#include "tests/support/captive_proxy.h"
#include "tests/support/scratch_dir.h"

namespace weft::enrol {

inline constexpr const char* kRemoteV4 = "10.99.0.5:7000";
inline constexpr const char* kRemoteV6 = "[fd99::5]:7000";

// A connected socket, made in the calling process; throws where it cannot connect.
inline base::Fd dial(const std::string& to) {
  sockaddr_storage address{};
  const socklen_t length = base::SocketAddress::parse(to)->to_sockaddr(&address);
  base::Fd socket(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{.tv_sec = 3, .tv_usec = 0};
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0)
    throw std::runtime_error(strerror(errno));
  return socket;
}

inline std::string read_line(int socket) {
  std::string line;
  char one = 0;
  while (recv(socket, &one, 1, 0) == 1 && one != '\n') line += one;
  return line;
}

inline std::string ask(int socket, const std::string& line) {
  const std::string text = line + "\n";
  if (send(socket, text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size()))
    return "cannot send";
  return read_line(socket);
}

// What an application in the pod learns when it calls `to`: the greeting, or why it could not connect.
inline std::string greeting_of(const std::string& to) {
  try {
    const base::Fd socket = dial(to);
    return read_line(socket.get());
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

// Both ends of one connection.
struct Pair {
  base::Fd client, server;

  [[nodiscard]] bool carries() const {
    char one = 'x';
    return send(client.get(), &one, 1, MSG_NOSIGNAL) == 1 && recv(server.get(), &one, 1, 0) == 1;
  }
  // The client was told, by a reset.
  [[nodiscard]] bool is_reset() const {
    pollfd ready{.fd = client.get(), .events = POLLIN, .revents = 0};
    char one = 0;
    return poll(&ready, 1, 0) == 1 && recv(client.get(), &one, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET;
  }
};

class EnrolTest : public kernel::KernelTest {
 protected:
  EnrolTest() : pod_cgroup_(cgroup_, "pod"), node_({"10.77.0.1/24", "fd77::1/64"}) {
    node_.attach(pod_, {"10.77.0.2/24", "fd77::2/64"});
    node_.netns().ip("addr add 10.99.0.5/32 dev lo");
    node_.netns().ip("-6 addr add fd99::5/128 dev lo nodad");
    loop_ = *base::Loop::create(clock_);
    proxy_ = std::make_unique<test::CaptiveProxy>(*loop_);
    snapshot_.workloads = {workload("web", true, {"10.77.0.2", "fd77::2"}),
                           workload("far", false, {"10.99.0.5", "fd99::5"})};
    snapshot_.local_pods = {{.workload = 0}};
    server_v4_ = serve("10.99.0.5:7000");
    server_v6_ = serve("[fd99::5]:7000");
    start();
    tester_ = *SelfTestHelper::create(*loop_, cgroup_.path() + "/self-test");
  }
  ~EnrolTest() override {
    enroller_.reset();
    proxy_->die();
    loop_->turn(0);
    tester_.reset();
  }

  static model::Workload workload(const std::string& name, bool local,
                                  const std::vector<std::string>& addresses) {
    model::Workload one{.name = name, .ns = "dev", .service_account = name, .enrolled = true, .local = local};
    for (const auto& address : addresses) one.addresses.push_back(*base::Address::parse(address));
    return one;
  }

  // Listens in the node's namespace; nobody accepts, which is enough to be connected to.
  base::Fd serve(const std::string& at) {
    return test::value_inside({&node_.netns()}, [&] {
      sockaddr_storage address{};
      const socklen_t length = base::SocketAddress::parse(at)->to_sockaddr(&address);
      base::Fd socket(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      EXPECT_EQ(bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length), 0) << at;
      EXPECT_EQ(listen(socket.get(), 512), 0);
      return socket;
    });
  }

  void start_agent() {
    door_ = std::make_unique<KernelDoor>(*kernel_);
    const Steering steering;
    enroller_ = std::make_unique<Enroller>(
        *loop_,
        EnrolDoors{*door_, *proxy_, *tester_,
                   [steering](const std::string& path) { return SystemNetns::open(path, steering); },
                   [steering](uint64_t cookie) { return SystemNetns::find(cookie, steering); }, &memory_},
        EnrolOptions{.self_test_every = std::chrono::seconds(1),
                     .self_test_v4 = {*base::Address::parse(compile::kSelfTestV4), compile::kSelfTestPort},
                     .self_test_v6 = {*base::Address::parse(compile::kSelfTestV6), compile::kSelfTestPort}});
    ASSERT_TRUE(enroller_->adopt());
    enroller_->on_proxy_ready(1);
  }

  // Brings the node to snapshot_.
  void apply() {
    ids_.begin();
    const compile::Tables tables = compile::compile(snapshot_, ids_);
    ids_.finish();
    const std::vector<LocalTerms> terms(snapshot_.local_pods.size(), {pod_.path(), pre_mesh_});
    const auto desired = desired_pods(snapshot_, terms, tables);
    enroller_->release_absent(desired);
    ASSERT_TRUE(kernel_->sync(tables));
    enroller_->enrol(desired);
  }

  [[nodiscard]] base::Fd listen_in_pod(const std::string& at) const {
    return test::value_inside(in_pod(), [&] {
      sockaddr_storage address{};
      const socklen_t length = base::SocketAddress::parse(at)->to_sockaddr(&address);
      base::Fd socket(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const int off = 0;
      if (address.ss_family == AF_INET6)
        setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
      EXPECT_EQ(bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length), 0) << at;
      EXPECT_EQ(listen(socket.get(), 16), 0);
      return socket;
    });
  }
  // `listener` has to have the connection waiting.
  [[nodiscard]] static Pair open_pair(const test::Place& from, const std::string& to, const base::Fd& listener) {
    Pair pair;
    pair.client = test::value_inside(from, [&] { return dial(to); });
    pair.server = base::Fd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    return pair;
  }
  bool until(const std::function<bool()>& done, std::chrono::milliseconds limit = std::chrono::seconds(5)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!done() && std::chrono::steady_clock::now() < end) loop_->turn(10);
    return done();
  }
  void make_captured() {
    start_agent();
    apply();
    ASSERT_TRUE(until([&] { return enroller_->ready(); })) << enroller_->status()[0].detail;
  }

  [[nodiscard]] test::Place in_pod() const { return {&pod_, &pod_cgroup_}; }
  // Runs `work` as a process of the pod while the agent and the proxy go on.
  std::string in_app(const std::function<std::string()>& work) {
    test::Child app(in_pod(), work);
    return finish(app);
  }
  std::string finish(test::Child& app) {
    std::string answer;
    std::atomic<bool> done = false;
    std::thread waiter([&] {
      try {
        answer = app.wait();
      } catch (const std::exception& error) {
        answer = error.what();
      }
      done = true;
    });
    EXPECT_TRUE(until([&] { return done.load(); }, std::chrono::seconds(25)));
    waiter.join();
    return answer;
  }
  uint64_t repairs(Repair repair) { return enroller_->metrics().repairs[static_cast<size_t>(repair)]; }

  test::Cgroup pod_cgroup_;
  test::NodeNet node_;
  test::Netns pod_;
  base::Fd server_v4_, server_v6_;
  base::SystemClock clock_;
  std::unique_ptr<base::Loop> loop_;
  std::unique_ptr<test::CaptiveProxy> proxy_;
  std::unique_ptr<SelfTestHelper> tester_;
  std::unique_ptr<KernelDoor> door_;
  std::unique_ptr<Enroller> enroller_;
  test::ScratchDir scratch_;
  PreMeshFiles memory_{scratch_ / "pre-mesh", "this-boot"};
  objects::PreMeshPolicy pre_mesh_;  // with the next apply()
  model::Snapshot snapshot_;
  compile::Ids ids_;
};

}  // namespace weft::enrol
