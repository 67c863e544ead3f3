#include "agent/ctl/edit.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <iostream>

#include "agent/ctl/manifest.h"
#include "agent/ctl/printer.h"
#include "agent/sandbox/daemon.h"
#include "agent/sandbox/names.h"
#include "agent/sandbox/store.h"

namespace weft::ctl {
namespace {

using sandbox::Json;
using sandbox::ObjectName;
using sandbox::Store;

// Where the user's objects lie: what controllers complete is kept from the mesh's eyes.
bool is_completed(const std::string& kind) {
  return kind == "Service" || kind == "Pod";
}

// The user's objects of both directories. Owner: one command.
struct UserObjects {
  explicit UserObjects(const Layout& layout) : user(layout.user()), applied(layout.applied()) {
    user.refresh();
    applied.refresh();
  }
  Store& store(const std::string& kind) { return is_completed(kind) ? applied : user; }
  const Json* find(const ObjectName& name) { return store(name.kind).find(name); }

  Store user, applied;
};

base::Status not_found(const ObjectName& name) {
  return base::fail(base::ErrorKind::kNotFound,
                    fmt::format("{} \"{}\" not found{}", word_of(name.kind), name.name,
                                name.ns.empty() ? "" : " in namespace " + name.ns));
}

base::Status require_namespace(UserObjects& objects, const std::string& ns,
                               const std::vector<Manifest>& manifests) {
  if (ns.empty() || objects.user.find({"Namespace", "", ns}) != nullptr) return {};
  const bool comes_too = std::ranges::any_of(
      manifests, [&](const Manifest& m) { return m.name == ObjectName{"Namespace", "", ns}; });
  if (comes_too) return {};
  return base::fail(
      base::ErrorKind::kNotFound,
      fmt::format("namespace \"{0}\" not found: make it with `weftctl sandbox create namespace {0}`", ns));
}

base::Status check(UserObjects& objects, const Loaded& loaded) {
  std::string errors;
  for (const objects::Finding& finding : loaded.findings) {
    if (finding.severity == objects::Severity::kWarning) std::cerr << objects::to_string(finding) << "\n";
    if (finding.severity == objects::Severity::kError) errors += objects::to_string(finding) + "\n";
  }
  if (!errors.empty()) return base::fail(base::ErrorKind::kInvalid, errors + "nothing was applied");
  for (const Manifest& manifest : loaded.manifests) {
    TRY(require_namespace(objects, manifest.name.ns, loaded.manifests));
    const Json& shape = sandbox::at(manifest.object, "spec.template.metadata.labels");
    if (manifest.name.kind == "Deployment" &&
        !sandbox::selects(sandbox::at(manifest.object, "spec.selector.matchLabels"), shape))
      return base::fail(
          base::ErrorKind::kInvalid,
          fmt::format("{}: Deployment {}/{}: spec.selector.matchLabels does not select the labels of "
                      "spec.template; nothing was applied",
                      manifest.file, manifest.name.ns, manifest.name.name));
    if (manifest.name.kind == "Node")
      return base::fail(base::ErrorKind::kRefused, "a Node is made by `weftctl sandbox up --nodes N` only");
  }
  return {};
}

// Labels that `weftctl sandbox label` put on a Namespace survive the next apply, as kubectl's do.
void keep_labels(const Json* before, Manifest* manifest) {
  if (before == nullptr || manifest->name.kind != "Namespace") return;
  Json merged = sandbox::at(*before, "metadata.labels");
  if (!merged.is_object() || merged.empty()) return;
  if (sandbox::has(manifest->object, "metadata.labels"))
    merged.update(sandbox::at(manifest->object, "metadata.labels"));
  manifest->object["metadata"]["labels"] = merged;
  manifest->text.clear();
}

void wait_for_pods_gone(const Layout& layout, const std::vector<ObjectName>& names) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (std::chrono::steady_clock::now() < deadline) {
    Store generated(layout.generated());
    generated.refresh();
    if (std::ranges::none_of(names, [&](const ObjectName& name) { return generated.find(name) != nullptr; }))
      return;
    ::poll(nullptr, 0, 50);
  }
}

void delete_namespace_content(UserObjects& objects, const std::string& ns) {
  for (Store* store : {&objects.user, &objects.applied}) {
    std::vector<ObjectName> names;
    for (const auto& [name, object] : store->objects())
      if (name.ns == ns) names.push_back(name);
    for (const ObjectName& name : names) store->erase(name);
  }
}

base::Status change(const Layout& layout, const ObjectName& name, const std::string& done,
                    const std::function<void(Json&)>& edit) {
  UserObjects objects(layout);
  const Json* found = objects.find(name);
  if (found == nullptr) return not_found(name);
  Json copy = *found;
  edit(copy);
  TRY(objects.store(name.kind).put(copy));
  fmt::print("{}/{} {}\n", word_of(name.kind), name.name, done);
  return {};
}

}  // namespace

std::string word_of(const std::string& kind) {
  std::string word = kind;
  std::ranges::transform(word, word.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return word;
}

base::Status apply(const Layout& layout, const std::vector<std::string>& paths, const std::string& ns) {
  UserObjects objects(layout);
  TRY_ASSIGN(auto loaded, load_manifests(paths, ns));
  TRY(check(objects, loaded));
  for (Manifest& manifest : loaded.manifests) {
    const Json* before = objects.find(manifest.name);
    keep_labels(before, &manifest);
    const bool same = before != nullptr && *before == manifest.object;
    Store& store = objects.store(manifest.name.kind);
    if (!same)
      TRY(manifest.text.empty() ? store.put(manifest.object) : store.put_text(manifest.name, manifest.text));
    fmt::print("{}/{} {}\n", word_of(manifest.name.kind), manifest.name.name,
               same                ? "unchanged"
               : before != nullptr ? "configured"
                                   : "created");
  }
  return {};
}

base::Status delete_files(const Layout& layout, const std::vector<std::string>& paths, const std::string& ns,
                          bool ignore_missing) {
  TRY_ASSIGN(const auto loaded, load_manifests(paths, ns));
  if (loaded.manifests.empty() && !loaded.findings.empty())
    return base::fail(base::ErrorKind::kInvalid, objects::to_string(loaded.findings.front()));
  UserObjects objects(layout);
  std::string missing;
  for (const Manifest& manifest : loaded.manifests) {
    if (objects.find(manifest.name) == nullptr) {
      missing += (missing.empty() ? "" : "\n") + not_found(manifest.name).error().what;
      continue;
    }
    objects.store(manifest.name.kind).erase(manifest.name);
    if (manifest.name.kind == "Namespace") delete_namespace_content(objects, manifest.name.name);
    fmt::print("{} \"{}\" deleted\n", word_of(manifest.name.kind), manifest.name.name);
  }
  if (missing.empty() || ignore_missing) return {};
  return base::fail(base::ErrorKind::kNotFound, missing);
}

base::Status delete_named(const Layout& layout, objects::Kind kind, const std::vector<std::string>& names,
                          const DeleteOptions& options) {
  UserObjects objects(layout);
  Store generated(layout.generated());
  generated.refresh();
  std::vector<ObjectName> pods;
  for (const std::string& text : names) {
    const ObjectName name{std::string(objects::name_of(kind)), objects::is_namespaced(kind) ? options.ns : "",
                          text};
    const bool of_user = objects.find(name) != nullptr;
    const bool is_pod = kind == objects::Kind::kPod && generated.find(name) != nullptr;
    if (!of_user && !is_pod) {
      if (options.ignore_missing) continue;
      return not_found(name);
    }
    if (of_user) objects.store(name.kind).erase(name);
    if (kind == objects::Kind::kNamespace) delete_namespace_content(objects, text);
    if (is_pod) {
      Json request{{"verb", "delete"}, {"namespace", name.ns}, {"name", text}};
      if (options.grace_seconds >= 0) request["grace"] = options.grace_seconds;
      TRY(sandbox::post_request(layout, request));
      pods.push_back(name);
    }
    fmt::print("{} \"{}\" deleted\n", word_of(name.kind), text);
  }
  std::fflush(stdout);
  if (options.wait && !pods.empty()) wait_for_pods_gone(layout, pods);
  return {};
}

base::Status create_namespace(const Layout& layout, const std::string& name) {
  UserObjects objects(layout);
  if (objects.user.find({"Namespace", "", name}) != nullptr)
    return base::fail(base::ErrorKind::kConflict, "namespace \"" + name + "\" already exists");
  Json ns{{"apiVersion", "v1"},
          {"kind", "Namespace"},
          {"metadata", {{"name", name}, {"labels", {{"kubernetes.io/metadata.name", name}}}}}};
  Loaded checked;
  read_manifest(ns.dump(), "namespace", "default", &checked);
  TRY(check(objects, checked));
  TRY(objects.user.put(ns));
  fmt::print("namespace/{} created\n", name);
  return {};
}

base::Status label(const Layout& layout, objects::Kind kind, const std::string& name, const std::string& ns,
                   const std::vector<std::string>& changes) {
  std::vector<LabelChange> parsed;
  for (const std::string& text : changes) {
    TRY_ASSIGN(auto change, parse_label_change(text));
    parsed.push_back(std::move(change));
  }
  const ObjectName full{std::string(objects::name_of(kind)), objects::is_namespaced(kind) ? ns : "", name};
  UserObjects objects(layout);
  if (kind == objects::Kind::kNamespace && objects.find(full) == nullptr) TRY(create_namespace(layout, name));
  Store generated(layout.generated());
  generated.refresh();
  // A pod that a controller made is the daemon's to write.
  if (kind == objects::Kind::kPod && objects.find(full) == nullptr) {
    if (generated.find(full) == nullptr) return not_found(full);
    Json labels = Json::object();
    for (const LabelChange& change : parsed) labels[change.key] = change.remove ? Json() : Json(change.value);
    TRY(sandbox::post_request(layout,
                              {{"verb", "label"}, {"namespace", ns}, {"name", name}, {"labels", labels}}));
    fmt::print("pod/{} labeled\n", name);
    return {};
  }
  return change(layout, full, "labeled", [&](Json& object) {
    for (const LabelChange& change : parsed) {
      if (change.remove)
        object["metadata"]["labels"].erase(change.key);
      else
        object["metadata"]["labels"][change.key] = change.value;
    }
  });
}

base::Status scale(const Layout& layout, const std::string& name, const std::string& ns, int replicas) {
  return change(layout, {"Deployment", ns, name}, "scaled",
                [&](Json& deployment) { deployment["spec"]["replicas"] = replicas; });
}

base::Status rollout_restart(const Layout& layout, const std::string& name, const std::string& ns) {
  return change(layout, {"Deployment", ns, name}, "restarted", [&](Json& deployment) {
    Json& annotations = deployment["spec"]["template"]["metadata"]["annotations"];
    // Two restarts within one second are two restarts.
    annotations["kubectl.kubernetes.io/restartedAt"] = sandbox::now_text() + " " + sandbox::random_suffix();
  });
}

}  // namespace weft::ctl
