#include "agent/kube/config.h"

#include <fmt/format.h>

#include <cstdlib>

#include "agent/kube/files.h"

namespace weft::kube {
namespace {

using base::ErrorKind;

// A projected token is about 1.2 KiB; a header of this size is refused by every API server anyway.
constexpr size_t kMaxToken = 64 * 1024;
constexpr base::Nanos kLook = std::chrono::seconds(1);

std::string trimmed(std::string text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT: read at start-up
  return value ? value : "";
}

// The first existing file of a list as in $KUBECONFIG.
std::string first_existing(std::string_view list, std::string& looked) {
  while (true) {
    const size_t end = list.find(':');
    const std::string path(list.substr(0, end));
    if (!path.empty()) {
      if (file_exists(path)) return path;
      looked += ", " + path + " ($KUBECONFIG)";
    }
    if (end == std::string_view::npos) return "";
    list.remove_prefix(end + 1);
  }
}

}  // namespace

base::Result<Config> in_cluster(const InClusterPlace& place) {
  const std::string host = place.host.empty() ? environment("KUBERNETES_SERVICE_HOST") : place.host;
  const std::string port = place.port.empty() ? environment("KUBERNETES_SERVICE_PORT") : place.port;
  if (host.empty() || port.empty())
    return base::fail(ErrorKind::kNotFound,
                      "not in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set");
  Config config;
  config.server = fmt::format("https://{}:{}", host.contains(':') ? "[" + host + "]" : host, port);
  config.token_file = place.directory + "/token";
  config.authority.file = place.directory + "/ca.crt";
  config.origin = "in-cluster";
  for (const std::string& file : {config.token_file, config.authority.file})
    if (!file_exists(file))
      return base::fail(ErrorKind::kNotFound,
                        file + " is missing: does the pod have automountServiceAccountToken: false?");
  if (const auto ns = read_file(place.directory + "/namespace", 256)) config.ns = trimmed(ns->text);
  return config;
}

base::Result<Config> from_kubeconfig(const std::string& path, std::string_view context) {
  TRY_ASSIGN(const FileText file, read_file(path, 1u << 20));
  return parse_kubeconfig(file.text, path, context);
}

base::Result<Config> find_config(const std::string& flag, std::string_view context) {
  if (!flag.empty()) return from_kubeconfig(flag, context);
  std::string looked;
  const std::string from_environment = first_existing(environment("KUBECONFIG"), looked);
  if (!from_environment.empty()) return from_kubeconfig(from_environment, context);
  const std::string home = environment("HOME");
  if (!home.empty()) {
    const std::string path = home + "/.kube/config";
    if (file_exists(path)) return from_kubeconfig(path, context);
    looked += ", " + path;
  }
  auto pod = in_cluster();
  if (pod || pod.error().kind != ErrorKind::kNotFound) return pod;
  return base::fail(
      ErrorKind::kNotFound,
      fmt::format("no kubeconfig: looked at{} {}; name one with --kubeconfig",
                  looked.empty() ? " $KUBECONFIG (not set)," : looked.substr(1) + ";", pod.error().what));
}

TokenSource::TokenSource(const Config& config, const base::Clock& clock)
    : file_(config.token_file), clock_(clock), token_(config.token_file.empty() ? config.token : "") {}

base::Result<std::string> TokenSource::current() {
  const base::MutexLock lock(mutex_);
  if (file_.empty() || clock_.now() < next_look_) return token_;
  next_look_ = clock_.now() + kLook;
  if (const auto looked = look(); !looked && token_.empty()) {
    next_look_ = {};  // nothing to go on with: the next call looks again
    return std::unexpected(looked.error());
  }
  return token_;
}

base::Status TokenSource::look() {
  if (stamp_of(file_) == stamp_ && !token_.empty()) return {};
  TRY_ASSIGN(FileText file, read_file(file_, kMaxToken));
  std::string token = trimmed(std::move(file.text));
  // It becomes a header of a request: nothing in it may end the line.
  if (token.empty() || token.find_first_of(" \t\r\n") != std::string::npos)
    return base::fail(ErrorKind::kInvalid, file_ + " holds no token");
  token_ = std::move(token);
  stamp_ = file.stamp;
  return {};
}

void TokenSource::refused() {
  const base::MutexLock lock(mutex_);
  next_look_ = {};
  stamp_ = 0;
}

}  // namespace weft::kube
