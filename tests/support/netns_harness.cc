#include "tests/support/netns_harness.h"

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <utility>

namespace weft::test {
namespace {

[[noreturn]] void give_up(const std::string& what) {
  throw std::runtime_error(what);
}
[[noreturn]] void give_up_errno(const std::string& what) {
  give_up(what + ": " + std::strerror(errno));
}

void write_file(const std::string& path, const std::string& text) {
  base::Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    give_up_errno("write " + text + " to " + path);
}

base::Fd open_netns() {
  base::Fd fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!fd) give_up_errno("open /proc/thread-self/ns/net");
  return fd;
}

// The v2 cgroup of this process, as a directory.
std::string own_cgroup() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("0::")) return cgroup2_mount() + line.substr(3);
  give_up("this process is in no cgroup v2");
}

void join(const Cgroup& cgroup) {
  write_file(cgroup.path() + "/cgroup.procs", "0");
}

// Puts the thread's netns and the process's cgroup back where they were.
class Return {
 public:
  explicit Return(const Place& place) {
    if (place.netns) netns_ = open_netns();
    if (place.cgroup) cgroup_ = own_cgroup();
  }
  ~Return() {
    if (netns_ && ::setns(netns_.get(), CLONE_NEWNET) != 0) std::abort();
    if (!cgroup_.empty()) write_file(cgroup_ + "/cgroup.procs", "0");
  }
  Return(const Return&) = delete;
  Return& operator=(const Return&) = delete;

 private:
  base::Fd netns_;
  std::string cgroup_;
};

void enter(const Place& place) {
  if (place.cgroup) join(*place.cgroup);
  if (place.netns && ::setns(place.netns->fd(), CLONE_NEWNET) != 0) give_up_errno("setns");
}

// Cgroups of test processes that were killed before they could clean up.
void sweep_stale_cgroups() {
  for (const auto& entry : std::filesystem::directory_iterator(cgroup2_mount())) {
    int pid = 0;
    if (std::sscanf(entry.path().filename().c_str(), "weft-test-%d-", &pid) != 1) continue;
    if (::kill(pid, 0) == 0 || errno != ESRCH) continue;
    std::vector<std::filesystem::path> directories{entry.path()};
    for (const auto& below : std::filesystem::recursive_directory_iterator(entry.path()))
      if (below.is_directory()) directories.push_back(below.path());
    for (auto it = directories.rbegin(); it != directories.rend(); ++it) ::rmdir(it->c_str());
  }
}

std::string without_prefix_length(const std::string& cidr) {
  return cidr.substr(0, cidr.find('/'));
}

// One shell line for a device's addresses and state: each process started costs milliseconds.
std::string device_up(const std::string& device, const std::vector<std::string>& addresses) {
  std::string commands;
  for (const std::string& address : addresses) {
    const bool v6 = address.find(':') != std::string::npos;
    commands += "ip addr add " + address + " dev " + device + (v6 ? " nodad" : "") + " && ";
  }
  return commands + "ip link set " + device + " up";
}

}  // namespace

Netns::Netns() {
  const base::Fd home = open_netns();
  if (::unshare(CLONE_NEWNET) != 0) give_up_errno("unshare a network namespace (are you root?)");
  fd_ = open_netns();
  socklen_t length = sizeof cookie_;
  const base::Fd probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int got = ::getsockopt(probe.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie_, &length);
  if (::setns(home.get(), CLONE_NEWNET) != 0) std::abort();
  if (got != 0) give_up_errno("getsockopt SO_NETNS_COOKIE");
  inside({.netns = this}, [] {
    const base::Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP;
    if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) give_up_errno("bring lo up");
  });
  unpace();
  sysctl("net.ipv6.conf.all.accept_dad", "0");
  sysctl("net.ipv6.conf.default.accept_dad", "0");
}

void Netns::unpace() const {
  // bbr paces, which makes tests slow and figures wild. Below the first namespace only "allowed" ones can be
  // set.
  try {
    sysctl("net.ipv4.tcp_congestion_control", "cubic");
  } catch (const std::runtime_error&) {
    sysctl("net.ipv4.tcp_congestion_control", "reno");
  }
}

std::string Netns::path() const {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd());
}

void Netns::ip(const std::string& arguments) const {
  sh("ip " + arguments);
}

std::string Netns::sh(const std::string& command) const {
  std::string output;
  int status = -1;
  inside({.netns = this}, [&] {
    FILE* pipe = ::popen(("exec 2>&1; " + command).c_str(), "re");
    if (pipe == nullptr) give_up_errno("popen");
    char chunk[4096];
    while (size_t got = std::fread(chunk, 1, sizeof chunk, pipe)) output.append(chunk, got);
    status = ::pclose(pipe);
  });
  if (status != 0) give_up("\"" + command + "\" failed: " + output);
  return output;
}

void Netns::sysctl(const std::string& dotted_name, const std::string& value) const {
  std::string path = "/proc/sys/" + dotted_name;
  for (char& c : path)
    if (c == '.') c = '/';
  inside({.netns = this}, [&] { write_file(path, value); });
}

Cgroup::Cgroup(const std::string& label)
    : path_(cgroup2_mount() + "/weft-test-" + std::to_string(::getpid()) + "-" + label) {
  sweep_stale_cgroups();
  create();
}
Cgroup::Cgroup(const Cgroup& parent, const std::string& label) : path_(parent.path_ + "/" + label) {
  create();
}

void Cgroup::create() {
  if (::mkdir(path_.c_str(), 0755) != 0 && errno != EEXIST) give_up_errno("mkdir " + path_);
  fd_ = base::Fd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd_) give_up_errno("open " + path_);
}

Cgroup::Cgroup(Cgroup&& other) noexcept : path_(std::exchange(other.path_, {})), fd_(std::move(other.fd_)) {}

Cgroup::~Cgroup() {
  if (!path_.empty()) ::rmdir(path_.c_str());
}

uint64_t Cgroup::id() const {
  struct stat status{};
  if (::fstat(fd_.get(), &status) != 0) give_up_errno("fstat " + path_);
  return status.st_ino;
}

void inside(const Place& place, const std::function<void()>& work) {
  const Return way_back(place);
  enter(place);
  work();
}

Child::Child(const Place& place, const std::function<std::string()>& work) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) give_up_errno("pipe2");
  result_ = base::Fd(ends[0]);
  base::Fd report(ends[1]);
  pid_ = ::fork();
  if (pid_ < 0) give_up_errno("fork");
  if (pid_ > 0) return;
  int code = 0;
  std::string text;
  try {
    enter(place);
    text = work();
  } catch (const std::exception& error) {
    text = error.what();
    code = 1;
  }
  for (size_t sent = 0; sent < text.size();) {
    const ssize_t wrote = ::write(report.get(), text.data() + sent, text.size() - sent);
    if (wrote <= 0) break;
    sent += static_cast<size_t>(wrote);
  }
  ::_exit(code);
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), result_(std::move(other.result_)) {}

Child::~Child() {
  kill();
}

std::string Child::wait(std::chrono::milliseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  std::string text;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    pollfd ready{.fd = result_.get(), .events = POLLIN, .revents = 0};
    if (left.count() <= 0 || ::poll(&ready, 1, static_cast<int>(left.count())) <= 0) {
      kill();
      give_up("a child process did not end in time");
    }
    char chunk[4096];
    const ssize_t got = ::read(result_.get(), chunk, sizeof chunk);
    if (got <= 0) break;
    text.append(chunk, static_cast<size_t>(got));
  }
  int status = 0;
  ::waitpid(std::exchange(pid_, -1), &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) give_up("a child process failed: " + text);
  return text;
}

void Child::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(std::exchange(pid_, -1), nullptr, 0);
}

void connect_veth(const Netns& left, const std::string& left_name,
                  const std::vector<std::string>& left_addresses, const Netns& right,
                  const std::string& right_name, const std::vector<std::string>& right_addresses) {
  left.sh("ip link add " + left_name + " type veth peer name " + right_name + " netns " + right.path() +
          " && " + device_up(left_name, left_addresses));
  right.sh(device_up(right_name, right_addresses));
}

NodeNet::NodeNet(const std::vector<std::string>& gateway_addresses) {
  netns_.sh("ip link add cni0 type bridge && " + device_up("cni0", gateway_addresses));
  netns_.sysctl("net.ipv4.ip_forward", "1");
  netns_.sysctl("net.ipv6.conf.all.forwarding", "1");
  for (const std::string& address : gateway_addresses) gateways_.push_back(without_prefix_length(address));
}

void NodeNet::attach(const Netns& pod, const std::vector<std::string>& addresses) {
  const std::string port = "pod" + std::to_string(++ports_);
  netns_.sh("ip link add " + port + " master cni0 up type veth peer name eth0 netns " + pod.path());
  std::string commands = device_up("eth0", addresses);
  for (const std::string& gateway : gateways_) {
    const bool v6 = gateway.find(':') != std::string::npos;
    commands += std::string(" && ip ") + (v6 ? "-6 " : "") + "route add default via " + gateway;
  }
  pod.sh(commands);
}

std::string cgroup2_mount() {
  std::ifstream mounts("/proc/self/mounts");
  for (std::string line; std::getline(mounts, line);) {
    const size_t path = line.find(' ') + 1;
    const size_t type = line.find(' ', path) + 1;
    if (line.compare(type, 8, "cgroup2 ") == 0) return line.substr(path, type - path - 1);
  }
  give_up("no cgroup v2 is mounted");
}

bool is_root() {
  return ::geteuid() == 0;
}

}  // namespace weft::test
