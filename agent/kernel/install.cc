#include "agent/kernel/install.h"

#include <algorithm>
#include <charconv>

#include "agent/kernel/bpffs.h"
#include "agent/kernel/system.h"

namespace weft::kernel {
namespace {

const std::string kVersion = "v" + std::to_string(WEFT_ABI);

// A link that is to run another program, and the one it runs now for the way back.
struct Swap {
  std::string what;
  base::Fd link, program, former;
};

base::Status refuse_other_abi(const std::string& pin_root) {
  TRY_ASSIGN(auto names, list_directory(pin_root));
  for (const auto& name : names) {
    unsigned abi = 0;
    if (name.size() < 2 || name[0] != 'v') continue;
    auto [end, ec] = std::from_chars(name.data() + 1, name.data() + name.size(), abi);
    if (ec != std::errc{} || end != name.data() + name.size() || abi == WEFT_ABI) continue;
    return base::fail(
        base::ErrorKind::kConflict,
        pin_root + "/" + name + " holds the kernel tables of a weft with ABI " + std::to_string(abi) +
            "; this one has ABI " + std::to_string(WEFT_ABI) +
            ". Run that weft, or remove its hooks and tables: weft-agent --uninstall --pin-root " + pin_root);
  }
  return {};
}

const std::string& place_of(const Installed& installed, const Hook& hook) {
  return hook.of_kubelet ? installed.options.kubelet_cgroup : installed.options.pods_cgroup;
}

// The programs at an attach point that carry the name of `hook`.
base::Result<std::vector<ProgramView>> namesakes(const Installed& installed, const Hook& hook) {
  TRY_ASSIGN(auto shipped, view_program(hook.program.get()));
  TRY_ASSIGN(auto place, open_cgroup(place_of(installed, hook)));
  TRY_ASSIGN(auto ids, attached_programs(place.get(), hook.attach_type));
  std::vector<ProgramView> out;
  for (uint32_t id : ids) {
    auto view = view_program_by_id(id);
    if (view && view->name == shipped.name) out.push_back(std::move(*view));
  }
  return out;
}

// Two wefts at one attach point would each rewrite what the other decided.
base::Status refuse_second_weft(const Installed& installed, const Hook& hook, uint32_t our_program) {
  TRY_ASSIGN(auto programs, namesakes(installed, hook));
  for (const auto& program : programs)
    if (program.id != our_program)
      return base::fail(base::ErrorKind::kConflict,
                        "another weft (program " + std::to_string(program.id) + ", " + program.name +
                            ") is attached to " + place_of(installed, hook) +
                            " and is not pinned below " + installed.directory + ": uninstall it first");
  return {};
}

base::Status attach_and_pin(const Installed& installed, const Hook& hook, const std::string& path) {
  TRY(refuse_second_weft(installed, hook, 0));
  TRY_ASSIGN(auto place, open_cgroup(place_of(installed, hook)));
  TRY_ASSIGN(auto link, attach(hook.program.get(), place.get(), hook.attach_type));
  return replace_pin(link.get(), path);
}

void step(const Installed& installed, const std::string& what) {
  if (installed.options.on_step) installed.options.on_step(what);
}

base::Status load_shipped(Installed& installed) {
  TRY_ASSIGN(auto node_cookie, own_netns_cookie());
  TRY_ASSIGN(installed.hooks, load_hooks(installed.maps, installed.options.mark, node_cookie));
  TRY_ASSIGN(auto instance, load_sk_lookup(installed.maps, 0, installed.hooks.features));
  TRY_ASSIGN(installed.sk_lookup, view_program(instance.get()));
  step(installed, "programs loaded");
  return {};
}

// All is built beside its final name; until the rename, no other start sees it, and the next one sweeps it
// away. Hooks that run before it find empty tables and pass everything.
base::Status create(Installed& installed, const std::string& aside) {
  TRY(load_shipped(installed));
  TRY(make_bpf_directory(aside + "/links/pods"));
  for (const auto& [name, fd] : installed.maps) TRY(pin(fd.get(), aside + "/" + name));
  step(installed, "maps pinned");
  for (const auto& hook : installed.hooks.cgroup) {
    if (!is_placed(installed, hook)) continue;
    TRY(attach_and_pin(installed, hook, aside + "/links/" + hook.name));
    step(installed, "attached " + hook.name);
  }
  TRY(rename_pin(aside, installed.directory));
  step(installed, "committed");
  return {};
}

base::Status open_pinned_maps(Installed& installed) {
  TRY_ASSIGN(auto names, list_directory(installed.directory));
  for (const auto& name : names) {
    if (name == "links") continue;
    TRY_ASSIGN(auto fd, open_pin(installed.directory + "/" + name));
    installed.maps.emplace(name, std::move(fd));
  }
  return {};
}

// A weft of the same ABI may have maps that an earlier one lacked.
base::Status pin_new_maps(Installed& installed) {
  for (const auto& [name, fd] : installed.maps) {
    const std::string path = installed.directory + "/" + name;
    if (!exists(path)) TRY(pin(fd.get(), path));
  }
  return {};
}

base::Result<base::Fd> open_program(uint32_t id) {
  base::Fd fd(bpf_prog_get_fd_by_id(id));
  if (!fd) return base::fail_errno("open program " + std::to_string(id));
  return fd;
}

base::Status plan_hook(const Installed& installed, const Hook& hook, std::vector<Swap>& swaps) {
  const std::string path = link_path(installed, hook);
  if (!exists(path)) return {};
  if (!is_placed(installed, hook)) return remove_link(path);
  TRY_ASSIGN(auto link, open_pin(path));
  TRY_ASSIGN(auto view, view_link(link.get()));
  if (view.state != LinkState::kAttached) return {};
  TRY(refuse_second_weft(installed, hook, view.program_id));
  TRY_ASSIGN(auto running, view_program_by_id(view.program_id));
  TRY_ASSIGN(auto shipped, view_program(hook.program.get()));
  if (running.name != shipped.name)
    return base::fail(base::ErrorKind::kConflict, path + " holds a program named \"" + running.name +
                                                      "\", which no weft pinned there: uninstall first");
  if (same_code(running, shipped) && running.constants == shipped.constants) return {};
  TRY_ASSIGN(auto former, open_program(view.program_id));
  base::Fd program(bpf_prog_get_fd_by_id(shipped.id));
  if (!program) return base::fail_errno("open program " + std::to_string(shipped.id));
  swaps.push_back({hook.name, std::move(link), std::move(program), std::move(former)});
  return {};
}

base::Status plan_pod(Installed& installed, const std::string& name, std::vector<Swap>& swaps) {
  const std::string path = pods_directory(installed) + "/" + name;
  uint64_t cookie = 0;
  auto [end, ec] = std::from_chars(name.data(), name.data() + name.size(), cookie);
  if (ec != std::errc{} || end != name.data() + name.size() || !exists(path)) return {};
  TRY_ASSIGN(auto link, open_pin(path));
  TRY_ASSIGN(auto view, view_link(link.get()));
  if (view.state != LinkState::kAttached) return {};
  TRY_ASSIGN(auto running, view_program_by_id(view.program_id));
  if (same_code(running, installed.sk_lookup)) return {};
  TRY_ASSIGN(auto former, open_program(view.program_id));
  TRY_ASSIGN(auto program, load_sk_lookup(installed.maps, cookie, installed.hooks.features));
  swaps.push_back({"sk_lookup of pod netns " + name, std::move(link), std::move(program), std::move(former)});
  return {};
}

// All new programs are loaded before the first link changes; if one link refuses, those before it go back.
base::Status swap_all(std::vector<Swap>& swaps) {
  for (size_t i = 0; i < swaps.size(); ++i) {
    if (bpf_link_update(swaps[i].link.get(), swaps[i].program.get(), nullptr) == 0) continue;
    const int why = errno;
    for (size_t back = i; back-- > 0;)
      bpf_link_update(swaps[back].link.get(), swaps[back].former.get(), nullptr);
    return base::fail_errno(why, "upgrade " + swaps[i].what + " (all links keep their former programs)");
  }
  return {};
}

base::Status adopt(Installed& installed) {
  TRY(open_pinned_maps(installed));
  step(installed, "pins opened");
  TRY(load_shipped(installed));
  std::vector<Swap> swaps;
  for (const auto& hook : installed.hooks.cgroup) TRY(plan_hook(installed, hook, swaps));
  TRY(make_bpf_directory(pods_directory(installed)));
  TRY_ASSIGN(auto pods, list_directory(pods_directory(installed)));
  for (const auto& name : pods) TRY(plan_pod(installed, name, swaps));
  TRY(pin_new_maps(installed));
  TRY(swap_all(swaps));
  step(installed, std::to_string(swaps.size()) + " links upgraded");
  installed.start = swaps.empty() ? Start::kReused : Start::kUpgraded;
  TRY_ASSIGN(auto attached, attach_missing(installed));
  step(installed, std::to_string(attached) + " hooks attached again");
  return {};
}

}  // namespace

bool is_placed(const Installed& installed, const Hook& hook) {
  return !hook.of_kubelet || !installed.options.kubelet_cgroup.empty();
}

std::string link_path(const Installed& installed, const Hook& hook) {
  return installed.directory + "/links/" + hook.name;
}

std::string pods_directory(const Installed& installed) {
  return installed.directory + "/links/pods";
}

bool same_code(const ProgramView& a, const ProgramView& b) {
  return a.name == b.name && a.tag == b.tag && a.maps == b.maps;
}

base::Result<unsigned> attach_missing(const Installed& installed) {
  unsigned attached = 0;
  for (const auto& hook : installed.hooks.cgroup) {
    if (!is_placed(installed, hook)) continue;
    TRY_ASSIGN(auto id, cgroup_id(place_of(installed, hook)));
    const std::string path = link_path(installed, hook);
    if (exists(path)) {
      TRY_ASSIGN(auto link, open_pin(path));
      TRY_ASSIGN(auto view, view_link(link.get()));
      if (view.state == LinkState::kAttached && view.target == id) continue;
      bpf_link_detach(link.get());  // from a cgroup of before
    }
    TRY(attach_and_pin(installed, hook, path));
    ++attached;
  }
  return attached;
}

base::Result<Attachment> view_attachment(const Installed& installed, const Hook& hook) {
  Attachment out{.hook = hook.name, .state = LinkState::kAbsent, .ours = 0, .foreign = 0};
  const std::string path = link_path(installed, hook);
  if (exists(path)) {
    TRY_ASSIGN(auto link, open_pin(path));
    TRY_ASSIGN(auto view, view_link(link.get()));
    out.state = view.state;
  }
  TRY_ASSIGN(auto place, open_cgroup(place_of(installed, hook)));
  TRY_ASSIGN(auto programs, attached_programs(place.get(), hook.attach_type));
  TRY_ASSIGN(auto ours, namesakes(installed, hook));
  out.ours = static_cast<uint32_t>(ours.size());
  out.foreign = static_cast<uint32_t>(programs.size() - std::min(programs.size(), ours.size()));
  return out;
}

base::Result<Installed> install(const Options& options) {
  TRY(check_btf());
  Installed installed;
  installed.options = options;
  installed.directory = options.pin_root + "/" + kVersion;
  TRY_ASSIGN(auto pods, open_cgroup(options.pods_cgroup));
  if (!options.kubelet_cgroup.empty()) {
    TRY_ASSIGN(auto kubelet, open_cgroup(options.kubelet_cgroup));
    TRY(check_apart(options.kubelet_cgroup, options.pods_cgroup));
  }
  TRY(make_bpf_directory(options.pin_root));
  TRY_ASSIGN(installed.lock, lock_directory(options.pin_root));
  TRY(refuse_other_abi(options.pin_root));
  // What an earlier start did not live to commit.
  const std::string aside = options.pin_root + "/new-" + kVersion;
  TRY(remove_tree(aside));
  step(installed, "pin root locked and swept");
  TRY(exists(installed.directory) ? adopt(installed) : create(installed, aside));
  return installed;
}

base::Status uninstall(const std::string& pin_root) {
  if (!exists(pin_root)) return {};
  TRY_ASSIGN(auto lock, lock_directory(pin_root));
  TRY_ASSIGN(auto names, list_directory(pin_root));
  for (const auto& name : names) {
    const bool ours = name.starts_with("v") || name.starts_with("new-v");
    if (!ours) continue;
    const std::string directory = pin_root + "/" + name;
    // The hooks that send flows to the proxy go before those that receive them.
    TRY(remove_tree(directory + "/links"));
    TRY(remove_tree(directory));
  }
  lock.reset();
  rmdir(pin_root.c_str());  // stays if something else is in it
  return {};
}

std::vector<std::string> preflight(const Options& options) {
  std::vector<std::string> out;
  auto check = [&out](const base::Status& status) {
    if (!status) out.push_back(base::describe(status.error()));
  };
  check(check_btf());
  if (auto cgroup = open_cgroup(options.pods_cgroup); !cgroup) out.push_back(base::describe(cgroup.error()));
  check(check_bpf_directory(options.pin_root));
  MapSet maps;
  if (auto hooks = load_hooks(maps, options.mark, 0); !hooks) out.push_back(base::describe(hooks.error()));
  return out;
}

}  // namespace weft::kernel
