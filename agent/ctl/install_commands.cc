#include "agent/ctl/install_commands.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "agent/install/render.h"

namespace weft::ctl {
namespace {

base::Result<install::Settings> settings_of(const InstallWords& words) {
  auto settings = install::default_settings(WEFT_VERSION);
  for (const std::string& assignment : words.settings) TRY(install::apply_setting(settings, assignment));
  return settings;
}

base::Status run_generate(const InstallWords& words) {
  TRY_ASSIGN(const auto settings, settings_of(words));
  fmt::print("{}", install::rendered_yaml(settings));
  return {};
}

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

}  // namespace

void add_install_commands(CLI::App& app, InstallWords& words, std::function<base::Status()>& action) {
  auto* manifest = app.add_subcommand("manifest", "the objects of an installation");
  manifest->require_subcommand(1);
  auto* generate = manifest->add_subcommand("generate", "print them; asks no cluster");
  add_settings(*generate, words);
  generate->callback([&] { action = [&] { return run_generate(words); }; });
}

}  // namespace weft::ctl
