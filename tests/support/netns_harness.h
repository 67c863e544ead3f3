#pragma once
// Real kernels in small: network namespaces, veth pairs, bridges, cgroups, and code run inside them. Needs
// root.
//
// Namespaces here have no name: a file descriptor holds them, so they vanish with the test however it ends.
// Cgroups are named weft-test-<pid>-...; those of dead test processes are swept away by the next one.
// Failures of the set-up are thrown as std::runtime_error, which gtest turns into a failed test while
// destructors clean up.
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "userspace-proxy/base/fd.h"

namespace weft::test {

// One network namespace: lo is up, congestion control is cubic (reno where the machine does not allow that),
// IPv6 addresses are usable at once.
class Netns {
 public:
  Netns();
  Netns(Netns&&) = default;

  [[nodiscard]] int fd() const { return fd_.get(); }
  // A file for those who want a path; good while this object and this process live.
  [[nodiscard]] std::string path() const;
  [[nodiscard]] uint64_t cookie() const { return cookie_; }
  // "ip <arguments>" inside.
  void ip(const std::string& arguments) const;
  // A shell command inside; returns what it printed, throws if it failed.
  std::string sh(const std::string& command) const;  // NOLINT(modernize-use-nodiscard)
  void sysctl(const std::string& dotted_name, const std::string& value) const;

 private:
  void unpace() const;
  base::Fd fd_;
  uint64_t cookie_ = 0;
};

// One cgroup v2 directory, removed when the object dies.
class Cgroup {
 public:
  explicit Cgroup(const std::string& label);
  Cgroup(const Cgroup& parent, const std::string& label);
  Cgroup(Cgroup&& other) noexcept;
  ~Cgroup();

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] uint64_t id() const;

 private:
  void create();
  std::string path_;
  base::Fd fd_;
};

// Where code runs; a null member means "stay".
struct Place {
  const Netns* netns = nullptr;
  const Cgroup* cgroup = nullptr;
};

// Runs `work` in this thread inside `place` and comes back, also when it throws. Sockets made there belong
// there for life. Changing the cgroup moves the whole process for that time.
void inside(const Place& place, const std::function<void()>& work);

template <typename Work>
auto value_inside(const Place& place, Work&& work) {
  decltype(work()) value{};
  inside(place, [&] { value = work(); });
  return value;
}

// A forked process inside `place` that runs `work` and hands back its string. Killed if it outlives the
// object.
class Child {
 public:
  Child(const Place& place, const std::function<std::string()>& work);
  Child(Child&& other) noexcept;
  ~Child();

  [[nodiscard]] pid_t pid() const { return pid_; }
  // Throws if the process dies otherwise than by returning, or not within `limit`.
  [[nodiscard]] std::string wait(std::chrono::milliseconds limit = std::chrono::seconds(20));
  void kill();

 private:
  pid_t pid_ = -1;
  base::Fd result_;
};

// Joins two namespaces by a veth pair. Addresses as "10.0.0.1/24", "fd00::1/64".
void connect_veth(const Netns& left, const std::string& left_name,
                  const std::vector<std::string>& left_addresses, const Netns& right,
                  const std::string& right_name, const std::vector<std::string>& right_addresses);

// A node as a CNI leaves it: a namespace with a bridge that pods hang on, itself their default gateway.
class NodeNet {
 public:
  explicit NodeNet(const std::vector<std::string>& gateway_addresses);
  NodeNet(NodeNet&&) = default;

  [[nodiscard]] const Netns& netns() const { return netns_; }
  // Gives `pod` an eth0 with these addresses and default routes to the gateway addresses.
  void attach(const Netns& pod, const std::vector<std::string>& addresses);

 private:
  Netns netns_;
  std::vector<std::string> gateways_;  // without prefix length
  int ports_ = 0;
};

// The cgroup v2 mount, hybrid or pure.
[[nodiscard]] std::string cgroup2_mount();

// Tests of the real kernel begin with it: fails loudly where nothing could be proven.
[[nodiscard]] bool is_root();

}  // namespace weft::test
