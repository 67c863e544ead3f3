#include "agent/install/crd.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/install/openapi.h"
#include "agent/objects/values.h"

namespace weft::install {
namespace {

using objects::Node;

Node text(std::string_view value) {
  return Node::string(std::string(value));
}

Node columns_of(const CrdKind& kind) {
  Node list = Node::sequence();
  for (const PrinterColumn& column : kind.columns) {
    Node item = Node::mapping();
    item.set("name", text(column.name));
    item.set("type", text(column.type));
    item.set("jsonPath", text(column.path));
    if (column.wide) item.set("priority", Node::integer(1));
    list.append(std::move(item));
  }
  return list;
}

// "networking.istio.io" -> "networking-istio-io", as upstream's categories.
std::string category_of(std::string_view group) {
  std::string out(group);
  std::ranges::replace(out, '.', '-');
  return out;
}

Node names_of(const CrdKind& kind) {
  Node categories = Node::sequence();
  if (kind.group.ends_with(".istio.io")) categories.append(text("istio-io"));
  categories.append(text(category_of(kind.group)));
  Node names = Node::mapping();
  names.set("kind", text(kind.kind));
  names.set("listKind", text(fmt::format("{}List", kind.kind)));
  names.set("plural", text(kind.plural));
  names.set("singular", text(kind.singular));
  if (!kind.short_name.empty()) names["shortNames"].append(text(kind.short_name));
  names.set("categories", std::move(categories));
  return names;
}

// Whoever writes statuses decides their form: the agent's conditions, or Istio's where its objects are brought along.
Node schema_of(const CrdKind& kind) {
  Node schema = kind.schema ? openapi_of_object(*kind.schema) : Node::mapping();
  if (!kind.schema) {
    schema.set("type", text("object"));
    schema["properties"].set("spec", openapi_of_anything());
  }
  schema["properties"].set("status", openapi_of_anything());
  return schema;
}

Node version_of(const CrdKind& kind, std::string_view name) {
  Node version = Node::mapping();
  version.set("name", text(name));
  version.set("served", Node::boolean(true));
  version.set("storage", Node::boolean(name == kind.storage));
  if (!kind.schema) {
    version.set("deprecated", Node::boolean(true));
    version.set("deprecationWarning",
                Node::string(fmt::format("weft does not act on objects of kind {} yet: they are kept, and have no effect",
                                         kind.kind)));
  }
  version.set("additionalPrinterColumns", columns_of(kind));
  version["schema"].set("openAPIV3Schema", schema_of(kind));
  version["subresources"].set("status", Node::mapping());
  return version;
}

}  // namespace

std::string crd_name(const CrdKind& kind) {
  return fmt::format("{}.{}", kind.plural, kind.group);
}

Node crd_of(const CrdKind& kind) {
  Node crd = Node::mapping();
  crd.set("apiVersion", text("apiextensions.k8s.io/v1"));
  crd.set("kind", text("CustomResourceDefinition"));
  crd["metadata"].set("name", Node::string(crd_name(kind)));
  crd["metadata"]["annotations"].set("helm.sh/resource-policy", text("keep"));
  Node& spec = crd["spec"];
  spec.set("group", text(kind.group));
  spec.set("names", names_of(kind));
  spec.set("scope", text("Namespaced"));
  for (const std::string_view version : objects::split_words(kind.versions))
    spec["versions"].append(version_of(kind, version));
  return crd;
}

}  // namespace weft::install
