#include "agent/ctl/completion.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>

namespace weft::ctl {
namespace {

// "weftctl manifest apply" -> the command. Depth first.
void each(const CommandTree& tree, const std::string& path,
          const std::function<void(const std::string& path, const CommandTree& tree)>& visit) {
  visit(path, tree);
  for (const CommandTree& command : tree.commands) each(command, path + " " + command.name, visit);
}

std::vector<std::string> words_of(const CommandTree& tree) {
  std::vector<std::string> words;
  for (const CommandTree& command : tree.commands) words.push_back(command.name);
  words.insert(words.end(), tree.options.begin(), tree.options.end());
  return words;
}

// For text in single quotes, in every of the three shells: what would end them is left out.
std::string quotable(std::string text) {
  std::erase_if(text, [](char c) { return c == '\'' || c == '\\' || c == '\n'; });
  return text;
}

// Names of programs become parts of functions' names.
std::string function_name(const std::string& name) {
  std::string out = "_" + name + "_complete";
  std::ranges::replace(out, '-', '_');
  return out;
}

// A shell function that walks the words of the line along the commands, so that values of options are not taken for any.
constexpr std::string_view kWalk = R"(  local at={name} word
  for word in {words}; do
    case "$at $word" in
{steps}    esac
  done
)";

std::string steps_of(const CommandTree& root) {
  std::string steps;
  each(root, root.name, [&](const std::string& path, const CommandTree&) {
    if (path != root.name) steps += fmt::format("      '{0}') at='{0}' ;;\n", path);
  });
  return steps;
}

std::string bash_script(const CommandTree& root) {
  std::string cases;
  each(root, root.name, [&](const std::string& path, const CommandTree& tree) {
    cases += fmt::format("    '{}') words='{}' ;;\n", path, fmt::join(words_of(tree), " "));
  });
  const std::string function = function_name(root.name);
  std::string out = fmt::format("# bash completion of {0}: source <({0} completion bash)\n{1}() {{\n", root.name, function);
  out += fmt::format(kWalk, fmt::arg("name", root.name), fmt::arg("words", "\"${COMP_WORDS[@]:1:COMP_CWORD-1}\""),
                     fmt::arg("steps", steps_of(root)));
  out += "  local words=\n  case \"$at\" in\n" + cases + "  esac\n";
  out += "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\")\n}\n";
  return out + fmt::format("complete -o default -F {} {}\n", function, root.name);
}

std::string zsh_script(const CommandTree& root) {
  std::string cases;
  each(root, root.name, [&](const std::string& path, const CommandTree& tree) {
    cases += fmt::format("    '{}') words_of=(", path);
    for (const CommandTree& command : tree.commands)
      cases += fmt::format("'{}:{}' ", command.name, quotable(command.help));
    for (const std::string& option : tree.options) cases += fmt::format("'{}' ", option);
    cases += ") ;;\n";
  });
  const std::string function = function_name(root.name);
  std::string out = fmt::format("#compdef {0}\n# zsh completion of {0}: source <({0} completion zsh)\n{1}() {{\n",
                                root.name, function);
  out += fmt::format(kWalk, fmt::arg("name", root.name), fmt::arg("words", "\"${(@)words[2,CURRENT-1]}\""),
                     fmt::arg("steps", steps_of(root)));
  out += "  local -a words_of\n  case \"$at\" in\n" + cases + "  esac\n";
  out += "  _describe 'command or option' words_of || _files\n}\n";
  return out + fmt::format("compdef {} {}\n", function, root.name);
}

std::string fish_script(const CommandTree& root) {
  std::string out = fmt::format("# fish completion of {0}: {0} completion fish | source\n", root.name);
  const std::string function = "_" + function_name(root.name);
  out += fmt::format("function {}\n  set -l at {}\n  for word in (commandline -opc)[2..]\n    switch \"$at $word\"\n",
                     function, root.name);
  each(root, root.name, [&](const std::string& path, const CommandTree&) {
    if (path != root.name) out += fmt::format("      case '{0}'\n        set at '{0}'\n", path);
  });
  out += "    end\n  end\n  echo $at\nend\n";
  each(root, root.name, [&](const std::string& path, const CommandTree& tree) {
    const std::string when = fmt::format("complete -c {} -n 'test \"({})\" = \"{}\"'", root.name, function, path);
    for (const CommandTree& command : tree.commands)
      out += fmt::format("{} -f -a '{}' -d '{}'\n", when, command.name, quotable(command.help));
    for (const std::string& option : tree.options) {
      const bool is_long = option.starts_with("--");
      out += fmt::format("{} {} {}\n", when, is_long ? "-l" : "-s", option.substr(is_long ? 2 : 1));
    }
  });
  return out;
}

}  // namespace

CommandTree tree_of(const CLI::App& app, const std::string& name) {
  CommandTree tree{name, app.get_description(), {}, {}};
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    for (const std::string& word : option->get_lnames()) tree.options.push_back("--" + word);
    for (const std::string& word : option->get_snames()) tree.options.push_back("-" + word);
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    if (!command->get_group().empty()) tree.commands.push_back(tree_of(*command, command->get_name()));
  return tree;
}

base::Result<std::string> completion_script(const CommandTree& root, const std::string& shell) {
  if (shell == "bash") return bash_script(root);
  if (shell == "zsh") return zsh_script(root);
  if (shell == "fish") return fish_script(root);
  return base::fail(base::ErrorKind::kInvalid, "completion: \"" + shell + "\" is none of bash, zsh, fish");
}

}  // namespace weft::ctl
