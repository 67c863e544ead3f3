#pragma once
// Which certificate is asked for when: the rotation of every identity of this node, for every proxy that
// serves it. Rules: reference identity.md 4.
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/certs/answer.h"
#include "agent/certs/ca_client.h"
#include "agent/certs/roots.h"
#include "agent/publish/publisher.h"
#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/result.h"
#include "userspace-proxy/model/channel.h"

namespace weft::certs {

inline constexpr size_t kMostAsked = 8;  // requests at the CA at one time
inline constexpr size_t kMostKeys = 8;   // of one proxy, from the wish for a key to the CA's answer
inline constexpr base::Millis kKeyTimeout{10'000};  // of a proxy that was asked for a key
// A proxy that asks for an identity this long after it was given one has lost it: it gets another.
inline constexpr base::Millis kLostAfter{10'000};

// Where the desk's wishes go. Called from within the desk's functions; must not call back into them.
class DeskDoors {
 public:
  virtual ~DeskDoors() = default;
  virtual void want_key(publish::ProxyId proxy, const model::KeyWanted& wanted) = 0;
  virtual void give_certificate(publish::ProxyId proxy, const model::SpiffeId& identity, uint64_t key_id,
                                std::string pem) = 0;
  virtual void tell_failure(publish::ProxyId proxy, const model::CertificateFailed& failed) = 0;
  virtual void forget_identity(publish::ProxyId proxy, const model::SpiffeId& identity) = 0;
  // Answered by take_answer(), always.
  virtual void ask(Ask ask) = 0;
};

// Who waits for it: the greater goes first.
enum class Priority : uint8_t {
  kRenewal,   // nobody: the one in force is good
  kWarmUp,    // a pod of this node that may soon need it
  kRealTime,  // a connection
};

enum class State : uint8_t { kPending, kValid, kFailed };
[[nodiscard]] std::string_view name_of(State state);

// For status: one identity at one proxy.
struct IdentityStatus {
  model::SpiffeId identity;
  publish::ProxyId proxy = 0;
  State state = State::kPending;
  bool under_way = false;                                // a new one is being had
  uint64_t key_id = 0;                                   // of the certificate in force
  base::WallTime not_before{}, not_after{}, renew_at{};  // kValid only
  std::string last_error;                                // of the newest attempt; empty: it went well
  uint64_t requests = 0, failures = 0;
};

struct DeskCounters {
  uint64_t asked = 0, issued = 0;
  std::array<uint64_t, 10> ask_failures{};            // by base::ErrorKind of the CaClient
  std::array<uint64_t, kRefusals> answers_refused{};  // by Refusal
  uint64_t answers_late = 0;                          // for a proxy or an identity that is gone
  uint64_t keys_late = 0;                             // a proxy made no key in time
  uint64_t requests_malformed = 0;                    // a proxy's certificate request that is none
  uint64_t requests_foreign = 0;                      // ... for an identity that is not of this node
  uint64_t requests_stale = 0;                        // ... nobody has asked for, or not any more
  uint64_t needs_foreign = 0;  // a connection's wish for an identity that is not of this node
  uint64_t expired = 0;        // certificates that ended before there was another
  uint64_t near_expiry = 0;    // ... whose last fifth began so
  uint64_t forgotten = 0;      // identities whose last pod left
  uint64_t disbelieved = 0;    // certificates renewed because the trust bundle no longer holds their root
};

// Pure: no clock, socket or thread of its own. Owner: the room's Service. Thread: its loop's. After every
// call but the const ones the owner calls turn(), and again when the time that it returned has passed.
class Desk {
 public:
  // `chance` yields numbers in [0, 1).
  Desk(DeskDoors& doors, const base::Clock& clock, std::function<double()> chance)
      : doors_(doors), clock_(clock), chance_(std::move(chance)) {}

  // The identities of the node's enrolled pods, all of them. Those that are new are fetched before anybody
  // needs them, those that are gone are forgotten at once.
  void set_wanted(std::set<model::SpiffeId> wanted);
  // `rules`: answers are judged by these roots, else by their own. Certificates that no longer lead to one of
  // them are renewed at once, and nobody waits out a pause that the old ones have caused.
  void set_roots(RootsPtr roots, bool rules);
  void add_proxy(publish::ProxyId proxy);
  void remove_proxy(publish::ProxyId proxy);
  void take_request(publish::ProxyId proxy, const model::CertificateRequest& request);
  void need(publish::ProxyId proxy, const model::SpiffeId& identity);
  // The roots of an answer that was taken; null if it was not.
  RootsPtr take_answer(uint64_t ask, const base::Result<Answer>& answer);

  // Starts what can be started; how long until there may be more to do.
  base::Nanos turn();

  [[nodiscard]] std::vector<IdentityStatus> status() const;  // by identity, then proxy
  [[nodiscard]] const DeskCounters& counters() const { return counters_; }

 private:
  // One certificate's making. Every move goes through enter().
  //
  //   kRest --wish for a key--> kKey --its request--> kQueued --asked--> kAsked --answer--> kRest
  //     ^                        | late, malformed                        | error, refused
  //     +------------------------+----------------------------------------+
  enum class Step : uint8_t { kRest, kKey, kQueued, kAsked };
  struct SlotKey {
    model::SpiffeId identity;
    publish::ProxyId proxy = 0;
    auto operator<=>(const SlotKey&) const = default;
  };
  struct Held {
    uint64_t key_id = 0;
    std::string chain;
    base::WallTime not_before, not_after, renew_at, alarm_at;
    base::Instant given;
    bool alarmed = false;
  };
  struct Slot {
    Step step = Step::kRest;
    Priority priority = Priority::kWarmUp;
    uint64_t key_id = 0;       // of the key under way
    base::Instant since{};     // of this step; orders those that wait
    std::string request;       // kQueued, kAsked: DER
    std::optional<Held> held;  // the certificate in force
    bool failed = false;       // the newest attempt brought none and there is none
    std::string last_error;
    uint64_t requests = 0, failures = 0;
  };
  struct Pause {
    unsigned failures = 0;  // in a row
    unsigned soon = 0;      // before those: what was only too early
    base::Instant until{};
  };
  struct Asked {
    SlotKey key;
    uint64_t key_id = 0;
  };
  using Slots = std::map<SlotKey, Slot>;

  void enter(Slot& slot, Step step);
  void add_slot(const model::SpiffeId& identity, publish::ProxyId proxy);
  void expire(const SlotKey& key, Slot& slot);
  void watch_ages();
  void start_asking();
  void start_keys();
  void fail(const SlotKey& key, Slot& slot, const std::string& why);
  bool wait_a_moment(const SlotKey& key, Slot& slot, const std::string& why);
  RootsPtr take_certificate(const SlotKey& key, Slot& slot, Certificate certificate);
  [[nodiscard]] bool is_due(const SlotKey& key, const Slot& slot) const;
  [[nodiscard]] base::Nanos until_next() const;
  [[nodiscard]] base::Nanos until_next(const SlotKey& key, const Slot& slot) const;
  [[nodiscard]] uint64_t next_key_id();

  DeskDoors& doors_;
  const base::Clock& clock_;
  std::function<double()> chance_;
  std::set<model::SpiffeId> wanted_;
  std::set<publish::ProxyId> proxies_;
  Slots slots_;  // wanted_ x proxies_; some hundreds on a full node, so that a walk costs nothing
  std::map<model::SpiffeId, Pause> pauses_;  // after failures; shared by all proxies, so that one that starts
                                             // again and again does not besiege the CA
  std::map<uint64_t, Asked> asked_;          // at the CA now, also for what is gone
  RootsPtr roots_;
  bool roots_rule_ = false;
  uint64_t last_ask_ = 0, last_key_ = 0;
  DeskCounters counters_;
};

}  // namespace weft::certs
