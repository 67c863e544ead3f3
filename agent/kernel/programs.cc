#include "agent/kernel/programs.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>

#include "bpf/connect.skel.h"
#include "bpf/datagram.skel.h"
#include "bpf/peername.skel.h"
#include "bpf/probe.skel.h"
#include "bpf/sk_lookup.skel.h"
#include "bpf/sockops.skel.h"

namespace weft::kernel {
namespace {

constexpr size_t kMaxLog = 600;        // of libbpf's and the verifier's words in an error
constexpr uint32_t kMaxAttached = 64;  // the kernel's own bound on programs at one cgroup
constexpr std::string_view kProgramPrefix = "weft_";

// What libbpf said last on this thread; it has no other way to tell why a load failed.
thread_local std::string last_words;

int keep_words(libbpf_print_level level, const char* format, va_list arguments) {
  if (level == LIBBPF_DEBUG) return 0;
  char line[512];
  vsnprintf(line, sizeof line, format, arguments);
  last_words += line;
  if (last_words.size() > kMaxLog) last_words.erase(0, last_words.size() - kMaxLog);
  return 0;
}

std::unexpected<base::Error> fail_load(const std::string& what) {
  const int why = errno;
  std::string sentence = "load " + what;
  if (!last_words.empty()) sentence += " (" + last_words + ")";
  return base::fail_errno(why, sentence);
}

template <typename Skeleton>
using Owned = std::unique_ptr<Skeleton, void (*)(Skeleton*)>;

base::Result<std::string> layout_difference(const bpf_map* map, int fd) {
  bpf_map_info info{};
  uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) return base::fail_errno("inspect a pinned map");
  std::string out;
  auto compare = [&out](const char* what, uint32_t pinned, uint32_t shipped) {
    if (pinned != shipped)
      out += std::string(out.empty() ? "" : ", ") + what + " " + std::to_string(pinned) + " instead of " +
             std::to_string(shipped);
  };
  compare("type", info.type, bpf_map__type(map));
  compare("key size", info.key_size, bpf_map__key_size(map));
  compare("value size", info.value_size, bpf_map__value_size(map));
  compare("capacity", info.max_entries, bpf_map__max_entries(map));
  compare("flags", info.map_flags, bpf_map__map_flags(map));
  return out;
}

base::Status share_maps(bpf_object* object, MapSet& maps) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (bpf_map__is_internal(map)) continue;
    auto found = maps.find(bpf_map__name(map));
    if (found == maps.end()) continue;
    TRY_ASSIGN(auto difference, layout_difference(map, found->second.get()));
    if (!difference.empty())
      return base::fail(base::ErrorKind::kConflict,
                        "the pinned map \"" + found->first + "\" has " + difference +
                            ": it was made by another weft; uninstall that one first");
    if (bpf_map__reuse_fd(map, found->second.get()) != 0)
      return base::fail_errno("reuse map " + found->first);
  }
  return {};
}

base::Result<base::Fd> duplicate(int fd) {
  base::Fd copy(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) return base::fail_errno("duplicate a descriptor");
  return copy;
}

base::Status take_new_maps(bpf_object* object, MapSet& maps) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (bpf_map__is_internal(map) || maps.contains(bpf_map__name(map))) continue;
    TRY_ASSIGN(auto fd, duplicate(bpf_map__fd(map)));
    maps.emplace(bpf_map__name(map), std::move(fd));
  }
  return {};
}

base::Status take_programs(bpf_object* object, std::vector<Hook>& out) {
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object) {
    std::string_view name = bpf_program__name(program);
    if (name.starts_with(kProgramPrefix)) name.remove_prefix(kProgramPrefix.size());
    TRY_ASSIGN(auto fd, duplicate(bpf_program__fd(program)));
    out.push_back({.name = std::string(name),
                   .of_kubelet = name == "probe",
                   .attach_type = bpf_program__expected_attach_type(program),
                   .program = std::move(fd)});
  }
  return {};
}

// Opens a skeleton, sets its constants, loads it over the shared maps and keeps the programs; the skeleton
// goes.
template <typename Skeleton, typename Configure>
base::Status load(const char* name, Skeleton* (*open)(), void (*destroy)(Skeleton*), MapSet& maps,
                  std::vector<Hook>& out, Configure configure) {
  libbpf_set_print(keep_words);
  last_words.clear();
  Owned<Skeleton> skeleton(open(), destroy);
  if (skeleton == nullptr) return fail_load(name);
  configure(*skeleton);
  TRY(share_maps(skeleton->obj, maps));
  if (bpf_object__load_skeleton(skeleton->skeleton) != 0) return fail_load(name);
  TRY(take_new_maps(skeleton->obj, maps));
  return take_programs(skeleton->obj, out);
}

base::Status load_cgroup_hooks(MapSet& maps, uint32_t mark, uint64_t node_cookie, const Features& features,
                               std::vector<Hook>& out) {
  out.clear();
  TRY(load("connect", connect_bpf__open, connect_bpf__destroy, maps, out, [&](connect_bpf& skeleton) {
    skeleton.rodata->mark_bit = mark;
    skeleton.rodata->has_set_retval = features.set_retval;
  }));
  TRY(load("datagram", datagram_bpf__open, datagram_bpf__destroy, maps, out,
           [&](datagram_bpf& skeleton) { skeleton.rodata->has_set_retval = features.set_retval; }));
  TRY(load("peername", peername_bpf__open, peername_bpf__destroy, maps, out, [](peername_bpf&) {}));
  TRY(load("sockops", sockops_bpf__open, sockops_bpf__destroy, maps, out,
           [&](sockops_bpf& skeleton) { skeleton.rodata->mark_bit = mark; }));
  // Last: where the kubelet's cgroup cannot be reached, all other hooks are in place.
  return load("probe", probe_bpf__open, probe_bpf__destroy, maps, out,
              [&](probe_bpf& skeleton) { skeleton.rodata->node_cookie = node_cookie; });
}

base::Status view_map(uint32_t id, ProgramView& out) {
  base::Fd map(bpf_map_get_fd_by_id(id));
  if (!map) return base::fail_errno("open a map of a program");
  bpf_map_info info{};
  uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(map.get(), &info, &size) != 0) return base::fail_errno("inspect a map");
  if (!std::string_view(info.name).ends_with(".rodata")) {
    out.maps.insert(id);
    return {};
  }
  out.constants.resize(info.value_size);
  const uint32_t key = 0;
  if (bpf_map_lookup_elem(map.get(), &key, out.constants.data()) != 0)
    return base::fail_errno("read a program's constants");
  return {};
}

}  // namespace

base::Result<base::Fd> load_sk_lookup(MapSet& maps, uint64_t netns_cookie, Features& features) {
  std::vector<Hook> out;
  auto attempt = [&]() -> base::Status {
    out.clear();
    return load("sk_lookup", sk_lookup_bpf__open, sk_lookup_bpf__destroy, maps, out,
                [&](sk_lookup_bpf& skeleton) {
                  skeleton.rodata->pod_cookie = netns_cookie;
                  skeleton.rodata->has_ifindex = features.ifindex;
                });
  };
  auto loaded = attempt();
  if (!loaded && features.ifindex) {
    features.ifindex = false;
    loaded = attempt();
  }
  if (!loaded) return std::unexpected(loaded.error());
  return std::move(out.front().program);
}

base::Result<Hooks> load_hooks(MapSet& maps, uint32_t mark, uint64_t node_cookie) {
  Hooks hooks;
  // sockops must know whether sk_lookup can see the interface, so that one is tried first.
  TRY_ASSIGN(auto tried, load_sk_lookup(maps, 0, hooks.features));
  auto loaded = load_cgroup_hooks(maps, mark, node_cookie, hooks.features, hooks.cgroup);
  if (!loaded && loaded.error().kind == base::ErrorKind::kSystem) {
    hooks.features.set_retval = false;
    auto again = load_cgroup_hooks(maps, mark, node_cookie, hooks.features, hooks.cgroup);
    if (!again) return std::unexpected(loaded.error());  // the first words are the ones that matter
    return hooks;
  }
  if (!loaded) return std::unexpected(loaded.error());
  return hooks;
}

base::Result<ProgramView> view_program(int fd) {
  bpf_prog_info info{};
  std::vector<uint32_t> map_ids(64);
  info.map_ids = reinterpret_cast<uintptr_t>(map_ids.data());
  info.nr_map_ids = static_cast<uint32_t>(map_ids.size());
  uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) return base::fail_errno("inspect a program");
  ProgramView view{.id = info.id, .name = info.name, .tag = {}, .constants = {}, .maps = {}};
  view.tag.assign(reinterpret_cast<const char*>(info.tag), sizeof info.tag);
  map_ids.resize(std::min<size_t>(info.nr_map_ids, map_ids.size()));
  for (uint32_t id : map_ids) TRY(view_map(id, view));
  return view;
}

base::Result<ProgramView> view_program_by_id(uint32_t id) {
  base::Fd fd(bpf_prog_get_fd_by_id(id));
  if (!fd) return base::fail_errno("open program " + std::to_string(id));
  return view_program(fd.get());
}

base::Result<LinkView> view_link(int fd) {
  bpf_link_info info{};
  uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) return base::fail_errno("inspect a link");
  LinkView view{.state = LinkState::kDetached, .program_id = info.prog_id, .target = 0};
  view.target = info.type == BPF_LINK_TYPE_NETNS ? info.netns.netns_ino : info.cgroup.cgroup_id;
  if (view.target != 0) view.state = LinkState::kAttached;
  return view;
}

base::Result<base::Fd> attach(int program, int target, bpf_attach_type type) {
  base::Fd link(bpf_link_create(program, target, type, nullptr));
  if (!link) return base::fail_errno("attach " + std::string(libbpf_bpf_attach_type_str(type)));
  return link;
}

base::Result<std::vector<uint32_t>> attached_programs(int target, bpf_attach_type type) {
  std::vector<uint32_t> ids(kMaxAttached);
  uint32_t count = kMaxAttached;
  if (bpf_prog_query(target, type, 0, nullptr, ids.data(), &count) != 0)
    return base::fail_errno("query " + std::string(libbpf_bpf_attach_type_str(type)));
  ids.resize(std::min(count, kMaxAttached));
  return ids;
}

}  // namespace weft::kernel
