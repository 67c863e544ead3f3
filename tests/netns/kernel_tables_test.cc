// Tables written for real: ten thousand services, full maps, what bpftool shows.
#include <netinet/in.h>

#include <cstdio>

#include "tests/netns/kernel_fixture.h"

namespace weft::kernel {
namespace {

using compile::Tables;

weft_address v4(uint32_t host_order) {
  weft_address out;
  std::memcpy(out.bytes, base::Address::v4(host_order).bytes.data(), sizeof out.bytes);
  return out;
}

weft_service_key service_key(uint32_t n) {
  return {v4(0x0b000000 + n), 80, IPPROTO_TCP, 0};
}

// A service with `endpoints` backends, first address `base`.
compile::Service service(uint32_t id, uint32_t endpoints, uint32_t base) {
  compile::Service out;
  out.head.service_id = id;
  out.head.backend_count = endpoints;
  for (uint32_t i = 0; i < endpoints; ++i)
    out.backends.push_back({v4(base + i), 8080, WEFT_WORKLOAD_ENROLLED, UINT32_MAX, i, 0});
  return out;
}

Tables tables_of(uint32_t services, uint32_t endpoints) {
  Tables tables;
  for (uint32_t s = 0; s < services; ++s)
    tables.services.emplace(service_key(s), service(s + 1, endpoints, 0x0a000000 + s * endpoints));
  return tables;
}

// No service has a slot that is not the one it was given.
void expect_whole(const Tables& tables) {
  for (const auto& [key, entry] : tables.services)
    for (uint32_t slot = 0; slot < entry.backends.size(); ++slot)
      ASSERT_EQ(entry.backends[slot].alias, slot) << "service " << entry.head.service_id;
}

class KernelTables : public KernelTest {};

TEST_F(KernelTables, TenThousandServicesAndFiftyThousandEndpointsAreReadBackAsWritten) {
  start();
  Tables desired = tables_of(10000, 5);
  for (uint32_t i = 0; i < 50000; ++i)
    desired.workloads.emplace(v4(0x0a000000 + i), weft_workload{1, 1, 1, 0, 0});
  ASSERT_TRUE(kernel_->sync(desired));
  const auto read = kernel_->read_tables();
  ASSERT_TRUE(read);
  EXPECT_EQ(read->services.size(), 10000U);
  EXPECT_EQ(read->workloads.size(), 50000U);
  EXPECT_TRUE(read->strays.empty());
  expect_whole(*read);
  Tables again = desired;
  EXPECT_TRUE(compile::diff(*read, again).empty());
}

TEST_F(KernelTables, ARestartedAgentFindsWhatTheFormerOneWrote) {
  start();
  ASSERT_TRUE(kernel_->sync(tables_of(100, 3)));
  start();
  EXPECT_EQ(kernel_->current().services.size(), 100U);
  Tables same = tables_of(100, 3);
  EXPECT_TRUE(compile::diff(kernel_->current(), same).empty());
  Tables fewer = tables_of(40, 2);
  ASSERT_TRUE(kernel_->sync(fewer));
  const auto read = kernel_->read_tables();
  ASSERT_TRUE(read);
  EXPECT_EQ(read->services.size(), 40U);
  EXPECT_EQ(read->services.begin()->second.head.generation, 2U);
  EXPECT_TRUE(read->strays.empty());
  expect_whole(*read);
}

TEST_F(KernelTables, WhatAKilledAgentLeftBehindIsSwept) {
  start();
  ASSERT_TRUE(kernel_->sync(tables_of(3, 2)));
  const weft_backend_key stray{2, 7, 0};
  const weft_backend backend{};
  ASSERT_EQ(bpf_map_update_elem(pinned("backends").get(), &stray, &backend, BPF_ANY), 0);
  start();
  ASSERT_EQ(kernel_->current().strays.size(), 1U);
  ASSERT_TRUE(kernel_->sync(tables_of(3, 2)));
  EXPECT_TRUE(kernel_->read_tables()->strays.empty());
}

TEST_F(KernelTables, AFullServicesMapLeavesServicesOutWholeAndSaysSo) {
  start();
  const auto status = kernel_->sync(tables_of(66000, 1));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind, base::ErrorKind::kLimit);
  EXPECT_NE(status.error().what.find("\"services\": full"), std::string::npos) << status.error().what;
  EXPECT_EQ(kernel_->failures().services_left_out, 66000U - 65536U);
  EXPECT_EQ(kernel_->current().services.size(), 65536U);
  EXPECT_TRUE(kernel_->current().strays.empty()) << "backends of a service that was left out were taken back";
  expect_whole(kernel_->current());
}

TEST_F(KernelTables, AFullBackendsMapKeepsTheFormerTableOfAServiceThatGrewTooLarge) {
  start();
  Tables desired = tables_of(10, 50000);
  ASSERT_TRUE(kernel_->sync(desired));
  Tables larger = desired;
  larger.services[service_key(0)] = service(1, 60000, 0x0a000000);
  const auto status = kernel_->sync(larger);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().what.find("\"backends\": full"), std::string::npos) << status.error().what;
  EXPECT_EQ(kernel_->failures().services_left_out, 1U);
  const auto& kept = kernel_->current().services.at(service_key(0));
  EXPECT_EQ(kept.head.backend_count, 50000U);
  EXPECT_EQ(kept.head.generation, 1U);
  EXPECT_TRUE(kernel_->current().strays.empty());
  expect_whole(kernel_->current());
  // With room again the next try succeeds.
  larger.services.erase(service_key(9));
  ASSERT_TRUE(kernel_->sync(larger));
  EXPECT_EQ(kernel_->read_tables()->services.at(service_key(0)).head.backend_count, 60000U);
}

TEST_F(KernelTables, AFullPolicyMapHandsThePodsArrivalsToTheProxy) {
  start();
  Tables desired;
  weft_pod pod{};
  pod.pod_id = 2;
  pod.generation = 5;
  pod.flags = WEFT_POD_HAS_POLICY;
  desired.pods.emplace("uid-2", pod);
  ASSERT_TRUE(kernel_->sync(desired));
  weft_pod armed = pod;
  armed.flags |= WEFT_POD_ENROLLED | WEFT_POD_MARKING;
  ASSERT_TRUE(kernel_->put_pod(77, armed));
  auto rules = [&](uint32_t pod_id, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
      weft_policy_key key{};
      key.prefix_length = WEFT_POLICY_FIXED_BITS + 32;
      key.pod_id = pod_id;
      key.action = WEFT_ACTION_DENY;
      key.subject = WEFT_SUBJECT_IDENTITY;
      std::memcpy(key.value.bytes, &i, sizeof i);
      desired.policies.emplace(key, weft_policy{1});
    }
  };
  rules(1, 131072);
  rules(2, 1);
  const auto status = kernel_->sync(desired);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().what.find("\"policy\": full"), std::string::npos) << status.error().what;
  EXPECT_EQ(kernel_->failures().pods_left_to_proxy, 1U);
  const uint32_t wanted = armed.flags | WEFT_POD_INBOUND_PROXY;
  EXPECT_EQ(kernel_->pod(77)->flags, wanted);
  EXPECT_EQ(kernel_->current().pods.at("uid-2").flags, uint32_t{WEFT_POD_HAS_POLICY | WEFT_POD_INBOUND_PROXY})
      << "a pod that is armed later gets it, too";
  // With room again the kernel judges by itself.
  std::erase_if(desired.policies, [](const auto& item) { return item.first.pod_id == 1; });
  ASSERT_TRUE(kernel_->sync(desired));
  EXPECT_EQ(kernel_->pod(77)->flags, armed.flags);
  EXPECT_EQ(kernel_->read_tables()->policies.size(), 1U);
}

TEST_F(KernelTables, PolicyEntriesAreReadBackAsWritten) {
  start();
  Tables desired;
  for (uint8_t bits : {64, 88, 120, 128}) {
    weft_policy_key key{};
    key.prefix_length = WEFT_POLICY_FIXED_BITS + bits;
    key.pod_id = 3;
    key.action = WEFT_ACTION_ALLOW;
    key.subject = WEFT_SUBJECT_ADDRESS;
    key.value.bytes[0] = 0xfd;
    desired.policies.emplace(key, weft_policy{bits});
  }
  ASSERT_TRUE(kernel_->sync(desired));
  start();
  Tables same = desired;
  EXPECT_TRUE(compile::diff(kernel_->current(), same).empty());
  ASSERT_TRUE(kernel_->sync({}));
  EXPECT_TRUE(kernel_->read_tables()->policies.empty());
}

weft_exclusion_key excluded_port(uint32_t pod_id, uint32_t n) {
  weft_exclusion_key key{};
  key.prefix_length = WEFT_EXCLUSION_FIXED_BITS + 128;
  key.pod_id = pod_id;
  key.kind = WEFT_EXCLUDE_RANGE4;
  key.address = v4(0x0a000000 + n);
  return key;
}

TEST_F(KernelTables, ExclusionsAreReadBackAsWrittenAndATableWithoutThemIsMadeForAnOlderPin) {
  start();
  Tables desired;
  for (uint32_t n = 0; n < 600; ++n) desired.exclusions.emplace(excluded_port(3, n), weft_exclusion{3});
  ASSERT_TRUE(kernel_->sync(desired));
  start();
  Tables same = desired;
  EXPECT_TRUE(compile::diff(kernel_->current(), same).empty());
  ASSERT_TRUE(kernel_->sync({}));
  EXPECT_TRUE(kernel_->read_tables()->exclusions.empty());
  // What an agent of before left: neither map.
  kernel_.reset();
  ASSERT_EQ(unlink(path("exclusions").c_str()), 0);
  ASSERT_EQ(unlink(path("excluded_counts").c_str()), 0);
  start();
  ASSERT_TRUE(kernel_->sync(desired));
  EXPECT_EQ(kernel_->read_tables()->exclusions.size(), 600U);
  EXPECT_TRUE(kernel_->counters());
}

TEST_F(KernelTables, AnExclusionForWhichThereIsNoRoomIsSaidAndThePodIsNotBelievedToHaveIt) {
  start();
  Tables desired;
  for (uint32_t n = 0; n < 131072; ++n) desired.exclusions.emplace(excluded_port(1, n), weft_exclusion{1});
  ASSERT_TRUE(kernel_->sync(desired));
  desired.exclusions.emplace(excluded_port(2, 0), weft_exclusion{2});
  const auto status = kernel_->sync(desired);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().what.find("\"exclusions\": full"), std::string::npos) << status.error().what;
  EXPECT_TRUE(kernel_->has_exclusions_of(1));
  EXPECT_FALSE(kernel_->has_exclusions_of(2));
  EXPECT_EQ(kernel_->failures().pods_left_captured, 1U);
  std::erase_if(desired.exclusions, [](const auto& item) { return item.first.pod_id == 1; });
  ASSERT_TRUE(kernel_->sync(desired));
  EXPECT_TRUE(kernel_->has_exclusions_of(2));
}

TEST_F(KernelTables, BpftoolShowsServicesAsWords) {
  start();
  ASSERT_TRUE(kernel_->sync(tables_of(1, 2)));
  const test::Netns anywhere;
  const std::string dump = anywhere.sh("bpftool map dump pinned " + path("services"));
  for (const char* word : {"\"address\"", "\"port\": 80", "\"protocol\": 6", "\"service_id\": 1",
                           "\"generation\": 1", "\"backend_count\": 2", "\"affinity_seconds\": 0"})
    EXPECT_NE(dump.find(word), std::string::npos) << word << " is not in\n" << dump;
}

}  // namespace
}  // namespace weft::kernel
