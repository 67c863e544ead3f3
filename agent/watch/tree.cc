#include "agent/watch/tree.h"

#include <fmt/format.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ranges>

#include "agent/watch/files.h"

namespace weft::watch {
namespace {

namespace fs = std::filesystem;

// No IN_MODIFY: a file is read when its writer closes it, not while it is half written.
constexpr uint32_t kMask = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB |
                           IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK;
constexpr size_t kMaxDirectories = 10'000;

// A file just created is being written and will be closed, unless it came into being whole: a hard or
// symbolic link.
bool is_link(const fs::path& path) {
  struct stat info{};
  return ::lstat(path.c_str(), &info) == 0 && (S_ISLNK(info.st_mode) || info.st_nlink > 1);
}

}  // namespace

base::Result<Tree> Tree::create(fs::path root) {
  base::Fd fd(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!fd) return base::fail_errno("inotify cannot be used (see fs.inotify.max_user_instances)");
  return Tree(std::move(root), std::move(fd));
}

base::Status Tree::watch(const std::string& directory) {
  const int id = inotify_add_watch(inotify_.get(), (root_ / directory).c_str(), kMask);
  if (id < 0) return base::fail_errno(fmt::format("{} cannot be watched", (root_ / directory).string()));
  // The kernel knows directories, not paths: one that was renamed comes back with its old number.
  if (const auto old = directory_of_.find(id); old != directory_of_.end() && old->second != directory)
    if (const auto path = watch_of_.find(old->second); path != watch_of_.end() && path->second == id)
      watch_of_.erase(path);
  directory_of_[id] = directory;
  watch_of_[directory] = id;
  return {};
}

TreeListing Tree::walk(const std::string& directory) {
  TreeListing listing;
  std::vector<std::string> pending{directory};
  while (!pending.empty()) {
    const std::string next = std::move(pending.back());
    pending.pop_back();
    if (listing.directories.size() >= kMaxDirectories) {
      listing.problems.push_back({next,
                                  {.kind = base::ErrorKind::kLimit,
                                   .what = fmt::format("more than {} directories", kMaxDirectories)},
                                  true});
      break;
    }
    read_directory(next, listing, pending);
  }
  listing.found = listing.directories.contains(directory);
  return listing;
}

void Tree::read_directory(const std::string& directory, TreeListing& listing,
                          std::vector<std::string>& pending) {
  const auto watched = watch(directory);
  std::error_code error;
  fs::directory_iterator entries(root_ / directory, error);
  if (error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory) return;
  listing.directories.insert(directory);
  if (error) {
    listing.problems.push_back(
        {directory,
         {.sys_errno = error.value(), .what = fmt::format("{} cannot be read", (root_ / directory).string())},
         true});
    return;
  }
  if (!watched) listing.problems.push_back({directory, watched.error(), false});
  for (; entries != fs::directory_iterator(); entries.increment(error)) {
    if (error) break;
    const std::string name = entries->path().filename();
    std::error_code ignored;
    const fs::file_status status = entries->symlink_status(ignored);
    // Links to directories are not followed: they could lead in circles, or out of the tree.
    if (status.type() == fs::file_type::directory) {
      if (is_manifest_directory_name(name)) pending.push_back(directory + name + "/");
      continue;
    }
    if (is_manifest_name(name)) listing.files.insert(directory + name);
  }
}

void Tree::drain(TreeChanges& changes) {
  alignas(inotify_event) char buffer[64 * 1024];
  while (true) {
    const ssize_t got = ::read(inotify_.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return;
    for (ssize_t at = 0; at < got;) {
      inotify_event event;
      std::memcpy(&event, buffer + at, sizeof event);
      const char* name = buffer + at + sizeof event;
      take(event.wd, event.mask, event.len > 0 ? std::string_view(name) : std::string_view(), changes);
      at += static_cast<ssize_t>(sizeof event + event.len);
    }
  }
}

void Tree::take(int id, uint32_t mask, std::string_view name, TreeChanges& changes) {
  if ((mask & IN_Q_OVERFLOW) != 0) {
    changes.overflow = changes.everything = true;
    return;
  }
  const auto place = directory_of_.find(id);
  if (place == directory_of_.end()) return;
  const std::string directory = place->second;
  if ((mask & IN_IGNORED) != 0) {
    directory_of_.erase(place);
    if (const auto path = watch_of_.find(directory); path != watch_of_.end() && path->second == id)
      watch_of_.erase(path);
    return;
  }
  if ((mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) != 0) {
    // Of other directories their parent tells.
    if (directory.empty()) changes.everything = true;
    return;
  }
  if (name.empty()) return;
  const std::string path = directory + std::string(name);
  if ((mask & IN_ISDIR) != 0) {
    if (is_manifest_directory_name(name)) take_directory(path + "/", mask, changes);
    return;
  }
  // Kubernetes swaps the files of a mounted ConfigMap by renaming this link.
  if (name == "..data") changes.directories.insert(directory);
  if (!is_manifest_name(name)) return;
  if (mask == IN_CREATE && !is_link(root_ / path)) return;
  changes.files.insert(path);
}

void Tree::take_directory(const std::string& path, uint32_t mask, TreeChanges& changes) {
  if ((mask & (IN_MOVED_FROM | IN_DELETE)) != 0) forget_below(path);
  changes.directories.insert(path);
}

// The watches of a directory that was moved away would report under its old name.
void Tree::forget_below(const std::string& directory) {
  auto place = watch_of_.lower_bound(directory);
  while (place != watch_of_.end() && place->first.starts_with(directory)) {
    inotify_rm_watch(inotify_.get(), place->second);
    directory_of_.erase(place->second);
    place = watch_of_.erase(place);
  }
}

void Tree::forget_all() {
  forget_below("");
}

}  // namespace weft::watch
