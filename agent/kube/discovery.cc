#include "agent/kube/discovery.h"

#include <fmt/format.h>

#include <charconv>

namespace weft::kube {
namespace {

using objects::Node;

int number_of(std::string_view text) {
  int value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);  // "36+" is 36
  return value;
}

}  // namespace

std::vector<Resource> read_resource_list(const Node& list, std::string_view api_version) {
  const GroupVersion gv = split_api_version(api_version);
  std::vector<Resource> out;
  for (const Node& item : list.at({"resources"}).items()) {
    const std::string& plural = item.at({"name"}).as_string();
    if (plural.empty() || plural.contains('/')) continue;  // a subresource
    out.push_back({.group = gv.group,
                   .version = gv.version,
                   .plural = plural,
                   .kind = item.at({"kind"}).as_string(),
                   .namespaced = item.at({"namespaced"}).as_bool()});
  }
  return out;
}

std::vector<std::string> read_group_versions(const Node& group) {
  std::vector<std::string> out;
  const std::string& preferred = group.at({"preferredVersion", "version"}).as_string();
  if (!preferred.empty()) out.push_back(preferred);
  for (const Node& version : group.at({"versions"}).items()) {
    const std::string& word = version.at({"version"}).as_string();
    if (!word.empty() && word != preferred) out.push_back(word);
  }
  return out;
}

ServerVersion read_version(const Node& version) {
  return {.git_version = version.at({"gitVersion"}).as_string(),
          .major = number_of(version.at({"major"}).as_string()),
          .minor = number_of(version.at({"minor"}).as_string())};
}

ApiResult<ServerVersion> Discovery::server_version() {
  const auto answer = client_.exchange_json({.path = "/version"});
  if (!answer) return std::unexpected(answer.error());
  return read_version(*answer);
}

ApiResult<std::vector<std::string>> Discovery::versions(std::string_view group) {
  const auto answer = client_.exchange_json({.path = "/apis/" + percent_encode(group)});
  if (!answer) return std::unexpected(answer.error());
  return read_group_versions(*answer);
}

ApiResult<std::vector<Resource>> Discovery::resources(std::string_view api_version) {
  {
    const base::MutexLock lock(mutex_);
    if (const auto found = seen_.find(api_version); found != seen_.end()) return found->second;
  }
  const GroupVersion gv = split_api_version(api_version);
  const std::string path =
      gv.group.empty() ? "/api/" + percent_encode(gv.version)
                       : fmt::format("/apis/{}/{}", percent_encode(gv.group), percent_encode(gv.version));
  const auto answer = client_.exchange_json({.path = path});
  if (!answer) return std::unexpected(answer.error());
  std::vector<Resource> out = read_resource_list(*answer, api_version);
  const base::MutexLock lock(mutex_);
  seen_.insert_or_assign(std::string(api_version), out);
  return out;
}

ApiResult<Resource> Discovery::resource(std::string_view api_version, std::string_view kind) {
  auto all = resources(api_version);
  if (!all) return std::unexpected(std::move(all).error());
  for (Resource& one : *all)
    if (one.kind == kind) return std::move(one);
  ApiError error;
  error.kind = base::ErrorKind::kNotFound;
  error.side = base::Side::kDestination;
  error.code = 404;
  error.reason = "NotFound";
  error.message = fmt::format("no kind {} in {}", kind, api_version);
  error.what = "the API server serves " + error.message;
  return std::unexpected(std::move(error));
}

void Discovery::forget() {
  const base::MutexLock lock(mutex_);
  seen_.clear();
}

}  // namespace weft::kube
