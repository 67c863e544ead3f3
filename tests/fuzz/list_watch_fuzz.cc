// Any answers of a server, in any pieces: a reflector keeps within its bounds, tells of no object twice as gone, and
// always knows what to ask next. The first byte says how the rest is cut: into answers at 0xff, into pieces by its value.
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "agent/kube/list_watch.h"
#include "userspace-proxy/base/result.h"

using namespace weft;

namespace {

struct Checker final : kube::ReflectorSink {
  void on_object(objects::Node object) override {
    CHECK(!kube::name_of(object).name.empty());
    CHECK(!object.at({"kind"}).is_null() && !object.at({"apiVersion"}).is_null());
    held.insert(kube::name_of(object));
  }
  void on_gone(const kube::ObjectName& name) override { CHECK(held.erase(name) == 1); }
  void on_synced() override {}
  void on_state(const kube::ReflectorState& state) override {
    CHECK(state.phase == kube::ReflectorPhase::kListing || state.phase == kube::ReflectorPhase::kWatching ||
          !state.why.empty());
  }
  std::set<kube::ObjectName> held;
};

void exchange(kube::ListWatch& core, std::string_view body, size_t piece, base::Instant now) {
  const auto ask = core.ask();
  CHECK(ask.path.starts_with("/api/v1/pods?") && ask.deadline > base::Nanos(0));
  core.began(now);
  std::optional<base::Error> failure;
  // An answer that begins with a digit is an error of that kind.
  const int code = body.starts_with('4') ? 410 : body.starts_with('5') ? 503 : body.starts_with('0') ? 404 : 200;
  core.on_head(code, {}, now);
  for (size_t at = 0; at < body.size() && !failure; at += piece)
    if (const auto taken = core.on_body(body.substr(at, piece), now); !taken) failure = taken.error();
  const base::Nanos wait = core.on_end(failure, now);
  CHECK(wait >= base::Nanos(0) && wait <= std::chrono::minutes(5));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t piece = 1 + data[0];
  std::string_view rest(reinterpret_cast<const char*>(data + 1), size - 1);
  Checker sink;
  kube::ReflectorCounters counters;
  kube::ListWatch core({.resource = *kube::known_resource("v1", "Pod"), .unread = parse::Unread({"metadata.labels", "spec"})}, sink, counters,
                       {.max_chunk = 4096, .max_line = 1024, .max_objects = 8}, 7);
  base::Instant now{std::chrono::seconds(1000)};
  while (!rest.empty()) {
    const size_t end = rest.find('\xff');
    exchange(core, rest.substr(0, end), piece, now);
    CHECK(sink.held.size() <= 8 && counters.objects == sink.held.size());
    now += std::chrono::seconds(20);
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  return 0;
}
