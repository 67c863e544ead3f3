#include "agent/cni_wire/message.h"

#include <gtest/gtest.h>

namespace weft::cni {
namespace {

const Request kRequest{.command = Command::kAdd,
                       .container_id = "0a1b",
                       .netns = "/var/run/netns/cni-1",
                       .interface = "eth0",
                       .ns = "dev",
                       .name = "web-0",
                       .uid = "11111111-2222-3333-4444-555555555555",
                       .addresses = {"10.244.0.7", "fd00::7"}};

TEST(CniMessage, requests_and_answers_come_out_as_they_went_in) {
  for (const Command command : {Command::kAdd, Command::kCheck, Command::kDel}) {
    Request request = kRequest;
    request.command = command;
    EXPECT_EQ(decode_request(encode(request)), request);
  }
  const Answer answer{.ok = true, .captured = true, .code = Code::kNotCaptured, .message = "a \"word\""};
  EXPECT_EQ(decode_answer(encode(answer)), answer);
}

TEST(CniMessage, a_sandbox_that_goes_needs_no_namespace_and_no_uid) {
  Request request{.command = Command::kDel, .container_id = "0a1b", .ns = "dev", .name = "web-0"};
  EXPECT_TRUE(decode_request(encode(request)));
  request.command = Command::kAdd;
  request.netns = "/var/run/netns/x";
  EXPECT_FALSE(decode_request(encode(request))) << "a pod is known by its uid";
  request.uid = "u";
  EXPECT_TRUE(decode_request(encode(request)));
}

TEST(CniMessage, nothing_of_a_packet_is_believed) {
  const auto refused = [](const std::function<void(Request&)>& change) {
    Request request = kRequest;
    change(request);
    return !decode_request(encode(request));
  };
  EXPECT_TRUE(refused([](Request& r) { r.netns = "run/netns/x"; }));
  EXPECT_TRUE(refused([](Request& r) { r.netns = "/run/netns/../../proc/1/ns/net"; }));
  EXPECT_TRUE(refused([](Request& r) { r.netns = "/run/netns/.."; }));
  EXPECT_TRUE(refused([](Request& r) { r.netns = ""; }));
  EXPECT_TRUE(refused([](Request& r) { r.name = "a/b"; }));
  EXPECT_TRUE(refused([](Request& r) { r.ns = ""; }));
  EXPECT_TRUE(refused([](Request& r) { r.container_id = std::string(254, 'a'); }));
  EXPECT_TRUE(refused([](Request& r) { r.addresses = {"host"}; }));
  EXPECT_TRUE(refused([](Request& r) { r.addresses.assign(kMaxAddresses + 1, "10.0.0.1"); }));
}

TEST(CniMessage, another_version_is_named_as_such) {
  std::string packet = encode(kRequest);
  packet.replace(packet.find("\"version\":1"), 11, "\"version\":2");
  const auto read = decode_request(packet);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind, base::ErrorKind::kUnsupported);
  EXPECT_NE(read.error().what.find("one release"), std::string::npos);
}

TEST(CniMessage, fields_of_a_later_release_are_no_reason_to_refuse) {
  std::string packet = encode(kRequest);
  packet.insert(packet.size() - 1, ",\"later\":{\"a\":[1]}");
  EXPECT_EQ(decode_request(packet), kRequest);
}

}  // namespace
}  // namespace weft::cni
