#include "userspace-proxy/route/route.h"

#include <gtest/gtest.h>

#include <map>

#include "userspace-proxy/route/balance.h"
#include "userspace-proxy/route/path.h"

namespace weft::route {
namespace {

using model::StringMatch;
using Kind = StringMatch::Kind;

StringMatch exact(std::string value) {
  return {Kind::kExact, std::move(value)};
}
StringMatch prefix(std::string value) {
  return {Kind::kPrefix, std::move(value)};
}
StringMatch regex(std::string value) {
  return {Kind::kRegex, std::move(value)};
}
StringMatch present() {
  return {};
}

struct RouteTest : testing::Test {
  // One host with one route per match; route i goes to cluster i.
  void matches(std::vector<model::RouteMatch> list) {
    model::VirtualHost host{.name = "h", .domains = {"*"}};
    for (size_t i = 0; i < list.size(); ++i) {
      const uint32_t cluster = add_cluster("c" + std::to_string(i));
      host.routes.push_back({.name = "r" + std::to_string(i),
                             .matches = {list[i]},
                             .clusters = {{cluster, 1, "c" + std::to_string(i)}}});
    }
    table.hosts.push_back(std::move(host));
  }
  uint32_t add_cluster(std::string name) {
    snapshot.clusters.push_back({.name = std::move(name)});
    return static_cast<uint32_t>(snapshot.clusters.size() - 1);
  }
  void build() {
    snapshot.route_tables = {table};
    tables = Tables::build(std::make_shared<const model::Snapshot>(snapshot));
  }
  Decision ask(RequestView request, const Caller& caller = {}, uint32_t draw = 0) {
    if (!tables) build();
    return decide(tables->table(0), request, caller, draw);
  }
  Decision path(std::string_view target) {
    const auto split = split_target(target);
    return ask({.method = "GET", .path = split.path, .query = split.query, .authority = "any"});
  }
  Decision host(std::string_view authority) {
    return ask({.method = "GET", .path = "/", .authority = authority});
  }

  model::Snapshot snapshot;
  model::RouteTable table;
  std::shared_ptr<const Tables> tables;
};

TEST_F(RouteTest, an_exact_path_is_case_sensitive_and_ignores_the_query) {
  matches({{.uri = {exact("/httpgo")}}});
  EXPECT_EQ(path("/httpgo").outcome, Outcome::kCluster);
  EXPECT_EQ(path("/httpgo?x=1").outcome, Outcome::kCluster);
  for (const auto* miss : {"/httpgo/", "/httpgo/payload", "/httpgo2", "/", "/healthz", "/HTTPGO", "//httpgo"})
    EXPECT_EQ(path(miss).outcome, Outcome::kNoRoute) << miss;
}

TEST_F(RouteTest, a_prefix_is_a_raw_string_prefix_and_an_empty_one_takes_everything) {
  matches({{.uri = {prefix("/foo")}}, {.uri = {prefix("")}}});
  EXPECT_EQ(path("/foobar").cluster, 0u);
  EXPECT_EQ(path("/fo").cluster, 1u);
}

TEST_F(RouteTest, ignoring_case_holds_for_exact_and_prefix) {
  matches(
      {{.uri = {exact("/A")}, .ignore_uri_case = true}, {.uri = {prefix("/b")}, .ignore_uri_case = true}});
  EXPECT_EQ(path("/a").cluster, 0u);
  EXPECT_EQ(path("/Bcd").cluster, 1u);
}

TEST_F(RouteTest, a_regular_expression_must_match_the_whole_path) {
  matches({{.uri = {regex("/v[0-9]+")}}});
  EXPECT_EQ(path("/v12").outcome, Outcome::kCluster);
  EXPECT_EQ(path("/v12/x").outcome, Outcome::kNoRoute);
  EXPECT_EQ(path("/a/v12").outcome, Outcome::kNoRoute);
}

TEST_F(RouteTest, a_broken_expression_matches_nothing_and_is_named) {
  matches({{.uri = {regex("/(")}}, {}});
  EXPECT_EQ(path("/(").cluster, 1u);
  ASSERT_EQ(tables->problems().size(), 1u);
  EXPECT_NE(tables->problems()[0].find("/("), std::string::npos);
}

TEST_F(RouteTest, fields_of_one_match_are_all_needed_and_the_first_route_that_matches_wins) {
  matches({{.uri = {prefix("/")}, .method = {exact("POST")}}, {.uri = {prefix("/")}}});
  EXPECT_EQ(ask({.method = "POST", .path = "/x", .authority = "a"}).cluster, 0u);
  EXPECT_EQ(ask({.method = "GET", .path = "/x", .authority = "a"}).cluster, 1u);
}

TEST_F(RouteTest, authority_and_scheme_are_compared_as_sent) {
  matches({{.authority = {exact("a.b:80")}}, {.scheme = {exact("https")}}});
  EXPECT_EQ(ask({.path = "/", .authority = "a.b:80"}).cluster, 0u);
  EXPECT_EQ(ask({.path = "/", .authority = "A.b:80"}).outcome, Outcome::kNoRoute);
  EXPECT_EQ(ask({.path = "/", .authority = "x", .scheme = "https"}).cluster, 1u);
}

TEST_F(RouteTest, header_names_ignore_case_values_do_not_and_repeated_ones_are_joined) {
  matches({{.headers = {{"end-user", exact("jason")}}},
           {.headers = {{"x", exact("a,b")}}},
           {.headers = {{"x", present()}}}});
  const HeaderView jason[] = {{"End-User", "jason"}};
  const HeaderView caps[] = {{"end-user", "Jason"}};
  const HeaderView twice[] = {{"X", "a"}, {"x", "b"}};
  const HeaderView once[] = {{"X", "a"}};
  EXPECT_EQ(ask({.path = "/", .headers = jason}).cluster, 0u);
  EXPECT_EQ(ask({.path = "/", .headers = caps}).outcome, Outcome::kNoRoute);
  EXPECT_EQ(ask({.path = "/", .headers = twice}).cluster, 1u);
  EXPECT_EQ(ask({.path = "/", .headers = once}).cluster, 2u);
}

TEST_F(RouteTest, a_missing_header_satisfies_an_inverted_condition) {
  matches({{.without_headers = {{"x", exact("a")}}}});
  const HeaderView a[] = {{"x", "a"}};
  const HeaderView b[] = {{"x", "b"}};
  EXPECT_EQ(ask({.path = "/"}).outcome, Outcome::kCluster);
  EXPECT_EQ(ask({.path = "/", .headers = b}).outcome, Outcome::kCluster);
  EXPECT_EQ(ask({.path = "/", .headers = a}).outcome, Outcome::kNoRoute);
}

TEST_F(RouteTest, an_inverted_presence_test_wants_the_header_absent) {
  matches({{.without_headers = {{"x", present()}}}});
  const HeaderView empty[] = {{"x", ""}};
  EXPECT_EQ(ask({.path = "/"}).outcome, Outcome::kCluster);
  EXPECT_EQ(ask({.path = "/", .headers = empty}).outcome, Outcome::kNoRoute);
}

TEST_F(RouteTest, only_the_first_occurrence_of_a_query_key_counts) {
  matches({{.query = {{"v", exact("1")}}}, {.query = {{"flag", present()}}}});
  EXPECT_EQ(path("/?v=1&v=2").cluster, 0u);
  EXPECT_EQ(path("/?v=2&v=1").outcome, Outcome::kNoRoute);
  EXPECT_EQ(path("/?flag").cluster, 1u);
  EXPECT_EQ(path("/?flagged").outcome, Outcome::kNoRoute);
  EXPECT_EQ(path("/").outcome, Outcome::kNoRoute);
}

TEST_F(RouteTest, labels_and_namespace_of_the_caller_select) {
  matches({{.source_labels = {{"app", "a"}}}, {.source_namespace = "prod"}});
  const model::Labels a{{"app", "a"}, {"x", "y"}}, b{{"app", "b"}};
  EXPECT_EQ(ask({.path = "/"}, {&a, "dev"}).cluster, 0u);
  EXPECT_EQ(ask({.path = "/"}, {&b, "prod"}).cluster, 1u);
  EXPECT_EQ(ask({.path = "/"}, {&b, "dev"}).outcome, Outcome::kNoRoute);
  EXPECT_EQ(ask({.path = "/"}, {nullptr, ""}).outcome, Outcome::kNoRoute);
}

TEST_F(RouteTest, an_exact_host_beats_the_longest_suffix_beats_the_star_and_port_and_case_do_not_matter) {
  const auto add = [&](std::vector<std::string> domains) {
    const uint32_t cluster = add_cluster(domains[0]);
    table.hosts.push_back(
        {.name = domains[0], .domains = domains, .routes = {{.clusters = {{cluster, 1, domains[0]}}}}});
  };
  add({"*"});
  add({"*.com"});
  add({"*.foo.com"});
  add({"a.foo.com", "httpgo"});
  EXPECT_EQ(host("A.foo.com:8080").cluster_name, "a.foo.com");
  EXPECT_EQ(host("a.foo.com.").cluster_name, "a.foo.com");
  EXPECT_EQ(host("httpgo").cluster_name, "a.foo.com");
  EXPECT_EQ(host("b.a.foo.com").cluster_name, "*.foo.com");
  EXPECT_EQ(host("foo.com").cluster_name, "*.com");
  EXPECT_EQ(host("10.1.2.3:31380").cluster_name, "*");
  EXPECT_EQ(host("[fd00::1]:80").cluster_name, "*");
  EXPECT_EQ(host("").cluster_name, "*");
  EXPECT_EQ(host(std::string(5000, 'a')).cluster_name, "*");
}

TEST_F(RouteTest, a_host_nobody_takes_goes_to_the_fallback_or_is_unknown) {
  table.hosts.push_back({.name = "h", .domains = {"known"}});
  EXPECT_EQ(host("stranger").outcome, Outcome::kNoRoute);
  EXPECT_FALSE(host("stranger").host_known);
  EXPECT_TRUE(host("known").host_known);
  tables.reset();
  table.fallback_cluster = add_cluster("the service");
  EXPECT_EQ(host("stranger").cluster_name, "the service");
  EXPECT_EQ(host("known").outcome, Outcome::kNoRoute);
}

TEST_F(RouteTest, a_share_without_a_cluster_is_answered_locally_and_keeps_its_name) {
  const uint32_t v1 = add_cluster("v1");
  table.hosts.push_back(
      {.domains = {"*"}, .routes = {{.name = "r", .clusters = {{v1, 50, "v1"}, {model::kNone, 50, "v2"}}}}});
  std::map<std::string, int> count;
  Spread spread(7);
  for (int i = 0; i < 1000; ++i) {
    const auto decision = ask({.path = "/"}, {}, spread.next());
    EXPECT_EQ(decision.outcome == Outcome::kNoCluster, decision.cluster_name == "v2");
    ++count[std::string(decision.cluster_name)];
  }
  EXPECT_NEAR(count["v1"], 500, 5);
  EXPECT_NEAR(count["v2"], 500, 5);
}

TEST_F(RouteTest, a_route_without_clusters_ends_the_search_as_if_none_had_matched) {
  model::VirtualHost host{.name = "h", .domains = {"*"}};
  host.routes.push_back({.name = "none", .matches = {{.source_namespace = "dev"}}});
  host.routes.push_back({.name = "rest", .clusters = {{add_cluster("c"), 1, "c"}}});
  table.hosts.push_back(std::move(host));
  const RequestView request{.method = "GET", .path = "/", .authority = "any"};
  EXPECT_EQ(ask(request, {.ns = "dev"}).outcome, Outcome::kNoRoute);
  EXPECT_EQ(ask(request, {.ns = "ops"}).outcome, Outcome::kCluster);
}

TEST_F(RouteTest, weights_are_shares_of_their_sum_and_nought_means_none) {
  const uint32_t a = add_cluster("a"), b = add_cluster("b"), c = add_cluster("c");
  table.hosts.push_back(
      {.domains = {"*"}, .routes = {{.clusters = {{a, 1, "a"}, {b, 0, "b"}, {c, 3, "c"}}}}});
  std::map<std::string, int> count, every_other;
  Spread spread(0);
  for (int i = 0; i < 400; ++i) {
    const auto name = std::string(ask({.path = "/"}, {}, spread.next()).cluster_name);
    ++count[name];
    if (i % 2 == 0) ++every_other[name];
  }
  EXPECT_NEAR(count["a"], 100, 4);
  EXPECT_EQ(count["b"], 0);
  EXPECT_NEAR(count["c"], 300, 4);
  EXPECT_NEAR(every_other["a"], 50, 4) << "shares must not depend on the pattern of requests";
}

TEST_F(RouteTest, the_log_name_joins_route_and_match) {
  const uint32_t a = add_cluster("a");
  table.hosts.push_back({.domains = {"*"},
                         .routes = {{.name = "r",
                                     .matches = {{.name = "m", .uri = {exact("/a")}}, {.uri = {exact("/b")}}},
                                     .clusters = {{a, 1, "a"}}}}});
  EXPECT_EQ(path("/a").route, "r.m");
  EXPECT_EQ(path("/b").route, "r");
}

TEST(BalanceTest, the_less_loaded_of_two_draws_is_taken_and_the_avoided_one_passed_over) {
  std::vector<model::Endpoint> endpoints(2);
  endpoints[0].address.port = 1;
  endpoints[1].address.port = 2;
  const auto busy_first = [](const model::Endpoint& e) { return e.address.port == 1 ? 5 : 0; };
  for (uint64_t draw : {0ULL, 0xFFFFFFFFFFFFFFFFULL, 0x80000000ULL, 0x7FFFFFFF00000000ULL})
    EXPECT_EQ(pick_endpoint(endpoints, draw, SIZE_MAX, busy_first), 1u);
  for (uint64_t draw : {0ULL, 0xFFFFFFFFFFFFFFFFULL})
    EXPECT_EQ(pick_endpoint(endpoints, draw, 1, busy_first), 0u);
  EXPECT_EQ(pick_endpoint({}, 1, SIZE_MAX, busy_first), SIZE_MAX);
  EXPECT_EQ(pick_endpoint({endpoints[0]}, 1, 0, busy_first), 0u)
      << "the only one is used although it is avoided";
}

TEST(BalanceTest, idle_endpoints_get_requests_by_weight) {
  std::vector<model::Endpoint> endpoints(2);
  endpoints[0].weight = 1;
  endpoints[1].weight = 9;
  int second = 0;
  uint64_t state = 88172645463325252ULL;
  for (int i = 0; i < 2000; ++i) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    second += pick_endpoint(endpoints, state, SIZE_MAX, [](const auto&) { return 0; }) == 1;
  }
  EXPECT_NEAR(second, 1800, 80);
}

}  // namespace
}  // namespace weft::route
