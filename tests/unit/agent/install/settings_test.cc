#include "agent/install/settings.h"

#include <gtest/gtest.h>

#include "agent/install/template.h"

namespace weft::install {
namespace {

using objects::Node;

std::string refusal(const std::string& assignment) {
  Settings settings = default_settings("1.2.3");
  const auto done = apply_setting(settings, assignment);
  return done ? "" : done.error().what;
}

TEST(Settings, the_image_is_of_the_programs_own_version) {
  EXPECT_EQ(default_settings("1.2.3").image, "weft/weft:1.2.3");
}

TEST(Settings, defaults_have_no_text_and_what_differs_comes_back_from_its_text) {
  Settings settings = default_settings("1.2.3");
  EXPECT_EQ(settings_text(settings), "");
  ASSERT_TRUE(apply_setting(settings, "gateway.nodePorts.http2=30080"));
  ASSERT_TRUE(apply_setting(settings, "image=weft.local/weft:dev"));
  ASSERT_TRUE(apply_setting(settings, "sameNode=mtls"));
  const std::string text = settings_text(settings);
  EXPECT_EQ(text, "image=weft.local/weft:dev gateway.nodePorts.http2=30080 sameNode=mtls");
  Settings again = default_settings("1.2.3");
  ASSERT_TRUE(apply_settings_text(again, text));
  EXPECT_EQ(settings_text(again), text);
}

TEST(Settings, every_key_takes_what_it_shows) {
  for (const SettingKey& key : setting_keys()) {
    Settings settings = default_settings("1.2.3");
    const std::string value = key.show(settings);
    EXPECT_TRUE(apply_setting(settings, std::string(key.key) + "=" + value)) << key.key;
    EXPECT_EQ(key.show(settings), value);
    EXPECT_FALSE(key.help.empty());
  }
}

TEST(Settings, a_wrong_key_or_value_is_refused_with_what_is_expected) {
  EXPECT_NE(refusal("gateway.replica=2").find("gateway.replicas"), std::string::npos);
  EXPECT_NE(refusal("gateway.replicas=two").find("no number"), std::string::npos);
  EXPECT_NE(refusal("gateway.nodePorts.http2=70000").find("65535"), std::string::npos);
  EXPECT_NE(refusal("imagePullPolicy=Sometimes").find("IfNotPresent"), std::string::npos);
  EXPECT_NE(refusal("sameNode=plain").find("kernel"), std::string::npos);
  EXPECT_EQ(refusal("profile=default"), "");
  EXPECT_NE(refusal("profile=demo").find("only default"), std::string::npos);
  EXPECT_NE(refusal("image=").find("value is expected"), std::string::npos);
  EXPECT_NE(refusal("image").find("KEY=VALUE"), std::string::npos);
  EXPECT_NE(refusal("trustDomain=a b").find("blanks"), std::string::npos);
  EXPECT_NE(refusal("trustDomain=a\nb").find("control"), std::string::npos);
}

TEST(Template, a_hole_takes_the_type_of_what_fills_it_and_null_takes_the_key_along) {
  Node node = Node::mapping();
  node.set("replicas", Node::string("${COUNT}"));
  node.set("port", Node::string("${NONE}"));
  node["args"].append(Node::string("--name=${NAME}-1"));
  node["args"].append(Node::string("${NONE}"));
  const Values values = {{"COUNT", Node::integer(3)}, {"NONE", Node()}, {"NAME", Node::string("a: {b}\n- c")}};
  const Node filled = fill(node, values);
  EXPECT_EQ(filled.at({"replicas"}).as_int(), 3);
  EXPECT_EQ(filled.find("port"), nullptr);
  ASSERT_EQ(filled.at({"args"}).items().size(), 1u);
  EXPECT_EQ(filled.at({"args"}).items()[0].as_string(), "--name=a: {b}\n- c-1");
}

}  // namespace
}  // namespace weft::install
