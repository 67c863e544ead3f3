#include <fmt/format.h>

#include <algorithm>

#include "agent/objects/check.h"
#include "agent/objects/kinds.h"
#include "agent/objects/objects.h"
#include "agent/objects/read.h"
#include "agent/objects/served.h"
#include "agent/objects/values.h"

namespace weft::objects {
namespace {

// Kinds that exist and that people keep beside their mesh objects. Saying "unknown" of them would mislead.
constexpr std::string_view kOtherKinds[] = {"ServiceEntry",
                                            "Sidecar",
                                            "WorkloadEntry",
                                            "WorkloadGroup",
                                            "ProxyConfig",
                                            "EnvoyFilter",
                                            "RequestAuthentication",
                                            "Telemetry",
                                            "WasmPlugin",
                                            "TrafficExtension",
                                            "GatewayClass",
                                            "HTTPRoute",
                                            "GRPCRoute",
                                            "TCPRoute",
                                            "TLSRoute",
                                            "ReferenceGrant",
                                            "ConfigMap",
                                            "Secret",
                                            "ReplicaSet",
                                            "StatefulSet",
                                            "DaemonSet",
                                            "Job",
                                            "CronJob",
                                            "Ingress",
                                            "NetworkPolicy",
                                            "Role",
                                            "RoleBinding",
                                            "ClusterRole",
                                            "ClusterRoleBinding",
                                            "PersistentVolumeClaim",
                                            "HorizontalPodAutoscaler",
                                            "PodDisruptionBudget",
                                            "Endpoints",
                                            "CustomResourceDefinition"};

struct TypeName {
  std::string_view group, version;
};

TypeName split_api_version(std::string_view api_version) {
  const size_t slash = api_version.find('/');
  if (slash == std::string_view::npos) return {"", api_version};
  return {api_version.substr(0, slash), api_version.substr(slash + 1)};
}

bool serves(const KindTraits& traits, std::string_view version) {
  const auto versions = split_words(traits.versions);
  return std::ranges::find(versions, version) != versions.end();
}

std::string served_versions(const KindTraits& traits) {
  std::string out;
  for (std::string_view version : split_words(traits.versions)) {
    if (!out.empty()) out += ", ";
    if (!traits.group.empty()) out += std::string(traits.group) + "/";
    out += version;
  }
  return out;
}

void refuse_kind(const Node& root, std::string_view name, Report& report) {
  const Node& kind = get(root, "kind");
  if (std::ranges::find(kOtherKinds, name) != std::end(kOtherKinds)) {
    report.error("UnsupportedKind", "kind", kind.mark(),
                 fmt::format("weft does not read objects of kind {} yet", name));
    return;
  }
  std::vector<std::string_view> names;
  for (const KindTraits& traits : all_kinds()) names.push_back(traits.name);
  const std::string_view meant = closest(name, names);
  std::string message = fmt::format("unknown kind \"{}\"", name);
  if (!meant.empty()) message += fmt::format(", did you mean \"{}\"?", meant);
  report.error("UnknownKind", "kind", kind.mark(), std::move(message));
}

// The row of the kind that the document names, or a finding and nullptr.
const KindTraits* find_kind(const Node& root, Report& report) {
  const std::string& name = get(root, "kind").as_string();
  const Node& api_version = get(root, "apiVersion");
  const auto [group, version] = split_api_version(api_version.as_string());
  const auto kinds = all_kinds();
  const auto traits = std::ranges::find(kinds, name, &KindTraits::name);
  if (traits == kinds.end()) {
    refuse_kind(root, name, report);
    return nullptr;
  }
  if (group == traits->group && serves(*traits, version)) return &*traits;
  const bool other_gateway = name == "Gateway" && group == "gateway.networking.k8s.io";
  report.error(other_gateway ? "UnsupportedKind" : "UnknownVersion", "apiVersion", api_version.mark(),
               other_gateway ? "weft does not read the Kubernetes Gateway API yet, only networking.istio.io"
                             : fmt::format("expected {} for kind {}, found {}", served_versions(*traits),
                                           name, describe(api_version)));
  return nullptr;
}

bool good_name(Kind kind, std::string_view name) {
  if (kind == Kind::kNamespace) return is_dns_label(name);
  if (kind == Kind::kService) return is_service_name(name);
  return is_dns_subdomain(name);
}

// Kind, namespace and name, or a finding and nothing.
std::optional<ObjectKey> read_key(const Node& root, const KindTraits& traits, const DecodeOptions& options,
                                  Report& report) {
  const Node& meta = get(root, "metadata");
  const Node& name = get(meta, "name");
  if (name.as_string().empty()) {
    report.error("MissingField", "metadata", meta.is_null() ? root.mark() : meta.mark(),
                 has(meta, "generateName")
                     ? "\"generateName\" makes no name here, the field \"name\" is expected"
                     : "the field \"name\" is missing, a string is expected");
    return std::nullopt;
  }
  if (!good_name(traits.kind, name.as_string())) {
    report.invalid(
        "metadata.name", name,
        fmt::format("expected a name of lower-case letters, digits and '-', found {}", describe(name)));
    return std::nullopt;
  }
  const Node& ns = get(meta, "namespace");
  if (!traits.namespaced) {
    if (!ns.as_string().empty())
      report.invalid("metadata.namespace", ns, fmt::format("a {} lies in no namespace", traits.name));
    return ObjectKey{traits.kind, "", name.as_string()};
  }
  if (!ns.as_string().empty() && !is_dns_label(ns.as_string())) {
    report.invalid("metadata.namespace", ns,
                   fmt::format("expected a namespace's name, found {}", describe(ns)));
    return std::nullopt;
  }
  return ObjectKey{traits.kind, ns.as_string().empty() ? options.default_namespace : ns.as_string(),
                   name.as_string()};
}

// Namespace and name of an object whose name an API server has checked.
std::optional<ObjectKey> read_served_key(const Node& root, const KindTraits& traits, Report& report) {
  const Node& meta = get(root, "metadata");
  const std::string& name = get(meta, "name").as_string();
  const std::string& ns = get(meta, "namespace").as_string();
  if (is_dns_subdomain(name) && (traits.namespaced ? is_dns_label(ns) : ns.empty()))
    return ObjectKey{traits.kind, ns, name};
  report.invalid("metadata", meta, fmt::format("a {} without a name and place that can be used", traits.name));
  return std::nullopt;
}

// Items of lists name neither version nor kind.
bool is_what_was_asked_for(const Node& root, const KindTraits& traits, std::string_view version, Report& report) {
  const std::string& api_version = get(root, "apiVersion").as_string();
  const std::string& kind = get(root, "kind").as_string();
  const auto [group, said] = split_api_version(api_version);
  if (kind.empty() && api_version.empty()) return true;
  if (kind == traits.name && group == traits.group && said == version) return true;
  report.error("UnknownKind", "kind", root.mark(),
               fmt::format("expected a {} at {}, found a \"{}\" at \"{}\"", traits.name, version, kind, api_version));
  return false;
}

// What objects of every kind have.
void finish(const Node& root, const ObjectKey& key, const DecodeOptions& options, Object& object, Report& report) {
  object.api_version = text(root, "apiVersion");
  read_metadata(root, key, object.meta, report);
  if (object.meta.creation == Time{} && options.first_seen) object.meta.creation = options.first_seen(key);
  object.file = report.file();
  object.mark = root.mark();
}

std::shared_ptr<Object> read_object(const Node& root, const DecodeOptions& options, Report& report) {
  const auto says_kind = [&](std::string_view field) {
    if (get(root, field).is_string()) return true;
    report.error(has(root, field) ? "WrongType" : "MissingField", "",
                 has(root, field) ? get(root, field).mark() : root.mark(),
                 has(root, field)
                     ? fmt::format("\"{}\" must be a string, found {}", field, describe(get(root, field)))
                     : fmt::format("the field \"{}\" is missing, a string is expected", field));
    return false;
  };
  if (!says_kind("apiVersion") || !says_kind("kind")) return nullptr;
  const KindTraits* traits = find_kind(root, report);
  if (!traits) return nullptr;
  const auto key = read_key(root, *traits, options, report);
  if (key) report.set_object(*key);
  check(*traits->schema, root, report);
  if (!key || report.failed()) return nullptr;
  auto object = traits->read(root, report);
  finish(root, *key, options, *object, report);
  return object;
}

std::shared_ptr<Object> make_stand_in(const Node& root, const DecodeOptions& options, const Report& refusal) {
  const auto& key = refusal.object();
  if (!key || traits_of(key->kind).stand_in == nullptr) return nullptr;
  auto object = traits_of(key->kind).stand_in(root);
  Report unheard(refusal.file());  // what is wrong was said
  finish(root, *key, options, *object, unheard);
  object->refused = true;
  return object;
}

Decoded decode_one(const Node& root, const std::string& file, const DecodeOptions& options) {
  Report report(file);
  Decoded decoded;
  if (!root.is_mapping()) {
    report.error(
        "NotAnObject", "", root.mark(),
        fmt::format("expected an object with apiVersion, kind and metadata, found {}", describe(root)));
  } else {
    decoded.object = read_object(root, options, report);
  }
  if (report.failed()) {
    decoded.object = nullptr;
    decoded.stand_in = make_stand_in(root, options, report);
  }
  decoded.key = report.object();
  decoded.findings = report.take();
  return decoded;
}

}  // namespace

std::vector<Decoded> decode(const Document& document, const DecodeOptions& options) {
  std::vector<Decoded> out;
  const Node& root = document.root;
  const bool is_list = get(root, "apiVersion").as_string() == "v1" && get(root, "kind").as_string() == "List";
  if (!is_list || !get(root, "items").is_sequence()) {
    out.push_back(decode_one(root, document.file, options));
    return out;
  }
  for (const Node& item : get(root, "items").items()) out.push_back(decode_one(item, document.file, options));
  return out;
}

Decoded decode_served(const Node& root, Kind kind, std::string_view version) {
  const KindTraits& traits = traits_of(kind);
  const bool of_kubernetes = is_of_kubernetes(traits);
  Report report("");
  const auto key = read_served_key(root, traits, report);
  if (key && is_what_was_asked_for(root, traits, version, report)) {
    report.set_object(*key);
    check(*traits.schema, root, report, of_kubernetes ? Leniency::kAll : Leniency::kMetadata);
  }
  std::shared_ptr<Object> object;
  if (!report.failed()) {
    if (of_kubernetes) report.be_tolerant();
    object = traits.read(root, report);
    finish(root, *key, {}, *object, report);
  }
  Decoded out;
  if (report.failed()) {
    object = nullptr;
    out.stand_in = make_stand_in(root, {}, report);
  } else {
    object->api_version = api_version_of(traits, version);
    reduce(*object);
    out.object = std::move(object);
  }
  out.key = report.object();
  out.findings = report.take();
  return out;
}

}  // namespace weft::objects
