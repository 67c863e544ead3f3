// 10,000 services with 5 endpoints each: what one change costs, counted in writes.
#include <gtest/gtest.h>

#include "agent/compile/compile.h"
#include "tests/support/compile_fixture.h"

namespace weft::compile {
namespace {

constexpr uint32_t kServices = 10000;
constexpr uint32_t kEndpoints = 5;

std::string ip(uint32_t first, uint32_t n) {
  return std::to_string(first) + "." + std::to_string(n >> 16) + "." + std::to_string(n >> 8 & 255) + "." +
         std::to_string(n & 255);
}

class Scale : public testing::Test {
 protected:
  Scale() {
    for (uint32_t s = 0; s < kServices; ++s) {
      std::vector<model::Endpoint> endpoints;
      for (uint32_t e = 0; e < kEndpoints; ++e) {
        const std::string pod = ip(10, s * kEndpoints + e);
        const uint32_t workload =
            add_workload(snapshot_, "p" + std::to_string(s) + "-" + std::to_string(e), {pod});
        endpoints.push_back(endpoint(pod, 8080, workload));
      }
      add_service(snapshot_, "s" + std::to_string(s), {ip(11, s)}, endpoints);
    }
    tables_ = compile(snapshot_, ids_);
    loading_ = diff({}, tables_);
  }

  Changes change() {
    Tables desired = compile(snapshot_, ids_);
    return diff(tables_, desired);
  }

  model::Snapshot snapshot_;
  Ids ids_;
  Tables tables_;
  Changes loading_;
};

TEST_F(Scale, LoadingWritesEveryEntryOnce) {
  EXPECT_EQ(count<PutBackend>(loading_), size_t{kServices * kEndpoints});
  EXPECT_EQ(count<PutWorkload>(loading_), size_t{kServices * kEndpoints});
  EXPECT_EQ(count<PutService>(loading_), size_t{kServices + 2}) << "and the self-test's two";
  EXPECT_LT(count<PutName>(loading_), 10U);
}

TEST_F(Scale, OneEndpointThatGoesCostsAsManyWritesAsItsServiceHasEndpoints) {
  snapshot_.clusters[4711].endpoints.pop_back();
  const Changes changes = change();
  EXPECT_EQ(count<PutBackend>(changes), size_t{kEndpoints - 1});
  EXPECT_EQ(count<PutService>(changes), 1U);
  EXPECT_EQ(count<EraseBackend>(changes), size_t{kEndpoints});
  EXPECT_EQ(changes.size(), size_t{2 * kEndpoints + 1}) << "the rest is one grace period";
}

TEST_F(Scale, OneNewServiceCostsItsOwnWritesOnly) {
  add_service(snapshot_, "new", {"12.0.0.1"}, {endpoint("10.0.0.1", 8080, 0)});
  const Changes changes = change();
  EXPECT_EQ(count<PutBackend>(changes), 1U);
  EXPECT_EQ(count<PutService>(changes), 1U);
  EXPECT_EQ(count<PutName>(changes), 1U) << "the next service number";
  EXPECT_EQ(changes.size(), 3U);
}

TEST_F(Scale, ARestartWritesNothing) {
  Ids recovered = Ids::recover(tables_);
  Tables desired = compile(snapshot_, recovered);
  EXPECT_TRUE(diff(tables_, desired).empty());
}

TEST_F(Scale, AFullRewriteNeverHoldsMuchMoreThanOneGroupOfBackendsUnflipped) {
  for (auto& cluster : snapshot_.clusters) cluster.endpoints.pop_back();
  size_t waiting = 0, most = 0;
  for (const auto& step : change()) {
    if (std::holds_alternative<PutBackend>(step)) most = std::max(most, ++waiting);
    if (std::holds_alternative<PutService>(step)) waiting = 0;
  }
  EXPECT_LE(most, 512U + kEndpoints);
}

}  // namespace
}  // namespace weft::compile
