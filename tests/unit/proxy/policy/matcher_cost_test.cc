// What a verdict costs: no memory.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "tests/support/policy_builders.h"
#include "userspace-proxy/policy/matcher.h"

namespace {
size_t allocations = 0;  // of this program; tests are one thread
}  // namespace

// NOLINTBEGIN: the one way to see every allocation.
void* operator new(size_t size) {
  ++allocations;
  void* memory = std::malloc(size);
  if (memory == nullptr) std::abort();
  return memory;
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}
// NOLINTEND

namespace weft::policy {
namespace {

model::SnapshotPtr thousand_rules() {
  auto out = std::make_shared<model::Snapshot>();
  out->local_pods.push_back({.workload = 0});
  std::vector<model::PolicyRule> rules;
  for (uint32_t i = 0; i < 1000; ++i) {
    const std::string n = std::to_string(i);
    const std::string principal = "cluster.local/ns/team-" + n + "/sa/web";
    model::PolicyRule one = test::rule(i + 1, i % 2 == 0, {.principals = test::patterns({principal})});
    one.clauses.push_back({{.ports = {static_cast<uint16_t>(8000 + i % 10)}}});
    if (i % 100 == 0) one.dry_run = true;
    rules.push_back(std::move(one));
  }
  rules.push_back(test::rule(2000, false, {.namespaces = test::patterns({"dev"})}));
  test::give_rules(*out, 0, std::move(rules));
  return out;
}

TEST(MatcherCost, a_verdict_takes_no_memory_whatever_the_peer) {
  const Matcher matcher(thousand_rules());
  const model::LocalPod& pod = matcher.snapshot().local_pods[0];
  const model::Workload web{.name = "p", .ns = "dev", .service_account = "web"};
  const model::SpiffeId denied{"cluster.local", "team-2", "web"};
  const base::Address address = *base::Address::parse("10.1.2.3");
  const Peer peers[] = {{.address = address},
                        {.address = address, .proven = &web},
                        {.address = address, .identity = &denied}};
  Verdict verdicts[3];
  const size_t before = allocations;
  for (int i = 0; i < 3; ++i) verdicts[i] = matcher.judge(pod, peers[i], 8002);
  EXPECT_EQ(allocations, before);
  EXPECT_EQ(verdicts[0].reason, Verdict::Reason::kNotAllowed);
  EXPECT_EQ(verdicts[1].rule->id, 2000u);
  EXPECT_EQ(verdicts[2].rule->id, 3u);
}

}  // namespace
}  // namespace weft::policy
