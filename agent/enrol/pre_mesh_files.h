#pragma once
#include <filesystem>
#include <string>

#include "agent/enrol/pre_mesh_memory.h"

namespace weft::enrol {

// A file for each pod, in a directory that only this user may look into. Owned by main, in the loop's thread.
class PreMeshFiles final : public PreMeshMemory {
 public:
  // The directory is made with the first record. `boot_id`: what was written in another boot counts for nothing.
  PreMeshFiles(std::filesystem::path directory, std::string boot_id)
      : directory_(std::move(directory)), boot_id_(std::move(boot_id)) {}

  base::Status put(uint64_t netns, const PreMeshRecord& record) override;
  base::Result<PreMeshRecord> find(uint64_t netns) const override;
  base::Status forget(uint64_t netns) override;
  void keep_only(const std::set<uint64_t>& netns) override;

 private:
  [[nodiscard]] std::filesystem::path path_of(uint64_t netns) const { return directory_ / std::to_string(netns); }

  const std::filesystem::path directory_;
  const std::string boot_id_;
};

}  // namespace weft::enrol
