#include "agent/enrol/system_netns.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <filesystem>
#include <set>
#include <string_view>
#include <system_error>
#include <thread>

#include "agent/enrol/connections.h"
#include "agent/enrol/sockets.h"
#include "agent/kernel/kernel.h"

namespace weft::enrol {
namespace {

// Switches of a namespace that make what belongs to a marked connection carry its mark, and so loop as it does: what
// the accepting socket sends, and the resets and ICMP errors that the kernel answers for nobody's socket. Without the
// latter a delivery to a dead port would be a time-out. IPv6 has no switch of its own for the former.
constexpr std::array kSwitches = {"/proc/sys/net/ipv4/tcp_fwmark_accept", "/proc/sys/net/ipv4/fwmark_reflect",
                                  "/proc/sys/net/ipv6/fwmark_reflect"};

// Makes `count` sockets inside.
template <typename Make>
base::Result<std::vector<base::Fd>> make_inside(int netns, size_t count, const Make& make) {
  std::vector<base::Fd> sockets;
  sockets.reserve(count);
  TRY(run_inside(netns, [&]() -> base::Status {
    while (sockets.size() < count) {
      TRY_ASSIGN(base::Fd socket, make());
      sockets.push_back(std::move(socket));
    }
    return {};
  }));
  return sockets;
}

}  // namespace

base::Status make_switches_writable() {
  struct statvfs sys {};
  if (statvfs("/proc/sys", &sys) != 0) return base::fail_errno("look at /proc/sys");
  if ((sys.f_flag & ST_RDONLY) == 0) return {};
  if (mount(nullptr, "/proc/sys", nullptr, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0)
    return base::fail_errno("make /proc/sys writable in this container (CAP_SYS_ADMIN is needed)");
  return {};
}

base::Status run_inside(int netns_fd, const std::function<base::Status()>& work) {
  base::Status status;
  const auto body = [&] {
    if (setns(netns_fd, CLONE_NEWNET) != 0) {
      status = base::fail_errno("enter a pod's network namespace");
      return;
    }
    status = work();
  };
  try {
    std::thread(body).join();
  } catch (const std::system_error& error) {
    return base::fail_errno(error.code().value(), "make a thread");
  }
  return status;
}

base::Result<std::unique_ptr<PodNetns>> SystemNetns::open(const std::string& path, const Steering& steering) {
  base::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return base::fail_errno("open " + path);
  struct stat status{};
  if (fstat(fd.get(), &status) != 0) return base::fail_errno("inspect " + path);
  std::unique_ptr<SystemNetns> netns(new SystemNetns(std::move(fd), status.st_dev, status.st_ino, steering));
  if (auto looked = netns->look_inside(); !looked)
    return base::fail_errno(looked.error().sys_errno, path + ": " + looked.error().what);
  return netns;
}

base::Status SystemNetns::look_inside() {
  return run_inside(fd_.get(), [this]() -> base::Status {
    TRY_ASSIGN(cookie_, kernel::own_netns_cookie());
    TRY_ASSIGN(route_, Netlink::open(NETLINK_ROUTE));
    TRY_ASSIGN(diag_, Netlink::open(NETLINK_SOCK_DIAG));
    TRY_ASSIGN(changes_, watch_changes());
    for (const char* path : kSwitches) {
      base::Fd file(::open(path, O_RDWR | O_CLOEXEC));
      const bool no_ipv6 = !file && errno == ENOENT && std::string_view(path).find("ipv6") != std::string_view::npos;
      if (!file && !no_ipv6) return base::fail_errno(std::string("open ") + path);
      if (file) switches_.push_back(std::move(file));
    }
    return {};
  });
}

base::Result<std::unique_ptr<PodNetns>> SystemNetns::find(uint64_t cookie, const Steering& steering) {
  std::set<ino_t> seen;
  std::error_code ignored;
  // Names that runtimes pin come first: they need no right to look into processes (CAP_SYS_PTRACE).
  for (const char* pinned : {"/run/netns", "/var/run/netns"})
    for (const auto& entry : std::filesystem::directory_iterator(pinned, ignored)) {
      struct stat status{};
      if (stat(entry.path().c_str(), &status) != 0 || !seen.insert(status.st_ino).second) continue;
      auto netns = open(entry.path(), steering);
      if (netns && (*netns)->cookie() == cookie) return netns;
    }
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename();
    if (name.empty() || !std::isdigit(static_cast<unsigned char>(name[0]))) continue;
    const std::string path = entry.path() / "ns/net";
    struct stat status{};
    if (stat(path.c_str(), &status) != 0 || !seen.insert(status.st_ino).second) continue;
    auto netns = open(path, steering);
    if (netns && (*netns)->cookie() == cookie) return netns;
  }
  return base::fail(base::ErrorKind::kNotFound, "no process lives in that network namespace any more");
}

bool SystemNetns::is_at(const std::string& path) const {
  struct stat status{};
  return stat(path.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_;
}

base::Status SystemNetns::prepare() {
  TRY(set_loopback_up(*route_));
  for (const auto& file : switches_)
    if (pwrite(file.get(), "1", 1, 0) != 1) return base::fail_errno("switch the mark of answers on");
  return {};
}

bool SystemNetns::is_prepared() const {
  return std::ranges::all_of(switches_, [](const base::Fd& file) {
    char value = '0';
    return pread(file.get(), &value, 1, 0) == 1 && value == '1';
  });
}

base::Result<std::vector<base::Fd>> SystemNetns::make_listeners(model::Family family, size_t count) {
  return make_inside(fd_.get(), count, [&] { return make_captive_listener(family); });
}

base::Result<std::vector<base::Fd>> SystemNetns::make_stock(model::StockKind kind, model::Family family,
                                                            size_t count) {
  return make_inside(fd_.get(), count, [&] { return make_stock_socket(kind, family, steering_.mark); });
}

base::Status SystemNetns::add_route(model::Family family, const base::Address& source) {
  return enrol::add_route(*route_, family, steering_, source);
}
base::Status SystemNetns::add_rule(model::Family family) {
  return enrol::add_rule(*route_, family, steering_);
}
base::Result<bool> SystemNetns::has_route(model::Family family) {
  return enrol::has_route(*route_, family, steering_);
}
base::Result<bool> SystemNetns::has_rule(model::Family family) {
  return enrol::has_rule(*route_, family, steering_);
}
base::Status SystemNetns::remove_route(model::Family family) {
  return enrol::remove_route(*route_, family, steering_);
}
base::Status SystemNetns::remove_rule(model::Family family) {
  return enrol::remove_rule(*route_, family, steering_);
}
base::Result<size_t> SystemNetns::marked_connections() {
  return count_marked(*diag_, steering_.mark);
}

base::Result<std::vector<ArrivedConnection>> SystemNetns::arrived() {
  return list_arrived(*diag_, steering_.mark);
}
base::Result<std::vector<ArrivedConnection>> SystemNetns::uncarried() {
  return list_uncarried(*diag_, steering_.mark);
}
base::Status SystemNetns::cut(const ArrivedConnection& connection) {
  return destroy(*diag_, connection);
}

void SystemNetns::forget_changes() {
  std::array<char, 8192> buffer;
  // ENOBUFS means that some were lost: there was a change all the same.
  while (recv(changes_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT) > 0 || errno == ENOBUFS) continue;
}

}  // namespace weft::enrol
