#pragma once
// The only room that touches BPF: loads, pins, attaches and upgrades the hooks, and writes their maps.
//
//   <pin root>/v<ABI>/<map>                  pods, services, backends, workloads, policy, names, counters, ...
//   <pin root>/v<ABI>/links/<hook>           one per cgroup hook
//   <pin root>/v<ABI>/links/pods/<cookie>    sk_lookup, one per armed pod netns
//
// Pins outlive the agent: connections and verdicts go on while it is away. uninstall() is the only way out.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/compile/compile.h"
#include "bpf/abi/weft_abi.h"
#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/base/result.h"

namespace weft::kernel {

struct Options {
  std::string pin_root = "/sys/fs/bpf/weft";
  std::string pods_cgroup;  // directory in a cgroup v2 hierarchy; hooks see sockets made below it
  // The one bit of SO_MARK that is ours; the rule in the pods' netns must name the same.
  uint32_t mark = WEFT_MARK_DEFAULT;
  // Of the node's kubelet, in the same hierarchy, neither above nor below pods_cgroup; empty: no exemption. What
  // it opens from this process's netns reaches the applications of strict pods, on any port.
  std::string kubelet_cgroup;
  // Told after every step of open(): for the log.
  std::function<void(std::string_view step)> on_step;
};

// A cgroup directory of weft's own.
struct Exempt {
  std::string directory;
  weft_exempt_reason reason = WEFT_EXEMPT_AGENT;
};

// What open() found and did.
enum class Start : uint8_t {
  kCreated,   // nothing was pinned
  kReused,    // same programs, same maps: nothing was touched
  kUpgraded,  // other programs of the same ABI: maps kept, every link now runs the shipped programs
};

enum class LinkState : uint8_t {
  kAttached,
  kDetached,  // pinned, but its netns or cgroup is gone, or somebody detached it
  kAbsent,    // not pinned
};

struct Counter {
  std::string name;  // field name of the BPF counters
  uint64_t value = 0;
};

// Where one hook stands on its attach point.
struct Attachment {
  std::string hook;
  LinkState state = LinkState::kAbsent;
  uint32_t ours = 0;     // programs of ours at the attach point: exactly one is right
  uint32_t foreign = 0;  // others there: they coexist, the status says so
};

// Counted by this room; everything else is in counters().
struct Failures {
  uint64_t services_left_out = 0;   // sync(): a full map; the service keeps its last whole table, or has none
  uint64_t pods_left_to_proxy = 0;  // sync(): a full policy map; the proxy judges all their arrivals
  uint64_t pods_made_strict = 0;    // sync(): a full map of port modes; strict on every port
  uint64_t pods_left_captured = 0;  // sync(): a full map of exclusions; what they name stays captured
  uint64_t writes_failed = 0;       // sync(): any other write
  uint64_t hooks_repaired = 0;      // repair_hooks(): links that somebody took away
};

// Owns the pinned state of one node. Owner: the agent's kernel thread; counters() alone may be called from
// any thread. Dying leaves everything attached.
class Kernel {
 public:
  // Fails with a sentence on what the machine lacks (bpffs, cgroup v2, BTF, a loadable hook), or on pins of
  // another ABI, or when another agent holds the pin root.
  static base::Result<std::unique_ptr<Kernel>> open(const Options& options);
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  [[nodiscard]] Start start() const;

  // The tables as the kernel has them: read back by open(), followed by sync(). Ids::recover(current())
  // first.
  [[nodiscard]] const compile::Tables& current() const;
  // Brings the kernel to `desired`. What a full map leaves no room for is left out whole, counted and named
  // in the error; all the rest is applied. Order around it: disarm pods that left before, arm new pods after.
  base::Status sync(compile::Tables desired);
  // Whether every exclusion of this pod is in the kernel, as of the last sync().
  [[nodiscard]] bool has_exclusions_of(uint32_t pod_id) const;
  // Reads the pinned maps anew; for tests and for the repair loop.
  [[nodiscard]] base::Result<compile::Tables> read_tables() const;

  // The cgroups whose processes every hook passes by. Replaces the set of before; call again when one is made
  // anew. `known_proxies` false: proxies of before stay in it too, since they have not been heard of yet.
  base::Status set_exempt_cgroups(const std::vector<Exempt>& cgroups, bool known_proxies = true);

  // Pods by netns cookie. put_pod() also changes an existing entry.
  base::Status put_pod(uint64_t netns_cookie, const weft_pod& pod);
  base::Status remove_pod(uint64_t netns_cookie);  // fine if it is not there; also drops its attested records
  [[nodiscard]] base::Result<weft_pod> pod(uint64_t netns_cookie) const;
  [[nodiscard]] base::Result<std::map<uint64_t, weft_pod>> pods() const;
  // Who opened the connection that has this 4-tuple; kNotFound: no record of it.
  [[nodiscard]] base::Result<weft_attested> attested(const weft_tuple& tuple) const;
  // (flags & ~clear) | set
  base::Status set_pod_flags(uint64_t netns_cookie, uint32_t set, uint32_t clear);

  // The pod's own sk_lookup instance in the netns behind `netns_fd`. attach_pod() keeps a live link (after an
  // upgrade: with the new program) and replaces a detached one.
  base::Status attach_pod(uint64_t netns_cookie, int netns_fd);
  base::Status detach_pod(uint64_t netns_cookie);  // fine if it is not there
  [[nodiscard]] LinkState pod_link(uint64_t netns_cookie) const;
  // Cookies that have a pinned link, whatever its state: pods() and this list are what a restarted agent
  // begins with.
  [[nodiscard]] base::Result<std::vector<uint64_t>> attached_pods() const;

  // Listening sockets: slot = pod.listener_slot + enum weft_listener. A closed socket leaves its slot by
  // itself.
  base::Status set_listener(uint32_t slot, int socket_fd);
  base::Status clear_listener(uint32_t slot);  // fine if it is empty
  [[nodiscard]] bool has_listener(uint32_t slot) const;

  // Summed over the CPUs, in the order of the BPF struct.
  [[nodiscard]] base::Result<std::vector<Counter>> counters() const;
  [[nodiscard]] const Failures& failures() const;
  // One entry per cgroup hook that has a place.
  [[nodiscard]] std::vector<Attachment> attachments() const;
  // Attaches the cgroup hooks whose link is absent or detached; says how many. For the repair loop.
  base::Result<unsigned> repair_hooks();
  // The ring buffer map, for EventReader.
  [[nodiscard]] int events_map() const;

 private:
  struct Impl;
  explicit Kernel(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Detaches everything below the pin root and removes its pins, of every ABI. Fine if there is nothing.
base::Status uninstall(const std::string& pin_root);

// Mount point of the cgroup v2 hierarchy, hybrid or pure, from /proc/self/mountinfo.
[[nodiscard]] base::Result<std::string> find_cgroup2();
// By which BPF knows the network namespace of the calling thread.
[[nodiscard]] base::Result<uint64_t> own_netns_cookie();
// The id by which BPF knows a cgroup directory.
[[nodiscard]] base::Result<uint64_t> cgroup_id(const std::string& directory);

// Loads every hook as it would be loaded for real, attaches nothing, and says what the machine lacks: one
// sentence each, none when all is well.
[[nodiscard]] std::vector<std::string> preflight(const Options& options);

}  // namespace weft::kernel
