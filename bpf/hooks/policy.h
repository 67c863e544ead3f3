/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The policy of a pod, asked in the map. */
#include "bpf/hooks/common.h"

struct policy_answer {
	bool admitted;
	__u32 rule_id; /* that decided; 0: none */
};

/*
 * Returns the index of the deciding key, WEFT_POLICY_KEYS if there is none, below the id of its
 * rule. Not inlined and not static: so the verifier walks the loop once, whatever led to it.
 */
__attribute__((noinline)) __u64 find_policy(const struct weft_party *party, __u32 keys)
{
	if (!party)
		return WEFT_POLICY_KEYS;
	for (__u32 index = 0; index < WEFT_POLICY_KEYS; index++) {
		struct weft_policy_key key;
		struct weft_policy *rule;

		if (index >= keys)
			break;
		if (!weft_policy_key_at(party, index, &key))
			continue;
		rule = bpf_map_lookup_elem(&policy, &key);
		if (rule)
			return (__u64)rule->rule_id << 32 | index;
	}
	return WEFT_POLICY_KEYS;
}

HOOK_INLINE struct policy_answer ask(const struct weft_party *party, bool has_allow)
{
	__u64 found = find_policy(party, weft_policy_keys(has_allow));
	struct policy_answer answer = {
	    .admitted = weft_policy_admits((__u32)found, has_allow),
	    .rule_id = found >> 32,
	};

	return answer;
}
