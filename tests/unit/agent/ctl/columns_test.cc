#include "agent/ctl/columns.h"

#include <gtest/gtest.h>

namespace weft::ctl {
namespace {

const Json kMeta{{"name", "p"}, {"namespace", "dev"}, {"creationTimestamp", "1970-01-01T00:00:00Z"}};

Json with_conditions(Json object, const char* accepted, const char* enforced) {
  object["metadata"] = kMeta;
  object["status"]["conditions"] = Json::array({{{"type", "Accepted"}, {"status", accepted}, {"message", "why"}},
                                                {{"type", "Enforced"}, {"status", enforced}}});
  return object;
}

TEST(Columns, of_policies_say_what_they_ask_for_and_whether_it_is_done) {
  using Cells = std::vector<std::string>;
  const ClusterView view;
  const Json deny = with_conditions({{"spec", {{"action", "DENY"}}}}, "True", "True");
  EXPECT_EQ(header_of("AuthorizationPolicy", false), (Cells{"ACTION", "ACCEPTED", "ENFORCED", "AGE"}));
  EXPECT_EQ(cells_of(deny, "AuthorizationPolicy", false, view, 30), (Cells{"DENY", "True", "True", "30s"}));
  const Json silent = with_conditions({{"spec", Json::object()}}, "False", "True");
  EXPECT_EQ(cells_of(silent, "AuthorizationPolicy", false, view, 30)[0], "ALLOW");
  const Json modes = with_conditions({{"spec", {{"mtls", {{"mode", "STRICT"}}}}}}, "False", "True");
  EXPECT_EQ(cells_of(modes, "PeerAuthentication", true, view, 30),
            (Cells{"STRICT", "False", "True", "30s", "Accepted: why"}));
  EXPECT_EQ(cells_of(silent, "PeerAuthentication", false, view, 30)[0], "UNSET");
}

}  // namespace
}  // namespace weft::ctl
