#include "agent/state/exclusions.h"

#include "agent/state/endpoints.h"

namespace weft::state {
namespace {

bool is_too_long(const objects::Exclusions& all) {
  return all.outbound_ports.size() > kMaxExcludedPerPod || all.outbound_ranges.size() > kMaxExcludedPerPod ||
         all.inbound_ports.size() > kMaxExcludedPerPod;
}

void add_sentence(const std::string& sentence, std::string& to) {
  if (!sentence.empty()) to += (to.empty() ? "" : "; ") + sentence;
}

}  // namespace

template <typename Visit>
void ExclusionBook::each_selecting(const objects::Pod& pod, Visit visit) const {
  const auto& all = *objects_;
  for (auto entry = all.lower_bound({pod.meta.ns, ""}); entry != all.end() && entry->first.ns == pod.meta.ns;
       ++entry)
    if (selects(entry->second->selector, pod.meta.labels)) visit(*entry->second);
}

void ExclusionBook::begin(const Store& store) {
  objects_ = &store.capture_exclusions;
  reach_.clear();
}

PodExclusions ExclusionBook::of(const objects::Pod& pod, const objects::AnnotatedExclusions& own) const {
  PodExclusions out{.effective = own.exclusions};
  if (!own.problem.empty())
    out.problem = own.problem + "; no annotation excludes anything until it is mended";
  each_selecting(pod, [&](const objects::CaptureExclusion& object) {
    objects::merge(object.exclusions, out.effective);
  });
  if (is_too_long(out.effective)) {
    out.effective = {};
    add_sentence("more than " + std::to_string(kMaxExcludedPerPod) +
                     " ports or ranges are excluded for this pod in all; nothing is",
                 out.problem);
  }
  add_sentence(own.unserved, out.problem);
  return out;
}

void ExclusionBook::count(const objects::Pod& pod, bool in_force) {
  each_selecting(pod, [&](const objects::CaptureExclusion& object) {
    PolicyReach& reach = reach_[store_key(object)];
    ++reach.selected;
    if (in_force) ++reach.enrolled;
  });
}

PolicyReach ExclusionBook::reach(const objects::CaptureExclusion& object) const {
  const auto found = reach_.find(store_key(object));
  return found == reach_.end() ? PolicyReach{} : found->second;
}

}  // namespace weft::state
