#pragma once
// Layer-4 rules in the words of the kernel's policy trie: an OR of "this subject, at this port". Internal to compile/.
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "userspace-proxy/model/snapshot.h"

namespace weft::compile {

enum class Who : uint8_t { kAnyone, kAnonymous, kProven, kNamespace, kAccount, kRange };

struct Term {
  Who who = Who::kAnyone;
  std::string name;  // kNamespace: it; kAccount: "ns/account"
  base::Cidr range;  // kRange
  uint16_t port = 0;  // 0: any
  auto operator<=>(const Term&) const = default;
};

// Sorted, each once; none: the rule is never true.
using Terms = std::vector<Term>;

// Above this a rule counts as beyond the kernel: an AND of two long lists grows with their product.
inline constexpr size_t kMaxTermsPerRule = 4096;

// A rule in such words, or nothing where they cannot say it exactly. The kernel judges peers whose identity, if any, it
// proved itself: they are of the mesh's own `trust_domain`, so principals of others match none of them.
//
// `addresses` are the pod's. A DENY rule for a range of destinations that holds all of them speaks of every arrival;
// any other rule about destinations is beyond the kernel, which does not look at the destination: the pod may have
// further addresses that nobody told the agent.
[[nodiscard]] std::optional<Terms> terms_of(const model::PolicyRule& rule, std::string_view trust_domain,
                                            const std::vector<base::Address>& addresses);

// Whether `addresses` have a say in it.
[[nodiscard]] bool depends_on_destination(const model::PolicyRule& rule);

}  // namespace weft::compile
