#pragma once
// One reflector without its connection: what to ask next, and what answers mean. Pure but for the sink it
// tells.
//
//     +--------- 410, 404, versions refused over and over ----------+
//     v                                                             |
//   list --chunk--> list --last chunk--> watch --cut, time is up--> watch (from the last version)
//     |                                    |
//     +--failure: back-off, list           +--failure: back-off, watch
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "agent/kube/backoff.h"
#include "agent/kube/error.h"
#include "agent/kube/lines.h"
#include "agent/kube/list_item.h"
#include "agent/kube/reflector.h"
#include "agent/parse/json.h"
#include "userspace-proxy/base/result.h"

namespace weft::kube {

// Owner: Reflectors. Thread: theirs; state() and last_heard() are for whoever holds their mutex.
class ListWatch {
 public:
  struct Ask {
    std::string path;         // with query
    bool watch = false;       // the answer goes on and on
    base::Nanos deadline{0};  // of the whole exchange
    bool fresh = false;       // on a new connection: the last one did not answer
  };

  ListWatch(ReflectorSpec spec, ReflectorSink& sink, ReflectorCounters& counters,
            const ReflectorLimits& limits, uint64_t seed);

  [[nodiscard]] Ask ask();
  // The answer has begun.
  void on_head(int code, base::Nanos retry_after, base::Instant now);
  // An error ends the exchange: the caller hands it to on_end().
  base::Status on_body(std::string_view bytes, base::Instant now);
  // The exchange is over; `failure`: not as HTTP has it. Returns how long to wait until the next ask().
  base::Nanos on_end(const std::optional<base::Error>& failure, base::Instant now);

  [[nodiscard]] const ReflectorSpec& spec() const { return spec_; }
  [[nodiscard]] const ReflectorState& state() const { return state_; }
  [[nodiscard]] bool synced() const { return synced_; }
  [[nodiscard]] std::optional<base::Instant> last_heard() const { return last_heard_; }
  // When bytes came last in this exchange, or it began.
  [[nodiscard]] base::Instant active_at() const { return active_at_; }
  void began(base::Instant now);
  [[nodiscard]] bool watching() const { return watching_; }
  // The last exchange ended before anybody answered. Whoever hears the server again may end the wait.
  [[nodiscard]] bool away() const { return away_; }

 private:
  struct Known {
    std::string version;
    uint64_t look = 0;  // the number of the whole look that saw it last
  };

  base::Nanos end_of_list(base::Instant now);
  base::Nanos end_of_watch(base::Instant now);
  base::Status take_listed(objects::Node object);
  void finish_list(const ListPage& page, base::Instant now);
  base::Status take_line(std::string_view line);
  base::Status take_event(std::string_view type, objects::Node object);
  base::Nanos failed(ApiError error, base::Instant now);
  base::Nanos list_failed(const ApiError& error, base::Instant now);
  base::Nanos watch_failed(const ApiError& error, base::Instant now);
  base::Nanos wait_after(const ApiError& error);
  base::Nanos absent(const ApiError& error, base::Instant now);
  base::Nanos list_anew();
  void forget_unseen();
  void enter(ReflectorPhase phase, std::string why, base::Instant now);

  ReflectorSpec spec_;
  const parse::Unread unread_in_event_;  // what spec_ leaves unread, where an event has it
  ReflectorSink& sink_;
  ReflectorCounters& counters_;
  const ReflectorLimits limits_;
  Backoff backoff_;
  ReflectorState state_;
  bool synced_ = false;
  bool watching_ = false;  // what is asked: a list or a watch
  bool fresh_ = false;
  bool away_ = false, was_away_ = false;  // the last exchange, and the one before
  std::unordered_map<std::string, Known> known_;  // by "<ns>/<name>": what the consumer was told
  std::string version_;                           // the last resource version seen
  std::string next_;                              // the continue token of the list under way
  uint64_t look_ = 1;                             // number of the whole look under way
  std::optional<base::Instant> look_began_;
  uint32_t chunk_;
  int version_refusals_ = 0;  // watches in a row that were refused for what may be their version
  std::optional<base::Instant> absent_since_;
  std::optional<base::Instant> last_heard_;
  base::Instant active_at_{};

  // The exchange under way.
  int code_ = 0;
  base::Nanos retry_after_{0};
  base::Instant head_at_{};
  std::string body_;  // of a list, or of an answer that is an error
  Lines lines_;
  uint64_t told_ = 0;                    // events and bookmarks of this watch
  std::optional<ApiError> watch_error_;  // an ERROR event
  parse::JsonReader reader_;
};

}  // namespace weft::kube
