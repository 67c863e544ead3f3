#include "agent/certs/ca_address.h"

#include <gtest/gtest.h>

#include "tests/unit/agent/certs/services.h"

namespace weft::certs {
namespace {

using Endpoints = std::vector<std::string>;

TEST(CaAddress, nothing_is_known_before_the_objects_are) {
  const CaAddress address("weft-control.weft-system.svc:15012");
  EXPECT_EQ(address.endpoints(), (Endpoints{"weft-control.weft-system.svc:15012"}));
  EXPECT_EQ(address.host(), "weft-control.weft-system.svc");
}

TEST(CaAddress, the_services_addresses_come_first_and_the_name_last) {
  for (const std::string host :
       {"weft-control.weft-system", "weft-control.weft-system.svc", "weft-control.weft-system.svc.cluster.local"}) {
    CaAddress address(host + ":15012");
    address.learn(with_services({{"web.dev.svc.cluster.local", {"10.96.0.1"}},
                                 {"weft-control.weft-system.svc.cluster.local", {"10.96.0.7", "fd00::7"}}}));
    EXPECT_EQ(address.endpoints(), (Endpoints{"10.96.0.7:15012", "[fd00::7]:15012", host + ":15012"}));
  }
}

TEST(CaAddress, a_name_that_merely_begins_alike_is_another) {
  const auto snapshot = with_services({{"weft-control.weft-system2.svc.cluster.local", {"10.96.0.8"}}});
  for (const std::string host : {"weft-control.weft-system", "weft-control", "weft-control.weft-system.svc"}) {
    CaAddress address(host + ":15012");
    address.learn(snapshot);
    EXPECT_EQ(address.endpoints(), (Endpoints{host + ":15012"}));
  }
}

TEST(CaAddress, what_is_gone_from_the_objects_is_tried_no_more) {
  CaAddress address("ca.dev.svc:15012");
  address.learn(with_services({{"ca.dev.svc.cluster.local", {"10.96.0.7"}}}));
  address.learn(with_services({{"ca.dev.svc.cluster.local", {"10.96.0.9"}}}));
  EXPECT_EQ(address.endpoints(), (Endpoints{"10.96.0.9:15012", "ca.dev.svc:15012"}));
  address.learn(with_services({{"ca.dev.svc.cluster.local", {}}}));
  EXPECT_EQ(address.endpoints(), (Endpoints{"ca.dev.svc:15012"})) << "headless";
  address.learn(with_services({}));
  EXPECT_EQ(address.endpoints(), (Endpoints{"ca.dev.svc:15012"}));
}

TEST(CaAddress, an_address_is_tried_as_it_was_given) {
  for (const std::string given : {"10.96.0.2:15012", "[fd00::2]:15012", "ca:15012"}) {
    CaAddress address(given);
    address.learn(with_services({{"ca.dev.svc.cluster.local", {"10.96.0.7"}}}));
    EXPECT_EQ(address.endpoints(), (Endpoints{given}));
  }
  EXPECT_EQ(CaAddress("[fd00::2]:15012").host(), "fd00::2");
}

TEST(CaAddress, an_endpoint_without_port_is_left_to_who_calls_it) {
  for (const std::string given : {"", "ca.dev.svc", ":", "ca.dev.svc:"}) {
    CaAddress address(given);
    address.learn(with_services({{"ca.dev.svc.cluster.local", {"10.96.0.7"}}}));
    EXPECT_EQ(address.endpoints(), (Endpoints{given}));
  }
}

TEST(CaAddress, many_addresses_are_not_all_tried) {
  CaAddress address("ca.dev.svc:1");
  address.learn(with_services({{"ca.dev.svc.cluster.local", {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"}}}));
  EXPECT_EQ(address.endpoints().size(), 3u);
}

}  // namespace
}  // namespace weft::certs
