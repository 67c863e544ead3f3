#include "agent/certs/trust_bundle.h"

#include "tests/support/fake_clock.h"
#include "tests/unit/agent/certs/authority.h"

namespace weft::certs {
namespace {

using std::chrono::hours;

const base::WallTime kBegin{hours(470'000)}, kEnd{hours(500'000)};

struct TrustBundleTest : testing::Test {
  Authority old_root{"old", kBegin, kEnd}, new_root{"new", kBegin, kEnd - hours(5)};
  test::FakeClock clock;
  TrustBundle file{TrustBundle::Source::kFile, clock};
  TrustBundle answers{TrustBundle::Source::kAnswers, clock};

  bool twice(const base::Result<std::string>& content) {
    EXPECT_FALSE(file.look_at_file(content));
    return file.look_at_file(content);
  }
};

TEST_F(TrustBundleTest, the_first_content_of_the_file_is_taken_at_once) {
  EXPECT_EQ(file.generation(), 0u);
  EXPECT_TRUE(file.look_at_file(old_root.pem()));
  EXPECT_GT(file.generation(), 0u);
  EXPECT_EQ(file.roots()->pem(), old_root.pem());
  EXPECT_FALSE(file.look_at_file(old_root.pem()));
  EXPECT_EQ(file.counters().changes, 1u);
}

TEST_F(TrustBundleTest, a_change_counts_when_two_looks_have_seen_it) {
  file.look_at_file(old_root.pem() + new_root.pem());
  const auto generation = file.generation();
  // Half written: it would be a shrink.
  EXPECT_FALSE(file.look_at_file(old_root.pem()));
  EXPECT_FALSE(file.look_at_file(old_root.pem() + new_root.pem()));
  EXPECT_FALSE(file.look_at_file(old_root.pem() + new_root.pem()));
  EXPECT_EQ(file.generation(), generation);
  EXPECT_TRUE(twice(new_root.pem()));
  EXPECT_EQ(file.generation(), generation + 1);
  EXPECT_EQ(file.roots()->pem(), new_root.pem());
}

TEST_F(TrustBundleTest, a_root_is_added_and_the_old_one_taken_away_without_a_restart) {
  file.look_at_file(old_root.pem());
  EXPECT_TRUE(twice(old_root.pem() + new_root.pem()));
  EXPECT_EQ(file.roots()->count(), 2u);
  EXPECT_EQ(file.roots()->first_end(), kEnd - hours(5));
  EXPECT_TRUE(twice(new_root.pem()));
  EXPECT_EQ(file.roots()->count(), 1u);
}

TEST_F(TrustBundleTest, a_file_that_comes_a_moment_after_us_is_no_refusal_and_one_that_does_not_come_is) {
  const base::Result<std::string> none = base::fail(base::ErrorKind::kNotFound, "not there");
  TrustBundle late{TrustBundle::Source::kFile, clock};
  EXPECT_FALSE(late.look_at_file(none));
  EXPECT_FALSE(late.look_at_file(none));
  EXPECT_EQ(late.counters().refused, 0u);
  EXPECT_NE(late.problem(), "");
  EXPECT_TRUE(late.look_at_file(old_root.pem()));
  EXPECT_EQ(late.problem(), "");
  TrustBundle never{TrustBundle::Source::kFile, clock};
  EXPECT_FALSE(never.look_at_file(none));
  clock.advance(TrustBundle::kArrives);
  EXPECT_FALSE(never.look_at_file(none));
  EXPECT_EQ(never.counters().refused, 1u);
  EXPECT_FALSE(never.look_at_file(none));
  EXPECT_EQ(never.counters().refused, 1u);
}

TEST_F(TrustBundleTest,
       an_empty_a_broken_and_a_missing_file_are_refused_once_each_and_the_last_good_one_stays) {
  file.look_at_file(old_root.pem());
  const auto generation = file.generation();
  uint64_t refused = 0;
  for (const base::Result<std::string>& bad :
       {base::Result<std::string>(""), base::Result<std::string>("no PEM"),
        base::Result<std::string>(old_root.pem() +
                                  "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        base::Result<std::string>(base::fail(base::ErrorKind::kSystem, "gone"))}) {
    EXPECT_FALSE(twice(bad));
    EXPECT_FALSE(file.look_at_file(bad));
    EXPECT_EQ(file.counters().refused, ++refused);
    EXPECT_FALSE(file.problem().empty());
  }
  EXPECT_EQ(file.generation(), generation);
  EXPECT_EQ(file.roots()->pem(), old_root.pem());
  EXPECT_FALSE(twice(old_root.pem()));
  EXPECT_EQ(file.problem(), "");
}

TEST_F(TrustBundleTest, a_private_key_in_the_file_refuses_it_and_is_never_handed_on) {
  EXPECT_FALSE(file.look_at_file(old_root.pem() + grpc::write_private_key(old_root.key())));
  EXPECT_EQ(file.roots(), nullptr);
  EXPECT_NE(file.problem().find("private key"), std::string::npos);
}

TEST_F(TrustBundleTest, comments_doubles_and_what_is_no_authority_do_not_reach_the_proxies) {
  const auto key = new_key();
  const std::string leaf = new_root.sign(*key, {.names = "DNS:x", .begin = kBegin, .end = kEnd});
  EXPECT_TRUE(file.look_at_file("# ours\n" + old_root.pem() + leaf + old_root.pem()));
  EXPECT_EQ(file.roots()->pem(), old_root.pem());
  EXPECT_EQ(file.counters().left_out, 1u);
  EXPECT_FALSE(twice(old_root.pem()));
  EXPECT_FALSE(TrustBundle(TrustBundle::Source::kFile, clock).look_at_file(leaf));
}

TEST_F(TrustBundleTest, answers_change_nothing_where_there_is_a_file) {
  file.look_at_file(old_root.pem());
  EXPECT_FALSE(file.take_answer(*Roots::parse(new_root.pem())));
  EXPECT_EQ(file.roots()->pem(), old_root.pem());
}

TEST_F(TrustBundleTest, the_newest_answer_is_the_bundle_where_there_is_no_file) {
  EXPECT_FALSE(answers.take_answer(nullptr));
  EXPECT_TRUE(answers.take_answer(*Roots::parse(old_root.pem())));
  EXPECT_FALSE(answers.take_answer(*Roots::parse(old_root.pem())));
  EXPECT_TRUE(answers.take_answer(*Roots::parse(new_root.pem())));
  EXPECT_EQ(answers.roots()->pem(), new_root.pem());
}

TEST_F(TrustBundleTest, the_generation_grows_over_a_restart_of_the_agent) {
  file.look_at_file(old_root.pem());
  twice(new_root.pem());
  clock.advance(std::chrono::seconds(5));
  TrustBundle next(TrustBundle::Source::kFile, clock);
  next.look_at_file(new_root.pem());
  EXPECT_GT(next.generation(), file.generation());
}

TEST_F(TrustBundleTest, two_nodes_with_the_same_roots_show_the_same_fingerprint) {
  const auto one = *Roots::parse(old_root.pem() + new_root.pem());
  const auto two = *Roots::parse("# copied\n" + old_root.pem() + new_root.pem());
  EXPECT_EQ(one->fingerprint(), two->fingerprint());
  EXPECT_EQ(one->fingerprint().size(), 16u);
  EXPECT_NE(one->fingerprint(), (*Roots::parse(old_root.pem()))->fingerprint());
}

TEST(Roots, more_than_a_bundle_may_hold_are_refused) {
  const Authority root("root", kBegin, kEnd);
  std::string many;
  for (size_t i = 0; i <= Roots::kMost; ++i) many += root.pem();
  EXPECT_FALSE(Roots::parse(many).has_value());
  EXPECT_FALSE(Roots::parse(std::string(300u << 10, '\n')).has_value());
}

}  // namespace
}  // namespace weft::certs
