#include "agent/ctl/install_commands.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "agent/install/settings.h"

namespace weft::ctl {
namespace {

using Action = std::function<base::Status()>;

std::string keys_text() {
  size_t width = 0;
  for (const auto& key : install::setting_keys()) width = std::max(width, key.key.size());
  std::string out = "Keys of --set:\n";
  const auto standard = install::default_settings(WEFT_VERSION);
  for (const auto& key : install::setting_keys()) {
    const std::string value = key.show(standard);
    out += fmt::format("  {:<{}}  {}{}\n", key.key, width, key.help, value.empty() ? "" : " (" + value + ")");
  }
  return out;
}

void add_settings(CLI::App& command, InstallWords& words) {
  command.add_option("--set", words.settings, "KEY=VALUE, may be repeated")->allow_extra_args(false);
  command.footer(keys_text());
}

void add_cluster(CLI::App& command, InstallWords& words) {
  command.add_option("--kubeconfig", words.kubeconfig, "file; else $KUBECONFIG, ~/.kube/config, the pod's own account");
  command.add_option("--context", words.context, "of the kubeconfig; else its current one");
}

// install and manifest apply are one thing.
void add_apply(CLI::App& command, InstallWords& words, Action& action) {
  add_cluster(command, words);
  add_settings(command, words);
  command.add_option("--timeout", words.timeout, "seconds to wait until all is ready")->capture_default_str();
  command.add_flag("--no-wait", words.no_wait, "do not wait until it is ready");
  command.add_flag("-y,--skip-confirmation", words.yes, "accepted for Istio's sake: nothing is ever asked");
  command.callback([&] { action = [&] { return run_install(words); }; });
}

void add_life(CLI::App& app, InstallWords& words, Action& action) {
  add_apply(*app.add_subcommand("install", "install weft, or bring it to these settings; waits until it is ready"), words,
            action);
  auto* upgrade = app.add_subcommand("upgrade", "bring what is installed to this version, with its settings");
  add_cluster(*upgrade, words);
  add_settings(*upgrade, words);
  upgrade->add_flag("--plan", words.plan, "only show what would change");
  upgrade->add_option("--timeout", words.timeout, "seconds to wait until all is ready")->capture_default_str();
  upgrade->add_flag("--no-wait", words.no_wait, "do not wait until it is ready");
  upgrade->add_flag("-y,--skip-confirmation", words.yes, "accepted for Istio's sake: nothing is ever asked");
  upgrade->callback([&] { action = [&] { return run_upgrade(words); }; });
  auto* uninstall = app.add_subcommand("uninstall", "take the hooks off the nodes, then remove what install has made");
  add_cluster(*uninstall, words);
  uninstall->add_flag("--purge", words.purge,
                      "also the definitions of Istio's kinds, with all objects of these kinds, and namespace istio-system");
  uninstall->add_flag("--force", words.force, "go on where a node's hooks cannot be removed");
  uninstall->add_flag("-y,--skip-confirmation", words.yes, "accepted for Istio's sake: nothing is ever asked");
  uninstall->callback([&] { action = [&] { return run_uninstall(words); }; });
}

void add_manifest(CLI::App& app, InstallWords& words, Action& action) {
  auto* manifest = app.add_subcommand("manifest", "the objects of an installation");
  manifest->require_subcommand(1);
  auto* generate = manifest->add_subcommand("generate", "print them; asks no cluster");
  add_settings(*generate, words);
  generate->callback([&] { action = [&] { return run_generate(words); }; });
  add_apply(*manifest->add_subcommand("apply", "the same as install"), words, action);
}

void add_questions(CLI::App& app, InstallWords& words, Action& action) {
  auto* verify = app.add_subcommand("verify-install", "name every object that is missing, different or not ready");
  add_cluster(*verify, words);
  verify->add_option("-f,--filename", words.files, "objects to look for; else what is installed, with its settings");
  verify->footer("Exit codes: 0 all is as it should be; 1 something is not: it is listed.");
  verify->callback([&] { action = [&] { return run_verify(words); }; });
  auto* check = app.add_subcommand("check", "is this cluster, this node, this installation right?");
  add_cluster(*check, words);
  check->add_flag("--pre", words.pre, "before an installation");
  check->add_flag("--node", words.node, "also the kernel of this machine: run it on a node");
  check->add_flag("--strict", words.strict, "exit with 2 on warnings, and on what was skipped");
  check->add_option("-o,--output", words.output, "json");
  check->footer("Exit codes: 0 all is well; 1 an error; 2 with --strict: a warning, or something could not be asked.");
  check->callback([&] { action = [&] { return run_check(words); }; });
}

}  // namespace

void add_install_commands(CLI::App& app, InstallWords& words, Action& action) {
  auto* version = app.add_subcommand("version", "of this program and of what is installed");
  add_cluster(*version, words);
  version->add_flag("--client", words.client, "of this program only; asks no cluster");
  version->callback([&] { action = [&] { return run_version(words); }; });
  add_life(app, words, action);
  add_manifest(app, words, action);
  add_questions(app, words, action);
}

}  // namespace weft::ctl
