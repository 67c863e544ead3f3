#pragma once
// Which roots are believed now, and where they come from.
//
// Decided 2026-11-30: where a file of roots is configured (--ca-root) the file alone is the bundle, and roots
// in the CA's answers change nothing; where there is none, the newest answer's roots are the bundle. A union
// of both could never shrink: the last step of a root's rotation (reference identity.md 5) would wait for the
// CA to forget the old root, and a CA's answer could widen what a node believes. What would change our mind:
// a bundle source that is as authoritative as the file and comes with the answers.
#include <cstdint>
#include <string>
#include <string_view>

#include "agent/certs/roots.h"
#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/result.h"

namespace weft::certs {

struct BundleCounters {
  uint64_t changes = 0;
  uint64_t refused = 0;   // a new content that was broken or empty; the last good one stays
  uint64_t left_out = 0;  // certificates in a taken bundle that cannot be anchors
};

// Pure. Owner: the room's Service. Thread: its.
class TrustBundle {
 public:
  enum class Source : uint8_t { kFile, kAnswers };
  // A file that is not there is no reason to worry for so long: somebody else writes it as we start.
  static constexpr base::Nanos kArrives = std::chrono::seconds(5);
  TrustBundle(Source source, const base::Clock& clock) : source_(source), clock_(clock), began_(clock.now()) {}

  // A look at the file, or why it could not be read; to be called once or twice a second. A change counts
  // when two looks in a row have seen it, so that a file that is just being written is no shrink. True: the
  // bundle has changed.
  bool look_at_file(const base::Result<std::string>& content);
  // The roots of a checked answer. True: the bundle has changed. Without effect for Source::kFile.
  bool take_answer(const RootsPtr& roots);

  [[nodiscard]] Source source() const { return source_; }
  [[nodiscard]] const RootsPtr& roots() const { return roots_; }  // null: none yet
  // Grows with every change, also over restarts of the agent: the proxies live on. 0: none yet.
  [[nodiscard]] uint64_t generation() const { return generation_; }
  [[nodiscard]] const std::string& problem() const {
    return problem_;
  }  // why the newest was refused; empty: fine
  [[nodiscard]] const BundleCounters& counters() const { return counters_; }

 private:
  bool take(RootsPtr roots);
  void refuse(std::string why);

  const Source source_;
  const base::Clock& clock_;
  const base::Instant began_;
  std::string seen_;          // of the last look that differed from the one before
  bool seen_before_ = false;  // ... and whether there was one
  bool judged_ = false;       // seen_ has been taken or refused
  RootsPtr roots_;
  uint64_t generation_ = 0;
  std::string problem_;
  BundleCounters counters_;
};

}  // namespace weft::certs
