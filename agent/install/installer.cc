#include "agent/install/installer.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "agent/install/compare.h"
#include "agent/install/readiness.h"
#include "agent/install/render.h"

namespace weft::install {
namespace {

using objects::Node;
using base::Nanos;

constexpr Nanos kBetweenLooks = std::chrono::milliseconds(250);
constexpr size_t kMostDetails = 20;  // lines about one object

std::string_view kind_of(const Node& object) {
  return object.at({"kind"}).as_string();
}

// What a cluster may have from others, and what then serves as it is.
bool may_be_anothers(const Node& object) {
  return kind_of(object) == "CustomResourceDefinition" ||
         (kind_of(object) == "Namespace" && object.at({"metadata", "name"}).as_string() == "istio-system");
}

// weft-system may have been made by hand, before anything else.
bool is_adopted(const Node& object) {
  return kind_of(object) == "Namespace";
}

// Versions that ours serves and theirs does not: objects written for them are refused.
std::string missing_versions(const Node& ours, const Node& theirs) {
  std::string out;
  for (const Node& version : ours.at({"spec", "versions"}).items()) {
    const auto& served = theirs.at({"spec", "versions"}).items();
    const bool there = std::ranges::any_of(served, [&](const Node& other) {
      return other.at({"name"}) == version.at({"name"}) && other.at({"served"}).as_bool();
    });
    if (!there) out += (out.empty() ? "" : ", ") + version.at({"name"}).as_string();
  }
  return out;
}

}  // namespace

std::string_view name_of(Trouble::Kind kind) {
  switch (kind) {
    case Trouble::Kind::kMissing:
      return "missing";
    case Trouble::Kind::kDifferent:
      return "different";
    case Trouble::Kind::kNotReady:
      return "not ready";
  }
  return "";
}

bool Installer::wait(Nanos limit, const std::function<bool()>& done) const {
  const base::Instant until = clock_.now() + limit;
  while (!done()) {
    if (clock_.now() >= until) return false;
    std::this_thread::sleep_for(kBetweenLooks);
  }
  return true;
}

base::Status Installer::find_conflicts(const std::vector<Node>& objects) {
  std::string found;
  for (const Node& object : objects) {
    const auto live = cluster_.read(object);
    if (!live && !live.error().not_found()) return std::unexpected(live.error());
    if (!live || is_ours(*live) || may_be_anothers(object) || is_adopted(object)) continue;
    found += (found.empty() ? "" : ", ") + title_of(object);
  }
  if (found.empty()) return {};
  return base::fail(base::ErrorKind::kConflict,
                    fmt::format("{} {} there and not weft's: remove what another mesh has installed, then try again",
                                found, found.find(", ") == std::string::npos ? "is" : "are"));
}

base::Status Installer::apply_one(const Node& object) {
  const auto before = cluster_.read(object);
  if (!before && !before.error().not_found()) return std::unexpected(before.error());
  if (before && may_be_anothers(object) && !is_ours(*before)) {
    say_(fmt::format("{} kept as it is: another's", title_of(object)));
    const std::string missing = missing_versions(object, *before);
    if (!missing.empty()) say_(fmt::format("  warning: it does not serve {}", missing));
    return {};
  }
  const auto after = cluster_.apply(object, false);
  if (!after) return std::unexpected(after.error());
  const bool same = before && before->at({"metadata", "resourceVersion"}) == after->at({"metadata", "resourceVersion"});
  say_(fmt::format("{} {}", title_of(object), !before ? "created" : same ? "unchanged" : "configured"));
  return {};
}

base::Status Installer::apply(const std::vector<Node>& objects) {
  TRY(find_conflicts(objects));
  for (const Node& object : objects) TRY(apply_one(object));
  return {};
}

// What pods of a workload say that are not ready; by the labels that it selects.
std::vector<std::string> Installer::troubles_of_pods(const Node& workload) {
  std::string labels;
  for (const auto& entry : workload.at({"spec", "selector", "matchLabels"}).entries())
    labels += fmt::format("{}{}={}", labels.empty() ? "" : ",", entry.key, entry.value.as_string());
  std::vector<std::string> out;
  if (labels.empty()) return out;
  const auto pods = cluster_.list("v1", "Pod", workload.at({"metadata", "namespace"}).as_string(), labels);
  if (!pods) return out;
  for (const Node& pod : *pods) {
    const Readiness state = readiness_of(pod);
    if (state.ready || out.size() >= kMostDetails) continue;
    out.push_back(fmt::format("pod {}: {}", pod.at({"metadata", "name"}).as_string(), state.why));
  }
  return out;
}

base::Status Installer::wait_ready(const std::vector<Node>& objects, Nanos limit) {
  std::string said, problem;
  const auto done = [&] {
    for (const Node& object : objects) {
      const auto live = cluster_.read(object);
      const Readiness state = live ? readiness_of(*live) : Readiness{false, base::describe(live.error())};
      if (state.ready) continue;
      problem = fmt::format("{}: {}", title_of(object), state.why);
      if (problem != said) say_("waiting for " + problem);
      said = problem;
      return false;
    }
    return true;
  };
  if (wait(limit, done)) return {};
  std::string text = fmt::format("not ready after {} s", limit / std::chrono::seconds(1));
  TRY_ASSIGN(const auto troubles, compare(objects, true));
  for (const Trouble& trouble : troubles) {
    text += fmt::format("\n  {} is {}", trouble.object, name_of(trouble.kind));
    for (const std::string& detail : trouble.details) text += "\n    " + detail;
  }
  return base::fail(base::ErrorKind::kTimeout, text + "\n  `weftctl check` says more; the installation stays as it is");
}

base::Result<bool> Installer::compare_one(const Node& object, bool ready, std::vector<Trouble>& troubles) {
  const auto live = cluster_.read(object);
  if (!live && !live.error().not_found()) return std::unexpected(live.error());
  if (!live) {
    troubles.push_back({Trouble::Kind::kMissing, title_of(object), {}});
    return false;
  }
  if (may_be_anothers(object) && !is_ours(*live)) {
    const std::string missing = missing_versions(object, *live);
    if (!missing.empty())
      troubles.push_back({Trouble::Kind::kDifferent, title_of(object), {"another's, and does not serve " + missing}});
    return missing.empty();
  }
  const auto applied = cluster_.apply(object, true);
  if (!applied) return std::unexpected(applied.error());
  std::vector<std::string> details;
  for (const Difference& difference : differences(*live, *applied))
    if (details.size() < kMostDetails) details.push_back(to_string(difference));
  if (!details.empty()) troubles.push_back({Trouble::Kind::kDifferent, title_of(object), std::move(details)});
  const Readiness state = ready ? readiness_of(*live) : Readiness{};
  if (state.ready) return true;
  std::vector<std::string> why = troubles_of_pods(*live);
  why.insert(why.begin(), state.why);
  troubles.push_back({Trouble::Kind::kNotReady, title_of(object), std::move(why)});
  return true;
}

base::Result<std::vector<Trouble>> Installer::compare(const std::vector<Node>& objects, bool ready) {
  std::vector<Trouble> troubles;
  for (const Node& object : objects) {
    auto compared = compare_one(object, ready, troubles);
    if (!compared) {
      compared.error().what = fmt::format("{}: {}", title_of(object), compared.error().what);
      return std::unexpected(std::move(compared).error());
    }
  }
  return troubles;
}

base::Result<Settings> Installer::kept_settings(std::string_view version) {
  Settings settings = default_settings(version);
  const auto ns = cluster_.read("v1", "Namespace", "", "weft-system");
  if (!ns && !ns.error().not_found()) return std::unexpected(ns.error());
  if (!ns) return settings;
  auto done =
      apply_settings_text(settings, ns->at({"metadata", "annotations", kSettingsAnnotation}).as_string());
  if (!done) {
    done.error().what = fmt::format("annotation {} of namespace weft-system: {}", kSettingsAnnotation, done.error().what);
    return std::unexpected(std::move(done).error());
  }
  return settings;
}

}  // namespace weft::install
