// What a connection costs from pod to pod of one node: straight, through weft's hooks, through the NAT of a
// sidecar's capture, through kube-proxy's nftables tables. Every peer has its own copy of this net:
//
//   client 10.77.1.2 ---- 10.77.1.1 [ node: routes ] 10.77.2.1 ---- server 10.77.2.2 services: 10.96.x.y:80
//
// One pinned thread plays both ends, so no wake-up hides the path. Prints one JSON line a measurement;
// connect_bench.py turns them into tables.
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/bpf/world.h"

namespace weft::test {
namespace {

constexpr uint16_t kPort = 8080, kServicePort = 80;
constexpr int kManyServices = 10000;
constexpr uint32_t kPolicies = 1000;

void must(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

base::SocketAddress service(int number) {
  return {base::Address::v4(0x0a600000U + static_cast<uint32_t>(number)), kServicePort};
}

// Client, node and server, and where the client runs.
struct Net {
  explicit Net(const std::string& name) : cgroup(name) {
    connect_veth(node, "c0", {"10.77.1.1/24"}, client, "eth0", {"10.77.1.2/24"});
    connect_veth(node, "s0", {"10.77.2.1/24"}, server, "eth0", {"10.77.2.2/24"});
    node.sysctl("net.ipv4.ip_forward", "1");
    client.ip("route add default via 10.77.1.1");
    server.ip("route add default via 10.77.2.1");
    listener = listen_at({.netns = &server, .cgroup = &cgroup}, server_address);
    must(::setsockopt(listener.get(), IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) == 0, "cubic");
  }
  void nft(const std::string& rules) const {
    const std::string path = "/tmp/weft-bench-" + std::to_string(::getpid()) + ".nft";
    std::ofstream(path) << rules;
    node.sh("nft -f " + path);
    ::unlink(path.c_str());
  }

  Cgroup cgroup;
  Netns node, client, server;
  base::SocketAddress server_address{address_of("10.77.2.2"), kPort};
  base::Fd listener;
};

// The same, both pods enrolled.
struct WeftNet : Net {
  explicit WeftNet(const std::string& name) : Net(name), hooks(cgroup) {
    enrol(client, 1, "10.77.1.2");
    enrol(server, 2, "10.77.2.2");
  }
  void enrol(const Netns& netns, uint32_t id, const char* address) const {
    weft_pod pod{};
    pod.pod_id = pod.identity = pod.namespace_id = pod.generation = id;
    pod.flags = WEFT_POD_ENROLLED | WEFT_POD_MARKING;
    pod.listener_slot = WEFT_LISTENERS_PER_POD * (id - 1);
    pod.ipv4 = to_abi(address_of(address));
    hooks.put("pods", weft_pod_key{netns.cookie()}, pod);
    const weft_workload workload{id, id, WEFT_WORKLOAD_ENROLLED | WEFT_WORKLOAD_LOCAL, id};
    hooks.put("workloads", pod.ipv4, workload);
    const_cast<Hooks&>(hooks).attach_pod(netns);
  }
  // AuthorizationPolicies of the server's pod as the agent writes them: one in ten refuses a namespace, the others
  // admit an identity at the server's port; the client's is the first.
  void load_policies() const {
    constexpr uint32_t kServer = 2;
    for (uint32_t i = 1; i <= kPolicies; ++i) {
      const bool deny = i % 10 == 0;
      const uint32_t id = deny ? kPolicies + i : i;
      weft_policy_key key{};
      key.prefix_length = WEFT_POLICY_FIXED_BITS + 32;
      key.pod_id = kServer;
      key.action = deny ? WEFT_ACTION_DENY : WEFT_ACTION_ALLOW;
      key.subject = deny ? WEFT_SUBJECT_NAMESPACE : WEFT_SUBJECT_IDENTITY;
      key.port = deny ? 0 : kPort;
      std::memcpy(key.value.bytes, &id, sizeof id);
      hooks.put("policy", key, weft_policy{i});
    }
    const uint32_t kinds = WEFT_POLICY_KIND(WEFT_ACTION_DENY, WEFT_SUBJECT_NAMESPACE, 0) |
                           WEFT_POLICY_KIND(WEFT_ACTION_ALLOW, WEFT_SUBJECT_IDENTITY, kPort);
    auto pod = hooks.get<weft_pod>("pods", weft_pod_key{server.cookie()});
    must(pod.has_value(), "the server's entry");
    pod->flags |= WEFT_POD_HAS_ALLOW | WEFT_POD_HAS_POLICY;
    pod->policy_kinds = kinds;
    hooks.put("pods", weft_pod_key{server.cookie()}, *pod);
    auto workload = hooks.get<weft_workload>("workloads", pod->ipv4);
    must(workload.has_value(), "the server's workload");
    workload->flags |= WEFT_WORKLOAD_HAS_ALLOW | WEFT_WORKLOAD_HAS_POLICY;
    workload->policy_kinds = kinds;
    hooks.put("workloads", pod->ipv4, *workload);
  }
  // Services 1..count, each with the server and four more backends that weigh nothing.
  void set_services(int count) const {
    for (int number = 1; number <= kManyServices; ++number) {
      const base::SocketAddress address = service(number);
      const weft_service_key key{to_abi(address.address), address.port, IPPROTO_TCP, 0};
      if (number > count) {
        hooks.erase("services", key);
        continue;
      }
      weft_backend one = backend(server_address, WEFT_WORKLOAD_ENROLLED | WEFT_WORKLOAD_LOCAL, 2);
      const auto id = static_cast<uint32_t>(number);
      for (uint32_t slot = 0; slot < 5; ++slot) hooks.put("backends", weft_backend_key{id, 1, slot}, one);
      weft_service head{};
      head.service_id = id;
      head.generation = 1;
      head.backend_count = 5;
      hooks.put("services", key, head);
    }
  }
  Hooks hooks;
};

// As kube-proxy's nftables mode: service map -> chain of the service -> chain of the endpoint -> dnat.
std::string kube_proxy_rules(int services) {
  std::string out = "table ip kube {\n chain endpoint { meta l4proto tcp dnat to 10.77.2.2:8080; }\n";
  std::string elements;
  for (int i = 1; i <= services; ++i) {
    out += fmt::format(" chain service-{} {{ numgen random mod 1 vmap {{ 0 : goto endpoint }}; }}\n", i);
    elements += fmt::format("{}{} . tcp . 80 : goto service-{}", i > 1 ? ", " : "",
                            service(i).address.to_string(), i);
  }
  return out + " map service-ips { type ipv4_addr . inet_proto . inet_service : verdict; elements = { " +
         elements + " }; }\n chain services { ip daddr . meta l4proto . th dport vmap @service-ips; }\n" +
         " chain prerouting { type nat hook prerouting priority dstnat; jump services; }\n}\n";
}

double seconds_of(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Wall and CPU time of `operations` runs, in microseconds a run.
struct Cost {
  double wall = 0, cpu = 0;
};
Cost measure(int operations, const std::function<void(int)>& operation) {
  const double cpu = seconds_of(CLOCK_THREAD_CPUTIME_ID), wall = seconds_of(CLOCK_MONOTONIC);
  for (int i = 0; i < operations; ++i) operation(i);
  return {(seconds_of(CLOCK_MONOTONIC) - wall) * 1e6 / operations,
          (seconds_of(CLOCK_THREAD_CPUTIME_ID) - cpu) * 1e6 / operations};
}

struct Pair {
  base::Fd client, server;
};

Pair open_pair(const Net& net, const sockaddr_in& target) {
  Pair pair;
  pair.client = base::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  must(::connect(pair.client.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target) == 0,
       "connect");
  for (int tries = 0; !pair.server && tries < 1000; ++tries)
    pair.server = base::Fd(::accept4(net.listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  must(pair.server.valid(), "accept");
  return pair;
}

void close_pair(Pair pair) {
  const linger now{1, 0};
  ::setsockopt(pair.client.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

sockaddr_in sockaddr_of(const base::SocketAddress& address) {
  sockaddr_storage storage{};
  address.to_sockaddr(&storage);
  sockaddr_in out{};
  std::memcpy(&out, &storage, sizeof out);
  return out;
}

Cost connect_and_close(const Net& net, const std::vector<sockaddr_in>& targets, int operations) {
  return measure(operations, [&](int i) {
    close_pair(open_pair(net, targets[static_cast<size_t>(i * 7919) % targets.size()]));
  });
}

Cost round_trips(const Net& net, const sockaddr_in& target, int operations) {
  const Pair pair = open_pair(net, target);
  const int one = 1;
  for (int fd : {pair.client.get(), pair.server.get()})
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  char bytes[64] = {};
  return measure(operations, [&](int) {
    for (auto [from, to] :
         {std::pair{pair.client.get(), pair.server.get()}, {pair.server.get(), pair.client.get()}}) {
      must(::send(from, bytes, sizeof bytes, 0) == sizeof bytes, "send");
      must(::recv(to, bytes, sizeof bytes, MSG_WAITALL) == sizeof bytes, "recv");
    }
  });
}

// Microseconds for 64 KiB.
Cost bulk(const Net& net, const sockaddr_in& target, int operations) {
  const Pair pair = open_pair(net, target);
  ::setsockopt(pair.client.get(), IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
  std::vector<char> bytes(65536);
  return measure(operations, [&](int) {
    must(::send(pair.client.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()),
         "send");
    must(::recv(pair.server.get(), bytes.data(), bytes.size(), MSG_WAITALL) ==
             static_cast<ssize_t>(bytes.size()),
         "recv");
  });
}

void print(const char* bench, const std::string& peer, const Cost& cost) {
  std::printf("{\"bench\": \"%s\", \"peer\": \"%s\", \"wall\": %.4f, \"cpu\": %.4f}\n", bench, peer.c_str(),
              cost.wall, cost.cpu);
  std::fflush(stdout);
}

struct Peer {
  std::string name;
  const Net* net;
  std::vector<sockaddr_in> targets;
};

std::vector<sockaddr_in> targets_of(int services) {
  std::vector<sockaddr_in> out;
  for (int i = 1; i <= services; ++i) out.push_back(sockaddr_of(service(i)));
  return out;
}

void run(int rounds) {
  const Net plain("plain"), dnat("dnat"), nft_few("nft10"), nft_many("nft10000");
  const WeftNet weft_few("weft10"), weft_many("weft10000"), weft_policies("weftpolicies");
  dnat.client.sh(
      "iptables-legacy -t nat -A OUTPUT -p tcp -d 10.96.0.0/16 --dport 80 -j DNAT --to 10.77.2.2:8080");
  nft_few.nft(kube_proxy_rules(10));
  nft_many.nft(kube_proxy_rules(kManyServices));
  weft_few.set_services(10);
  weft_many.set_services(kManyServices);
  weft_policies.set_services(10);
  weft_policies.load_policies();
  const std::vector<Peer> peers{{"no mesh", &plain, {sockaddr_of(plain.server_address)}},
                                {"weft", &weft_few, targets_of(10)},
                                {"weft, 1000 policies", &weft_policies, targets_of(10)},
                                {"weft, 10000 services", &weft_many, targets_of(kManyServices)},
                                {"iptables DNAT", &dnat, targets_of(10)},
                                {"nftables, 10 services", &nft_few, targets_of(10)},
                                {"nftables, 10000", &nft_many, targets_of(kManyServices)}};
  for (int round = 0; round <= rounds; ++round)
    for (const Peer& peer : peers)
      inside({.netns = &peer.net->client, .cgroup = &peer.net->cgroup}, [&] {
        const Cost connect = connect_and_close(*peer.net, peer.targets, 3000);
        const Cost trip = round_trips(*peer.net, peer.targets[0], 10000);
        const Cost carried = bulk(*peer.net, peer.targets[0], 3000);
        if (round == 0) return;  // warm-up
        print("connect", peer.name, connect);
        print("round trip", peer.name, trip);
        print("bulk", peer.name, carried);
      });
  must(weft_policies.hooks.count(WEFT_COUNTER_lookup_to_app_attested) > 0, "no arrival was attested");
  // The table alone: one net, filled and emptied in turn.
  for (int round = 0; round <= rounds; ++round)
    for (int services : {10, kManyServices}) {
      weft_few.set_services(services);
      inside({.netns = &weft_few.client, .cgroup = &weft_few.cgroup}, [&] {
        const Cost same = connect_and_close(weft_few, targets_of(10), 3000);
        const Cost all = connect_and_close(weft_few, targets_of(services), 3000);
        if (round == 0) return;
        print("table, ten services called", std::to_string(services), same);
        print("table, all services called", std::to_string(services), all);
      });
    }
}

}  // namespace
}  // namespace weft::test

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 7;
  const int cpu = argc > 2 ? std::atoi(argv[2]) : 1;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  ::sched_setaffinity(0, sizeof set, &set);
  try {
    weft::test::run(rounds);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
