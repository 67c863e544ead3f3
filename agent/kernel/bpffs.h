#pragma once
// Pins: files of the bpf filesystem. Internal to kernel/.
#include <string>
#include <vector>

#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/base/result.h"

namespace weft::kernel {

// Makes `directory` with its parents, all on a bpf filesystem.
base::Status make_bpf_directory(const std::string& directory);
// Whether make_bpf_directory() would find a bpf filesystem; makes nothing.
base::Status check_bpf_directory(const std::string& directory);
// One owner of a pin root at a time; the lock dies with its process.
base::Result<base::Fd> lock_directory(const std::string& directory);

[[nodiscard]] bool exists(const std::string& path);
base::Result<std::vector<std::string>> list_directory(const std::string& directory);

base::Result<base::Fd> open_pin(const std::string& path);
base::Status pin(int fd, const std::string& path);
// There is always one whole pin at `path`: the old one or the new one.
base::Status replace_pin(int fd, const std::string& path);
// The commit of something built aside.
base::Status rename_pin(const std::string& from, const std::string& to);
// Detaches a pinned link at once, rather than when its last holder goes, and removes the pin. Fine if it is
// not there.
base::Status remove_link(const std::string& path);
// Removes a directory of pins; links in it are detached.
base::Status remove_tree(const std::string& path);

}  // namespace weft::kernel
