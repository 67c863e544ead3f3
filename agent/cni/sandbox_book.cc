#include "agent/cni/sandbox_book.h"

#include <sys/stat.h>

namespace weft::cni {

SandboxBook::SandboxBook(Exists exists) : exists_(std::move(exists)) {
  if (exists_) return;
  exists_ = [](const std::string& path) {
    struct stat info{};
    return stat(path.c_str(), &info) == 0;
  };
}

bool SandboxBook::add(const Request& sandbox) {
  if (sandboxes_.size() >= kMaxSandboxes && !sandboxes_.contains(sandbox.uid)) return false;
  Sandbox next{sandbox.ns, sandbox.name, sandbox.netns, sandbox.container_id, sandbox.addresses};
  Sandbox& now = sandboxes_[sandbox.uid];
  if (now == next) return false;
  now = std::move(next);
  return true;
}

bool SandboxBook::remove(const Request& sandbox) {
  return std::erase_if(sandboxes_, [&](const auto& entry) {
           return entry.second.container_id == sandbox.container_id;
         }) > 0;
}

bool SandboxBook::found(const std::map<std::string, std::string>& paths) {
  // A path that is gone says that the pod is, or that its process was another.
  bool changed =
      std::erase_if(sandboxes_, [&](const auto& entry) { return !exists_(entry.second.netns); }) > 0;
  for (const auto& [uid, path] : paths) {
    if (sandboxes_.contains(uid) || sandboxes_.size() >= kMaxSandboxes) continue;
    sandboxes_[uid] = {.ns = "", .name = "", .netns = path, .container_id = "", .addresses = {}};
    changed = true;
  }
  return changed;
}

}  // namespace weft::cni
