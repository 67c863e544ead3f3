// What a server's answers mean: errors, TokenReviews, discovery, waiting times.
#include <gtest/gtest.h>

#include "agent/kube/backoff.h"
#include "agent/kube/discovery.h"
#include "agent/kube/error.h"
#include "agent/kube/reviews.h"
#include "agent/parse/json.h"

namespace weft::kube {
namespace {

using base::ErrorKind;
using objects::Node;

TEST(ApiError, keeps_the_servers_words_and_says_who_was_asked) {
  const ApiError error =
      api_error("GET /api/v1/pods", 403,
                R"({"kind":"Status","reason":"Forbidden","message":"pods is forbidden","code":403})");
  EXPECT_EQ(error.kind, ErrorKind::kRefused);
  EXPECT_EQ(error.reason, "Forbidden");
  EXPECT_EQ(error.what, "GET /api/v1/pods: the API server answers 403 Forbidden: pods is forbidden");
  EXPECT_EQ(error.side, base::Side::kDestination);
  EXPECT_TRUE(error.forbidden());
}

TEST(ApiError, of_an_answer_that_is_no_status_shows_its_first_words_without_control_bytes) {
  const ApiError error = api_error("GET /x", 502, "<html>\n\x1b[31mbad " + std::string(1000, 'x'));
  EXPECT_EQ(error.kind, ErrorKind::kClosed);
  EXPECT_NE(error.what.find("<html>  [31mbad"), std::string::npos) << error.what;
  EXPECT_LT(error.what.size(), 300u);
  EXPECT_EQ(api_error("GET /x", 500, "").message, "no text");
}

TEST(ApiError, tells_the_two_kinds_of_409_apart) {
  EXPECT_TRUE(api_error("", 409, R"({"kind":"Status","reason":"AlreadyExists"})").already_exists());
  EXPECT_FALSE(api_error("", 409, R"({"kind":"Status","reason":"AlreadyExists"})").conflict());
  EXPECT_TRUE(api_error("", 409, R"({"kind":"Status","reason":"Conflict"})").conflict());
  EXPECT_TRUE(api_error("", 410, "").gone());
  EXPECT_TRUE(api_error("", 404, "").not_found());
}

base::Result<int> plain() {
  TRY_ASSIGN(const int value, ApiResult<int>(std::unexpected(api_error("GET /x", 404, ""))));
  return value;
}

TEST(ApiError, becomes_a_plain_error_where_one_is_returned) {
  EXPECT_EQ(plain().error().kind, ErrorKind::kNotFound);
}

Node review(const std::string& status) {
  return *parse::read_json(R"({"kind":"TokenReview","status":)" + status + "}");
}

TEST(TokenReview, a_good_token_says_who_and_where) {
  const std::vector<std::string> audiences{"istio-ca"};
  const TokenVerdict verdict = read_token_review(
      review(
          R"({"authenticated":true,"audiences":["istio-ca"],
        "user":{"username":"system:serviceaccount:dev:web","uid":"u",
        "groups":["system:serviceaccounts"],"extra":{"authentication.kubernetes.io/pod-name":["web-1"],
        "authentication.kubernetes.io/node-name":["node-a"],"authentication.kubernetes.io/pod-uid":["p-1"]}}})"),
      audiences);
  EXPECT_TRUE(verdict.authenticated);
  EXPECT_EQ(verdict.username, "system:serviceaccount:dev:web");
  EXPECT_EQ(verdict.pod_name(), "web-1");
  EXPECT_EQ(verdict.pod_uid(), "p-1");
  EXPECT_EQ(verdict.node_name(), "node-a");
  EXPECT_EQ(verdict.groups, std::vector<std::string>{"system:serviceaccounts"});
  EXPECT_EQ(verdict.first("other"), "");
}

TEST(TokenReview, a_server_that_did_not_look_at_the_audience_is_not_believed) {
  const std::vector<std::string> audiences{"istio-ca"};
  for (const char* said : {R"({"authenticated":true,"user":{"username":"x"}})",
                           R"({"authenticated":true,"audiences":["other"],"user":{"username":"x"}})"}) {
    const TokenVerdict verdict = read_token_review(review(said), audiences);
    EXPECT_FALSE(verdict.authenticated);
    EXPECT_NE(verdict.error.find("audience"), std::string::npos);
  }
  EXPECT_TRUE(
      read_token_review(review(R"({"authenticated":true,"user":{"username":"x"}})"), {}).authenticated);
}

TEST(TokenReview, without_a_clear_yes_it_is_no) {
  for (const char* said :
       {"{}", "null", R"({"authenticated":"true","user":{"username":"x"}})",
        R"({"authenticated":true,"user":{}})", R"({"authenticated":false,"error":"expired"})"})
    EXPECT_FALSE(read_token_review(review(said), {}).authenticated) << said;
  EXPECT_EQ(read_token_review(review(R"({"authenticated":false,"error":"expired"})"), {}).error, "expired");
}

TEST(Discovery, resources_come_without_their_subresources) {
  const auto list = *parse::read_json(R"({"kind":"APIResourceList","resources":[
      {"name":"deployments","kind":"Deployment","namespaced":true},
      {"name":"deployments/status","kind":"Deployment"}]})");
  EXPECT_EQ(read_resource_list(list, "apps/v1"),
            (std::vector<Resource>{*known_resource("apps/v1", "Deployment")}));
}

TEST(Discovery, the_preferred_version_comes_first) {
  const auto group = *parse::read_json(
      R"({"preferredVersion":{"version":"v1"},"versions":[{"version":"v1beta1"},{"version":"v1"}]})");
  EXPECT_EQ(read_group_versions(group), (std::vector<std::string>{"v1", "v1beta1"}));
  EXPECT_EQ(read_version(*parse::read_json(R"({"major":"1","minor":"36+","gitVersion":"v1.36.4"})")).minor,
            36);
}

TEST(Backoff, doubles_up_to_its_bound_and_is_spread) {
  Backoff backoff(std::chrono::seconds(1), std::chrono::seconds(8), 1);
  for (const int base : {1, 2, 4, 8, 8, 8}) {
    const base::Nanos wait = backoff.next();
    EXPECT_GE(wait, std::chrono::seconds(base));
    EXPECT_LT(wait, std::chrono::seconds(2 * base));
  }
  for (int i = 0; i < 100; ++i) EXPECT_LT(backoff.next(), std::chrono::seconds(16));
  backoff.reset();
  EXPECT_LT(backoff.next(), std::chrono::seconds(2));
  Backoff other(std::chrono::seconds(1), std::chrono::seconds(8), 2),
      same(std::chrono::seconds(1), std::chrono::seconds(8), 2);
  EXPECT_EQ(other.next(), same.next());
}

}  // namespace
}  // namespace weft::kube
