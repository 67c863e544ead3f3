#pragma once
// The command line of weft on Kubernetes: install, uninstall, upgrade, manifest, verify-install, check, version.
// The same under the name istioctl, with the words of Istio's own command (reference httpgo.md 2).
#include <functional>
#include <string>
#include <vector>

#include "userspace-proxy/base/result.h"

namespace CLI {
class App;
}

namespace weft::ctl {

// What the command line says. Owner: run_weftctl. Lifetime: the process.
struct InstallWords {
  std::vector<std::string> settings;  // --set
  std::vector<std::string> files;     // -f
  std::string kubeconfig, context;    // empty: as kubectl finds them
  std::string output;
  int timeout = 300;  // seconds
  bool yes = false;   // nothing is ever asked: for scripts written for Istio
  bool no_wait = false, plan = false, purge = false, force = false, pre = false, node = false, strict = false,
       client = false;
  int exit_code = 0;  // when the action is done
};
void add_install_commands(CLI::App& app, InstallWords& words, std::function<base::Status()>& action);

// What each command does. Progress and results go to standard output.
[[nodiscard]] base::Status run_generate(const InstallWords& words);
[[nodiscard]] base::Status run_install(const InstallWords& words);
[[nodiscard]] base::Status run_upgrade(const InstallWords& words);
[[nodiscard]] base::Status run_uninstall(const InstallWords& words);
[[nodiscard]] base::Status run_verify(InstallWords& words);
[[nodiscard]] base::Status run_check(InstallWords& words);
[[nodiscard]] base::Status run_version(const InstallWords& words);

}  // namespace weft::ctl
