// Policy is decided in three places: in words (the reference evaluator), in the kernel's tables, in the proxy. Random
// policies and connections hold them against each other. WEFT_SEED repeats a run.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>

#include "tests/support/policy_reference.h"
#include "tests/unit/agent/judges/generator.h"
#include "tests/unit/agent/judges/native_kernel.h"
#include "userspace-proxy/model/codec.h"
#include "userspace-proxy/policy/matcher.h"

namespace weft::test {
namespace {

constexpr size_t kSnapshots = 1000, kConnections = 100;

// One connection to a pod of the Snapshot.
struct Case {
  size_t pod = 0;                   // local pod
  base::Address source, destination;
  uint16_t port = 0;
  uint32_t attested = model::kNone;  // workload the kernel proves
  std::optional<model::SpiffeId> tls;  // proven by TLS: the kernel hands it to the proxy unasked
};

// How often each way was taken: a run that never reaches one proves nothing about it.
struct Ways {
  size_t kernel_allows = 0, kernel_refuses = 0, proxy_allows = 0, proxy_refuses = 0, would_deny = 0;
};

struct Judges {
  explicit Judges(const model::Snapshot& given)
      : snapshot(std::make_shared<const model::Snapshot>(given)), matcher(snapshot), kernel(*snapshot) {}

  // What differs, in words; empty: nothing.
  std::string differ(const Case& c, Ways& ways) const {
    const model::LocalPod& pod = snapshot->local_pods[c.pod];
    std::optional<model::SpiffeId> identity = c.tls;
    if (c.attested != model::kNone) {
      const model::Workload& caller = snapshot->workloads[c.attested];
      identity = {snapshot->settings.trust_domain, caller.ns, caller.service_account};
    }
    const PolicyAnswer truth = reference_answer(*snapshot, pod,
                                                {.source = c.source,
                                                 .destination = c.destination,
                                                 .port = c.port,
                                                 .identity = identity ? &*identity : nullptr});
    policy::Peer peer{.address = c.source, .destination = c.destination};
    if (c.attested != model::kNone) peer.proven = &snapshot->workloads[c.attested];
    if (c.tls) peer.identity = &*c.tls;
    const policy::Verdict verdict = matcher.judge(pod, peer, c.port);
    if (verdict.allows() != truth.allowed || verdict.would_deny != truth.would_deny)
      return fmt::format("reference allows {} would deny {}, matcher {} ({}) would deny {}", truth.allowed,
                         truth.would_deny, verdict.allows(), policy::describe(verdict), verdict.would_deny);
    ways.would_deny += truth.would_deny;
    return c.tls ? "" : kernel_differs(c, truth, ways);
  }

  std::string kernel_differs(const Case& c, const PolicyAnswer& truth, Ways& ways) const {
    const uint32_t steer = kernel.steer(snapshot->local_pods[c.pod], c.attested, c.source, c.port);
    const bool to_proxy = steer == WEFT_STEER_ATTESTED || steer == WEFT_STEER_INBOUND;
    if (to_proxy && (steer == WEFT_STEER_ATTESTED) != (c.attested != model::kNone))
      return "the kernel hands it to the wrong listener";
    const bool allows = to_proxy ? truth.allowed : steer == WEFT_STEER_APP;
    if (allows != truth.allowed) return fmt::format("reference allows {}, kernel steers {}", truth.allowed, steer);
    if (truth.would_deny && !to_proxy) return "nobody tells what the dry run would do";
    size_t& way = to_proxy ? (truth.allowed ? ways.proxy_allows : ways.proxy_refuses)
                           : (truth.allowed ? ways.kernel_allows : ways.kernel_refuses);
    ++way;
    // At the source: whom connect refuses would have been refused at the destination.
    const bool connects = c.attested == model::kNone || kernel.connects(c.attested, c.source, c.destination, c.port);
    return !connects && truth.allowed ? "connect refuses what the destination allows" : "";
  }

  model::SnapshotPtr snapshot;
  policy::Matcher matcher;
  NativeKernel kernel;
};

Case connection(Generator& make, const model::Snapshot& snapshot) {
  Case out;
  out.pod = make.below(snapshot.local_pods.size());
  const auto& own = snapshot.workloads[snapshot.local_pods[out.pod].workload].addresses;
  out.destination = own[make.below(own.size())];
  out.source = make.address();
  out.port = make.port();
  const size_t kind = make.below(5);
  if (kind < 2) out.attested = static_cast<uint32_t>(make.below(snapshot.workloads.size()));
  if (kind == 2) out.tls = make.tls_identity();
  return out;
}

std::string spell(const std::vector<model::StringPattern>& list) {
  static constexpr const char* kKinds[] = {"=", "prefix ", "suffix ", "present"};
  std::string out;
  for (const auto& one : list) out += fmt::format(" {}{}", kKinds[static_cast<size_t>(one.kind)], one.value);
  return out;
}
std::string spell(const std::vector<base::Cidr>& list) {
  std::string out;
  for (const auto& one : list) out += " " + one.to_string();
  return out;
}

std::string spell(const model::PolicyMatch& m) {
  std::string out;
  const auto add = [&](const char* name, const std::string& text) {
    if (!text.empty()) out += fmt::format(" {}:{}", name, text);
  };
  add("principals", spell(m.principals));
  add("notPrincipals", spell(m.not_principals));
  add("namespaces", spell(m.namespaces));
  add("notNamespaces", spell(m.not_namespaces));
  add("accounts", fmt::format("{}", fmt::join(m.service_accounts, " ")));
  add("notAccounts", fmt::format("{}", fmt::join(m.not_service_accounts, " ")));
  add("sources", spell(m.source_ranges));
  add("notSources", spell(m.not_source_ranges));
  add("destinations", spell(m.destination_ranges));
  add("notDestinations", spell(m.not_destination_ranges));
  add("ports", fmt::format("{}", fmt::join(m.ports, " ")));
  add("notPorts", fmt::format("{}", fmt::join(m.not_ports, " ")));
  return out;
}

std::string spell(const model::Snapshot& snapshot, const Case& c) {
  const model::LocalPod& pod = snapshot.local_pods[c.pod];
  std::string out = fmt::format("{} -> {}:{}", c.source.to_string(), c.destination.to_string(), c.port);
  if (c.attested != model::kNone) out += " attested " + model::key_of(snapshot.workloads[c.attested]);
  if (c.tls) out += " TLS " + c.tls->to_string();
  out += pod.peer_mode == model::PeerMode::kStrict ? "\nstrict" : "\npermissive";
  for (const auto& port : pod.port_modes)
    out += fmt::format(" {}:{}", port.port, port.mode == model::PeerMode::kStrict ? "strict" : "permissive");
  for (const uint32_t index : pod.rules) {
    const auto& rule = snapshot.policy_rules[index];
    out += fmt::format("\nrule {} {}{}", rule.id, rule.deny ? "DENY" : "ALLOW", rule.dry_run ? " dry run" : "");
    for (const auto& clause : rule.clauses) {
      out += "\n  all of: any of";
      for (const auto& match : clause) out += " {" + spell(match) + " }";
    }
  }
  return out;
}

// Leaves out what is not needed for the difference, piece by piece, until nothing more can go.
class Shrinker {
 public:
  Shrinker(model::Snapshot& snapshot, const Case& c) : snapshot_(snapshot), case_(c) {}

  void run() {
    for (size_t i = 0; i < snapshot_.local_pods.size(); ++i)
      if (i != case_.pod) snapshot_.local_pods[i].rules.clear();
    model::LocalPod& pod = snapshot_.local_pods[case_.pod];
    for (bool progress = true; progress;) {
      progress = thin_each(pod.rules, pod.port_modes);
      for (const uint32_t index : pod.rules) {
        progress |= thin(snapshot_.policy_rules[index].clauses);
        for (auto& clause : snapshot_.policy_rules[index].clauses) {
          progress |= thin(clause);
          for (auto& match : clause) progress |= thin_match(match);
        }
      }
    }
  }

 private:
  bool still_differs() const {
    Ways ways;
    return model::validate(snapshot_).has_value() && !Judges(snapshot_).differ(case_, ways).empty();
  }

  template <typename T>
  bool thin(std::vector<T>& list) {
    bool any = false;
    for (size_t i = 0; i < list.size();) {
      const std::vector<T> before = list;
      list.erase(list.begin() + static_cast<std::ptrdiff_t>(i));
      if (still_differs()) {
        any = true;
        continue;
      }
      list = before;
      ++i;
    }
    return any;
  }

  template <typename... Lists>
  bool thin_each(Lists&... lists) {
    bool any = false;
    ((any = thin(lists) || any), ...);
    return any;
  }

  bool thin_match(model::PolicyMatch& m) {
    return thin_each(m.principals, m.not_principals, m.namespaces, m.not_namespaces, m.service_accounts,
                     m.not_service_accounts, m.source_ranges, m.not_source_ranges, m.destination_ranges,
                     m.not_destination_ranges, m.ports, m.not_ports);
  }

  model::Snapshot& snapshot_;
  const Case& case_;
};

TEST(ThreeJudges, reference_kernel_and_proxy_never_differ) {
  const char* given = std::getenv("WEFT_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("WEFT_SEED=%llu\n", static_cast<unsigned long long>(seed));
  Generator make(seed);
  Ways ways;
  for (size_t i = 0; i < kSnapshots; ++i) {
    model::Snapshot snapshot = make.snapshot();
    ASSERT_TRUE(model::validate(snapshot)) << model::validate(snapshot).error().what << ", seed " << seed;
    const Judges judges(snapshot);
    for (size_t j = 0; j < kConnections; ++j) {
      const Case c = connection(make, snapshot);
      const std::string difference = judges.differ(c, ways);
      if (difference.empty()) continue;
      Shrinker(snapshot, c).run();
      FAIL() << difference << "\nseed " << seed << ", Snapshot " << i << ", connection " << j << "\n"
             << spell(snapshot, c);
    }
  }
  std::printf("kernel allows %zu refuses %zu, proxy allows %zu refuses %zu, dry run would deny %zu\n",
              ways.kernel_allows, ways.kernel_refuses, ways.proxy_allows, ways.proxy_refuses, ways.would_deny);
  for (const size_t way : {ways.kernel_allows, ways.kernel_refuses, ways.proxy_allows, ways.proxy_refuses})
    EXPECT_GT(way, kSnapshots * kConnections / 50) << "the generator misses a way";
  EXPECT_GT(ways.would_deny, kSnapshots / 10);
}

}  // namespace
}  // namespace weft::test
