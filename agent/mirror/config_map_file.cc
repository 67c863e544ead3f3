#include "agent/mirror/config_map_file.h"

#include "agent/ca/files.h"

namespace weft::mirror {

kube::ReflectorSpec ConfigMapFile::spec() const {
  return {.resource = *kube::known_resource("v1", "ConfigMap"),
          .ns = source_.ns,
          .label_selector = {},
          .field_selector = "metadata.name=" + source_.name};
}

std::string ConfigMapFile::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

void ConfigMapFile::say(std::string problem) {
  const std::lock_guard lock(mutex_);
  problem_ = std::move(problem);
}

void ConfigMapFile::on_object(objects::Node object) {
  there_ = true;
  const std::string& text = object.at({"data", source_.key}).as_string();
  if (text.empty() || text.size() > ca::kMaxFile) {
    ++counters_.refused;
    return say(described() + " has " + (text.empty() ? "nothing" : "too much") + " under " + source_.key);
  }
  if (text != content_) {
    // Who reads the file takes it when two looks have seen the same.
    if (auto written = ca::write_file(path_, text, 0644); !written) {
      ++counters_.failures;
      return say(base::describe(written.error()));
    }
    content_ = text;
    ++counters_.written;
  }
  say("");
}

void ConfigMapFile::on_gone(const kube::ObjectName&) {
  there_ = false;
  say(described() + " was deleted; what it said stays in force");
}

void ConfigMapFile::on_synced() {
  if (!there_) say(described() + " is not there: weft-control writes it once it runs");
}

// What was told stays good while the server is away; only before the first look that is a reason to wait.
void ConfigMapFile::on_state(const kube::ReflectorState& state) {
  if (content_.empty() && state.phase == kube::ReflectorPhase::kStale) say(described() + " could not be read: " + state.why);
}

}  // namespace weft::mirror
