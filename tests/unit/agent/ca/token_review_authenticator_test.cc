// Tokens proven by the API server: who a verdict makes of a caller, and what is no proof.
#include "agent/ca/token_review_authenticator.h"

#include <gtest/gtest.h>

#include "agent/ca/token.h"

namespace weft::ca {
namespace {

kube::TokenVerdict good() {
  return {.authenticated = true,
          .username = "system:serviceaccount:weft-system:weft-agent",
          .groups = {"system:serviceaccounts", "system:serviceaccounts:weft-system", "system:authenticated"},
          .audiences = {"istio-ca"},
          .extra = {{"authentication.kubernetes.io/pod-name", {"weft-agent-x7"}},
                    {"authentication.kubernetes.io/pod-uid", {"1-2-3"}},
                    {"authentication.kubernetes.io/node-name", {"node-a"}}}};
}

// An API server that says what the test wants, and remembers what it was asked.
struct FakeReviewer final : kube::TokenReviewer {
  kube::ApiResult<kube::TokenVerdict> review(std::string_view token,
                                             std::span<const std::string> audiences) override {
    asked.emplace_back(token);
    for (const std::string& audience : audiences) asked.push_back(audience);
    return answer;
  }
  kube::ApiResult<kube::TokenVerdict> answer = good();
  std::vector<std::string> asked;
};

struct TokenReviewTest : ::testing::Test {
  FakeReviewer reviewer;
  TokenReviewAuthenticator authenticator{{}, reviewer};
};

TEST_F(TokenReviewTest, a_good_token_says_account_pod_and_node) {
  const auto caller = authenticator.authenticate("a.b.c", "");
  ASSERT_TRUE(caller) << caller.error().what;
  EXPECT_EQ(caller->ns, "weft-system");
  EXPECT_EQ(caller->service_account, "weft-agent");
  EXPECT_EQ(caller->pod, "weft-agent-x7");
  EXPECT_EQ(caller->pod_uid, "1-2-3");
  EXPECT_EQ(caller->node, "node-a");
  EXPECT_EQ(reviewer.asked, (std::vector<std::string>{"a.b.c", "istio-ca"}));
}

TEST_F(TokenReviewTest, a_server_that_does_not_say_the_node_leaves_it_to_the_index_of_pods) {
  reviewer.answer->extra.erase("authentication.kubernetes.io/node-name");
  EXPECT_EQ(authenticator.authenticate("a.b.c", "Kubernetes")->node, "");
}

TEST_F(TokenReviewTest, another_cluster_and_what_is_no_jwt_cost_no_question) {
  EXPECT_EQ(authenticator.authenticate("a.b.c", "other").error().reason, Reason::kCluster);
  for (const std::string& bad :
       {std::string(), std::string("abc"), std::string("a.b"), std::string("a.b.c.d"), std::string("a b.c.d"),
        std::string("a.b\r\n.c"), std::string(".b.c"), std::string(kMaxToken, 'a') + ".b.c"})
    EXPECT_EQ(authenticator.authenticate(bad, "").error().reason, Reason::kTokenMalformed)
        << bad.substr(0, 20);
  EXPECT_TRUE(reviewer.asked.empty());
}

TEST_F(TokenReviewTest, when_nobody_can_be_asked_nobody_gets_in) {
  reviewer.answer =
      std::unexpected(kube::ApiError(base::Error{.kind = base::ErrorKind::kTimeout, .what = "away"}));
  const auto caller = authenticator.authenticate("a.b.c", "");
  EXPECT_EQ(caller.error().reason, Reason::kNotReady);
  EXPECT_NE(caller.error().what.find("away"), std::string::npos);
}

TEST_F(TokenReviewTest, a_token_the_server_refuses_is_refused_with_its_words) {
  reviewer.answer = kube::TokenVerdict{.error = "token has expired"};
  const auto caller = authenticator.authenticate("a.b.c", "");
  EXPECT_EQ(caller.error().reason, Reason::kTokenRefused);
  EXPECT_NE(caller.error().what.find("token has expired"), std::string::npos);
}

TEST(TokenReviewCaller, who_is_no_bound_service_account_is_refused) {
  struct Row {
    const char* what;
    void (*change)(kube::TokenVerdict&);
  };
  for (const Row& row : {
           Row{"a person", [](kube::TokenVerdict& v) { v.username = "admin"; }},
           Row{"a name without its group",
               [](kube::TokenVerdict& v) { v.groups = {"system:authenticated"}; }},
           Row{"half a name", [](kube::TokenVerdict& v) { v.username = "system:serviceaccount:dev"; }},
           Row{"no name", [](kube::TokenVerdict& v) { v.username = "system:serviceaccount:dev:"; }},
           Row{"two colons", [](kube::TokenVerdict& v) { v.username = "system:serviceaccount:dev:a:b"; }},
           Row{"a path for a namespace",
               [](kube::TokenVerdict& v) { v.username = "system:serviceaccount:a/b:c"; }},
           Row{"no pod",
               [](kube::TokenVerdict& v) { v.extra.erase("authentication.kubernetes.io/pod-name"); }},
           Row{"no uid",
               [](kube::TokenVerdict& v) { v.extra.erase("authentication.kubernetes.io/pod-uid"); }},
           Row{"a long uid",
               [](kube::TokenVerdict& v) {
                 v.extra["authentication.kubernetes.io/pod-uid"] = {std::string(200, 'x')};
               }},
           Row{"a strange node",
               [](kube::TokenVerdict& v) { v.extra["authentication.kubernetes.io/node-name"] = {"a/b"}; }},
       }) {
    kube::TokenVerdict verdict = good();
    row.change(verdict);
    const auto caller = caller_of(verdict);
    ASSERT_FALSE(caller) << row.what;
    EXPECT_EQ(caller.error().reason, Reason::kTokenClaims) << row.what;
  }
  EXPECT_TRUE(caller_of(good()));
}

}  // namespace
}  // namespace weft::ca
