#include "agent/cni_plugin/config.h"

#include <algorithm>

namespace weft::cni {
namespace {

std::unexpected<base::Error> refuse(std::string what) {
  return base::fail(base::ErrorKind::kInvalid, std::move(what));
}

base::Status read_fail_mode(const Json& json, Config& out) {
  const Json mode = json.member("failMode");
  if (mode.is_none()) return {};
  const std::string word = mode.string_or("");
  if (word != "open" && word != "closed") return refuse("failMode is neither \"closed\" nor \"open\"");
  out.fail_open = word == "open";
  return {};
}

base::Status read_excluded(const Json& json, Config& out) {
  const Json list = json.member("excludeNamespaces");
  if (list.is_none()) return {};
  if (!list.is_array()) return refuse("excludeNamespaces is no list");
  out.excluded.clear();
  for (const Json& item : list.items()) {
    out.excluded.push_back(item.string_or(""));
    if (!is_name(out.excluded.back()))
      return refuse("excludeNamespaces holds something that is no namespace's name");
  }
  return {};
}

}  // namespace

base::Result<Config> parse_config(std::string_view text) {
  TRY_ASSIGN(auto json, Json::parse(text));
  if (!json.is_object()) return refuse("the configuration is no object");
  Config out;
  out.version = json.member("cniVersion").string_or("");
  if (std::ranges::find(kVersions, out.version) == kVersions.end())
    return base::fail(
        base::ErrorKind::kUnsupported,
        "weft-cni speaks CNI 0.3.0 to 1.1.0; the configuration says cniVersion " + quote(out.version));
  TRY(read_fail_mode(json, out));
  TRY(read_excluded(json, out));
  if (const Json socket = json.member("socket"); !socket.is_none()) out.socket = socket.string_or("");
  if (!out.socket.starts_with('/') || out.socket.size() > 100) return refuse("socket is no absolute path");
  out.previous = json.member("prevResult");
  return out;
}

std::string argument(std::string_view args, std::string_view key) {
  while (!args.empty()) {
    const std::string_view one = args.substr(0, args.find(';'));
    if (one.size() > key.size() && one.starts_with(key) && one[key.size()] == '=')
      return std::string(one.substr(key.size() + 1));
    args.remove_prefix(std::min(args.size(), one.size() + 1));
  }
  return "";
}

std::vector<std::string> addresses_of(const Json& result) {
  const std::vector<Json> interfaces = result.member("interfaces").items();
  std::vector<std::string> out;
  for (const Json& ip : result.member("ips").items()) {
    const auto index = ip.member("interface").as_count();
    // Some plugins list the host's side as well; it has no sandbox.
    if (index && static_cast<size_t>(*index) < interfaces.size() &&
        interfaces[static_cast<size_t>(*index)].member("sandbox").string_or("").empty())
      continue;
    std::string address = ip.member("address").string_or("");
    address.resize(std::min(address.size(), address.find('/')));
    if (!address.empty() && out.size() < kMaxAddresses) out.push_back(std::move(address));
  }
  return out;
}

}  // namespace weft::cni
