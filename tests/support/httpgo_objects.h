#pragma once
// The example application as a cluster shows it: the objects of manifests/httpgo, and what controllers make
// of them.
#include <vector>

#include "tests/support/object_builders.h"

namespace weft::test {

struct Httpgo {
  objects::ObjectPtr ns = a_namespace("dev", {{"istio-injection", "enabled"}});
  objects::ObjectPtr service =
      a_service("dev", "httpgo", "10.96.0.10", {a_port("http", 8888)}, {{"app", "httpgo"}});
  objects::ObjectPtr v1 = pod("v1", "10.1.1.11", "node-1");
  objects::ObjectPtr v2 = pod("v2", "10.1.2.12", "node-2");
  objects::ObjectPtr slice = endpoints({an_endpoint("10.1.1.11", "dev", "httpgo-v1-5d8f7c9b4-aaaaa"),
                                        an_endpoint("10.1.2.12", "dev", "httpgo-v2-5d8f7c9b4-aaaaa")});
  objects::ObjectPtr gateway_pod = make_gateway_pod();
  objects::ObjectPtr gateway_service =
      a_service("istio-system", "istio-ingressgateway", "10.96.0.2",
                {a_port("status-port", 15021), a_port("http2", 80, 8080), a_port("https", 443, 8443)},
                {{"app", "istio-ingressgateway"}, {"istio", "ingressgateway"}});
  objects::ObjectPtr gateway =
      a_gateway("dev", "httpgo-gateway", {{"istio", "ingressgateway"}}, {a_server(80, "HTTP", {"*"})});
  objects::ObjectPtr virtual_service = a_virtual_service(
      "dev", "httpgo", {"*"},
      {a_route({on(exact("/httpgo"))}, {to("httpgo", 8888, "v1", 50), to("httpgo", 8888, "v2", 50)})},
      {"httpgo-gateway"});
  objects::ObjectPtr rule =
      a_rule("dev", "httpgo", "httpgo", {{"v1", {{"version", "v1"}}}, {"v2", {{"version", "v2"}}}});

  [[nodiscard]] std::vector<objects::ObjectPtr> all() const {
    return {ns, service, v1, v2, slice, gateway_pod, gateway_service, gateway, virtual_service, rule};
  }

  static objects::ObjectPtr pod(const std::string& version, const std::string& address,
                                const std::string& node) {
    const std::string set = "httpgo-" + version + "-5d8f7c9b4";
    return a_pod("dev", set + "-aaaaa",
                 {.ip = address,
                  .node = node,
                  .labels = {{"app", "httpgo"}, {"version", version}, {"pod-template-hash", "5d8f7c9b4"}},
                  .owner_kind = "ReplicaSet",
                  .owner = set,
                  .account = "httpgo-account"});
  }
  static objects::ObjectPtr endpoints(std::vector<objects::SliceEndpoint> list) {
    return a_slice("dev", "httpgo-x7k2p", "httpgo", {{"http", 8888}}, std::move(list));
  }
  static objects::ObjectPtr make_gateway_pod() {
    return a_pod("istio-system", "gw",
                 {.ip = "10.1.1.2",
                  .node = "node-1",
                  .labels = {{"app", "istio-ingressgateway"}, {"istio", "ingressgateway"}}});
  }
};

}  // namespace weft::test
