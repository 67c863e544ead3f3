#pragma once
// inotify on a directory and all below it.
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/base/result.h"

namespace weft::watch {

// Paths are relative to the root; a directory's path ends with '/', the root's is empty.
struct TreeChanges {
  std::set<std::string> files;        // to be looked at
  std::set<std::string> directories;  // to be walked again
  bool everything = false;            // events were lost, or the root came or went: walk all
  bool overflow = false;
  [[nodiscard]] bool any() const { return everything || !files.empty() || !directories.empty(); }
};

struct TreeProblem {
  std::string directory;
  base::Error error;
  bool unreadable = false;  // else it was read but cannot be watched
};

struct TreeListing {
  bool found = false;  // the directory exists
  std::set<std::string> files;
  std::set<std::string> directories;  // all that were walked
  std::vector<TreeProblem> problems;
};

// Owner: the watch's worker; one thread. Watches are set before a directory is read, so nothing between is
// missed.
class Tree {
 public:
  static base::Result<Tree> create(std::filesystem::path root);

  [[nodiscard]] int fd() const { return inotify_.get(); }
  // Takes what the kernel has queued; does not wait.
  void drain(TreeChanges& changes);
  // Lists all manifest files below `directory` and watches it and everything below.
  [[nodiscard]] TreeListing walk(const std::string& directory);
  // The root went: forget all watches.
  void forget_all();
  [[nodiscard]] const std::filesystem::path& root() const { return root_; }

 private:
  Tree(std::filesystem::path root, base::Fd inotify) : root_(std::move(root)), inotify_(std::move(inotify)) {}
  base::Status watch(const std::string& directory);
  void read_directory(const std::string& directory, TreeListing& listing, std::vector<std::string>& pending);
  void take(int watch, uint32_t mask, std::string_view name, TreeChanges& changes);
  void take_directory(const std::string& path, uint32_t mask, TreeChanges& changes);
  void forget_below(const std::string& directory);

  std::filesystem::path root_;
  base::Fd inotify_;
  std::map<int, std::string> directory_of_;
  std::map<std::string, int, std::less<>> watch_of_;
};

}  // namespace weft::watch
