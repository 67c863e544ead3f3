// What a node's agent holds of a large cluster, counted at operator new: bytes, not times, so the same on
// every machine. This is a program of its own, since it counts for all of it. Bounds are a quarter above what
// was measured; who needs more has to say for what.
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "agent/objects/served.h"
#include "agent/parse/json.h"
#include "agent/state/state.h"
#include "agent/watch/served_catalog.h"
#include "tests/support/served_cluster.h"

namespace {
std::atomic<int64_t> held_bytes{0}, made_blocks{0};

void* taken(size_t size) {
  void* const block = std::malloc(size);
  if (block == nullptr) std::abort();
  held_bytes += static_cast<int64_t>(malloc_usable_size(block));
  ++made_blocks;
  return block;
}
void given_back(void* block) {
  if (block != nullptr) held_bytes -= static_cast<int64_t>(malloc_usable_size(block));
  std::free(block);
}
}  // namespace

void* operator new(size_t size) {
  return taken(size);
}
void* operator new[](size_t size) {
  return taken(size);
}
// As a library asks (simdjson): what one of these makes, the operators below take back.
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return taken(size);
}
void* operator new[](size_t size, const std::nothrow_t&) noexcept {
  return taken(size);
}
void operator delete(void* block) noexcept {
  given_back(block);
}
void operator delete[](void* block) noexcept {
  given_back(block);
}
void operator delete(void* block, size_t) noexcept {
  given_back(block);
}
void operator delete[](void* block, size_t) noexcept {
  given_back(block);
}

namespace weft {
namespace {

using objects::Kind;

// A tenth of what bench_served makes: what is held for each is the same at any number.
constexpr int kPods = 500, kServices = 100;

// The way of an object from the server's bytes into state, as a node's agent has it.
class Held : public testing::Test {
 protected:
  void put(Kind kind, const std::string& text) {
    const auto node = reader_.read(text, {}, parse::Unread(objects::unread_fields(kind)));
    ASSERT_TRUE(node);
    catalog_.put(kind, "v1", *node);
    if (catalog_.pending() > 50) state_.fold(catalog_.commit());
  }
  int64_t pods() {
    const int64_t before = held_bytes;
    for (int i = 0; i < kPods; ++i) put(Kind::kPod, cluster_.pod(i));
    state_.fold(catalog_.commit());
    return held_bytes - before;
  }
  int64_t services() {
    const int64_t before = held_bytes;
    put(Kind::kNamespace, cluster_.ns());
    for (int i = 0; i < kServices; ++i) {
      put(Kind::kService, cluster_.service(i));
      put(Kind::kEndpointSlice, cluster_.slice(i));
    }
    state_.fold(catalog_.commit());
    return held_bytes - before;
  }

  test::ServedCluster cluster_{kPods, kServices};
  watch::ServedCounters counters_;
  watch::ServedCatalog catalog_{counters_};
  parse::JsonReader reader_;
  state::State state_{{.node = "node-0"}};
};

TEST_F(Held, a_pod_of_another_node_is_held_in_few_bytes) {
  EXPECT_LT(pods() / kPods, 3000);
  EXPECT_EQ(counters_.objects, uint64_t{kPods}) << "all of them were taken";
}

TEST_F(Held, a_service_with_five_endpoints_is_held_in_few_bytes) {
  EXPECT_LT(services() / kServices, 6000);
  EXPECT_EQ(counters_.objects, uint64_t{2 * kServices + 1});
}

TEST_F(Held, a_build_adds_few_bytes_a_pod_and_the_next_ones_none) {
  pods();
  services();
  state_.fold(watch::Synced{});
  const int64_t before = held_bytes;
  EXPECT_EQ(state_.build().snapshot->workloads.size(), size_t{kPods});
  const int64_t first = held_bytes;
  EXPECT_LT((first - before) / kPods, 2900);
  for (int i = 0; i < 20; ++i) {
    std::string changed = cluster_.pod(i);
    changed.replace(changed.find("Running"), 7, "Failed");
    put(Kind::kPod, changed);
    state_.fold(catalog_.commit());
    ASSERT_TRUE(state_.build().changed);
  }
  EXPECT_LE(held_bytes, first + 1000);
}

TEST_F(Held, a_pods_bytes_become_few_values_on_their_way) {
  const std::string text = cluster_.pod(1);
  const auto blocks_of = [&](const parse::Unread& unread) {
    (void)reader_.read(text, {}, unread);  // its own memory is there
    const int64_t before = made_blocks;
    (void)reader_.read(text, {}, unread);
    return made_blocks - before;
  };
  EXPECT_LT(blocks_of(parse::Unread(objects::unread_fields(Kind::kPod))) * 2, blocks_of({}));
}

}  // namespace
}  // namespace weft
