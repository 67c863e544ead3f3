#pragma once
// CustomResourceDefinitions of the kinds of Istio's API (reference istio-api.md 1), and of weft's own.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/objects/node.h"
#include "agent/objects/schema.h"

namespace weft::install {

// What `kubectl get` shows of an object besides its name.
struct PrinterColumn {
  std::string_view name, type, path;
  bool wide = false;  // only with -o wide
};

struct CrdKind {
  std::string_view kind, plural, singular, short_name;  // short_name: may be empty
  std::string_view group, versions;                     // "v1alpha3|v1beta1|v1": all served, one schema
  std::string_view storage;                             // the one of them that is stored
  std::span<const PrinterColumn> columns;
  // Null: weft does not read this kind yet. It can be applied all the same; the API server then warns whoever does that
  // it has no effect.
  const objects::schema::Type* schema = nullptr;
};

[[nodiscard]] std::span<const CrdKind> crd_kinds();

[[nodiscard]] std::string crd_name(const CrdKind& kind);  // "virtualservices.networking.istio.io"

// Without labels; kept by Helm when its release is uninstalled, since objects of users go with a definition.
[[nodiscard]] objects::Node crd_of(const CrdKind& kind);

}  // namespace weft::install
