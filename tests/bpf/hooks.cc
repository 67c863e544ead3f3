#include "tests/bpf/hooks.h"

#include <cstring>

#include "bpf/connect.skel.h"
#include "bpf/datagram.skel.h"
#include "bpf/peername.skel.h"
#include "bpf/probe.skel.h"
#include "bpf/sk_lookup.skel.h"
#include "bpf/sockops.skel.h"

namespace weft::test {
namespace {

void must(int result, const char* what) {
  if (result != 0) throw std::runtime_error(std::string(what) + ": " + std::strerror(-result));
}

template <typename Skeleton>
using Owned = std::unique_ptr<Skeleton, void (*)(Skeleton*)>;

template <typename Skeleton>
Owned<Skeleton> owned(Skeleton* skeleton, void (*destroy)(Skeleton*)) {
  if (skeleton == nullptr) throw std::runtime_error("open a BPF object");
  return {skeleton, destroy};
}

}  // namespace

struct Hooks::Objects {
  Owned<connect_bpf> connect = owned(connect_bpf__open(), connect_bpf__destroy);
  Owned<datagram_bpf> datagram = owned(datagram_bpf__open(), datagram_bpf__destroy);
  Owned<peername_bpf> peername = owned(peername_bpf__open(), peername_bpf__destroy);
  Owned<sockops_bpf> sockops = owned(sockops_bpf__open(), sockops_bpf__destroy);
  Owned<probe_bpf> probe = owned(probe_bpf__open(), probe_bpf__destroy);
};

// The link goes before the program it runs.
struct Hooks::PodLookup {
  Owned<sk_lookup_bpf> object = owned(sk_lookup_bpf__open(), sk_lookup_bpf__destroy);
  std::unique_ptr<bpf_link, LinkDestroy> link;
};

Hooks::Hooks(const Cgroup& pods, const HookOptions& options)
    : options_(options), objects_(std::make_unique<Objects>()) {
  auto& [connect, datagram, peername, sockops, probe] = *objects_;
  connect->rodata->mark_bit = options.mark;
  connect->rodata->has_set_retval = options.has_set_retval;
  must(connect_bpf__load(connect.get()), "load connect");
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, connect->obj) maps_[bpf_map__name(map)] = bpf_map__fd(map);

  datagram->rodata->has_set_retval = options.has_set_retval;
  sockops->rodata->mark_bit = options.mark;
  share_maps(datagram->obj);
  share_maps(peername->obj);
  share_maps(sockops->obj);
  must(datagram_bpf__load(datagram.get()), "load datagram");
  must(peername_bpf__load(peername.get()), "load peername");
  must(sockops_bpf__load(sockops.get()), "load sockops");

  for (bpf_object* object : {connect->obj, datagram->obj, peername->obj, sockops->obj}) {
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object) attach(program, pods);
  }
  ring_ = ring_buffer__new(
      this->map("events"),
      [](void* hooks, void* data, size_t) {
        static_cast<Hooks*>(hooks)->reported_.push_back(*static_cast<weft_event*>(data));
        return 0;
      },
      this, nullptr);
  if (ring_ == nullptr) throw std::runtime_error("open the ring buffer");
}

Hooks::~Hooks() {
  ring_buffer__free(ring_);
}

void Hooks::share_maps(bpf_object* object) const {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (!bpf_map__is_internal(map))
      must(bpf_map__reuse_fd(map, this->map(bpf_map__name(map))), "share a map");
  }
}

void Hooks::attach(bpf_program* program, const Cgroup& pods) {
  bpf_link* link = bpf_program__attach_cgroup(program, pods.fd());
  if (link == nullptr) throw std::runtime_error(std::string("attach ") + bpf_program__name(program));
  links_.emplace_back(link);
}

void Hooks::attach_probe(const Cgroup& kubelet, const Netns& node) {
  probe_bpf& probe = *objects_->probe;
  probe.rodata->node_cookie = node.cookie();
  share_maps(probe.obj);
  must(probe_bpf__load(&probe), "load probe");
  attach(probe.progs.weft_probe, kubelet);
}

void Hooks::attach_pod(const Netns& netns) {
  auto lookup = std::make_unique<PodLookup>();
  lookup->object->rodata->pod_cookie = netns.cookie();
  lookup->object->rodata->has_ifindex = options_.has_ifindex;
  share_maps(lookup->object->obj);
  must(sk_lookup_bpf__load(lookup->object.get()), "load sk_lookup");
  lookup->link.reset(bpf_program__attach_netns(lookup->object->progs.weft_sk_lookup, netns.fd()));
  if (!lookup->link) throw std::runtime_error("attach sk_lookup");
  lookups_[netns.cookie()] = std::move(lookup);
}

void Hooks::detach_pod(const Netns& netns) {
  lookups_.erase(netns.cookie());
}

int Hooks::map(const std::string& name) const {
  return maps_.at(name);
}

uint64_t Hooks::sum(const char* map_name, size_t fields, size_t field) const {
  const auto cpus = static_cast<size_t>(libbpf_num_possible_cpus());
  std::vector<uint64_t> all(cpus * fields);
  const uint32_t zero = 0;
  if (bpf_map_lookup_elem(map(map_name), &zero, all.data()) != 0) throw std::runtime_error("read counters");
  uint64_t sum = 0;
  for (size_t cpu = 0; cpu < cpus; ++cpu) sum += all[cpu * fields + field];
  return sum;
}

uint64_t Hooks::count(weft_counter counter) const {
  return sum("counters", WEFT_COUNTER_COUNT, counter);
}

uint64_t Hooks::excluded(weft_exclusion_counter counter) const {
  return sum("excluded_counts", WEFT_EXCLUSION_COUNTER_COUNT, counter);
}

std::vector<weft_event> Hooks::events() {
  reported_.clear();
  ring_buffer__consume(ring_);
  return reported_;
}

weft_address to_abi(const base::Address& address) {
  weft_address out{};
  std::memcpy(out.bytes, address.bytes.data(), sizeof out.bytes);
  return out;
}

base::Address from_abi(const weft_address& address) {
  base::Address out;
  std::memcpy(out.bytes.data(), address.bytes, sizeof address.bytes);
  return out;
}

}  // namespace weft::test
