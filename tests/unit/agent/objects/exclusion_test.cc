#include "agent/objects/exclusion.h"

#include <gtest/gtest.h>

#include "tests/support/manifests.h"

namespace weft::objects {
namespace {

constexpr const char* kOutPorts = "traffic.sidecar.istio.io/excludeOutboundPorts";
constexpr const char* kOutRanges = "traffic.sidecar.istio.io/excludeOutboundIPRanges";
constexpr const char* kInPorts = "traffic.sidecar.istio.io/excludeInboundPorts";
constexpr const char* kBypass = "ambient.istio.io/bypass-inbound-capture";

std::string list(size_t count) {
  std::string out;
  for (size_t i = 1; i <= count; ++i) out += (out.empty() ? "" : ",") + std::to_string(i);
  return out;
}

TEST(Exclusion, the_classic_annotations_are_read_sorted_each_value_once_and_ranges_without_stray_bits) {
  const auto read = read_exclusions({{kOutPorts, " 5432, 3306,5432 "},
                                     {kOutRanges, "10.9.1.2/16,fd00::1/8, 192.0.2.7"},
                                     {kInPorts, "8080"},
                                     {"app", "x"}});
  EXPECT_EQ(read.problem, "");
  EXPECT_EQ(read.unserved, "");
  EXPECT_EQ(to_string(read.exclusions), "outbound 3306,5432,10.9.0.0/16,192.0.2.7/32,fd00::/8; inbound 8080");
}

TEST(Exclusion, nothing_said_is_nothing_excluded) {
  for (const Labels& annotations :
       {Labels{}, Labels{{kOutPorts, ""}}, Labels{{kOutRanges, "  "}}, Labels{{kBypass, "false"}}}) {
    const auto read = read_exclusions(annotations);
    EXPECT_TRUE(read.exclusions.empty());
    EXPECT_EQ(read.problem + read.unserved, "");
  }
  EXPECT_EQ(to_string(Exclusions{}), "");
}

TEST(Exclusion, all_arrivals_can_be_left_out_and_then_single_ports_say_nothing_more) {
  EXPECT_EQ(to_string(read_exclusions({{kBypass, "true"}, {kInPorts, "80"}}).exclusions), "inbound *");
  Exclusions all = read_exclusions({{kBypass, "true"}}).exclusions;
  merge(read_exclusions({{kInPorts, "80"}, {kOutPorts, "1"}}).exclusions, all);
  EXPECT_EQ(to_string(all), "outbound 1; inbound *");
}

TEST(Exclusion, one_malformed_value_makes_no_annotation_count_and_is_named) {
  const std::pair<const char*, std::string> kBad[] = {{kOutPorts, "x"},
                                                      {kOutPorts, "0"},
                                                      {kOutPorts, "65536"},
                                                      {kOutPorts, "80,"},
                                                      {kOutPorts, "80,,81"},
                                                      {kOutPorts, "80-90"},
                                                      {kOutPorts, "-1"},
                                                      {kOutPorts, list(65)},
                                                      {kOutRanges, "10.0.0.0/33"},
                                                      {kOutRanges, "*"},
                                                      {kOutRanges, "::ffff:0.0.0.0/90"},
                                                      {kOutRanges, "host.example"},
                                                      {kInPorts, "15008"},
                                                      {kInPorts, "*"},
                                                      {kBypass, "yes"},
                                                      {kOutRanges, std::string(1000, '1')}};
  for (const auto& [key, value] : kBad) {
    Labels annotations = {{kOutPorts, "81"}, {kOutRanges, "10.0.0.0/8"}, {kInPorts, "82"}};
    annotations[key] = value;
    const auto read = read_exclusions(annotations);
    EXPECT_TRUE(read.exclusions.empty()) << key << "=" << value;
    EXPECT_NE(read.problem.find(key), std::string::npos) << read.problem;
    EXPECT_LT(read.problem.size(), 250U);
  }
}

TEST(Exclusion, a_full_list_counts) {
  EXPECT_EQ(read_exclusions({{kOutPorts, list(kMaxExcluded)}}).exclusions.outbound_ports.size(),
            kMaxExcluded);
}

TEST(Exclusion, the_include_forms_are_said_to_have_no_effect_unless_they_ask_for_what_is_done_anyhow) {
  constexpr const char* kInclude = "traffic.sidecar.istio.io/includeOutboundIPRanges";
  EXPECT_EQ(
      read_exclusions({{kInclude, "*"}, {"traffic.sidecar.istio.io/includeInboundPorts", "*"}}).unserved, "");
  const auto read = read_exclusions({{kInclude, "10.0.0.0/8"}, {kOutPorts, "81"}});
  EXPECT_NE(read.unserved.find(kInclude), std::string::npos);
  EXPECT_EQ(to_string(read.exclusions), "outbound 81") << "what is excluded beside it still is";
}

std::string object(const std::string& spec) {
  return "apiVersion: weft.mesh/v1alpha1\nkind: CaptureExclusion\nmetadata: {name: db, namespace: "
         "dev}\nspec: " +
         spec + "\n";
}

std::shared_ptr<const CaptureExclusion> good(const std::string& spec) {
  const auto decoded = test::decode_yaml(object(spec));
  EXPECT_EQ(decoded.size(), 1U);
  return as<CaptureExclusion>(decoded[0].object);
}

TEST(Exclusion, an_object_says_the_same_for_the_pods_that_it_selects) {
  const auto got = good(
      "{selector: {matchLabels: {app: web}}, outbound: {ports: [5432, 3306], cidrs: [10.9.1.1/16]}, "
      "inbound: {ports: [9090]}}");
  ASSERT_NE(got, nullptr);
  EXPECT_EQ(got->selector, (Labels{{"app", "web"}}));
  EXPECT_EQ(to_string(got->exclusions), "outbound 3306,5432,10.9.0.0/16; inbound 9090");
  EXPECT_EQ(got->problem, "");
}

TEST(Exclusion, an_object_with_a_value_that_cannot_be_used_is_there_and_excludes_nothing) {
  const auto got = good("{outbound: {ports: [3306], cidrs: [10.0.0.0/40]}}");
  ASSERT_NE(got, nullptr);
  EXPECT_TRUE(got->exclusions.empty());
  EXPECT_NE(got->problem.find("spec.outbound.cidrs[0]"), std::string::npos) << got->problem;
  const auto own = good("{inbound: {ports: [80, 15008]}}");
  ASSERT_NE(own, nullptr);
  EXPECT_NE(own->problem.find("spec.inbound.ports[1]"), std::string::npos) << own->problem;
  const auto long_one = good("{inbound: {ports: [" + list(65) + "]}}");
  ASSERT_NE(long_one, nullptr);
  EXPECT_TRUE(long_one->exclusions.empty());
  EXPECT_NE(long_one->problem, "");
}

TEST(Exclusion, an_object_of_another_form_is_refused) {
  for (const char* spec : {"{outbound: {port: 80}}", "{inbound: {ports: [70000]}}",
                           "{inbound: {cidrs: [10.0.0.0/8]}}", "{outbound: {ports: [a]}}"})
    EXPECT_EQ(test::decode_yaml(object(spec))[0].object, nullptr) << spec;
}

}  // namespace
}  // namespace weft::objects
