#include "agent/cni/conflist.h"

#include "agent/cni_wire/json.h"

namespace weft::cni {
namespace {

std::unexpected<base::Error> refuse(std::string what) {
  return base::fail(base::ErrorKind::kInvalid, std::move(what));
}

struct List {
  Json root, plugins;
  std::vector<Json> items;
  size_t plugins_at = 0;  // where the list stands in the text
};

base::Result<List> open(std::string_view text) {
  List out;
  TRY_ASSIGN(out.root, Json::parse(text));
  if (out.root.member("name").string_or("").empty()) return refuse("it has no name");
  out.plugins = out.root.member("plugins");
  if (!out.plugins.is_array()) return refuse("it has no list of plugins");
  out.items = out.plugins.items();
  if (out.items.empty()) return refuse("its list of plugins is empty");
  for (const Json& item : out.items)
    if (item.member("type").string_or("").empty()) return refuse("one of its plugins has no type");
  out.plugins_at = static_cast<size_t>(out.plugins.text().data() - text.data());
  return out;
}

bool is_ours(const Json& plugin) {
  return plugin.member("type").string_or("") == kPluginType;
}

// The list anew from what stands in it, each entry as it was, parted as the first two were.
std::string join(const List& list, std::string_view text, const std::string* ours) {
  const std::string_view array = list.plugins.text();
  const auto offset = [&](const Json& item) {
    return static_cast<size_t>(item.text().data() - array.data());
  };
  std::string_view between = ", ", open = array.substr(0, offset(list.items.front()));
  if (list.items.size() > 1) {
    const size_t end = offset(list.items[0]) + list.items[0].text().size();
    between = array.substr(end, offset(list.items[1]) - end);
  }
  const Json& last = list.items.back();
  const std::string_view close = array.substr(offset(last) + last.text().size());
  // A single entry on a line of its own: the next one gets a line as well.
  const std::string indented = "," + std::string(open.substr(1));
  if (list.items.size() == 1 && open.find('\n') != std::string_view::npos) between = indented;
  std::string out(text.substr(0, list.plugins_at));
  out += open;
  bool first = true;
  const auto add = [&](std::string_view item) {
    if (!first) out += between;
    first = false;
    out += item;
  };
  for (const Json& item : list.items)
    if (!is_ours(item)) add(item.text());
  if (ours != nullptr) add(*ours);
  out += close;
  out += text.substr(list.plugins_at + array.size());
  return out;
}

// An entry that somebody wrote anew in his own way still is the entry.
bool says(const Json& plugin, const Entry& entry) {
  std::vector<std::string> excluded;
  for (const Json& ns : plugin.member("excludeNamespaces").items()) excluded.push_back(ns.string_or(""));
  return plugin.member("socket").string_or("") == entry.socket && excluded == entry.excluded &&
         plugin.member("failMode").string_or("") == (entry.fail_open ? "open" : "closed");
}

size_t count_ours(const List& list) {
  size_t count = 0;
  for (const Json& item : list.items) count += is_ours(item) ? 1 : 0;
  return count;
}

}  // namespace

std::string to_json(const Entry& entry) {
  std::string out = "{\"type\": " + quote(kPluginType) + ", \"socket\": " + quote(entry.socket) +
                    ", \"failMode\": " + (entry.fail_open ? "\"open\"" : "\"closed\"") +
                    ", \"excludeNamespaces\": [";
  for (const std::string& ns : entry.excluded) {
    if (out.back() != '[') out += ", ";
    out += quote(ns);
  }
  return out + "]}";
}

base::Result<Edit> chain(std::string_view conflist, const Entry& entry) {
  TRY_ASSIGN(const List list, open(conflist));
  const std::string ours = to_json(entry);
  const size_t present = count_ours(list);
  if (present == list.items.size())
    return refuse("weft-cni is its only plugin, none makes the pods' interfaces");
  if (present == 1 && is_ours(list.items.back()) && says(list.items.back(), entry))
    return Edit{std::string(conflist), false};
  return Edit{join(list, conflist, &ours), true};
}

base::Result<Edit> unchain(std::string_view conflist) {
  TRY_ASSIGN(const List list, open(conflist));
  const size_t present = count_ours(list);
  if (present == 0) return Edit{std::string(conflist), false};
  if (present == list.items.size()) return refuse("weft-cni is its only plugin");
  return Edit{join(list, conflist, nullptr), true};
}

base::Result<std::string> to_list(std::string_view conf) {
  TRY_ASSIGN(const Json root, Json::parse(conf));
  if (root.member("type").string_or("").empty())
    return refuse("it is neither a list of plugins nor one plugin with a type");
  const std::string name = root.member("name").string_or("");
  if (name.empty()) return refuse("it has no name");
  // A runtime that reads a single plugin takes name and version from it; both stand in the list and may stay
  // in the plugin, whose other fields are its own.
  const Json version = root.member("cniVersion");
  std::string out = "{\n  \"name\": " + quote(name) + ",\n";
  if (!version.is_none()) out += "  \"cniVersion\": " + std::string(version.text()) + ",\n";
  return out + "  \"plugins\": [\n    " + std::string(root.text()) + "\n  ]\n}\n";
}

}  // namespace weft::cni
