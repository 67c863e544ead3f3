// Arming: pod entries, per-pod sk_lookup links, listeners, exempt cgroups, counters.
#include <sys/socket.h>

#include "tests/netns/kernel_fixture.h"

namespace weft::kernel {
namespace {

weft_pod a_pod() {
  weft_pod pod{};
  pod.pod_id = 4;
  pod.generation = 9;
  pod.identity = 2;
  pod.listener_slot = 24;
  return pod;
}

class KernelPods : public KernelTest {
 protected:
  void SetUp() override { start(); }

  [[nodiscard]] uint32_t sk_lookups(const test::Netns& netns) const {
    uint32_t count = 0;
    return bpf_prog_query(netns.fd(), BPF_SK_LOOKUP, 0, nullptr, nullptr, &count) == 0 ? count : UINT32_MAX;
  }
  static std::string link_of(const test::Netns& netns) {
    return "links/pods/" + std::to_string(netns.cookie());
  }
};

TEST_F(KernelPods, AnEntryIsPutChangedReadAndRemoved) {
  ASSERT_TRUE(kernel_->put_pod(77, a_pod()));
  ASSERT_TRUE(kernel_->set_pod_flags(77, WEFT_POD_ENROLLED | WEFT_POD_MARKING, 0));
  ASSERT_TRUE(kernel_->set_pod_flags(77, WEFT_POD_STRICT, WEFT_POD_MARKING));
  EXPECT_EQ(kernel_->pod(77)->flags, uint32_t{WEFT_POD_ENROLLED | WEFT_POD_STRICT});
  EXPECT_EQ(kernel_->pods()->size(), 1U);
  ASSERT_TRUE(kernel_->remove_pod(77));
  EXPECT_EQ(kernel_->pod(77).error().kind, base::ErrorKind::kNotFound);
  EXPECT_EQ(kernel_->set_pod_flags(77, 1, 0).error().kind, base::ErrorKind::kNotFound);
  EXPECT_TRUE(kernel_->remove_pod(77)) << "again is fine";
}

TEST_F(KernelPods, ChangedAttributesReachAnArmedPodAndLeaveItArmed) {
  compile::Tables tables;
  tables.pods.emplace("uid", a_pod());
  ASSERT_TRUE(kernel_->sync(tables));
  weft_pod armed = a_pod();
  armed.flags = WEFT_POD_ENROLLED | WEFT_POD_MARKING;
  ASSERT_TRUE(kernel_->put_pod(77, armed));
  weft_pod former = a_pod();
  former.generation = 8;
  ASSERT_TRUE(kernel_->put_pod(78, former));
  tables.pods.at("uid").flags = WEFT_POD_STRICT;
  tables.pods.at("uid").identity = 3;
  ASSERT_TRUE(kernel_->sync(tables));
  EXPECT_EQ(kernel_->pod(77)->flags, uint32_t{WEFT_POD_ENROLLED | WEFT_POD_MARKING | WEFT_POD_STRICT});
  EXPECT_EQ(kernel_->pod(77)->identity, 3U);
  EXPECT_EQ(kernel_->pod(78)->identity, 2U) << "the same id of another generation is another pod";
}

TEST_F(KernelPods, ARemovedPodTakesItsAttestedRecordsAlong) {
  ASSERT_TRUE(kernel_->put_pod(77, a_pod()));
  const base::Fd map = pinned("attested");
  for (uint16_t port = 1; port <= 1000; ++port) {
    weft_tuple tuple{};
    tuple.source_port = port;
    const weft_attested record{.netns_cookie = port % 2 == 0 ? 77ULL : 78ULL};
    ASSERT_EQ(bpf_map_update_elem(map.get(), &tuple, &record, BPF_ANY), 0);
  }
  ASSERT_TRUE(kernel_->remove_pod(77));
  size_t left = 0;
  for (uint16_t port = 1; port <= 1000; ++port) {
    weft_tuple tuple{};
    tuple.source_port = port;
    weft_attested record{};
    if (bpf_map_lookup_elem(map.get(), &tuple, &record) != 0) continue;
    ++left;
    EXPECT_EQ(record.netns_cookie, 78U);
  }
  EXPECT_EQ(left, 500U);
}

TEST_F(KernelPods, APodsLinkOutlivesTheAgentAndIsUsedAgain) {
  const test::Netns pod;
  EXPECT_EQ(kernel_->pod_link(pod.cookie()), LinkState::kAbsent);
  ASSERT_TRUE(kernel_->attach_pod(pod.cookie(), pod.fd()));
  EXPECT_EQ(kernel_->pod_link(pod.cookie()), LinkState::kAttached);
  const auto before = link_info(link_of(pod));
  start();
  EXPECT_EQ(kernel_->start(), Start::kReused);
  EXPECT_EQ(*kernel_->attached_pods(), std::vector<uint64_t>{pod.cookie()});
  ASSERT_TRUE(kernel_->attach_pod(pod.cookie(), pod.fd()));
  EXPECT_EQ(link_info(link_of(pod)).id, before.id);
  EXPECT_EQ(link_info(link_of(pod)).prog_id, before.prog_id);
  EXPECT_EQ(sk_lookups(pod), 1U);
  ASSERT_TRUE(kernel_->detach_pod(pod.cookie()));
  EXPECT_EQ(sk_lookups(pod), 0U);
  EXPECT_TRUE(kernel_->attached_pods()->empty());
  EXPECT_TRUE(kernel_->detach_pod(pod.cookie())) << "again is fine";
}

TEST_F(KernelPods, ADetachedOrMissingLinkIsSeenAndAttachedAgain) {
  const test::Netns pod;
  ASSERT_TRUE(kernel_->attach_pod(pod.cookie(), pod.fd()));
  ASSERT_EQ(bpf_link_detach(pinned(link_of(pod)).get()), 0);
  EXPECT_EQ(kernel_->pod_link(pod.cookie()), LinkState::kDetached);
  ASSERT_TRUE(kernel_->attach_pod(pod.cookie(), pod.fd()));
  EXPECT_EQ(kernel_->pod_link(pod.cookie()), LinkState::kAttached);
  ASSERT_EQ(bpf_link_detach(pinned(link_of(pod)).get()), 0);
  ASSERT_EQ(unlink(path(link_of(pod)).c_str()), 0);
  EXPECT_EQ(kernel_->pod_link(pod.cookie()), LinkState::kAbsent);
  ASSERT_TRUE(kernel_->attach_pod(pod.cookie(), pod.fd()));
  EXPECT_EQ(sk_lookups(pod), 1U);
}

TEST_F(KernelPods, TheLinkOfAPodWhoseNetnsIsGoneReadsAsDetached) {
  uint64_t cookie = 0;
  {
    const test::Netns pod;
    cookie = pod.cookie();
    ASSERT_TRUE(kernel_->attach_pod(cookie, pod.fd()));
  }
  // The kernel takes namespaces down in its own time.
  for (int i = 0; i < 100 && kernel_->pod_link(cookie) != LinkState::kDetached; ++i) usleep(50000);
  EXPECT_EQ(kernel_->pod_link(cookie), LinkState::kDetached);
  EXPECT_EQ(*kernel_->attached_pods(), std::vector<uint64_t>{cookie});
  ASSERT_TRUE(kernel_->detach_pod(cookie));
}

TEST_F(KernelPods, AnUpgradeReachesEveryPodsLinkWithoutTakingItOff) {
  const test::Netns one, two;
  ASSERT_TRUE(kernel_->attach_pod(one.cookie(), one.fd()));
  ASSERT_TRUE(kernel_->attach_pod(two.cookie(), two.fd()));
  const auto before = link_info(link_of(one));
  kernel_.reset();
  const base::Fd older = strange_program("weft_sk_lookup", BPF_PROG_TYPE_SK_LOOKUP, BPF_SK_LOOKUP);
  ASSERT_EQ(bpf_link_update(pinned(link_of(one)).get(), older.get(), nullptr), 0);
  const uint32_t old_program = link_info(link_of(one)).prog_id;
  const uint32_t untouched = link_info(link_of(two)).prog_id;
  start();
  EXPECT_EQ(kernel_->start(), Start::kUpgraded);
  EXPECT_EQ(link_info(link_of(one)).id, before.id);
  EXPECT_NE(link_info(link_of(one)).prog_id, old_program);
  EXPECT_EQ(link_info(link_of(two)).prog_id, untouched);
  start();
  EXPECT_EQ(kernel_->start(), Start::kReused);
}

TEST_F(KernelPods, ASecondWeftsSkLookupInThePodIsRefused) {
  const test::Netns pod;
  const base::Fd other = strange_program("weft_sk_lookup", BPF_PROG_TYPE_SK_LOOKUP, BPF_SK_LOOKUP);
  const base::Fd link(bpf_link_create(other.get(), pod.fd(), BPF_SK_LOOKUP, nullptr));
  ASSERT_TRUE(link);
  const auto status = kernel_->attach_pod(pod.cookie(), pod.fd());
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind, base::ErrorKind::kConflict);
}

TEST_F(KernelPods, AListenerStandsInItsSlotUntilItIsClearedOrClosed) {
  auto listen_anywhere = [] {
    base::Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(listen(fd.get(), 8), 0);
    return fd;
  };
  base::Fd one = listen_anywhere(), two = listen_anywhere();
  EXPECT_FALSE(kernel_->has_listener(24));
  ASSERT_TRUE(kernel_->set_listener(24, one.get()));
  ASSERT_TRUE(kernel_->set_listener(25, two.get()));
  EXPECT_TRUE(kernel_->has_listener(24));
  ASSERT_TRUE(kernel_->clear_listener(24));
  EXPECT_FALSE(kernel_->has_listener(24));
  EXPECT_TRUE(kernel_->clear_listener(24)) << "again is fine";
  two.reset();
  EXPECT_FALSE(kernel_->has_listener(25));
  EXPECT_FALSE(kernel_->set_listener(WEFT_MAX_LOCAL_PODS * WEFT_LISTENERS_PER_POD, one.get()));
}

TEST_F(KernelPods, ExemptCgroupsAreReplacedAsASet) {
  const test::Cgroup agent(cgroup_, "agent"), proxy(cgroup_, "proxy"), next(cgroup_, "next");
  ASSERT_TRUE(
      kernel_->set_exempt_cgroups({{agent.path(), WEFT_EXEMPT_AGENT}, {proxy.path(), WEFT_EXEMPT_PROXY}}));
  auto reason = [&](const test::Cgroup& cgroup) {
    const weft_exempt_key key{cgroup.id()};
    weft_exempt value{};
    return bpf_map_lookup_elem(pinned("exempt_cgroups").get(), &key, &value) == 0 ? value.reason : 0;
  };
  EXPECT_EQ(reason(agent), uint32_t{WEFT_EXEMPT_AGENT});
  EXPECT_EQ(reason(proxy), uint32_t{WEFT_EXEMPT_PROXY});
  ASSERT_TRUE(
      kernel_->set_exempt_cgroups({{agent.path(), WEFT_EXEMPT_AGENT}, {next.path(), WEFT_EXEMPT_PROXY}}));
  EXPECT_EQ(reason(proxy), 0U);
  EXPECT_EQ(reason(next), uint32_t{WEFT_EXEMPT_PROXY});
  // An agent that has just started does not know the proxies yet.
  ASSERT_TRUE(kernel_->set_exempt_cgroups({{proxy.path(), WEFT_EXEMPT_AGENT}}, /*known_proxies=*/false));
  EXPECT_EQ(reason(next), uint32_t{WEFT_EXEMPT_PROXY});
  EXPECT_EQ(reason(agent), 0U);
  ASSERT_TRUE(kernel_->set_exempt_cgroups({{proxy.path(), WEFT_EXEMPT_AGENT}}));
  EXPECT_EQ(reason(next), 0U);
  EXPECT_FALSE(kernel_->set_exempt_cgroups({{"/tmp", WEFT_EXEMPT_AGENT}}));
}

TEST_F(KernelPods, CountersAreNamedAndBeginAtZero) {
  const auto counters = kernel_->counters();
  ASSERT_TRUE(counters);
  ASSERT_EQ(counters->size(), size_t{WEFT_COUNTER_COUNT} + WEFT_EXCLUSION_COUNTER_COUNT);
  EXPECT_EQ((*counters)[WEFT_COUNTER_connect_exempt].name, "connect_exempt");
  for (const auto& counter : *counters) EXPECT_EQ(counter.value, 0U) << counter.name;
}

TEST_F(KernelPods, TheHarnessAndTheAgentAgreeOnCgroupsAndTheirIds) {
  EXPECT_EQ(*cgroup_id(cgroup_.path()), cgroup_.id());
  EXPECT_EQ(*find_cgroup2(), test::cgroup2_mount());
}

}  // namespace
}  // namespace weft::kernel
