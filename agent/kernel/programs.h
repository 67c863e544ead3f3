#pragma once
// The hooks as loaded programs, and the links that hold them. Internal to kernel/.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/kernel/kernel.h"
#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/base/result.h"

namespace weft::kernel {

using MapSet = std::map<std::string, base::Fd>;

// What the running kernel can do, found by loading the real programs.
struct Features {
  bool set_retval = true;  // since 5.18: a refused connect says ECONNREFUSED instead of EPERM
  bool ifindex = true;     // since 5.17: sk_lookup sees the interface
};

// One cgroup hook, loaded.
struct Hook {
  std::string name;  // "connect4": the pin below links/
  bool of_kubelet = false;  // its place is the kubelet's cgroup instead of the pods'
  bpf_attach_type attach_type{};
  base::Fd program;
};

struct Hooks {
  std::vector<Hook> cgroup;
  Features features;
};

// Loads all cgroup hooks over `maps`. Maps that are not there yet are made and added; one whose layout
// differs is a conflict. `node_cookie`: of the netns that the kubelet speaks from.
base::Result<Hooks> load_hooks(MapSet& maps, uint32_t mark, uint64_t node_cookie);
// One sk_lookup instance. `maps` must be complete.
base::Result<base::Fd> load_sk_lookup(MapSet& maps, uint64_t netns_cookie, Features& features);

// A program as the kernel knows it. Two with one tag, the same constants and the same maps decide alike.
struct ProgramView {
  uint32_t id = 0;
  std::string name;
  std::string tag;
  std::vector<uint8_t> constants;  // its .rodata
  std::set<uint32_t> maps;         // ids of all others
};
base::Result<ProgramView> view_program(int fd);
base::Result<ProgramView> view_program_by_id(uint32_t id);

struct LinkView {
  LinkState state = LinkState::kAbsent;
  uint32_t program_id = 0;
  uint64_t target = 0;  // cgroup id or netns inode
};
base::Result<LinkView> view_link(int fd);

base::Result<base::Fd> attach(int program, int target, bpf_attach_type type);
// Ids of the programs at one attach point.
base::Result<std::vector<uint32_t>> attached_programs(int target, bpf_attach_type type);

}  // namespace weft::kernel
