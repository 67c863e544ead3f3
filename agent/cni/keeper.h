#pragma once
// Keeps weft-cni installed and chained, whatever else writes into the node's CNI directories.
#include <cstdint>
#include <string>
#include <vector>

#include "agent/cni/conflist.h"
#include "userspace-proxy/base/fd.h"

namespace weft::cni {

struct KeeperOptions {
  std::string conf_dir;  // where the runtime looks for configurations
  std::string bin_dir;   // and for plugins
  std::string binary;    // weft-cni as shipped; installed into bin_dir
  Entry entry;
};

struct KeeperReport {
  bool chained = false;          // the configuration that the runtime takes ends with our entry
  std::string conflist;          // which that is
  std::string problem;           // a sentence; empty: none
  uint64_t binary_installs = 0;  // also those after somebody removed or replaced it
  uint64_t repairs = 0;          // our entry was gone from a configuration, or another came before it
  uint64_t failures = 0;         // looks that ended with a problem
  bool operator==(const KeeperReport&) const = default;
};

// One at a time, in one thread: that of Rounds, or a command's. Runtimes take the first file by name of
// *.conf,
// *.conflist and *.json; that one gets our entry as its last plugin. A single plugin's file becomes a list
// beside it, and is kept under another name (".weft-saved"). Files are replaced by a rename, with mode and
// owner kept; what is no configuration is left alone and named. Files of others are never removed.
class Keeper {
 public:
  explicit Keeper(KeeperOptions options);

  // One look, with repairs; what it found.
  const KeeperReport& look();
  // Takes our entry out of every configuration and puts back what was saved. The plugin itself stays:
  // sandboxes that were made with it are taken down with it by runtimes that remember how they were made.
  base::Status remove();

  // Readable after a change in either directory; forget_changes() before looking. -1: changes cannot be
  // watched, look now and then.
  [[nodiscard]] int changes_fd() const { return changes_.get(); }
  void forget_changes();

 private:
  base::Status install_binary();
  base::Status keep_chained();
  base::Status convert(const std::string& name, const std::string& conf);
  base::Status remove_from(const std::string& name);
  [[nodiscard]] std::string path_of(const std::string& name) const { return options_.conf_dir + "/" + name; }
  void watch();

  const KeeperOptions options_;
  base::Fd changes_;
  bool watching_conf_ = false, watching_bin_ = false;
  bool ever_chained_ = false;   // what is missing from then on was taken away
  std::string not_understood_;  // the last file that was none, and why
  KeeperReport report_;
};

// The names in `conf_dir` that a runtime would look at, in its order.
[[nodiscard]] base::Result<std::vector<std::string>> configurations(const std::string& conf_dir);

}  // namespace weft::cni
