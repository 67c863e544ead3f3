#include "agent/mirror/control_mirror.h"

namespace weft::mirror {

ControlMirror::ControlMirror(kube::Client& client, const base::Clock& clock, ControlMirrorOptions options,
                             std::function<bool()> leads)
    : client_(client), clock_(clock), options_(std::move(options)), leads_(std::move(leads)), secret_(client, options_.secret) {}

ControlMirror::~ControlMirror() { stop(); }

void ControlMirror::start() {
  thread_ = std::thread([this] { run(); });
}

void ControlMirror::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ControlMirror::set_bundle(std::string pem) {
  {
    const std::lock_guard lock(mutex_);
    if (bundle_ == pem) return;
    bundle_ = std::move(pem);
  }
  wake_.notify_all();
}

std::string ControlMirror::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

void ControlMirror::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const std::string bundle = bundle_;
    lock.unlock();
    std::string problem = look_at_secret();
    if (const std::string other = leads_() ? write_bundles(bundle) : ""; problem.empty()) problem = other;
    lock.lock();
    problem_ = std::move(problem);
    // A new bundle wakes it up; it is written before the next look at the Secret is due, which does no harm.
    wake_.wait_for(lock, options_.look_every, [&] { return stopping_ || bundle_ != bundle; });
  }
}

std::string ControlMirror::look_at_secret() {
  const auto changed = secret_.refresh();
  if (!changed) {
    ++counters_.secret_failures;
    return base::describe(changed.error());
  }
  if (*changed) ++counters_.secret_changes;
  return "";
}

std::string ControlMirror::write_bundles(const std::string& bundle) {
  std::string problem;
  if (bundle.empty()) return problem;
  for (const std::string& ns : options_.namespaces) {
    Written& before = written_[ns];
    const auto now = clock_.now();
    if (before.bundle == bundle && now - before.at < options_.write_every) continue;
    if (const auto done = write_bundle(ns, bundle); !done) {
      ++counters_.bundle_failures;
      problem = base::describe(done.error());
      continue;
    }
    ++counters_.bundles_written;
    before = {bundle, now};
  }
  return problem;
}

base::Status ControlMirror::write_bundle(const std::string& ns, const std::string& bundle) {
  const auto text = [](const std::string& value) { return objects::Node::string(value); };
  objects::Node map = objects::Node::mapping();
  map.set("apiVersion", text("v1"));
  map.set("kind", text("ConfigMap"));
  map.set("metadata", objects::Node::strings(std::map<std::string, std::string>{{"name", options_.config_map}, {"namespace", ns}}));
  map.set("data", objects::Node::strings(std::map<std::string, std::string>{{options_.key, bundle}}));
  auto done = client_.apply(*kube::known_resource("v1", "ConfigMap"), map, {.manager = "weft-control", .force = true});
  if (!done) return std::unexpected(done.error());
  return {};
}

}  // namespace weft::mirror
