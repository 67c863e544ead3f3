#include "agent/watch/cluster.h"

#include <algorithm>

#include "agent/objects/kinds.h"
#include "agent/objects/served.h"
#include "agent/objects/values.h"
#include "userspace-proxy/base/log.h"

namespace weft::watch {
namespace {

using objects::Kind;

// A burst that is longer is handed on in parts, so that no more than this is held twice.
constexpr size_t kMaxPending = 4096;

kube::Resource resource_of(Kind kind) {
  const objects::KindTraits& traits = objects::traits_of(kind);
  return {.group = std::string(traits.group),
          .version = std::string(objects::split_words(traits.versions).front()),
          .plural = std::string(traits.plural),
          .kind = std::string(traits.name),
          .namespaced = traits.namespaced};
}

std::string text_of(const kube::Resource& resource) {
  return resource.plural + (resource.group.empty() ? "" : ".") + resource.group + "/" + resource.version;
}

}  // namespace

const std::vector<Kind>& kinds_of_the_mesh() {
  static const std::vector<Kind> kKinds = {
      Kind::kNamespace,      Kind::kPod,
      Kind::kService,        Kind::kEndpointSlice,
      Kind::kGateway,        Kind::kVirtualService,
      Kind::kDestinationRule, Kind::kPeerAuthentication,
      Kind::kAuthorizationPolicy, Kind::kCaptureExclusion,
  };
  return kKinds;
}

// One kind's ear. Thread: the reflectors'.
class ClusterWatch::KindSink final : public kube::ReflectorSink {
 public:
  KindSink(ClusterWatch& watch, Kind kind) : watch_(watch), kind_(kind), resource_(resource_of(kind)) {}

  void on_object(objects::Node object) override {
    watch_.catalog_.put(kind_, resource_.version, object);
    if (watch_.catalog_.pending() >= kMaxPending) watch_.flush();
  }
  void on_gone(const kube::ObjectName& name) override { watch_.catalog_.remove({kind_, name.ns, name.name}); }
  void on_synced() override {
    settled_ = true;
    watch_.flush();
    watch_.look_whether_synced();
  }
  void on_batch_end() override { watch_.flush(); }
  void on_state(const kube::ReflectorState& state) override {
    // A word for each change, not for each try.
    if (state.phase != phase_ && state.phase == kube::ReflectorPhase::kStale)
      spdlog::warn("watch of {}: {}", text_of(resource_), state.why);
    if (state.phase != phase_ && state.phase == kube::ReflectorPhase::kAbsent)
      spdlog::info("watch of {}: the server does not serve it, looked for again now and then", text_of(resource_));
    phase_ = state.phase;
    if (state.phase != kube::ReflectorPhase::kAbsent) return;
    settled_ = true;
    watch_.flush();
    watch_.look_whether_synced();
  }

  [[nodiscard]] bool settled() const { return settled_; }
  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] const kube::Resource& resource() const { return resource_; }

 private:
  ClusterWatch& watch_;
  const Kind kind_;
  const kube::Resource resource_;
  kube::ReflectorPhase phase_ = kube::ReflectorPhase::kListing;
  bool settled_ = false;  // a whole look is through, or the server does not know the kind
};

ClusterWatch::ClusterWatch(Sink sink) : sink_(std::move(sink)), catalog_(counters_) {}

ClusterWatch::~ClusterWatch() {
  stop();
}

base::Result<std::unique_ptr<ClusterWatch>> ClusterWatch::create(ClusterWatchOptions options, const base::Clock& clock,
                                                                 Sink sink) {
  auto watch = std::unique_ptr<ClusterWatch>(new ClusterWatch(std::move(sink)));
  TRY_ASSIGN(watch->reflectors_, kube::Reflectors::create(std::move(options.config), clock, options.limits));
  for (const Kind kind : options.kinds) {
    watch->kinds_.push_back(std::make_unique<KindSink>(*watch, kind));
    KindSink& ear = *watch->kinds_.back();
    watch->reflectors_->add({.resource = ear.resource(), .unread = parse::Unread(objects::unread_fields(kind))}, ear);
  }
  return watch;
}

void ClusterWatch::start() {
  reflectors_->start();
}

void ClusterWatch::stop() {
  if (reflectors_) reflectors_->stop();
}

void ClusterWatch::flush() {
  std::vector<Event> events = catalog_.commit();
  if (!events.empty()) sink_(std::move(events));
}

void ClusterWatch::look_whether_synced() {
  if (said_synced_ || !std::ranges::all_of(kinds_, [](const auto& ear) { return ear->settled(); })) return;
  said_synced_ = true;
  sink_({Synced{}});
}

std::vector<KindStatus> ClusterWatch::status() const {
  std::vector<KindStatus> out;
  const std::vector<kube::ReflectorStatus> all = reflectors_->status();
  for (size_t i = 0; i < all.size() && i < kinds_.size(); ++i)
    out.push_back({.kind = kinds_[i]->kind(),
                   .resource = text_of(kinds_[i]->resource()),
                   .phase = all[i].state.phase,
                   .why = all[i].state.why,
                   .synced = all[i].synced,
                   .objects = all[i].counters->objects,
                   .bytes = all[i].counters->bytes,
                   .list_ms = all[i].counters->list_ms});
  return out;
}

}  // namespace weft::watch
