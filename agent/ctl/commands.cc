#include "agent/ctl/commands.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ctime>
#include <functional>
#include <iostream>

#include "agent/ctl/certs.h"
#include "agent/ctl/completion.h"
#include "agent/ctl/edit.h"
#include "agent/ctl/get.h"
#include "agent/ctl/inspect.h"
#include "agent/ctl/install_commands.h"
#include "agent/objects/finding.h"
#include "agent/sandbox/daemon.h"
#include "agent/sandbox/forward.h"
#include "agent/sandbox/lifecycle.h"
#include "userspace-proxy/base/log.h"

namespace weft::ctl {
namespace {

// Everything the command line can say. Owner: run_weftctl. Lifetime: the process.
struct Words {
  std::string name = "default", ns = "default";
  std::vector<std::string> files, names, command;
  sandbox::UpOptions up;
  std::vector<std::string> images;
  bool resume = false, no_mesh = false, all = false, host = false, ignore_missing = false, no_wait = false;
  std::string kind, object, container, port = "http2", wait_ns;
  GetOptions get;
  LogOptions logs;
  int replicas = 1, timeout = 60, grace = -1;
  bool overwrite = false, interactive = false;
};

using Action = std::function<base::Status()>;

base::Result<Layout> need(const Words& words) {
  TRY_ASSIGN(auto layout, sandbox::load_layout(words.name));
  if (!sandbox::daemon_is_running(layout))
    std::cerr << fmt::format(
        "warning: the daemon of sandbox \"{0}\" is not running, nothing will change until "
        "`weftctl sandbox --name {0} up --resume`\n",
        words.name);
  return layout;
}

base::Result<objects::Kind> kind_named(const std::string& word) {
  if (auto kind = objects::kind_of(word)) return *kind;
  return base::fail(base::ErrorKind::kInvalid, "unknown kind \"" + word + "\"");
}

// "deployment/httpgo" and "deployment httpgo" are the same.
void split_slash(std::string* kind, std::vector<std::string>* names) {
  const size_t slash = kind->find('/');
  if (slash == std::string::npos) return;
  names->insert(names->begin(), kind->substr(slash + 1));
  kind->resize(slash);
}

base::Status run_up(Words& words) {
  words.up.name = words.name;
  words.up.mesh = !words.no_mesh;
  for (const std::string& pair : words.images) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos)
      return base::fail(base::ErrorKind::kInvalid, "--image " + pair + ": use NAME=COMMAND");
    words.up.images[pair.substr(0, equals)] = pair.substr(equals + 1);
  }
  TRY_ASSIGN(const auto layout, words.resume ? sandbox::resume(words.name) : sandbox::up(words.up));
  fmt::print("sandbox {} is up: {}", words.name, layout.plan().nodes);
  fmt::print(" nodes, pods {} ..., services {}\n", layout.pod_cidr_v4(1), layout.service_cidr_v4());
  return {};
}

base::Status run_down(const Words& words) {
  const auto names = words.all ? sandbox::names_with_traces() : std::vector<std::string>{words.name};
  for (const std::string& name : names) {
    TRY_ASSIGN(const auto done, sandbox::down(name));
    if (done.empty()) fmt::print("sandbox {}: nothing to remove\n", name);
    for (const std::string& line : done) fmt::print("sandbox {}: removed {}\n", name, line);
  }
  return {};
}

base::Status run_serve(const Words& words) {
  base::init_log("sandbox", "info");
  TRY_ASSIGN(auto layout, sandbox::load_layout(words.name));
  TRY_ASSIGN(const auto daemon, sandbox::Daemon::create(std::move(layout)));
  return daemon->run();
}

base::Status run_get(Words& words) {
  TRY_ASSIGN(const auto layout, need(words));
  words.get.ns = words.ns;
  TRY_ASSIGN(const auto text, get(ClusterView::load(layout), words.get, std::time(nullptr)));
  fmt::print("{}", text);
  if (text.empty() && words.get.output.empty())
    std::cerr << "No resources found" << (words.get.all_namespaces ? "" : " in " + words.ns + " namespace")
              << ".\n";
  return {};
}

base::Status run_delete(Words& words) {
  TRY_ASSIGN(const auto layout, need(words));
  if (!words.files.empty()) return delete_files(layout, words.files, words.ns, words.ignore_missing);
  split_slash(&words.kind, &words.names);
  if (words.kind.empty() || words.names.empty())
    return base::fail(base::ErrorKind::kInvalid, "delete: say -f FILE, or KIND and NAME");
  TRY_ASSIGN(const auto kind, kind_named(words.kind));
  return delete_named(layout, kind, words.names,
                      {words.ns, words.ignore_missing, !words.no_wait, words.grace});
}

base::Status run_label(Words& words) {
  TRY_ASSIGN(const auto layout, need(words));
  split_slash(&words.kind, &words.names);
  if (words.names.size() < 2)
    return base::fail(base::ErrorKind::kInvalid, "label: say KIND NAME key=value (or key- to remove)");
  TRY_ASSIGN(const auto kind, kind_named(words.kind));
  return label(layout, kind, words.names[0], words.ns, {words.names.begin() + 1, words.names.end()});
}

base::Status run_create(Words& words) {
  TRY_ASSIGN(const auto layout, need(words));
  if (objects::kind_of(words.kind) != objects::Kind::kNamespace)
    return base::fail(base::ErrorKind::kInvalid,
                      "create: only `create namespace NAME`; for the rest use apply -f");
  return create_namespace(layout, words.object);
}

// scale and rollout restart: the object is a Deployment, however it is written.
base::Result<std::string> deployment_named(Words& words) {
  split_slash(&words.kind, &words.names);
  TRY_ASSIGN(const auto kind, kind_named(words.kind));
  if (kind != objects::Kind::kDeployment || words.names.size() != 1)
    return base::fail(base::ErrorKind::kInvalid, "say deployment NAME");
  return words.names[0];
}

void add_edit_commands(CLI::App& sandbox, Words& words, Action& action) {
  auto* apply_cmd = sandbox.add_subcommand("apply", "apply manifests");
  apply_cmd->add_option("-f,--filename", words.files, "file, directory or -")->required();
  apply_cmd->add_option("-n,--namespace", words.ns, "for objects that name none");
  apply_cmd->callback([&] {
    action = [&]() -> base::Status {
      TRY_ASSIGN(const auto layout, need(words));
      return apply(layout, words.files, words.ns);
    };
  });
  auto* delete_cmd = sandbox.add_subcommand("delete", "delete objects");
  delete_cmd->add_option("kind", words.kind);
  delete_cmd->add_option("names", words.names);
  delete_cmd->add_option("-f,--filename", words.files, "manifests whose objects go");
  delete_cmd->add_option("-n,--namespace", words.ns);
  delete_cmd->add_option("--grace-period", words.grace, "seconds for pods");
  delete_cmd->add_flag("--ignore-not-found", words.ignore_missing);
  delete_cmd->add_flag("--no-wait", words.no_wait, "do not wait for pods to be gone");
  delete_cmd->callback([&] { action = [&] { return run_delete(words); }; });
  auto* create_cmd = sandbox.add_subcommand("create", "create namespace NAME");
  create_cmd->add_option("kind", words.kind)->required();
  create_cmd->add_option("name", words.object)->required();
  create_cmd->callback([&] { action = [&] { return run_create(words); }; });
  auto* label_cmd = sandbox.add_subcommand("label", "label KIND NAME key=value ... (key- removes)");
  label_cmd->add_option("kind", words.kind)->required();
  label_cmd->add_option("name-and-labels", words.names)->required();
  label_cmd->add_option("-n,--namespace", words.ns);
  label_cmd->add_flag("--overwrite", words.overwrite, "accepted for kubectl's sake");
  label_cmd->callback([&] { action = [&] { return run_label(words); }; });
  auto* scale_cmd = sandbox.add_subcommand("scale", "scale deployment NAME --replicas N");
  scale_cmd->add_option("kind", words.kind)->required();
  scale_cmd->add_option("name", words.names);
  scale_cmd->add_option("--replicas", words.replicas)->required()->check(CLI::Range(0, 250));
  scale_cmd->add_option("-n,--namespace", words.ns);
  scale_cmd->callback([&] {
    action = [&]() -> base::Status {
      TRY_ASSIGN(const auto layout, need(words));
      TRY_ASSIGN(const auto name, deployment_named(words));
      return scale(layout, name, words.ns, words.replicas);
    };
  });
  auto* rollout_cmd = sandbox.add_subcommand("rollout", "rollout restart deployment NAME");
  auto* restart_cmd = rollout_cmd->add_subcommand("restart", "replace the pods one by one");
  rollout_cmd->require_subcommand(1);
  restart_cmd->add_option("kind", words.kind)->required();
  restart_cmd->add_option("name", words.names);
  restart_cmd->add_option("-n,--namespace", words.ns);
  restart_cmd->callback([&] {
    action = [&]() -> base::Status {
      TRY_ASSIGN(const auto layout, need(words));
      TRY_ASSIGN(const auto name, deployment_named(words));
      return rollout_restart(layout, name, words.ns);
    };
  });
}

void add_inspect_commands(CLI::App& sandbox, Words& words, Action& action) {
  auto* get_cmd = sandbox.add_subcommand("get", "list objects");
  get_cmd->add_option("kinds", words.get.kinds, "pods, svc, gateways,virtualservices, pod/NAME ...")
      ->required();
  get_cmd->add_option("names", words.get.names);
  get_cmd->add_option("-n,--namespace", words.ns);
  get_cmd->add_flag("-A,--all-namespaces", words.get.all_namespaces);
  get_cmd->add_option("-o,--output", words.get.output, "wide, yaml, json, name, jsonpath=...");
  get_cmd->add_option("-l,--selector", words.get.selector);
  get_cmd->add_flag("--ready", words.get.ready, "only what is ready");
  get_cmd->add_flag("--show-labels", words.get.show_labels);
  get_cmd->add_flag("--no-headers", words.get.no_headers);
  get_cmd->callback([&] { action = [&] { return run_get(words); }; });
  auto* logs_cmd = sandbox.add_subcommand("logs", "what a pod has printed");
  logs_cmd->add_option("pod", words.logs.pod);
  logs_cmd->add_option("-c,--container", words.logs.container);
  logs_cmd->add_option("-n,--namespace", words.ns);
  logs_cmd->add_option("-l,--selector", words.logs.selector, "pods by label");
  logs_cmd->add_option("--tail", words.logs.tail, "the last lines only");
  logs_cmd->add_flag("-f,--follow", words.logs.follow);
  logs_cmd->callback([&] {
    action = [&]() -> base::Status {
      TRY_ASSIGN(const auto layout, sandbox::load_layout(words.name));
      words.logs.ns = words.ns;
      return print_logs(layout, words.logs);
    };
  });
}

void add_entry_commands(CLI::App& sandbox, Words& words, Action& action) {
  auto* exec_cmd = sandbox.add_subcommand("exec", "exec POD|NODE|outside -- COMMAND");
  exec_cmd->add_option("where", words.object)->required();
  exec_cmd->add_option("-n,--namespace", words.ns);
  exec_cmd->add_option("-c,--container", words.container);
  exec_cmd->add_flag("-i,--stdin,-t,--tty", words.interactive, "accepted for kubectl's sake: both are always kept");
  exec_cmd->callback([&] {
    action = [&]() -> base::Status {
      TRY_ASSIGN(const auto layout, sandbox::load_layout(words.name));
      return exec(layout, words.object, words.container, words.ns, words.command);
    };
  });
  auto* url_cmd = sandbox.add_subcommand("url", "where the ingress gateway answers");
  url_cmd->add_option("--port", words.port, "name of its port");
  url_cmd->add_flag("--host", words.host, "through a port of this machine");
  url_cmd->callback([&] {
    action = [&]() -> base::Status {
      TRY_ASSIGN(const auto layout, sandbox::load_layout(words.name));
      TRY_ASSIGN(const auto url, words.host ? host_url(layout) : gateway_url(layout, words.port));
      fmt::print("{}\n", url);
      return {};
    };
  });
  auto* wait_cmd = sandbox.add_subcommand("wait", "until all deployments and pods are ready");
  wait_cmd->add_option("--timeout", words.timeout, "seconds");
  wait_cmd->add_option("-n,--namespace", words.wait_ns, "of one namespace only");
  wait_cmd->callback([&] {
    action = [&]() -> base::Status {
      TRY_ASSIGN(const auto layout, need(words));
      return wait_ready(layout, words.wait_ns, words.timeout);
    };
  });
  sandbox.add_subcommand("status", "nodes, capture, findings")->callback([&] {
    action = [&]() -> base::Status {
      TRY_ASSIGN(const auto layout, sandbox::load_layout(words.name));
      fmt::print("{}", status_text(layout, ClusterView::load(layout)));
      return {};
    };
  });
}

void add_life_commands(CLI::App& sandbox, Words& words, Action& action) {
  auto* up_cmd = sandbox.add_subcommand("up", "make a cluster of namespaces and cgroups on this machine");
  up_cmd->add_option("--nodes", words.up.nodes, "how many nodes")->capture_default_str();
  up_cmd->add_flag("--dual-stack", words.up.dual_stack, "IPv4 and IPv6");
  up_cmd->add_flag("--no-mesh", words.no_mesh, "without weft's own parts");
  up_cmd->add_option("--certificate-lifetime", words.up.certificate_lifetime, "of workloads: 2m, 24h")
      ->capture_default_str();
  up_cmd->add_option("--image", words.images, "NAME=COMMAND: one more image");
  up_cmd->add_flag("--resume", words.resume, "start the daemon of a sandbox that is there again");
  up_cmd->callback([&] { action = [&] { return run_up(words); }; });
  auto* down_cmd = sandbox.add_subcommand("down", "remove every trace");
  down_cmd->add_flag("--all", words.all, "of every sandbox");
  down_cmd->callback([&] { action = [&] { return run_down(words); }; });
  sandbox.add_subcommand("list", "names of the sandboxes")->callback([&] {
    action = [&]() -> base::Status {
      for (const std::string& name : sandbox::sandbox_names()) fmt::print("{}\n", name);
      return {};
    };
  });
  // Not for people: `up` starts these.
  auto* serve_cmd = sandbox.add_subcommand("serve", "the sandbox's daemon")->group("");
  serve_cmd->callback([&] { action = [&] { return run_serve(words); }; });
  auto* forward_cmd = sandbox.add_subcommand("forward", "the port of this machine")->group("");
  forward_cmd->callback([&] {
    action = [&]() -> base::Status {
      TRY_ASSIGN(const auto layout, sandbox::load_layout(words.name));
      return sandbox::forward(layout);
    };
  });
}

// Under the name istioctl scripts written for Istio run unchanged.
std::string program_name(const char* path) {
  const std::string_view name = path ? std::string_view(path) : "";
  return name.substr(name.rfind('/') + 1) == "istioctl" ? "istioctl" : "weftctl";
}

void add_completion(CLI::App& app, Words& words, Action& action) {
  auto* command = app.add_subcommand("completion", "completion bash|zsh|fish: a script for that shell");
  command->add_option("shell", words.kind, "bash, zsh or fish")->required();
  command->callback([&] {
    action = [&]() -> base::Status {
      TRY_ASSIGN(const auto script, completion_script(tree_of(app, app.get_name()), words.kind));
      fmt::print("{}", script);
      return {};
    };
  });
}

// What follows "--" is a command, not options: taken away before the parser can touch it.
std::vector<std::string> take_command(int* argc, char** argv) {
  for (int i = 1; i < *argc; ++i) {
    if (std::string_view(argv[i]) != "--") continue;
    std::vector<std::string> command(argv + i + 1, argv + *argc);
    *argc = i;
    return command;
  }
  return {};
}

}  // namespace

int run_weftctl(int argc, char** argv) {
  Words words;
  CertWords certs;
  InstallWords installing;
  Action action;
  words.command = take_command(&argc, argv);
  const std::string name = program_name(argc > 0 ? argv[0] : nullptr);
  CLI::App app(name + ": weft's command line", name);
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "help of all commands");
  add_install_commands(app, installing, action);
  add_cert_commands(app, certs, action);
  add_completion(app, words, action);
  auto* sandbox = app.add_subcommand("sandbox", "a cluster without Kubernetes on this machine");
  sandbox->add_option("--name", words.name, "which sandbox")->capture_default_str();
  sandbox->require_subcommand(1);
  sandbox->fallthrough();
  add_life_commands(*sandbox, words, action);
  add_edit_commands(*sandbox, words, action);
  add_inspect_commands(*sandbox, words, action);
  add_entry_commands(*sandbox, words, action);
  for (CLI::App* command : sandbox->get_subcommands({})) command->fallthrough();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {  // CLI11 reports by throwing, help included
    return app.exit(error) == 0 ? 0 : 2;
  }
  const base::Status done = action ? action() : base::Status{};
  if (done) return std::max(certs.exit_code, installing.exit_code);
  std::fflush(stdout);
  std::cerr << "error: " << base::describe(done.error()) << "\n";
  return certs.error_code;
}

}  // namespace weft::ctl
