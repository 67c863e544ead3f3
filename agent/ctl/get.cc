#include "agent/ctl/get.h"

#include <fmt/format.h>

#include <map>
#include <sstream>

#include "agent/ctl/columns.h"
#include "agent/ctl/edit.h"
#include "agent/ctl/printer.h"
#include "agent/objects/finding.h"
#include "agent/sandbox/kubelet.h"

namespace weft::ctl {
namespace {

struct Chosen {
  std::string kind;
  std::vector<const Json*> objects;
};

base::Result<std::vector<objects::Kind>> kinds_of(const std::string& words) {
  std::vector<objects::Kind> kinds;
  std::istringstream parts(words == "all" ? "pods,services,deployments" : words);
  for (std::string word; std::getline(parts, word, ',');) {
    const auto kind = objects::kind_of(word);
    if (!kind)
      return base::fail(
          base::ErrorKind::kInvalid,
          fmt::format("unknown kind \"{}\": the sandbox has pods, services, deployments, endpointslices, "
                      "nodes, namespaces, serviceaccounts, gateways, virtualservices, destinationrules",
                      word));
    kinds.push_back(*kind);
  }
  return kinds;
}

bool wanted(const Json& object, const GetOptions& options) {
  if (!matches_selector(options.selector, sandbox::at(object, "metadata.labels"))) return false;
  return !options.ready ||
         (sandbox::condition_holds(object, "Ready") && !sandbox::has(object, "metadata.deletionTimestamp"));
}

base::Result<std::vector<Chosen>> choose(const ClusterView& view, const GetOptions& options) {
  GetOptions given = options;
  const size_t slash = given.kinds.find('/');
  if (slash != std::string::npos) {
    given.names.insert(given.names.begin(), given.kinds.substr(slash + 1));
    given.kinds.resize(slash);
  }
  TRY_ASSIGN(const auto kinds, kinds_of(given.kinds));
  std::vector<Chosen> chosen;
  for (const objects::Kind kind : kinds) {
    Chosen part{std::string(objects::name_of(kind)), {}};
    const std::string ns = given.all_namespaces || !objects::is_namespaced(kind) ? "" : given.ns;
    if (given.names.empty()) part.objects = view.find(part.kind, ns);
    for (const std::string& name : given.names) {
      const auto found = view.find(part.kind, ns, name);
      if (found.empty())
        return base::fail(
            base::ErrorKind::kNotFound,
            fmt::format("{} \"{}\" not found{}", word_of(part.kind), name,
                        ns.empty() ? "" : " in namespace " + ns + " (another one: -n, all: -A)"));
      part.objects.insert(part.objects.end(), found.begin(), found.end());
    }
    std::erase_if(part.objects, [&](const Json* object) { return !wanted(*object, options); });
    chosen.push_back(std::move(part));
  }
  return chosen;
}

std::string table_of(const Chosen& part, const ClusterView& view, const GetOptions& options, int64_t now) {
  const bool wide = options.output == "wide";
  const bool with_ns = options.all_namespaces && !sandbox::is_cluster_wide(part.kind);
  std::vector<std::string> header{"NAME"};
  if (with_ns) header.insert(header.begin(), "NAMESPACE");
  const auto more = header_of(part.kind, wide);
  header.insert(header.end(), more.begin(), more.end());
  if (options.show_labels) header.emplace_back("LABELS");
  Table table(header);
  for (const Json* object : part.objects) {
    std::vector<std::string> row{sandbox::text_at(*object, "metadata.name")};
    if (with_ns) row.insert(row.begin(), sandbox::text_at(*object, "metadata.namespace"));
    const auto cells = cells_of(*object, part.kind, wide, view, now);
    row.insert(row.end(), cells.begin(), cells.end());
    if (options.show_labels) {
      std::string labels;
      for (const auto& [key, value] : sandbox::pairs_at(*object, "metadata.labels"))
        labels += (labels.empty() ? "" : ",") + key + "=" + value;
      row.push_back(labels.empty() ? "<none>" : labels);
    }
    table.add(row);
  }
  const std::string text = table.text();
  return options.no_headers ? text.substr(text.find('\n') + 1) : text;
}

Json as_one(const std::vector<Chosen>& chosen, bool single) {
  Json items = Json::array();
  for (const Chosen& part : chosen)
    for (const Json* object : part.objects) items.push_back(*object);
  if (single && items.size() == 1) return items[0];
  return Json{{"apiVersion", "v1"}, {"kind", "List"}, {"items", items}};
}

}  // namespace

base::Result<std::string> get(const ClusterView& view, const GetOptions& options, int64_t now_seconds) {
  TRY_ASSIGN(const auto chosen, choose(view, options));
  const bool single = options.names.size() == 1 || options.kinds.find('/') != std::string::npos;
  if (options.output == "yaml") return sandbox::to_yaml(as_one(chosen, single));
  if (options.output == "json") return as_one(chosen, single).dump(2) + "\n";
  if (options.output.starts_with("jsonpath="))
    return jsonpath(as_one(chosen, single), options.output.substr(9));
  std::string out;
  if (options.output == "name") {
    for (const Chosen& part : chosen)
      for (const Json* object : part.objects)
        out += word_of(part.kind) + "/" + sandbox::text_at(*object, "metadata.name") + "\n";
    return out;
  }
  if (!options.output.empty() && options.output != "wide")
    return base::fail(base::ErrorKind::kInvalid,
                      "-o " + options.output + ": use wide, yaml, json, name or jsonpath={.path}");
  for (const Chosen& part : chosen) {
    if (part.objects.empty()) continue;
    out += (out.empty() ? "" : "\n") + table_of(part, view, options, now_seconds);
  }
  return out;
}

}  // namespace weft::ctl
