#include "userspace-proxy/worker/ledger.h"

#include <gtest/gtest.h>

namespace weft::worker {
namespace {

const model::StockKey kKey{
    .pod = {"dev/web", 1}, .kind = model::StockKind::kOutbound, .family = model::Family::kV4};

TEST(LedgerTest, deals_new_sockets_to_the_emptiest_worker_first) {
  Ledger ledger(2);
  EXPECT_EQ(ledger.deal(kKey, 5), (std::vector<size_t>{3, 2}));
  (void)ledger.change(0, {{.key = kKey, .level = 0, .taken = 3}});
  EXPECT_EQ(ledger.deal(kKey, 2), (std::vector<size_t>{2, 0}));
  EXPECT_EQ(ledger.deal(kKey, 4), (std::vector<size_t>{2, 2}));
}

TEST(LedgerTest, a_worker_that_runs_low_beside_a_full_one_is_what_the_agent_hears_of) {
  Ledger ledger(2);
  (void)ledger.deal(kKey, 10);
  const auto reports = ledger.change(1, {{.key = kKey, .level = 1, .taken = 4}});
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].level, 2u);
  EXPECT_EQ(reports[0].taken, 4u);
}

TEST(LedgerTest, a_worker_that_has_run_dry_goes_before_workers_that_never_asked) {
  Ledger ledger(4);
  EXPECT_EQ(ledger.change(2, {{.key = kKey, .level = 0, .taken = 1}})[0].level, 0u);
  EXPECT_EQ(ledger.deal(kKey, 1), (std::vector<size_t>{0, 0, 1, 0}));
}

TEST(LedgerTest, forgets_a_pod_that_is_gone) {
  Ledger ledger(2);
  (void)ledger.deal(kKey, 10);
  ledger.drop(kKey.pod);
  EXPECT_EQ(ledger.change(0, {{.key = kKey, .level = 2, .taken = 0}})[0].level, 0u);
  EXPECT_EQ(ledger.change(1, {{.key = kKey, .level = 3, .taken = 0}})[0].level, 4u);
}

}  // namespace
}  // namespace weft::worker
