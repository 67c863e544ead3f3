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
  int exit_code = 0;  // when the action is done
};
void add_install_commands(CLI::App& app, InstallWords& words, std::function<base::Status()>& action);

}  // namespace weft::ctl
