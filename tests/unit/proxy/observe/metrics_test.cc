#include "userspace-proxy/observe/metrics.h"

#include <gtest/gtest.h>

#include <set>

#include "userspace-proxy/observe/exposition.h"

namespace weft::observe {
namespace {

model::Snapshot small() {
  model::Snapshot snapshot{.version = 1};
  model::Workload web{.name = "web-1",
                      .ns = "dev",
                      .service_account = "web",
                      .owner = "web",
                      .canonical_name = "web",
                      .canonical_revision = "v1"};
  model::Workload api{.name = "api-1",
                      .ns = "prod",
                      .service_account = "api",
                      .owner = "api",
                      .canonical_name = "api",
                      .canonical_revision = "v2"};
  snapshot.workloads = {web, api};
  snapshot.services = {{.name = "api", .ns = "prod", .hostname = "api.prod.svc.cluster.local"}};
  return snapshot;
}

RequestRecord request(FlowId flow, uint16_t code, Flag flag = Flag::kNone) {
  RequestRecord record;
  record.flow = flow;
  record.code = code;
  record.flag = flag;
  record.duration = base::Millis(7);
  record.bytes_received = 100;
  record.bytes_sent = 2000;
  return record;
}

std::string text_of(std::vector<Metrics::Copy> workers) {
  return Exposition([&] { return Gathered{workers, {{"weft_proxy_workers", "worker threads", 2, false}}}; })
      .text();
}

struct MetricsTest : testing::Test {
  model::Snapshot snapshot = small();
  Metrics metrics;
  FlowKey key{.protocol = RequestProtocol::kHttp, .source = 0, .service = 0, .destination = 1};
};

TEST_F(MetricsTest, one_flow_is_one_number_also_over_snapshots_that_renumber_it) {
  const FlowId first = metrics.flow(snapshot, key);
  EXPECT_EQ(metrics.flow(snapshot, key), first);
  auto next = snapshot;
  next.version = 2;
  std::swap(next.workloads[0], next.workloads[1]);
  std::swap(key.source, key.destination);
  EXPECT_EQ(metrics.flow(next, key), first);
  key.reporter = Reporter::kDestination;
  EXPECT_NE(metrics.flow(next, key), first);
}

TEST_F(MetricsTest, what_vouches_for_the_source_is_a_label_and_so_is_the_principal) {
  const auto value = [&](const char* name) {
    const auto labels = labels_of(snapshot, key);
    for (size_t i = 0; i < kFlowLabelNames.size(); ++i)
      if (kFlowLabelNames[i] == name) return labels.values[i];
    return std::string("no such label");
  };
  const FlowId unknown = metrics.flow(snapshot, key);
  EXPECT_EQ(value("connection_security_policy"), "unknown");
  EXPECT_EQ(value("source_principal"), "unknown");
  key.security = Security::kNone;
  EXPECT_EQ(value("connection_security_policy"), "none");
  EXPECT_EQ(value("source_principal"), "unknown");
  key.security = Security::kKernelAttested;
  EXPECT_EQ(value("connection_security_policy"), "kernel_attested");
  EXPECT_TRUE(value("source_principal").starts_with("spiffe://cluster.local/ns/dev/sa/"));
  key.security = Security::kMutualTls;
  EXPECT_EQ(value("connection_security_policy"), "mutual_tls");
  EXPECT_TRUE(value("source_principal").starts_with("spiffe://cluster.local/ns/dev/sa/"));
  EXPECT_NE(metrics.flow(snapshot, key), unknown);
}

TEST_F(MetricsTest, the_security_of_a_call_follows_from_where_both_ends_are) {
  snapshot.workloads[0].enrolled = snapshot.workloads[0].local = true;
  snapshot.workloads[1].enrolled = true;
  EXPECT_EQ(outbound_security(snapshot, 0, 1, 80), Security::kNone) << "no CA";
  snapshot.settings.mutual_tls = true;
  EXPECT_EQ(outbound_security(snapshot, 0, 1, 80), Security::kMutualTls);
  snapshot.workloads[1].local = true;
  EXPECT_EQ(outbound_security(snapshot, 0, 1, 80), Security::kKernelAttested);
  snapshot.workloads[1].excluded_ports = {80};
  EXPECT_EQ(outbound_security(snapshot, 0, 1, 80), Security::kNone) << "the called pod leaves this port out";
  EXPECT_EQ(outbound_security(snapshot, 0, 1, 81), Security::kKernelAttested);
  snapshot.workloads[1].excluded_ports.clear();
  snapshot.workloads[0].same_node_tls = true;
  EXPECT_EQ(outbound_security(snapshot, 0, 1, 80), Security::kMutualTls);
  snapshot.workloads[0].same_node_tls = false;
  snapshot.role = model::Role::kGateway;
  EXPECT_EQ(outbound_security(snapshot, 0, 1, 80), Security::kMutualTls) << "the kernel does not see a gateway";
  snapshot.workloads[1].enrolled = false;
  EXPECT_EQ(outbound_security(snapshot, 0, 1, 80), Security::kNone);
  EXPECT_EQ(outbound_security(snapshot, 0, model::kNone, 80), Security::kNone);
}

TEST_F(MetricsTest, requests_are_told_apart_by_code_and_flag) {
  const FlowId flow = metrics.flow(snapshot, key);
  for (int i = 0; i < 3; ++i) metrics.request_done(request(flow, 200));
  metrics.request_done(request(flow, 503, Flag::kConnectFailure));
  const std::string text = text_of({metrics.copy()});
  const std::string labels =
      "reporter=\"source\",source_workload=\"web\",source_canonical_service=\"web\",source_canonical_"
      "revision=\"v1\","
      "source_workload_namespace=\"dev\",source_principal=\"unknown\",source_app=\"web\",source_version="
      "\"v1\","
      "source_cluster=\"Kubernetes\",destination_service=\"api.prod.svc.cluster.local\","
      "destination_service_namespace=\"prod\",destination_service_name=\"api\",destination_workload=\"api\","
      "destination_canonical_service=\"api\",destination_canonical_revision=\"v2\",destination_workload_"
      "namespace=\"prod\","
      "destination_principal=\"spiffe://cluster.local/ns/prod/sa/"
      "api\",destination_app=\"api\",destination_version=\"v2\","
      "destination_cluster=\"Kubernetes\",request_protocol=\"http\",";
  EXPECT_NE(text.find("istio_requests_total{" + labels +
                      "response_code=\"200\",grpc_response_status=\"unknown\",response_flags=\"-\","
                      "connection_security_policy=\"unknown\"} 3"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("response_code=\"503\",grpc_response_status=\"unknown\",response_flags=\"UF\""),
            std::string::npos);
  EXPECT_NE(text.find("# TYPE istio_request_duration_milliseconds histogram"), std::string::npos);
}

TEST_F(MetricsTest, workers_are_summed_and_histograms_are_cumulative) {
  const FlowId flow = metrics.flow(snapshot, key);
  metrics.request_done(request(flow, 200));
  const std::string text = text_of({metrics.copy(), metrics.copy()});
  EXPECT_NE(text.find("connection_security_policy=\"unknown\"} 2"), std::string::npos) << text;
  EXPECT_NE(text.find("connection_security_policy=\"unknown\",le=\"5\"} 0"), std::string::npos);
  EXPECT_NE(text.find("connection_security_policy=\"unknown\",le=\"10\"} 2"), std::string::npos);
  EXPECT_NE(text.find("le=\"+Inf\"} 2"), std::string::npos);
  std::set<std::string> series;
  size_t lines = 0;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("#")) continue;
    ++lines;
    EXPECT_TRUE(series.insert(line.substr(0, line.rfind(' '))).second) << "twice: " << line;
  }
  EXPECT_GT(lines, 60u);
}

TEST_F(MetricsTest, tcp_connections_are_opened_without_a_flag_and_closed_with_theirs) {
  key.protocol = RequestProtocol::kTcp;
  const FlowId flow = metrics.flow(snapshot, key);
  metrics.tcp_opened(flow);
  metrics.tcp_bytes(flow, 10, 200);
  metrics.tcp_closed(flow, Flag::kConnect);
  const std::string text = text_of({metrics.copy()});
  EXPECT_NE(text.find("istio_tcp_connections_opened_total{"), std::string::npos);
  EXPECT_NE(
      text.find("request_protocol=\"tcp\",response_flags=\"CONNECT\",connection_security_policy=\"unknown\","
                "source_region=\"unknown\",source_zone=\"unknown\",destination_region=\"unknown\","
                "destination_zone=\"unknown\"} 1"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find("istio_tcp_connections_failed_total{"), std::string::npos);
  EXPECT_NE(text.find("} 200"), std::string::npos);
}

TEST_F(MetricsTest, an_unknown_peer_is_unknown_in_every_label) {
  const FlowLabels labels = labels_of(snapshot, {.source = 99, .destination = model::kNone});
  for (const auto& value : labels.values) EXPECT_FALSE(value.empty());
  EXPECT_EQ(labels.values[1], "unknown");
}

TEST_F(MetricsTest, beyond_the_bound_everything_goes_to_one_overflow_series_and_is_counted) {
  for (uint32_t i = 0; i < Metrics::kMaxFlows + 10; ++i) {
    snapshot.services[0].hostname = "s" + std::to_string(i);
    snapshot.version = i + 2;
    metrics.tcp_opened(metrics.flow(snapshot, {.service = 0}));
  }
  const auto copy = metrics.copy();
  EXPECT_LE(copy.tcp.size(), Metrics::kMaxFlows);
  EXPECT_GE(copy.counters.series_overflow, 10u);
  EXPECT_EQ(copy.tcp[0].opened, copy.counters.series_overflow);
  EXPECT_NE(text_of({copy}).find("reporter=\"overflow\""), std::string::npos);
}

TEST_F(MetricsTest, every_counter_is_exposed_under_its_own_name) {
  metrics.counters.dial_refused = 4;
  const auto copy = metrics.copy();
  EXPECT_NE(text_of({copy, copy}).find("\nweft_proxy_dial_refused_total 8"), std::string::npos);
  EXPECT_NE(text_of({copy}).find("\nweft_proxy_workers 2"), std::string::npos);
  EXPECT_NE(counters_text({copy, copy}).find("dial_refused 8\n"), std::string::npos);
}

}  // namespace
}  // namespace weft::observe
