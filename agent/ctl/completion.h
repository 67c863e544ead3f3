#pragma once
// `weftctl completion`: scripts for shells, made from the one table of commands that the parser itself uses.
#include <string>
#include <vector>

#include "userspace-proxy/base/result.h"

namespace CLI {
class App;
}

namespace weft::ctl {

// A command, what it takes and what is below it.
struct CommandTree {
  std::string name, help;
  std::vector<std::string> options;  // "--namespace", "-n"
  std::vector<CommandTree> commands;
};

// Without what is hidden from people (an empty group).
[[nodiscard]] CommandTree tree_of(const CLI::App& app, const std::string& name);

// `shell`: bash, zsh or fish. kInvalid: another. Pure.
[[nodiscard]] base::Result<std::string> completion_script(const CommandTree& root, const std::string& shell);

}  // namespace weft::ctl
