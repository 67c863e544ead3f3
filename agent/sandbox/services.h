#pragma once
// Plays the API server's part for Services: cluster IPs, node ports and defaults, in a copy; the user's file
// stays.
#include <set>
#include <string>

#include "agent/sandbox/layout.h"
#include "agent/sandbox/store.h"

namespace weft::sandbox {

inline constexpr uint32_t kFirstServiceHost = 11;  // the first ten are for what clusters put there (API, DNS)
inline constexpr int64_t kFirstNodePort = 30000, kLastNodePort = 32767;

// Which addresses and ports are taken. Owner: the daemon; thread: its only one. Reuse is put off as long as
// possible.
class ServiceAllocator {
 public:
  explicit ServiceAllocator(const Layout& layout) : layout_(layout) {}
  // Takes account of the services that exist now.
  void see(const Objects& services);

  // `applied` with everything a server fills in. `previous` (may be null) is the copy made before: what it
  // holds stays.
  [[nodiscard]] Json complete(const Json& applied, const Json* previous);

 private:
  void give_addresses(Json& spec, const Json& before);
  void give_node_ports(Json& spec, const Json& before);
  std::string next_address(bool v6);
  int64_t next_node_port();

  const Layout& layout_;
  std::set<std::string> addresses_;
  std::set<int64_t> node_ports_;
  uint32_t last_v4_ = kFirstServiceHost - 1, last_v6_ = kFirstServiceHost - 1;
  int64_t last_port_ = kFirstNodePort - 1;
};

[[nodiscard]] bool is_headless(const Json& service);
// The families of a service, "IPv4" and "IPv6".
[[nodiscard]] std::vector<std::string> families_of(const Json& service);

}  // namespace weft::sandbox
