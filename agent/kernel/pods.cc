// The part of Kernel that arms pods: entries, sk_lookup links, listeners.
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>

#include "agent/kernel/bpffs.h"
#include "agent/kernel/impl.h"
#include "agent/kernel/maps.h"

namespace weft::kernel {
namespace {

std::string pod_link_path(const Installed& installed, uint64_t netns_cookie) {
  return pods_directory(installed) + "/" + std::to_string(netns_cookie);
}

base::Result<LinkView> view_pinned(const std::string& path) {
  if (!exists(path)) return LinkView{};
  TRY_ASSIGN(auto link, open_pin(path));
  return view_link(link.get());
}

// Another sk_lookup of ours in this netns would judge by another pod's entry.
base::Status refuse_second_sk_lookup(int netns_fd, const ProgramView& shipped) {
  TRY_ASSIGN(auto ids, attached_programs(netns_fd, BPF_SK_LOOKUP));
  for (uint32_t id : ids) {
    auto view = view_program_by_id(id);
    if (view && view->name == shipped.name)
      return base::fail(base::ErrorKind::kConflict,
                        "another weft's sk_lookup (program " + std::to_string(id) +
                            ") is attached to the pod's netns: uninstall it first");
  }
  return {};
}

}  // namespace

base::Status Kernel::put_pod(uint64_t netns_cookie, const weft_pod& pod) {
  const weft_pod_key key{netns_cookie};
  if (bpf_map_update_elem(impl_->map("pods"), &key, &pod, BPF_ANY) != 0)
    return base::fail_errno("write pod " + std::to_string(pod.pod_id));
  return {};
}

base::Status Kernel::remove_pod(uint64_t netns_cookie) {
  const weft_pod_key key{netns_cookie};
  if (bpf_map_delete_elem(impl_->map("pods"), &key) != 0 && errno != ENOENT)
    return base::fail_errno("remove a pod");
  std::vector<weft_tuple> records;
  TRY((read_all<weft_tuple, weft_attested>(impl_->map("attested"),
                                           [&](const weft_tuple& tuple, const weft_attested& record) {
                                             if (record.netns_cookie == netns_cookie)
                                               records.push_back(tuple);
                                           })));
  base::Status status;
  erase_all(impl_->map("attested"), records,
            [&](size_t, int why) { status = base::fail_errno(why, "remove an attested record"); });
  return status;
}

base::Result<weft_pod> Kernel::pod(uint64_t netns_cookie) const {
  const weft_pod_key key{netns_cookie};
  weft_pod value{};
  if (bpf_map_lookup_elem(impl_->map("pods"), &key, &value) == 0) return value;
  if (errno == ENOENT) return base::fail(base::ErrorKind::kNotFound, "no such pod");
  return base::fail_errno("read a pod");
}

base::Result<weft_attested> Kernel::attested(const weft_tuple& tuple) const {
  weft_attested value{};
  if (bpf_map_lookup_elem(impl_->map("attested"), &tuple, &value) == 0) return value;
  if (errno == ENOENT) return base::fail(base::ErrorKind::kNotFound, "no record of this connection");
  return base::fail_errno("read an attested record");
}

base::Result<std::map<uint64_t, weft_pod>> Kernel::pods() const {
  std::map<uint64_t, weft_pod> out;
  TRY((read_all<weft_pod_key, weft_pod>(
      impl_->map("pods"),
      [&](const weft_pod_key& key, const weft_pod& value) { out[key.netns_cookie] = value; })));
  return out;
}

base::Status Kernel::set_pod_flags(uint64_t netns_cookie, uint32_t set, uint32_t clear) {
  TRY_ASSIGN(auto value, pod(netns_cookie));
  value.flags = (value.flags & ~clear) | set;
  return put_pod(netns_cookie, value);
}

base::Status Kernel::attach_pod(uint64_t netns_cookie, int netns_fd) {
  auto& installed = impl_->installed;
  const std::string path = pod_link_path(installed, netns_cookie);
  TRY_ASSIGN(auto view, view_pinned(path));
  struct stat netns{};
  if (fstat(netns_fd, &netns) != 0) return base::fail_errno("inspect a pod's netns");
  if (view.state == LinkState::kAttached && view.target == netns.st_ino) return {};
  if (view.state == LinkState::kAttached) TRY(remove_link(path));
  TRY(refuse_second_sk_lookup(netns_fd, installed.sk_lookup));
  TRY_ASSIGN(auto program, load_sk_lookup(installed.maps, netns_cookie, installed.hooks.features));
  TRY_ASSIGN(auto link, attach(program.get(), netns_fd, BPF_SK_LOOKUP));
  return replace_pin(link.get(), path);
}

base::Status Kernel::detach_pod(uint64_t netns_cookie) {
  return remove_link(pod_link_path(impl_->installed, netns_cookie));
}

LinkState Kernel::pod_link(uint64_t netns_cookie) const {
  auto view = view_pinned(pod_link_path(impl_->installed, netns_cookie));
  return view ? view->state : LinkState::kAbsent;
}

base::Result<std::vector<uint64_t>> Kernel::attached_pods() const {
  TRY_ASSIGN(auto names, list_directory(pods_directory(impl_->installed)));
  std::vector<uint64_t> out;
  for (const auto& name : names) {
    uint64_t cookie = 0;
    auto [end, ec] = std::from_chars(name.data(), name.data() + name.size(), cookie);
    if (ec == std::errc{} && end == name.data() + name.size()) out.push_back(cookie);
  }
  return out;
}

base::Status Kernel::set_listener(uint32_t slot, int socket_fd) {
  const auto value = static_cast<uint64_t>(socket_fd);
  if (bpf_map_update_elem(impl_->map("listeners"), &slot, &value, BPF_ANY) != 0)
    return base::fail_errno("put a listener in slot " + std::to_string(slot));
  return {};
}

base::Status Kernel::clear_listener(uint32_t slot) {
  if (bpf_map_delete_elem(impl_->map("listeners"), &slot) == 0 || errno == ENOENT || errno == EINVAL)
    return {};
  return base::fail_errno("clear listener slot " + std::to_string(slot));
}

bool Kernel::has_listener(uint32_t slot) const {
  uint64_t socket_cookie = 0;
  return bpf_map_lookup_elem(impl_->map("listeners"), &slot, &socket_cookie) == 0;
}

}  // namespace weft::kernel
