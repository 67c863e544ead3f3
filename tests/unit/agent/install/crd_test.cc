#include "agent/install/crd.h"

#include <set>

#include "agent/install/openapi.h"
#include "agent/objects/kinds.h"
#include "agent/objects/values.h"
#include "tests/unit/agent/install/rendered.h"

namespace weft::install {
namespace {

namespace schema = objects::schema;

const CrdKind& kind_named(std::string_view name) {
  for (const CrdKind& kind : crd_kinds())
    if (kind.kind == name) return kind;
  ADD_FAILURE() << name;
  return crd_kinds().front();
}

Node version_of(std::string_view kind, size_t index) {
  const Node crd = crd_of(kind_named(kind));
  return crd.at({"spec", "versions"}).items().at(index);
}

std::set<std::string> words(const Node& list) {
  std::set<std::string> out;
  for (const Node& item : list.items()) out.insert(item.as_string());
  return out;
}

// What an API server asks of a structural schema: a type everywhere but at int-or-string and free-form places; items of
// lists; properties or additional ones, not both; what is required exists.
void expect_structural(const Node& node, const std::string& path) {
  const bool typeless = node.at({"x-kubernetes-int-or-string"}).as_bool() ||
                        node.at({"x-kubernetes-preserve-unknown-fields"}).as_bool();
  const std::string& type = node.at({"type"}).as_string();
  EXPECT_TRUE(typeless || !type.empty()) << path;
  EXPECT_EQ(node.find("items") != nullptr, type == "array") << path;
  EXPECT_FALSE(node.find("properties") && node.find("additionalProperties")) << path;
  for (const Node& required : node.at({"required"}).items())
    EXPECT_TRUE(node.at({"properties"}).find(required.as_string())) << path << "." << required.as_string();
  for (const auto& property : node.at({"properties"}).entries())
    expect_structural(property.value, path + "." + property.key);
  if (const Node* items = node.find("items")) expect_structural(*items, path + "[]");
  if (const Node* more = node.find("additionalProperties")) expect_structural(*more, path + "{}");
}

TEST(Crd, every_kind_that_is_decoded_and_not_of_kubernetes_has_a_definition_with_the_same_names_and_versions) {
  size_t found = 0;
  for (const objects::KindTraits& traits : objects::all_kinds()) {
    if (objects::is_of_kubernetes(traits)) continue;
    ++found;
    const CrdKind& kind = kind_named(traits.name);
    EXPECT_EQ(kind.plural, traits.plural);
    EXPECT_EQ(kind.short_name, traits.short_name);
    EXPECT_EQ(kind.group, traits.group);
    EXPECT_EQ(kind.schema, traits.schema);
    const auto wanted = objects::split_words(traits.versions), served = objects::split_words(kind.versions);
    EXPECT_EQ(std::set(wanted.begin(), wanted.end()), std::set(served.begin(), served.end())) << traits.name;
  }
  EXPECT_EQ(found, 6);
}

TEST(Crd, each_has_one_stored_version_and_the_same_schema_in_all) {
  for (const CrdKind& kind : crd_kinds()) {
    const Node crd = crd_of(kind);
    EXPECT_EQ(name_of(crd), std::string(kind.plural) + "." + std::string(kind.group));
    int stored = 0;
    const Node& first = crd.at({"spec", "versions"}).items().at(0);
    for (const Node& version : crd.at({"spec", "versions"}).items()) {
      stored += version.at({"storage"}).as_bool();
      EXPECT_EQ(version.at({"storage"}).as_bool(), version.at({"name"}).as_string() == kind.storage);
      EXPECT_TRUE(version.at({"served"}).as_bool());
      EXPECT_TRUE(version.at({"subresources", "status"}).is_mapping());
      EXPECT_EQ(version.at({"schema"}), first.at({"schema"}));
    }
    EXPECT_EQ(stored, 1) << kind.kind;
  }
}

TEST(Crd, every_schema_is_structural) {
  for (const CrdKind& kind : crd_kinds()) {
    const Node crd = crd_of(kind);
    for (const Node& version : crd.at({"spec", "versions"}).items())
      expect_structural(version.at({"schema", "openAPIV3Schema"}), std::string(kind.kind));
  }
}

TEST(Crd, types_ranges_choices_and_required_fields_are_those_of_the_table) {
  const Node gateway = version_of("Gateway", 0);
  const Node& spec = gateway.at({"schema", "openAPIV3Schema", "properties", "spec"});
  EXPECT_EQ(words(spec.at({"required"})), (std::set<std::string>{"servers"}));
  const Node& server = spec.at({"properties", "servers", "items"});
  EXPECT_EQ(words(server.at({"required"})), (std::set<std::string>{"hosts", "port"}));
  const Node& number = server.at({"properties", "port", "properties", "number"});
  EXPECT_EQ(number.at({"type"}).as_string(), "integer");
  EXPECT_EQ(number.at({"minimum"}).as_int(), 1);
  EXPECT_EQ(number.at({"maximum"}).as_int(), 65535);
  EXPECT_TRUE(words(server.at({"properties", "tls", "properties", "mode", "enum"})).contains("SIMPLE"));
  const Node& selector = spec.at({"properties", "selector"});
  EXPECT_EQ(selector.at({"type"}).as_string(), "object");
  EXPECT_EQ(selector.at({"additionalProperties", "type"}).as_string(), "string");
  EXPECT_EQ(words(gateway.at({"schema", "openAPIV3Schema", "required"})), (std::set<std::string>{"spec"}));
}

TEST(Crd, a_field_without_effect_says_so_once_and_not_again_below_it) {
  const Node service = version_of("VirtualService", 0);
  const Node& route =
      service.at({"schema", "openAPIV3Schema", "properties", "spec", "properties", "http", "items", "properties"});
  EXPECT_NE(route.at({"retries", "description"}).as_string().find("no effect"), std::string::npos);
  EXPECT_EQ(route.at({"retries", "properties", "attempts"}).find("description"), nullptr);
  EXPECT_EQ(route.at({"match"}).find("description"), nullptr);
}

TEST(Crd, a_kind_that_is_not_acted_on_can_be_applied_and_warns_whoever_applies_it) {
  const Node version = version_of("RequestAuthentication", 0);
  EXPECT_TRUE(version.at({"deprecated"}).as_bool());
  const std::string& warning = version.at({"deprecationWarning"}).as_string();
  EXPECT_NE(warning.find("RequestAuthentication"), std::string::npos);
  EXPECT_LE(warning.size(), 256u);  // the API server's bound
  const Node& spec = version.at({"schema", "openAPIV3Schema", "properties", "spec"});
  EXPECT_TRUE(spec.at({"x-kubernetes-preserve-unknown-fields"}).as_bool());
  EXPECT_FALSE(version_of("VirtualService", 0).at({"deprecated"}).as_bool());
}

TEST(OpenApi, lists_maps_times_quantities_and_free_forms_have_their_words) {
  static constexpr schema::Field kFields[] = {{"time", schema::kTime},
                                              {"port", schema::kIntOrString},
                                              {"size", schema::kQuantity},
                                              {"any", schema::kAny},
                                              {"wait", schema::kDuration},
                                              {"count", schema::kInt32},
                                              {"sum", schema::kInt64},
                                              {"share", schema::kNumber},
                                              {"on", schema::kBool},
                                              {"kind", schema::kString, schema::kRequired},
                                              {"many", schema::list(schema::map(schema::kUint32))}};
  const Node node = openapi_of(schema::one(kFields));
  const auto type = [&](std::string_view field) { return node.at({"properties", field, "type"}).as_string(); };
  EXPECT_EQ(node.at({"properties", "time", "format"}).as_string(), "date-time");
  EXPECT_TRUE(node.at({"properties", "port", "x-kubernetes-int-or-string"}).as_bool());
  EXPECT_TRUE(node.at({"properties", "size", "x-kubernetes-int-or-string"}).as_bool());
  EXPECT_TRUE(node.at({"properties", "any", "x-kubernetes-preserve-unknown-fields"}).as_bool());
  EXPECT_EQ(type("wait"), "string");
  EXPECT_EQ(node.at({"properties", "count", "format"}).as_string(), "int32");
  EXPECT_EQ(node.at({"properties", "sum", "format"}).as_string(), "int64");
  EXPECT_EQ(type("share"), "number");
  EXPECT_EQ(type("on"), "boolean");
  EXPECT_EQ(words(node.at({"required"})), (std::set<std::string>{"kind"}));
  EXPECT_EQ(type("many"), "array");
}

// The storage version of what is decoded, in full; the others have the same schema (see above).
TEST(Crd, the_definitions_are_those_of_the_golden_file) {
  std::vector<Node> all;
  for (const CrdKind& kind : crd_kinds()) {
    Node crd = crd_of(kind);
    Node stored;
    for (const Node& version : crd.at({"spec", "versions"}).items())
      if (version.at({"storage"}).as_bool()) stored = version;
    crd["spec"].erase("versions");
    crd["spec"].set("stored", std::move(stored));
    all.push_back(std::move(crd));
  }
  expect_golden(objects::to_yaml(all), "definitions.yaml");
}

}  // namespace
}  // namespace weft::install
