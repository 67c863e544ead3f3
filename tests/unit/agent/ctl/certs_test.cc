#include "agent/ctl/certs.h"

#include <gtest/gtest.h>

#include <fstream>

#include "agent/objects/object.h"
#include "tests/support/scratch_dir.h"

namespace weft::ctl {
namespace {

constexpr int64_t kNow = 1'800'000'000, kHour = 3600, kDay = 24 * kHour;
constexpr const char* kWeb = "spiffe://cluster.local/ns/dev/sa/web";

std::string time(int64_t seconds) {
  return objects::to_string(objects::Time(std::chrono::seconds(seconds)));
}

Json identity(const std::string& state, int64_t end, int64_t renew, const std::string& error = "") {
  Json one{{"identity", kWeb}, {"proxy", 1}, {"state", state}, {"requests", 3}, {"failures", 1}};
  if (state == "valid") one.update({{"notAfter", time(end)}, {"renewAt", time(renew)}, {"keyId", 77}});
  if (!error.empty()) one["lastError"] = error;
  return one;
}

AgentReport report(const std::vector<Json>& identities, int64_t root_end = kNow + 3650 * kDay) {
  Json bundle{{"source", "file"},
              {"generation", 1},
              {"roots", 1},
              {"fingerprint", "0123456789abcdef"},
              {"firstExpiry", time(root_end)}};
  return {"node1",
          {{"role", "node"},
           {"proxies", Json::array({{{"pid", 1}}})},
           {"certificates", {{"identities", identities}, {"trustBundle", bundle}}}},
          ""};
}

Expiry expire(const AgentReport& one, int64_t span, bool all = false) {
  auto found = cert_expire({one}, {span, all, ""}, kNow);
  EXPECT_TRUE(found.has_value());
  return *found;
}

const Json kHealthy = identity("valid", kNow + 20 * kHour, kNow + 8 * kHour);

TEST(CertList, shows_state_expiry_renewal_and_error) {
  const auto text =
      cert_list({report({kHealthy, identity("failed", 0, 0, "the CA: UNAUTHENTICATED")})}, "", kNow);
  ASSERT_TRUE(text.has_value());
  EXPECT_EQ(
      *text,
      "AGENT   IDENTITY                               STATE    EXPIRES   RENEWS   ERROR\n"
      "node1   spiffe://cluster.local/ns/dev/sa/web   valid    20h       8h       -\n"
      "node1   spiffe://cluster.local/ns/dev/sa/web   failed   -         -        the CA: UNAUTHENTICATED\n");
}

TEST(CertList, wide_adds_numbers_and_the_bundle_and_json_carries_everything) {
  const auto wide = cert_list({report({kHealthy})}, "wide", kNow);
  ASSERT_TRUE(wide.has_value());
  EXPECT_NE(wide->find(time(kNow + 20 * kHour)), std::string::npos);
  EXPECT_NE(wide->find("0123456789abcdef"), std::string::npos);
  const auto json = cert_list({report({kHealthy})}, "json", kNow);
  const auto tree = sandbox::parse_json(*json);
  ASSERT_TRUE(tree.has_value());
  EXPECT_EQ(sandbox::text_at(*tree, "agents.0.certificates.identities.0.identity"), kWeb);
  EXPECT_FALSE(cert_list({}, "yaml", kNow).has_value());
}

TEST(CertList, says_which_agents_it_knows_nothing_of) {
  const auto text = cert_list({{"broken", Json(), "its report cannot be read: x"}}, "", kNow);
  EXPECT_EQ(*text, "agent broken: its report cannot be read: x\n");
}

TEST(CertList, says_that_a_trust_bundle_was_refused) {
  AgentReport one = report({kHealthy});
  one.content["certificates"]["trustBundle"]["problem"] = "no certificate in the text";
  EXPECT_NE(
      cert_list({one}, "", kNow)->find("agent node1: the newest trust bundle was refused: no certificate"),
      std::string::npos);
}

TEST(CertExpire, is_zero_while_what_ends_is_renewed_before) {
  EXPECT_EQ(expire(report({kHealthy}), 30 * kDay).exit_code, 0);
  EXPECT_EQ(expire(report({kHealthy}), 30 * kDay).text, "");
  // A renewal under way is not overdue.
  EXPECT_EQ(expire(report({identity("valid", kNow + kHour, kNow - 10)}), 30 * kDay).exit_code, 0);
}

TEST(CertExpire, with_all_counts_what_will_be_renewed_as_well) {
  EXPECT_EQ(expire(report({kHealthy}), 30 * kDay, true).exit_code, 1);
  EXPECT_EQ(expire(report({kHealthy}), kHour, true).exit_code, 0);
}

TEST(CertExpire, is_one_for_a_certificate_that_nobody_is_renewing) {
  const Json failing = identity("valid", kNow + 5 * kHour, kNow - kHour, "the CA: away");
  EXPECT_EQ(expire(report({failing}), 30 * kDay).exit_code, 1);
  EXPECT_NE(expire(report({failing}), 30 * kDay).text.find("the CA: away"), std::string::npos);
  EXPECT_EQ(expire(report({failing}), kHour).exit_code, 0);
  const Json overdue = identity("valid", kNow + 5 * kHour, kNow - kHour);  // its agent is dead
  EXPECT_EQ(expire(report({overdue}), 30 * kDay).exit_code, 1);
}

TEST(CertExpire, is_one_for_what_has_expired_or_failed_whatever_the_span) {
  EXPECT_EQ(expire(report({identity("valid", kNow - 1, kNow - 1)}), 0).exit_code, 1);
  EXPECT_EQ(expire(report({identity("failed", 0, 0, "no")}), 0).exit_code, 1);
}

TEST(CertExpire, is_one_for_a_root_that_ends_in_that_time) {
  const auto found = expire(report({kHealthy}, kNow + 10 * kDay), 30 * kDay);
  EXPECT_EQ(found.exit_code, 1);
  EXPECT_NE(found.text.find("trust bundle"), std::string::npos);
  EXPECT_EQ(expire(report({kHealthy}, kNow + 40 * kDay), 30 * kDay).exit_code, 0);
}

TEST(CertExpire, is_two_where_it_cannot_be_known_and_says_why) {
  EXPECT_EQ(cert_expire({}, {kDay, false, ""}, kNow)->exit_code, 2);
  EXPECT_EQ(expire(report({identity("pending", 0, 0)}), kDay).exit_code, 2);
  EXPECT_EQ(expire({"node1", Json(), "its report cannot be read"}, kDay).exit_code, 2);
  AgentReport without = report({});
  without.content.erase("certificates");
  EXPECT_NE(expire(without, kDay).problems.find("--ca-address"), std::string::npos);
  AgentReport alone = report({});
  alone.content["proxies"] = Json::array();
  EXPECT_EQ(expire(alone, kDay).exit_code, 2);
  AgentReport rootless = report({kHealthy});
  rootless.content["certificates"]["trustBundle"] = {{"problem", "no such file"}};
  EXPECT_EQ(expire(rootless, kDay).exit_code, 2);
  EXPECT_NE(expire(rootless, kDay).problems.find("no such file"), std::string::npos);
}

TEST(CertExpire, what_ends_counts_more_than_what_cannot_be_known) {
  const auto found = expire(report({identity("pending", 0, 0), identity("failed", 0, 0, "no")}), kDay);
  EXPECT_EQ(found.exit_code, 1);
  EXPECT_NE(found.problems, "");
}

TEST(CertExpire, control_has_no_certificates_to_expire) {
  const AgentReport control{"control", {{"role", "control"}}, ""};
  const auto found = cert_expire({control, report({kHealthy})}, {kDay, false, ""}, kNow);
  EXPECT_EQ(found->exit_code, 0);
  EXPECT_EQ(found->problems, "");
}

TEST(Span, is_a_number_and_a_unit) {
  EXPECT_EQ(*parse_span("90s"), 90);
  EXPECT_EQ(*parse_span("30d"), 30 * kDay);
  EXPECT_EQ(*parse_span("2w"), 14 * kDay);
  for (const char* text : {"", "d", "30", "30x", "-1d", "1d ", "999999999999d"})
    EXPECT_FALSE(parse_span(text)) << text;
}

TEST(Reports, of_a_directory_are_those_of_agents_and_a_broken_one_is_named) {
  test::ScratchDir dir;
  std::ofstream(dir / "Agent.node1.json") << R"({"role":"node"})";
  std::ofstream(dir / "Agent.node2.json") << "{";
  std::ofstream(dir / "Pod.dev.web.node1.json") << "{}";
  std::ofstream(dir / "Agent.node3.json.tmp") << "{}";
  const auto reports = read_reports(dir.path());
  ASSERT_TRUE(reports.has_value());
  ASSERT_EQ(reports->size(), 2u);
  EXPECT_EQ((*reports)[0].name, "node1");
  EXPECT_EQ((*reports)[0].problem, "");
  EXPECT_NE((*reports)[1].problem, "");
  EXPECT_FALSE(read_reports(dir / "missing").has_value());
}

}  // namespace
}  // namespace weft::ctl
