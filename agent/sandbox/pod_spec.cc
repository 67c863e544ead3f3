#include "agent/sandbox/pod_spec.h"

#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/stat.h>

#include <map>

#include "agent/sandbox/files.h"
#include "agent/sandbox/token_files.h"

namespace weft::sandbox {
namespace {

const std::string* lookup(const std::vector<std::string>& env, const std::string& name) {
  for (auto it = env.rbegin(); it != env.rend(); ++it)
    if (it->starts_with(name + "=")) return &*it;
  return nullptr;
}

// status.podIP, metadata.name and so on; metadata.labels['x'] and metadata.annotations['x'].
std::string field_value(const Json& pod, const std::string& path) {
  const size_t quote = path.find("['");
  if (quote != std::string::npos && path.ends_with("']")) {
    const Json& map = at(pod, path.substr(0, quote));
    const std::string key = path.substr(quote + 2, path.size() - quote - 4);
    auto found = map.is_object() ? map.find(key) : map.end();
    return map.is_object() && found != map.end() ? scalar_text(*found) : "";
  }
  return scalar_text(at(pod, path));
}

const Json* find_volume(const Json& pod, const std::string& name) {
  for (const Json& volume : list_at(pod, "spec.volumes"))
    if (text_at(volume, "name") == name) return &volume;
  return nullptr;
}

base::Result<std::string> volume_source(const Layout& layout, const Json& pod, const std::string& name) {
  const Json* volume = find_volume(pod, name);
  if (volume == nullptr)
    return base::fail(base::ErrorKind::kInvalid, "volumeMount \"" + name + "\" names no volume of the pod");
  if (has(*volume, "hostPath.path")) return text_at(*volume, "hostPath.path");
  // Filled by the kubelet before any container starts.
  if (volume->contains("projected")) return projected_dir(layout, pod, name);
  if (!volume->contains("emptyDir"))
    return base::fail(base::ErrorKind::kUnsupported,
                      "volume \"" + name + "\": the sandbox has emptyDir, hostPath and projected");
  const std::string path = pod_dir(layout, pod) + "/volumes/" + name;
  TRY(make_directories(path));
  ::chmod(path.c_str(), 0777);
  return path;
}

base::Status add_volumes(const Layout& layout, const Json& pod, const Json& container, Launch* launch) {
  for (const Json& mount : list_at(container, "volumeMounts")) {
    TRY_ASSIGN(auto source, volume_source(layout, pod, text_at(mount, "name")));
    const std::string target = text_at(mount, "mountPath");
    // A container's root is the machine's; only /run is the pod's own, so only there can new places be made.
    if (!target.starts_with("/run/") && !exists(target))
      return base::fail(base::ErrorKind::kUnsupported,
                        "mountPath " + target + ": is not below /run and does not exist on this machine");
    launch->binds.push_back({source, target, bool_at(mount, "readOnly")});
  }
  return {};
}

// Those that pods of a mesh ask for.
base::Result<uint64_t> capability_bit(const std::string& name) {
  static const std::map<std::string, int> kNumbers = {{"NET_BIND_SERVICE", CAP_NET_BIND_SERVICE},
                                                      {"NET_ADMIN", CAP_NET_ADMIN},
                                                      {"NET_RAW", CAP_NET_RAW},
                                                      {"SYS_PTRACE", CAP_SYS_PTRACE},
                                                      {"SYS_ADMIN", CAP_SYS_ADMIN},
                                                      {"SYS_RESOURCE", CAP_SYS_RESOURCE},
                                                      {"PERFMON", CAP_PERFMON},
                                                      {"BPF", CAP_BPF},
                                                      {"CHOWN", CAP_CHOWN},
                                                      {"SETUID", CAP_SETUID},
                                                      {"SETGID", CAP_SETGID},
                                                      {"DAC_OVERRIDE", CAP_DAC_OVERRIDE}};
  const auto found = kNumbers.find(name);
  if (found != kNumbers.end()) return uint64_t{1} << found->second;
  return base::fail(base::ErrorKind::kUnsupported,
                    "capabilities.add: the sandbox does not know \"" + name + "\"");
}

base::Status set_rights(const Json& pod, const Json& container, Launch* launch) {
  const Json& own = at(container, "securityContext");
  const Json& of_pod = at(pod, "spec.securityContext");
  const int64_t user = int_at(own, "runAsUser", int_at(of_pod, "runAsUser", -1));
  if (user >= 0) launch->run_as_user = static_cast<uid_t>(user);
  launch->read_only_root = bool_at(own, "readOnlyRootFilesystem");
  launch->no_new_privileges = !bool_at(own, "allowPrivilegeEscalation", true);
  for (const Json& name : list_at(own, "capabilities.drop"))
    if (name == "ALL") launch->keep_capabilities = 0;
  if (!launch->keep_capabilities) return {};
  for (const Json& name : list_at(own, "capabilities.add")) {
    TRY_ASSIGN(const uint64_t bit, capability_bit(scalar_text(name)));
    *launch->keep_capabilities |= bit;
  }
  return {};
}

}  // namespace

std::string resolv_conf(const Layout& layout, const std::string& ns) {
  return fmt::format(
      "search {}.svc.cluster.local svc.cluster.local cluster.local\nnameserver {}\noptions ndots:5\n", ns,
      layout.dns_address());
}

std::string hosts_file(const Json& pod) {
  std::string out = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
  for (const Json& ip : list_at(pod, "status.podIPs"))
    out += text_at(ip, "ip") + "\t" + text_at(pod, "spec.hostname", text_at(pod, "metadata.name")) + "\n";
  for (const Json& alias : list_at(pod, "spec.hostAliases"))
    for (const Json& name : list_at(alias, "hostnames"))
      out += text_at(alias, "ip") + "\t" + scalar_text(name) + "\n";
  return out;
}

std::string expand(const std::string& text, const std::vector<std::string>& env) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 3, "$$(") == 0) {
      out += "$(";
      i += 2;
      continue;
    }
    const size_t close = text.compare(i, 2, "$(") == 0 ? text.find(')', i) : std::string::npos;
    const std::string* found =
        close == std::string::npos ? nullptr : lookup(env, text.substr(i + 2, close - i - 2));
    if (found == nullptr) {
      out += text[i];
      continue;
    }
    out += found->substr(found->find('=') + 1);
    i = close;
  }
  return out;
}

std::vector<std::string> container_env(const Layout& layout, const Json& pod, const Json& container) {
  std::vector<std::string> env{
      "PATH=" + layout.plan().programs + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      "HOSTNAME=" + text_at(pod, "metadata.name"), "HOME=/"};
  for (const Json& entry : list_at(container, "env")) {
    const std::string field = text_at(entry, "valueFrom.fieldRef.fieldPath");
    const std::string value =
        field.empty() ? expand(scalar_text(at(entry, "value")), env) : field_value(pod, field);
    env.push_back(text_at(entry, "name") + "=" + value);
  }
  return env;
}

std::vector<std::string> container_argv(const Image& image, const Json& container,
                                        const std::vector<std::string>& env) {
  std::vector<std::string> argv;
  for (const Json& word : list_at(container, "command")) argv.push_back(expand(scalar_text(word), env));
  const bool own_command = !argv.empty();
  if (!own_command) argv = image.entrypoint;
  const auto& args = list_at(container, "args");
  for (const Json& word : args) argv.push_back(expand(scalar_text(word), env));
  if (!own_command && args.empty()) argv.insert(argv.end(), image.arguments.begin(), image.arguments.end());
  return argv;
}

std::string pod_netns(const Layout& layout, const Json& pod) {
  if (bool_at(pod, "spec.hostNetwork")) return layout.netns(text_at(pod, "spec.nodeName"));
  return layout.netns(text_at(pod, "metadata.name") + "." + text_at(pod, "metadata.uid").substr(0, 8));
}

std::string pod_cgroup(const Layout& layout, const Json& pod) {
  return layout.kubepods(text_at(pod, "spec.nodeName")) + "/pod" + text_at(pod, "metadata.uid");
}

std::string pod_dir(const Layout& layout, const Json& pod) {
  return layout.pods() + "/" + text_at(pod, "metadata.uid");
}

base::Result<Launch> container_launch(const Layout& layout, const Json& pod, const Json& container) {
  Launch launch;
  launch.env = container_env(layout, pod, container);
  launch.netns = pod_netns(layout, pod);
  launch.directory = text_at(container, "workingDir", "/");
  // A privileged container sees the machine's own mounts: it looks after other pods' namespaces.
  launch.private_mounts = !bool_at(container, "securityContext.privileged");
  launch.hide = kSandboxesDir;
  if (launch.private_mounts) {
    launch.hostname = text_at(pod, "spec.hostname", text_at(pod, "metadata.name"));
    if (!bool_at(pod, "spec.hostNetwork")) {
      launch.binds.push_back({pod_dir(layout, pod) + "/resolv.conf", "/etc/resolv.conf"});
      launch.binds.push_back({pod_dir(layout, pod) + "/hosts", "/etc/hosts"});
    }
    TRY(add_volumes(layout, pod, container, &launch));
  }
  TRY(set_rights(pod, container, &launch));
  return launch;
}

}  // namespace weft::sandbox
