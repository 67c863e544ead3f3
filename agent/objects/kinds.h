#pragma once
// One row per kind: what it is called, which versions are served, and who checks and reads it.
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "agent/objects/object.h"
#include "agent/objects/report.h"
#include "agent/objects/schema.h"

namespace weft::objects {

struct KindTraits {
  Kind kind;
  std::string_view name, plural, short_name;
  std::string_view group;     // empty: core
  std::string_view versions;  // "v1|v1beta1"
  bool namespaced;
  const schema::Type* schema;
  // Makes the object from a tree that passed its schema; what is wrong in its values goes to the report.
  // Metadata is filled in by decode().
  std::shared_ptr<Object> (*read)(const Node& root, Report& report);
  // Kinds that must fail closed: what takes the place of an object that was refused, made of a tree that did not
  // pass its schema. Null: nothing does.
  std::shared_ptr<Object> (*stand_in)(const Node& root) = nullptr;
};

[[nodiscard]] std::span<const KindTraits> all_kinds();
[[nodiscard]] const KindTraits& traits_of(Kind kind);
// Kinds that every API server has and checks itself; the others come with a CustomResourceDefinition.
[[nodiscard]] bool is_of_kubernetes(const KindTraits& traits);
// "v1", "networking.istio.io/v1beta1"
[[nodiscard]] std::string api_version_of(const KindTraits& traits, std::string_view version);

// The readers.
std::shared_ptr<Object> read_namespace(const Node& root, Report& report);
std::shared_ptr<Object> read_node(const Node& root, Report& report);
std::shared_ptr<Object> read_service_account(const Node& root, Report& report);
std::shared_ptr<Object> read_service(const Node& root, Report& report);
std::shared_ptr<Object> read_endpoint_slice(const Node& root, Report& report);
std::shared_ptr<Object> read_pod(const Node& root, Report& report);
std::shared_ptr<Object> read_deployment(const Node& root, Report& report);
std::shared_ptr<Object> read_gateway(const Node& root, Report& report);
std::shared_ptr<Object> read_virtual_service(const Node& root, Report& report);
std::shared_ptr<Object> read_destination_rule(const Node& root, Report& report);
std::shared_ptr<Object> read_peer_authentication(const Node& root, Report& report);
std::shared_ptr<Object> read_authorization_policy(const Node& root, Report& report);
std::shared_ptr<Object> read_capture_exclusion(const Node& root, Report& report);

}  // namespace weft::objects
