#pragma once
// What the hooks would say of an arrival, reckoned here: the code of bpf/decide over these tables. For
// connections that are open already; nothing on the data path waits for it.
#include <set>

#include "agent/compile/tables.h"

namespace weft::compile {

// Who called, as far as the kernel vouches for it.
struct Caller {
  weft_address address{};
  uint32_t proof = 0;  // enum weft_proof
  uint32_t identity = 0, namespace_id = 0;  // 0 without proof
};

struct Judgement {
  uint32_t steer = 0;    // enum weft_steer: what sk_lookup would do with it
  uint32_t counter = 0;  // enum weft_counter: why
  uint32_t rule_id = 0;  // that decided; 0: none
};

// Of a peer's call to `port` of the pod, which is one of `tables`. The port 15008 is the proxy's.
[[nodiscard]] Judgement judge_arrival(const Tables& tables, const weft_pod& pod, const Caller& caller,
                                      uint16_t port);

// Pods (ids) that are in both and of which something differs that judge_arrival() reads.
[[nodiscard]] std::set<uint32_t> judged_anew(const Tables& before, const Tables& after);

}  // namespace weft::compile
