#include "userspace-proxy/model/identity.h"

#include <gtest/gtest.h>

namespace weft::model {
namespace {

TEST(SpiffeIdTest, the_form_of_istio_is_read_and_written) {
  const auto id = SpiffeId::parse("spiffe://cluster.local/ns/dev/sa/httpgo");
  ASSERT_TRUE(id) << id.error().what;
  EXPECT_EQ(id->trust_domain, "cluster.local");
  EXPECT_EQ(id->ns, "dev");
  EXPECT_EQ(id->service_account, "httpgo");
  EXPECT_EQ(id->to_string(), "spiffe://cluster.local/ns/dev/sa/httpgo");
}

TEST(SpiffeIdTest, anything_else_is_refused) {
  for (const char* text : {
           "", "spiffe://", "spiffe://cluster.local", "https://cluster.local/ns/dev/sa/httpgo",
           "SPIFFE://cluster.local/ns/dev/sa/httpgo", "spiffe:///ns/dev/sa/httpgo",
           "spiffe://cluster.local/ns//sa/httpgo", "spiffe://cluster.local/ns/dev/sa/",
           "spiffe://cluster.local/ns/dev/sa", "spiffe://cluster.local/ns/dev/sa/httpgo/",
           "spiffe://cluster.local/ns/dev/sa/httpgo/more", "spiffe://cluster.local/NS/dev/sa/httpgo",
           "spiffe://cluster.local/ns/dev/SA/httpgo", "spiffe://cluster.local/ns/de%76/sa/httpgo",
           "spiffe://cluster.local/ns/dev/sa/httpgo?x", "spiffe://cluster.local/ns/dev/sa/httpgo#x",
           "spiffe://cluster.local/ns/d v/sa/httpgo", "spiffe://cluster.local/ns/d\xc3\xa9v/sa/httpgo",
       })
    EXPECT_FALSE(SpiffeId::parse(text)) << text;
  EXPECT_FALSE(SpiffeId::parse("spiffe://cluster.local/ns/dev/sa/" + std::string(kMaxIdentity, 'a')));
  EXPECT_FALSE(SpiffeId::parse(std::string_view("spiffe://cluster.local/ns/dev/sa/a\0b", 36)));
}

}  // namespace
}  // namespace weft::model
