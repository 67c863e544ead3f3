#include "agent/install/cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "agent/install/render.h"

namespace weft::install {
namespace {

using kube::ApiResult;
using objects::Node;

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

ApiResult<kube::Resource> Cluster::resource_of(std::string_view api_version, std::string_view kind) {
  if (auto known = kube::known_resource(api_version, kind)) return *std::move(known);
  return discovery_.resource(api_version, kind);
}

ApiResult<Node> Cluster::read(std::string_view api_version, std::string_view kind, std::string_view ns,
                              std::string_view name) {
  TRY_ASSIGN(const auto resource, resource_of(api_version, kind));
  return client_.get(resource, ns, name, limits_);
}

ApiResult<Node> Cluster::read(const Node& object) {
  return read(object.at({"apiVersion"}).as_string(), object.at({"kind"}).as_string(),
              object.at({"metadata", "namespace"}).as_string(), object.at({"metadata", "name"}).as_string());
}

ApiResult<Node> Cluster::apply(const Node& object, bool dry_run) {
  TRY_ASSIGN(const auto resource, resource_of(object.at({"apiVersion"}).as_string(), object.at({"kind"}).as_string()));
  kube::ApplyOptions options;
  options.manager = kManager;
  options.force = true;
  options.dry_run = dry_run;
  options.validation = "Strict";
  return client_.apply(resource, object, options, limits_);
}

ApiResult<void> Cluster::patch(const Node& object, const Node& patch) {
  TRY_ASSIGN(const auto resource, resource_of(object.at({"apiVersion"}).as_string(), object.at({"kind"}).as_string()));
  kube::WriteOptions options;
  options.manager = kManager;
  auto done = client_.merge_patch(resource, object.at({"metadata", "namespace"}).as_string(),
                                  object.at({"metadata", "name"}).as_string(), patch, options, limits_);
  if (!done) return std::unexpected(std::move(done).error());
  return {};
}

// What a manager applies no more is gone, unless others own it too (server-side apply).
ApiResult<void> Cluster::release_status(const Node& object, std::string_view manager) {
  TRY_ASSIGN(const auto resource, resource_of(object.at({"apiVersion"}).as_string(), object.at({"kind"}).as_string()));
  Node nothing = Node::mapping();
  for (const char* key : {"apiVersion", "kind"}) nothing.set(key, object.at({key}));
  nothing["metadata"].set("name", object.at({"metadata", "name"}));
  kube::ApplyOptions options;
  options.manager = manager;
  options.force = true;
  options.subresource = "status";
  auto done = client_.apply(resource, nothing, options, limits_);
  if (!done) return std::unexpected(std::move(done).error());
  return {};
}

ApiResult<void> Cluster::remove(const Node& object, bool foreground) {
  TRY_ASSIGN(const auto resource, resource_of(object.at({"apiVersion"}).as_string(), object.at({"kind"}).as_string()));
  kube::DeleteOptions options;
  options.propagation = foreground ? "Foreground" : "Background";
  auto done = client_.remove(resource, object.at({"metadata", "namespace"}).as_string(),
                             object.at({"metadata", "name"}).as_string(), options, limits_);
  if (!done && !done.error().not_found()) return std::unexpected(std::move(done).error());
  return {};
}

ApiResult<std::vector<Node>> Cluster::list(std::string_view api_version, std::string_view kind, std::string_view ns,
                                           std::string_view labels) {
  TRY_ASSIGN(const auto resource, resource_of(api_version, kind));
  kube::ListOptions options;
  options.ns = ns;
  options.label_selector = labels;
  std::vector<Node> found;
  const auto take = [&](Node object) -> base::Status {
    found.push_back(std::move(object));
    return {};
  };
  if (auto listed = client_.list(resource, options, take, limits_); !listed) return std::unexpected(std::move(listed).error());
  return found;
}

ApiResult<bool> Cluster::may(std::string_view verb, const kube::Resource& resource, std::string_view ns) {
  const auto text = [](std::string_view value) { return Node::string(std::string(value)); };
  TRY_ASSIGN(const auto reviews, resource_of("authorization.k8s.io/v1", "SelfSubjectAccessReview"));
  Node review = Node::mapping();
  review.set("apiVersion", text("authorization.k8s.io/v1"));
  review.set("kind", text("SelfSubjectAccessReview"));
  Node& asked = review["spec"]["resourceAttributes"];
  asked.set("verb", text(verb));
  asked.set("group", text(resource.group));
  asked.set("resource", text(resource.plural));
  if (!ns.empty()) asked.set("namespace", text(ns));
  TRY_ASSIGN(const Node answer, client_.create_object(reviews, "", review, {}, limits_));
  return answer.at({"status", "allowed"}).as_bool();
}

std::string title_of(const Node& object) {
  const auto group = kube::split_api_version(object.at({"apiVersion"}).as_string()).group;
  const std::string& ns = object.at({"metadata", "namespace"}).as_string();
  return fmt::format("{}{}{}/{}{}{}", lower(object.at({"kind"}).as_string()), group.empty() ? "" : ".", group,
                     object.at({"metadata", "name"}).as_string(), ns.empty() ? "" : " in ", ns);
}

bool is_ours(const Node& object) {
  const Node& labels = object.at({"metadata", "labels"});
  return labels.at({kOwnerLabel}).as_string() == kOwner && labels.at({kPartLabel}).as_string() == kPart;
}

}  // namespace weft::install
