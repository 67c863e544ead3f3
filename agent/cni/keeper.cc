#include "agent/cni/keeper.h"

#include <dirent.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "agent/cni/files.h"
#include "agent/cni_wire/json.h"

namespace weft::cni {
namespace {

constexpr size_t kMaxConfiguration = kMaxJsonBytes, kMaxBinary = 64 << 20, kMaxFiles = 256;
constexpr std::string_view kSaved = ".weft-saved", kList = ".conflist";
constexpr mode_t kConfigurationMode = 0600, kBinaryMode = 0755;
constexpr uint32_t kChanges =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_ATTRIB;

bool is_list(const std::string& name) {
  return name.ends_with(kList);
}

// "10-net.conf" -> "10-net.conflist"
std::string list_name(const std::string& name) {
  return name.substr(0, name.rfind('.')) + std::string(kList);
}

// What a file should hold; a single plugin's, not yet chained, as the list that it becomes.
base::Result<Edit> edit_of(const std::string& name, const std::string& text, const Entry& entry) {
  if (is_list(name)) return chain(text, entry);
  TRY_ASSIGN(std::string list, to_list(text));
  return Edit{std::move(list), true};
}

bool holds_our_entry(const std::string& path) {
  const auto text = read_whole(path, kMaxConfiguration);
  if (!text) return false;
  const auto without = unchain(*text);
  return without && without->changed;
}

}  // namespace

base::Result<std::vector<std::string>> configurations(const std::string& conf_dir) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(conf_dir.c_str()), closedir);
  if (!directory) return base::fail_errno("open the directory of CNI configurations " + conf_dir);
  std::vector<std::string> names;
  while (const dirent* entry = readdir(directory.get())) {
    const std::string name = entry->d_name;
    const bool taken = is_list(name) || name.ends_with(".conf") || name.ends_with(".json");
    if (taken && names.size() < kMaxFiles) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

Keeper::Keeper(KeeperOptions options)
    : options_(std::move(options)), changes_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  watch();
}

// A directory that is not there yet, or was made anew, is watched from the next look on.
void Keeper::watch() {
  if (!changes_) return;
  if (!watching_conf_)
    watching_conf_ = inotify_add_watch(changes_.get(), options_.conf_dir.c_str(), kChanges) >= 0;
  if (!watching_bin_)
    watching_bin_ = inotify_add_watch(changes_.get(), options_.bin_dir.c_str(), kChanges) >= 0;
}

void Keeper::forget_changes() {
  alignas(inotify_event) std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t got = read(changes_.get(), buffer.data(), buffer.size());
    if (got <= 0) return;
    for (ssize_t at = 0; at < got;) {
      const auto* const event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      // The directory itself is gone: which of the two does not matter, adding a watch twice is harmless.
      if ((event->mask & (IN_IGNORED | IN_DELETE_SELF)) != 0) watching_conf_ = watching_bin_ = false;
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  }
}

const KeeperReport& Keeper::look() {
  watch();
  report_.problem.clear();
  const base::Status installed = install_binary();
  // A list that names a plugin which is not there would stop every pod of the node.
  const base::Status chained = installed ? keep_chained() : base::Status{};
  if (!installed || !chained) {
    report_.chained = false;
    report_.problem = base::describe(installed ? chained.error() : installed.error());
    ++report_.failures;
  }
  return report_;
}

base::Status Keeper::install_binary() {
  TRY_ASSIGN(const std::string shipped, read_whole(options_.binary, kMaxBinary));
  const std::string path = options_.bin_dir + "/" + std::string(kPluginType);
  const auto there = read_whole(path, kMaxBinary);
  if (there && *there == shipped && access(path.c_str(), X_OK) == 0) return {};
  TRY(install_file(path, shipped, kBinaryMode));
  ++report_.binary_installs;
  return {};
}

base::Status Keeper::keep_chained() {
  TRY_ASSIGN(const auto names, configurations(options_.conf_dir));
  not_understood_.clear();
  for (const std::string& name : names) {
    const auto text = read_whole(path_of(name), kMaxConfiguration);
    const auto edit = text ? edit_of(name, *text, options_.entry) : std::unexpected(text.error());
    if (!edit) {
      not_understood_ = name + " is no CNI configuration: " + base::describe(edit.error());
      continue;
    }
    report_.conflist = path_of(is_list(name) ? name : list_name(name));
    if (edit->changed) {
      TRY(is_list(name) ? replace_file(path_of(name), edit->text, kConfigurationMode)
                        : convert(name, edit->text));
      if (ever_chained_) ++report_.repairs;
    }
    report_.chained = ever_chained_ = true;
    if (not_understood_.empty()) return {};
    // Some runtimes skip such a file, some load nothing at all because of it.
    report_.problem = path_of(not_understood_) + "; weft is chained in " + report_.conflist;
    return {};
  }
  return base::fail(base::ErrorKind::kNotFound, not_understood_.empty()
                                                    ? "no CNI configuration in " + options_.conf_dir +
                                                          " yet: the cluster's network plugin writes it"
                                                    : path_of(not_understood_));
}

base::Status Keeper::convert(const std::string& name, const std::string& list) {
  const std::string path = path_of(list_name(name));
  if (exists(path) && !holds_our_entry(path))
    return base::fail(base::ErrorKind::kConflict, "cannot make a list of " + path_of(name) + ": " + path +
                                                      " is there already and is not weft's");
  TRY_ASSIGN(const Edit chained, chain(list, options_.entry));
  TRY(replace_file(path, chained.text, kConfigurationMode));
  return rename_file(path_of(name), path_of(name) + std::string(kSaved));
}

base::Status Keeper::remove() {
  TRY_ASSIGN(const auto names, configurations(options_.conf_dir));
  base::Status first;
  for (const std::string& name : names) {
    if (!is_list(name) || !holds_our_entry(path_of(name))) continue;
    if (auto removed = remove_from(name); !removed && first) first = removed;
  }
  return first;
}

base::Status Keeper::remove_from(const std::string& name) {
  TRY_ASSIGN(const std::string text, read_whole(path_of(name), kMaxConfiguration));
  TRY_ASSIGN(const Edit without, unchain(text));
  for (const std::string_view ending : {".conf", ".json"}) {
    const std::string original = path_of(name.substr(0, name.size() - kList.size())) + std::string(ending);
    const auto saved = read_whole(original + std::string(kSaved), kMaxConfiguration);
    if (!saved) continue;
    const auto as_list = to_list(*saved);
    if (as_list && *as_list == without.text && !exists(original)) {
      TRY(rename_file(original + std::string(kSaved), original));
      if (unlink(path_of(name).c_str()) != 0) return base::fail_errno("remove " + path_of(name));
      return {};
    }
    unlink((original + std::string(kSaved)).c_str());  // somebody went on with the list
  }
  return replace_file(path_of(name), without.text, kConfigurationMode);
}

}  // namespace weft::cni
