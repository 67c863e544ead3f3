// What the commands of weft on Kubernetes do.
#include <fmt/format.h>
#include <sys/utsname.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>

#include "agent/ctl/install_commands.h"
#include "agent/install/check.h"
#include "agent/install/installer.h"
#include "agent/install/render.h"
#include "agent/parse/yaml.h"

namespace weft::ctl {
namespace {

using install::Trouble;
using objects::Node;

// A connection to an API server and what speaks through it. Owner: a command.
struct Session {
  Session(std::unique_ptr<kube::Client> its_client, const kube::RequestLimits& limits)
      : client(std::move(its_client)), cluster(*client, limits), installer(cluster, clock, [](const std::string& line) {
          fmt::print("{}\n", line);
          std::fflush(stdout);
        }) {}

  base::SystemClock clock;
  std::unique_ptr<kube::Client> client;
  install::Cluster cluster;
  install::Installer installer;
};

base::Result<std::unique_ptr<Session>> open(const InstallWords& words, const kube::RequestLimits& limits = {}) {
  std::signal(SIGPIPE, SIG_IGN);
  static const base::SystemClock kClock;
  TRY_ASSIGN(auto config, kube::find_config(words.kubeconfig, words.context));
  config.user_agent = fmt::format("weftctl/{}", WEFT_VERSION);
  TRY_ASSIGN(auto client, kube::Client::create(std::move(config), kClock));
  return std::make_unique<Session>(std::move(client), limits);
}

base::Result<install::Settings> settings_of(const InstallWords& words,
                                            install::Settings settings = install::default_settings(WEFT_VERSION)) {
  for (const std::string& assignment : words.settings) TRY(install::apply_setting(settings, assignment));
  return settings;
}

base::Status apply_and_wait(const InstallWords& words, Session& session, const install::Settings& settings) {
  const auto objects = install::render(settings);
  TRY(session.installer.apply(objects));
  if (words.no_wait) return {};
  TRY(session.installer.wait_ready(objects, std::chrono::seconds(words.timeout)));
  fmt::print("weft {} is installed and ready. Next: kubectl label namespace NAME istio-injection=enabled\n",
             settings.version);
  return {};
}

void print(const Trouble& trouble, std::string_view word) {
  fmt::print("{}: {}\n", trouble.object, word);
  for (const std::string& detail : trouble.details) fmt::print("    {}\n", detail);
}

base::Result<std::string> read_text(const std::string& path) {
  if (path == "-") return std::string{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
  std::ifstream in(path);
  if (!in) return base::fail_errno(path);
  return std::string{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// An object needs a kind and a name to be looked for. `ns`: of those that name none, where their kind lies in one.
base::Status take_object(Session& session, const std::string& file, Node object, std::vector<Node>& out) {
  const std::string& version = object.at({"apiVersion"}).as_string();
  const std::string& kind = object.at({"kind"}).as_string();
  if (version.empty() || kind.empty() || object.at({"metadata", "name"}).as_string().empty())
    return base::fail(base::ErrorKind::kInvalid, fmt::format("{}:{}: no object: apiVersion, kind and metadata.name are "
                                                             "needed",
                                                             file, object.mark().line));
  const auto resource = session.cluster.resource_of(version, kind);
  if (!resource && !resource.error().not_found()) return std::unexpected(resource.error());
  if (resource && resource->namespaced && object.at({"metadata", "namespace"}).as_string().empty())
    object["metadata"].set("namespace", Node::string(session.client->config().ns));
  out.push_back(std::move(object));
  return {};
}

base::Status read_objects(Session& session, const std::string& file, std::vector<Node>& out) {
  TRY_ASSIGN(const std::string text, read_text(file));
  const auto read = parse::read_yaml(text, file);
  if (!read.findings.empty()) return base::fail(base::ErrorKind::kInvalid, objects::to_string(read.findings.front()));
  for (const auto& document : read.documents) {
    if (!document.root.at({"kind"}).as_string().ends_with("List")) {
      TRY(take_object(session, file, document.root, out));
      continue;
    }
    for (const Node& item : document.root.at({"items"}).items()) TRY(take_object(session, file, item, out));
  }
  return {};
}

base::Result<std::vector<Node>> wanted_objects(const InstallWords& words, Session& session) {
  std::vector<Node> objects;
  for (const std::string& file : words.files) TRY(read_objects(session, file, objects));
  if (!words.files.empty()) return objects;
  TRY_ASSIGN(const auto settings, session.installer.kept_settings(WEFT_VERSION));
  return install::render(settings);
}

}  // namespace

base::Status run_generate(const InstallWords& words) {
  TRY_ASSIGN(const auto settings, settings_of(words));
  fmt::print("{}", install::rendered_yaml(settings));
  return {};
}

base::Status run_install(const InstallWords& words) {
  TRY_ASSIGN(const auto settings, settings_of(words));
  TRY_ASSIGN(const auto session, open(words));
  return apply_and_wait(words, *session, settings);
}

base::Status run_upgrade(const InstallWords& words) {
  TRY_ASSIGN(const auto session, open(words));
  TRY_ASSIGN(auto kept, session->installer.kept_settings(WEFT_VERSION));
  TRY_ASSIGN(const auto settings, settings_of(words, std::move(kept)));
  if (!words.plan) return apply_and_wait(words, *session, settings);
  TRY_ASSIGN(const auto changes, session->installer.compare(install::render(settings), false));
  size_t created = 0;
  for (const Trouble& change : changes) {
    const bool is_new = change.kind == Trouble::Kind::kMissing;
    created += is_new ? 1 : 0;
    print(change, is_new ? "would be created" : "would change");
  }
  fmt::print("{} to create, {} to change; nothing was done\n", created, changes.size() - created);
  return {};
}

base::Status run_uninstall(const InstallWords& words) {
  TRY_ASSIGN(const auto session, open(words));
  TRY_ASSIGN(const auto settings, session->installer.kept_settings(WEFT_VERSION));
  return session->installer.remove(settings, {.purge = words.purge, .force = words.force});
}

base::Status run_verify(InstallWords& words) {
  TRY_ASSIGN(const auto session, open(words));
  TRY_ASSIGN(const auto objects, wanted_objects(words, *session));
  if (objects.empty()) return base::fail(base::ErrorKind::kInvalid, "there is no object in these files");
  TRY_ASSIGN(const auto troubles, session->installer.compare(objects, true));
  for (const Trouble& trouble : troubles) print(trouble, install::name_of(trouble.kind));
  words.exit_code = troubles.empty() ? 0 : 1;
  if (troubles.empty())
    fmt::print("{} objects are there, as they should be, and ready\n", objects.size());
  else
    fmt::print("{} of {} objects are not as they should be: `weftctl manifest apply` brings them back\n", troubles.size(),
               objects.size());
  return {};
}

base::Status run_check(InstallWords& words) {
  if (!words.output.empty() && words.output != "json")
    return base::fail(base::ErrorKind::kInvalid, "-o " + words.output + ": only json, or nothing");
  std::vector<install::Check> checks;
  const auto session = open(words);
  const auto settings = session && !words.pre ? (*session)->installer.kept_settings(WEFT_VERSION) : settings_of(words);
  if (!session || !settings)
    checks.push_back({"api-config", "Kubernetes API", "an API server can be asked", install::Verdict::kError,
                      base::describe(session ? settings.error() : session.error()), "see --kubeconfig and --context", 0});
  else
    checks = words.pre ? install::check_before((*session)->cluster, *settings, (*session)->clock)
                       : install::check_installed((*session)->cluster, *settings, (*session)->clock);
  utsname machine{};
  if (words.node && uname(&machine) == 0)
    for (auto& check : install::check_machine("", machine.release)) checks.push_back(std::move(check));
  fmt::print("{}", words.output == "json" ? install::checks_json(checks) : install::checks_text(checks));
  words.exit_code = install::exit_code_of(checks, words.strict);
  return {};
}

base::Status run_version(const InstallWords& words) {
  fmt::print("weftctl {}\n", WEFT_VERSION);
  if (words.client) return {};
  const auto session = open(words, {.deadline = std::chrono::seconds(3), .retries = 0});
  if (!session) {
    fmt::print("no cluster: {}\n", base::describe(session.error()));
    return {};
  }
  install::Cluster& cluster = (*session)->cluster;
  const auto server = cluster.read("v1", "Namespace", "", "weft-system");
  if (!server) {
    fmt::print("{}\n", server.error().not_found() ? "nothing is installed in this cluster"
                                                   : "no cluster: " + base::describe(server.error()));
    return {};
  }
  for (const Node& object : install::render(install::default_settings(WEFT_VERSION))) {
    const auto& containers = object.at({"spec", "template", "spec", "containers"}).items();
    if (containers.empty()) continue;
    const auto live = cluster.read(object);
    const std::string& name = object.at({"metadata", "name"}).as_string();
    if (!live) {
      fmt::print("{}: {}\n", name, live.error().not_found() ? "missing" : base::describe(live.error()));
      continue;
    }
    const auto& running = live->at({"spec", "template", "spec", "containers"}).items();
    fmt::print("{} {} ({})\n", name, live->at({"metadata", "labels", "app.kubernetes.io/version"}).as_string(),
               running.empty() ? "" : running.front().at({"image"}).as_string());
  }
  return {};
}

}  // namespace weft::ctl
